"""Which implementation runs, what is said about it, and what is refused."""

import logging
import subprocess
import sys

import pytest
import torch

import kernels
from kernels import KernelUnavailable, dispatch

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request and no decision from before; gone again afterwards."""
    monkeypatch.delenv(dispatch.ENVIRONMENT, raising=False)
    monkeypatch.setattr(dispatch, "_selected", {})
    monkeypatch.setattr(dispatch, "_decided", {})


@pytest.fixture
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # makes `import triton` raise ImportError


def chosen() -> dispatch.Choice:
    """The only decision so far."""
    (choice,) = kernels.explain()
    return choice


def test_auto_takes_the_reference_for_cpu_tensors() -> None:
    kernels.route(torch.zeros(2, 4), torch.zeros(4), top_k=2, scale=1.0)
    assert chosen() == ("router", "reference", "the tensors are on cpu, the kernel needs cuda")


@pytest.mark.triton
def test_auto_takes_the_kernel_for_cuda_tensors() -> None:
    run = dispatch.implementation("router", CUDA)
    assert run.__module__ == "kernels.router.triton_router"
    assert chosen().implementation == "triton"
    assert chosen().reason.startswith("the tensors are on cuda; triton 3.")  # the version: kernels differ by it


@pytest.mark.usefixtures("no_triton")
def test_auto_falls_back_without_triton_and_warns_on_a_gpu(caplog: pytest.LogCaptureFixture) -> None:
    assert dispatch.implementation("router", CUDA).__module__ == "kernels.router.reference"
    assert "pip install 'tokenloom[kernels]'" in chosen().reason
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.triton
def test_auto_falls_back_without_a_c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for named, missing in (("", "a C compiler"), ("no-such-cc", "CC=no-such-cc")):
        monkeypatch.setenv("CC", named)
        monkeypatch.setattr(dispatch, "_decided", {})
        assert dispatch.implementation("router", CUDA).__module__ == "kernels.router.reference"
        assert chosen().reason.startswith(f"{missing} is not there, with which triton builds")


@pytest.mark.triton
def test_auto_falls_back_where_the_kernel_cannot_take_the_arguments() -> None:
    assert dispatch.implementation("router", CUDA, "the logits are float64").__module__ == "kernels.router.reference"
    assert chosen().reason == "the logits are float64"


def test_the_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tokenloom.kernels")
    for _ in range(3):
        dispatch.implementation("router", CPU)
    assert [record.getMessage() for record in caplog.records] == [
        "router runs on the reference implementation: the tensors are on cpu, the kernel needs cuda"
    ]
    assert caplog.records[0].name == "tokenloom.kernels"
    assert caplog.records[0].levelno == logging.INFO


def test_the_environment_chooses_and_a_call_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLOOM_KERNELS", " router = reference ,")
    dispatch.implementation("router", CPU)
    kernels.select("router", "reference")
    dispatch.implementation("router", CPU)
    assert [choice.reason for choice in kernels.explain()] == [
        "requested by TOKENLOOM_KERNELS",
        "requested by kernels.select",
    ]


def test_an_asked_for_reference_is_no_fallback(caplog: pytest.LogCaptureFixture) -> None:
    kernels.select("router", "reference")
    dispatch.implementation("router", CUDA)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.usefixtures("no_triton")
def test_an_explicit_choice_without_triton_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLOOM_KERNELS", "router=triton")
    with pytest.raises(KernelUnavailable, match=r"requested by TOKENLOOM_KERNELS.*pip install 'tokenloom\[kernels\]'"):
        kernels.route(torch.zeros(2, 4), torch.zeros(4), top_k=2, scale=1.0)
    assert kernels.explain() == [("router", "none", "not called yet; triton requested")]


@pytest.mark.triton
def test_an_explicit_choice_on_cpu_tensors_needs_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    kernels.select("router", "triton")
    with pytest.raises(KernelUnavailable, match="the tensors are on cpu; move them to cuda, or set TRITON_INTERPRET=1"):
        kernels.route(torch.zeros(2, 4), torch.zeros(4), top_k=2, scale=1.0)


@pytest.mark.triton
def test_an_explicit_choice_that_cannot_take_the_arguments_is_refused() -> None:
    kernels.select("router", "triton")
    obstacle = "there are 1024 experts and the kernel takes at most 512"
    with pytest.raises(KernelUnavailable, match=obstacle):
        dispatch.implementation("router", CUDA, obstacle)


@pytest.mark.interpreted
def test_an_explicit_choice_runs(device: torch.device) -> None:
    kernels.select("router", "triton")
    logits_TE = torch.tensor([[0.0, 1.0, 2.0, -1.0]], device=device)
    routing = kernels.route(logits_TE, torch.zeros(4, device=device), top_k=2, scale=1.0)
    assert routing.experts_TK.tolist() == [[2, 1]]
    assert chosen()[:2] == ("router", "triton")


@pytest.mark.parametrize(
    ("logits_TE", "obstacle"),
    [
        (torch.zeros(2, 4, dtype=torch.float64), "float64"),
        (torch.zeros(2, 513), "513 experts and the kernel takes at most 512"),
    ],
)
@pytest.mark.interpreted
def test_the_router_knows_what_its_kernel_cannot_take(
    logits_TE: torch.Tensor, obstacle: str, device: torch.device
) -> None:
    kernels.select("router", "triton")
    with pytest.raises(KernelUnavailable, match=obstacle):
        kernels.route(logits_TE.to(device), torch.zeros(logits_TE.shape[1], device=device), top_k=2, scale=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("router", "'router' has no '='. Write op=implementation"),
        ("rooter=auto", "no op 'rooter'. Ops: router"),
        ("router=cuda", "router has no implementation 'cuda'. Type one of auto, reference, triton"),
    ],
)
def test_a_malformed_environment_is_refused(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLOOM_KERNELS", text)
    with pytest.raises(ValueError, match=f"TOKENLOOM_KERNELS='{text}'.*{message}"):
        dispatch.implementation("router", CPU)


@pytest.mark.parametrize(("op", "implementation"), [("rooter", "auto"), ("router", "ref")])
def test_select_refuses_unknown_names(op: str, implementation: str) -> None:
    with pytest.raises(ValueError, match=r"kernels\.select"):
        kernels.select(op, implementation)


def test_unknown_attributes_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="'kernels' has no attribute 'rout'"):
        _ = kernels.rout


def test_importing_costs_neither_torch_nor_triton_and_the_op_no_triton(pytestconfig: pytest.Config) -> None:
    program = """
import sys
import kernels
assert not {"torch", "triton", "numpy"} & set(sys.modules), "importing kernels is not cheap"
sys.modules["triton"] = None
import torch
print(kernels.route(torch.zeros(3, 4), torch.zeros(4), top_k=2, scale=1.0).counts_SE.tolist())
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "[[3, 3, 0, 0]]\n"), run.stderr
