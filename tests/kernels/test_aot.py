"""Kernels compiled ahead of time for sm_90, without a GPU: no spills, registers within budget, vector loads.

A budget is what the compiler needs today, rounded up to a multiple of eight: a change that costs more has to say so here.
"""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed: pip install 'tokenloom[kernels]'")
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
SHARED_MEMORY_LIMIT = 227 * 1024  # bytes per thread block of sm_90

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(not CUOBJDUMP.is_file(), reason=f"this triton wheel has no {CUOBJDUMP.name}"),
    pytest.mark.skipif(triton.knobs.runtime.interpret, reason="TRITON_INTERPRET is set: kernels cannot be compiled"),
]


@pytest.fixture(autouse=True)
def _cache_beside_pytest(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled kernels are kept between runs, but not in the user's home."""
    if pytestconfig.cache is not None:
        monkeypatch.setenv("TRITON_CACHE_DIR", str(pytestconfig.cache.mkdir("triton")))


class Compiled(NamedTuple):
    registers: int  # per thread
    stack_bytes: int  # per thread; spills live there
    shared_bytes: int  # per thread block
    assembly: str


def compile_for_sm90(kernel: Any, signature: dict[str, str], constants: dict[str, Any], folder: Path) -> Compiled:
    """`constants` are launch constants and options together; pointers count as 16-byte aligned, as torch allocates."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    place = {name: (index,) for index, name in enumerate(kernel.arg_names)}
    source = ASTSource(
        fn=kernel,
        signature={name: signature.get(name, "constexpr") for name in kernel.arg_names},
        constexprs={place[name]: constants.get(name) for name in kernel.arg_names if name not in signature},
        attrs={place[name]: [["tt.divisibility", 16]] for name, kind in signature.items() if kind.startswith("*")},
    )
    options = {name: value for name, value in constants.items() if name not in place}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    usage = _cuobjdump("-res-usage", cubin)
    registers, stack = (int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("REG", "STACK"))  # type: ignore[index]
    return Compiled(registers, stack, compiled.metadata.shared, _cuobjdump("-sass", cubin))


def _cuobjdump(option: str, cubin: Path) -> str:
    return subprocess.run([CUOBJDUMP, option, cubin], capture_output=True, text=True, check=True).stdout


def check(compiled: Compiled, max_registers: int) -> None:
    assert compiled.stack_bytes == 0
    assert not re.search(r"\b(STL|LDL)\b", compiled.assembly), "spilled registers"
    assert compiled.shared_bytes <= SHARED_MEMORY_LIMIT
    assert compiled.registers <= max_registers


class RouterCase(NamedTuple):
    num_experts: int
    top_k: int
    logits: str
    sources: str | None
    forward_registers: int
    backward_registers: int


ROUTER_CASES = [
    RouterCase(8, 2, "*fp32", "*i64", 32, 24),
    RouterCase(128, 8, "*fp32", None, 64, 32),
    RouterCase(128, 8, "*bf16", "*i64", 56, 48),
    RouterCase(160, 8, "*fp32", "*i64", 64, 64),
    RouterCase(160, 8, "*bf16", None, 72, 72),
    RouterCase(512, 8, "*fp32", "*i32", 96, 72),
]


@pytest.mark.parametrize("case", ROUTER_CASES, ids=lambda case: f"{case.num_experts}-{case.top_k}{case.logits}")
def test_router(case: RouterCase, tmp_path: Path) -> None:
    from kernels.router import triton_router

    constants = triton_router.launch_constants(case.num_experts, case.top_k)
    common = {"logits_ptr": case.logits, "experts_ptr": "*i64", "num_tokens": "i32", "scale": "fp32"}
    forward = common | {"bias_ptr": "*fp32", "weights_ptr": "*fp32", "counts_ptr": "*i64", "num_sources": "i32"}
    forward |= {"sources_ptr": case.sources} if case.sources else {}
    compiled = compile_for_sm90(triton_router.forward_kernel, forward, constants, tmp_path)
    check(compiled, case.forward_registers)
    assert "REDG" in compiled.assembly, "counts are reductions in memory, not atomics that return the old value"
    if case.num_experts >= 128:
        assert re.search(r"LDG\S*\.(128|64)\b", compiled.assembly), "four neighbours of a row are one load"
        if case.logits == "*fp32":  # triton 3.7 packs the keys of bf16 logits so that it shuffles them instead
            assert "REDUX" in compiled.assembly, "a maximum over a warp is one instruction"

    backward = common | {"grad_weights_ptr": "*fp32", "grad_logits_ptr": case.logits}
    check(compile_for_sm90(triton_router.backward_kernel, backward, constants, tmp_path), case.backward_registers)
