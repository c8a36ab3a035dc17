"""How kernels are tested: in Triton's interpreter, against float64, on poisoned memory.

Triton decides at import whether kernels are compiled or interpreted, so both cannot live in one process. Tests marked
`interpreted` therefore run in one child pytest with TRITON_INTERPRET=1, started when the first of them is due; the child's
verdict becomes the test's own. Set the variable yourself to run them here (for a debugger), and on a machine with a GPU
they run here on the GPU. The interpreter runs programs one after another: it sees no race.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cuda" if torch.cuda.is_available() and not INTERPRETING else "cpu")
REPORTS = "TOKENLOOM_TEST_REPORTS"  # the file to which the child writes its verdicts, one JSON object per line
POISON = 0x7FF5  # repeated, it is a quiet NaN in every floating-point type, and an unlikely integer
GUARD_ELEMENTS = 4096  # on either side: more than a block of any kernel writes

_verdicts: dict[str, dict[str, str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "interpreted: runs a Triton kernel, in the CPU interpreter where there is no GPU"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("interpreted"):
        item.add_marker("triton")
    if item.get_closest_marker("triton") and importlib.util.find_spec("triton") is None:
        item.add_marker(pytest.mark.skip(reason="triton is not installed: pip install 'tokenloom[kernels]'"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Replace the call of an interpreted test by the child's verdict."""
    if INTERPRETING or DEVICE.type == "cuda" or not pyfuncitem.get_closest_marker("interpreted"):
        return None
    if not _verdicts:
        items = [item.nodeid for item in pyfuncitem.session.items if item.get_closest_marker("interpreted")]
        _verdicts.update(_run_interpreted(items, pyfuncitem.config.rootpath))
    verdict = _verdicts[pyfuncitem.nodeid]
    if verdict["outcome"] == "failed":
        pytest.fail(verdict["text"], pytrace=False)
    if verdict["outcome"] == "skipped":
        pytest.skip(verdict["text"])
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the child: write down how a test went. A failed set-up or tear-down counts, a passed one says nothing."""
    if REPORTS in os.environ and (report.when == "call" or not report.passed):
        verdict = {"nodeid": report.nodeid, "outcome": report.outcome, "text": report.longreprtext}
        with open(os.environ[REPORTS], "a", encoding="utf-8") as file:
            file.write(json.dumps(verdict) + "\n")


def _run_interpreted(nodeids: list[str], root: Path) -> dict[str, dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder, "reports.jsonl")
        environment = os.environ | {"TRITON_INTERPRET": "1", REPORTS: str(reports)}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *nodeids]
        child = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        lines = reports.read_text(encoding="utf-8").splitlines() if reports.exists() else []
    lost = {
        "outcome": "failed",
        "text": f"no verdict; the child ended with {child.returncode}:\n{child.stdout[-4000:]}",
    }
    verdicts = dict.fromkeys(nodeids, lost)
    for verdict in map(json.loads, lines):
        verdicts[verdict["nodeid"]] = verdict
    return verdicts


@pytest.fixture(autouse=True, scope="session")
def _no_bf16_arithmetic() -> Iterator[None]:
    """The interpreter keeps bf16 as uint16 and computes on these bits without a word: make it raise instead.

    A kernel must convert what it loads to float32 before it computes (triton-lang/triton#4972).
    """
    if not INTERPRETING or importlib.util.find_spec("triton") is None:
        yield
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    def guarded(name: str) -> object:
        original = getattr(InterpreterBuilder, name)

        def operation(self: object, *operands: object) -> object:
            if any(getattr(operand, "dtype", tl.int32).scalar == tl.bfloat16 for operand in operands):
                raise TypeError("bf16 arithmetic: convert to float32 after the load")
            return original(self, *operands)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for name in ("unary_op", "binary_op", "create_dot"):
            patch.setattr(InterpreterBuilder, name, guarded(name))
        yield


@pytest.fixture
def device() -> torch.device:
    return DEVICE


class PoisonedMemory:
    """Allocations between guard bands of poison. `fence` copies a tensor there; `empty` leaves the inside poisoned too."""

    def __init__(self) -> None:
        self.allocations: list[tuple[torch.Tensor, slice]] = []

    def fence(self, tensor: torch.Tensor) -> torch.Tensor:
        fenced = self._allocate(tuple(tensor.shape), tensor.dtype, tensor.device).copy_(tensor)
        return fenced.requires_grad_(tensor.requires_grad)

    @contextlib.contextmanager
    def allocating(self) -> Iterator[None]:
        """Take the place of torch.empty, empty_like and zeros inside the block, and check every cell at its end."""

        def empty(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
            return self._allocate(shape, dtype, device)

        def empty_like(tensor: torch.Tensor) -> torch.Tensor:
            return self._allocate(tuple(tensor.shape), tensor.dtype, tensor.device)

        def zeros(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
            return self._allocate(shape, dtype, device).zero_()

        with pytest.MonkeyPatch.context() as patch:
            for replacement in (empty, empty_like, zeros):
                patch.setattr(torch, replacement.__name__, replacement)
            yield
        self.check()

    def check(self) -> None:
        """Every cell inside was written, no cell outside was. Compares bits: a NaN that a kernel computed is no poison."""
        for memory, inside in self.allocations:
            is_poison = (memory.view(torch.int16) == POISON).view(len(memory), -1).all(dim=1)
            unwritten = int(is_poison[inside].sum())
            is_poison[inside] = True
            stray = int((~is_poison).sum())
            assert (unwritten, stray) == (0, 0), f"{unwritten} cells were not written, {stray} were written outside"

    def _allocate(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        size = torch.Size(shape).numel()
        inside = slice(GUARD_ELEMENTS, GUARD_ELEMENTS + size)
        num_halves = (size + 2 * GUARD_ELEMENTS) * dtype.itemsize // 2
        memory = torch.full((num_halves,), POISON, dtype=torch.int16, device=device).view(dtype)
        self.allocations.append((memory, inside))
        return memory[inside].view(shape)


@pytest.fixture
def poisoned_memory() -> PoisonedMemory:
    """The interpreter checks no bounds: without this a stray store or an unwritten cell goes unnoticed."""
    return PoisonedMemory()
