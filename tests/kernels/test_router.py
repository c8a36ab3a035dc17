"""The sigmoid router: the reference against its definition, the kernel against the reference in float64."""

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

import kernels
from kernels import Routing, bench, dispatch
from kernels.router import reference

SCALE = 2.5
NUM_SOURCES = 3
SHAPES = [(37, 8, 2), (257, 128, 8), (130, 160, 8), (1, 8, 2), (33, 5, 5), (9, 300, 3), (0, 8, 2)]  # T, E, K
HALF_SHAPES = [(37, 8, 2), (17, 160, 8)]
# Largest absolute error of the weights (which are at most SCALE) and of the gradients, against float64 on the same
# logits. bf16 logits are exact in float64; their gradient is stored in bf16, which the interpreter truncates (2**-7).
TOLERANCES = {torch.float32: (5e-7, 5e-7), torch.float16: (5e-7, 2**-10), torch.bfloat16: (5e-7, 2**-7)}
GPU_SLACK = (
    8  # of the tolerances: the device's exponential and division are approximate, to some units in the last place
)

Inputs = dict[str, Any]


def random_inputs(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, seed: int = 0) -> Inputs:
    num_tokens, num_experts, top_k = shape
    draw = torch.Generator().manual_seed(seed)
    logits_TE = torch.randn(num_tokens, num_experts, generator=draw).to(dtype)
    return {
        "logits_TE": logits_TE.to(device).requires_grad_(),
        "bias_E": (0.5 * torch.randn(num_experts, generator=draw) - 0.3).to(device),  # some s + b are negative
        "sources_T": torch.randint(0, NUM_SOURCES, (num_tokens,), generator=draw).to(device),
        "top_k": top_k,
        "scale": SCALE,
        "num_sources": NUM_SOURCES,
    }


def in_float64(inputs: Inputs) -> Inputs:
    return inputs | {"logits_TE": inputs["logits_TE"].detach().double().requires_grad_()}


def with_gradient(route: Callable[..., Routing], inputs: Inputs) -> tuple[Routing, torch.Tensor]:
    routing = route(**inputs)
    draw = torch.Generator().manual_seed(1)
    grad_TK = torch.randn(routing.weights_TK.shape, generator=draw).to(routing.weights_TK)
    (grad_TE,) = torch.autograd.grad(routing.weights_TK, inputs["logits_TE"], grad_TK)
    return routing, grad_TE


def largest(difference: torch.Tensor) -> float:
    return difference.abs().max().item() if difference.numel() else 0.0


# The reference.


def test_reference_follows_the_formula_on_a_case_done_by_hand() -> None:
    scores_TE = torch.tensor([[0.5, 0.2, 0.8, 0.4], [0.1, 0.3, 0.2, 0.6]], dtype=torch.float64)
    routing = kernels.route(
        torch.logit(scores_TE),
        torch.tensor([0.0, 0.7, 0.0, 0.0]),
        top_k=2,
        scale=3.0,
        sources_T=torch.tensor([1, -1]),
        num_sources=2,
    )
    assert routing.experts_TK.tolist() == [[1, 2], [1, 3]]  # the bias lifts expert 1 above 0.8 and 0.6 ...
    expected = torch.tensor(
        [[0.6, 2.4], [1.0, 2.0]], dtype=torch.float64
    )  # ... and leaves its weight at 3 * 0.2 / (0.2 + 0.8)
    torch.testing.assert_close(routing.weights_TK, expected)
    assert routing.counts_SE.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]  # the second token has no source: not counted
    assert (routing.weights_TK.dtype, routing.experts_TK.dtype, routing.counts_SE.dtype) == (
        torch.float64,
        torch.int64,
        torch.int64,
    )


@pytest.mark.parametrize("top_k", [1, 3, 6])
def test_reference_gradient_is_the_derivative_of_the_weights(top_k: int) -> None:
    logits_TE = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    bias_E = torch.linspace(-0.2, 0.2, 6)
    assert torch.autograd.gradcheck(
        lambda x: kernels.route(x, bias_E, top_k=top_k, scale=SCALE).weights_TK, (logits_TE,)
    )


def test_bias_selects_only_and_receives_no_gradient() -> None:
    bias_E = torch.zeros(4, requires_grad=True)
    routing = kernels.route(torch.randn(3, 4, requires_grad=True), bias_E, top_k=2, scale=1.0)
    routing.weights_TK.sum().backward()
    assert bias_E.grad is None
    assert not routing.experts_TK.requires_grad
    assert not routing.counts_SE.requires_grad


# What holds for every implementation. The kernel's turn is in the interpreter.


def check_properties(route: Callable[..., Routing], inputs: Inputs) -> None:
    routing = route(**inputs)
    num_tokens, num_experts = inputs["logits_TE"].shape
    experts_TK, counts_SE = routing.experts_TK.cpu(), routing.counts_SE.cpu()
    counted_T = ((inputs["sources_T"] >= 0) & (inputs["sources_T"] < inputs["num_sources"])).cpu()
    assert counts_SE.sum() == counted_T.sum() * inputs["top_k"]
    assert torch.equal(counts_SE.sum(0), torch.bincount(experts_TK[counted_T].flatten(), minlength=num_experts))
    torch.testing.assert_close(routing.weights_TK.sum(1).cpu(), torch.full((num_tokens,), inputs["scale"]))
    assert all(len(set(row)) == inputs["top_k"] for row in experts_TK.tolist()), "an expert was chosen twice"


@st.composite
def any_inputs(draw: st.DrawFn) -> Inputs:
    num_tokens, num_experts = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    inputs = random_inputs(
        (num_tokens, num_experts, draw(st.integers(1, num_experts))),
        draw(st.sampled_from([torch.float32, torch.bfloat16])),
        torch.device("cpu"),
        draw(st.integers(0, 2**31)),
    )
    num_sources = draw(st.integers(1, 5))
    sources = draw(st.lists(st.integers(-1, num_sources), min_size=num_tokens, max_size=num_tokens))
    return inputs | {"sources_T": torch.tensor(sources), "num_sources": num_sources, "scale": draw(st.floats(0.5, 4.0))}


@given(any_inputs())
@settings(max_examples=60, deadline=None)
def test_reference_properties(inputs: Inputs) -> None:
    check_properties(reference.route, inputs)


@pytest.mark.interpreted
@given(any_inputs())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_kernel_properties(inputs: Inputs) -> None:
    check_properties(dispatch.load("router", "triton"), inputs)


# The kernel: values and gradients.


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, torch.float32) for shape in SHAPES]
    + [(shape, dtype) for shape in HALF_SHAPES for dtype in (torch.float16, torch.bfloat16)],
    ids=str,
)
def test_kernel_equals_float64(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, poisoned_memory: Any
) -> None:
    inputs = random_inputs(shape, dtype, device)
    expected, expected_grad_TE = with_gradient(reference.route, in_float64(inputs))
    fenced = {name: poisoned_memory.fence(x) if isinstance(x, torch.Tensor) else x for name, x in inputs.items()}
    with poisoned_memory.allocating():
        actual, grad_TE = with_gradient(dispatch.load("router", "triton"), fenced)

    assert torch.equal(actual.experts_TK, expected.experts_TK)
    assert torch.equal(actual.counts_SE, expected.counts_SE)
    weights_error, grad_error = (limit * (GPU_SLACK if device.type == "cuda" else 1) for limit in TOLERANCES[dtype])
    assert actual.weights_TK.dtype == torch.float32
    assert largest(actual.weights_TK - expected.weights_TK) <= weights_error
    assert grad_TE.dtype == dtype
    assert largest(grad_TE.double() - expected_grad_TE) <= grad_error


@pytest.mark.interpreted
def test_kernel_gives_ties_to_the_lowest_index(device: torch.device) -> None:
    logits_TE = torch.tensor([[0.0] * 6, [1.0, 3.0, 3.0, 3.0, 1.0, 1.0], [9e3, 1e4, 5e3, 1e4, 0.0, 7e3]], device=device)
    for bias_E in (torch.zeros(6, device=device), torch.tensor([0.0, -0.25, 0.0, 0.0, 0.0, 0.5], device=device)):
        inputs = {"logits_TE": logits_TE, "bias_E": bias_E, "top_k": 4, "scale": 1.0}
        expected = reference.route(**inputs)
        assert torch.equal(dispatch.load("router", "triton")(**inputs).experts_TK, expected.experts_TK)
    assert reference.route(logits_TE, torch.zeros(6, device=device), top_k=4, scale=1.0).experts_TK.tolist() == [
        [0, 1, 2, 3],
        [1, 2, 3, 0],
        [0, 1, 2, 3],
    ]


@pytest.mark.interpreted
@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")
@pytest.mark.parametrize("logit", [1e4, -1e4, 87.0, -87.0, -45.0, 20.0, 12.0])
def test_kernel_survives_extreme_logits(logit: float, device: torch.device) -> None:
    """Rows where every score saturates, and rows where one does. Divided by a sum of 1e-20 the gradient stays finite,
    and where 1 - s is 1e-9 it keeps its digits; the absolute tolerance is that of float64 itself.
    """
    logits_TE = torch.full((6, 8), logit, device=device)
    logits_TE[3:] = torch.linspace(-2, 2, 8, device=device)
    logits_TE[3:, 5] = logit
    inputs = random_inputs((6, 8, 3), torch.float32, device) | {"logits_TE": logits_TE.requires_grad_()}
    expected, expected_grad_TE = with_gradient(reference.route, in_float64(inputs))
    actual, grad_TE = with_gradient(dispatch.load("router", "triton"), inputs)
    assert torch.equal(actual.experts_TK[3:], expected.experts_TK[3:])
    assert torch.isfinite(actual.weights_TK).all()
    torch.testing.assert_close(actual.weights_TK, expected.weights_TK.float(), rtol=2e-5, atol=1e-15)
    torch.testing.assert_close(grad_TE, expected_grad_TE.float(), rtol=2e-5, atol=1e-15)


@pytest.mark.interpreted
def test_kernel_ranks_nan_first_and_stays_inside_its_memory(device: torch.device, poisoned_memory: Any) -> None:
    """160 experts are padded to 256: a comparison with NaN must not choose a padded column and write its count outside."""
    inputs = random_inputs((5, 160, 8), torch.float32, device)
    logits_TE, bias_E = inputs["logits_TE"].detach().clone(), inputs["bias_E"].clone()
    logits_TE[0, 159], logits_TE[1, 159], logits_TE[2] = -math.nan, math.nan, math.nan
    bias_E[3], bias_E[40] = -math.inf, -math.nan  # as an integer, a negative NaN is less than any number
    inputs |= {"logits_TE": logits_TE, "bias_E": bias_E}
    expected = reference.route(**inputs)
    with poisoned_memory.allocating():
        actual = dispatch.load("router", "triton")(**inputs)
    assert torch.equal(actual.experts_TK, expected.experts_TK)
    assert torch.equal(actual.counts_SE, expected.counts_SE)
    assert actual.experts_TK[:2, :2].tolist() == [[40, 159]] * 2
    assert actual.weights_TK[:3].isnan().all()
    assert actual.weights_TK[3:].isfinite().all()


@pytest.mark.interpreted
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_kernel_counts_per_source(dtype: torch.dtype, device: torch.device, poisoned_memory: Any) -> None:
    """Source 1 has no token; -1, 3, 99 and (int64) 2**33 are outside: routed, but not counted."""
    inputs = random_inputs((70, 8, 2), torch.float32, device)
    inputs["sources_T"] = torch.tensor([0, 2, 2, -1, 3, 0, 2], dtype=dtype, device=device).repeat(10)
    inputs["sources_T"][-1] = 2**33 if dtype == torch.int64 else 99
    expected = reference.route(**inputs)
    with poisoned_memory.allocating():
        actual = dispatch.load("router", "triton")(**inputs)
    assert torch.equal(actual.counts_SE, expected.counts_SE)
    assert actual.counts_SE.sum(1).tolist() == [40, 0, 58]
    assert actual.weights_TK.isfinite().all()


@pytest.mark.interpreted
def test_kernel_takes_strided_logits_and_gradients(device: torch.device) -> None:
    inputs = random_inputs((8, 37, 2), torch.float32, device)
    inputs |= {"logits_TE": inputs["logits_TE"].detach().t().requires_grad_(), "sources_T": None, "num_sources": 1}
    inputs |= {"bias_E": torch.linspace(-1, 1, 16, device=device)[::2]}
    grad_KT = torch.linspace(-1, 1, 2 * 37, device=device).view(2, 37)
    grads = []
    for route in (reference.route, dispatch.load("router", "triton")):
        weights_TK = route(**inputs).weights_TK
        grads.append(torch.autograd.grad(weights_TK, inputs["logits_TE"], grad_KT.t())[0])
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=1e-6)


@pytest.mark.interpreted
def test_kernel_refuses_second_derivatives(device: torch.device) -> None:
    inputs = random_inputs((4, 8, 2), torch.float32, device)
    weights_TK = dispatch.load("router", "triton")(**inputs).weights_TK
    (grad_TE,) = torch.autograd.grad(weights_TK.square().sum(), inputs["logits_TE"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad_TE.sum().backward()


@pytest.mark.interpreted
def test_interpreter_refuses_bf16_arithmetic(device: torch.device) -> None:
    """The guard of conftest.py: without it the interpreter adds the bits of bf16 as integers."""
    if device.type == "cuda":
        pytest.skip("a GPU computes bf16 correctly")
    import triton
    import triton.language as tl

    @triton.jit
    def double(x_ptr: tl.tensor) -> None:
        x = tl.load(x_ptr + tl.arange(0, 4))
        tl.store(x_ptr + tl.arange(0, 4), x + x)

    with pytest.raises(Exception, match="convert to float32"):
        double[(1,)](torch.ones(4, dtype=torch.bfloat16))


# The entry.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_TE": torch.zeros(3)}, r"logits_TE: want floats \(tokens, experts\)"),
        ({"logits_TE": torch.zeros(3, 4, dtype=torch.int64)}, "logits_TE"),
        ({"bias_E": torch.zeros(5)}, r"bias_E: want shape \(4,\)"),
        ({"top_k": 5}, "top_k=5: must lie between 1 and the number of experts, 4"),
        ({"top_k": 0}, "top_k=0"),
        ({"num_sources": 2}, "num_sources=2"),
        ({"sources_T": torch.zeros(2, dtype=torch.int64)}, r"sources_T: want integers of shape \(3,\)"),
        ({"sources_T": torch.zeros(3)}, "sources_T"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: Inputs, message: str) -> None:
    fitting: Inputs = {"logits_TE": torch.zeros(3, 4), "bias_E": torch.zeros(4), "top_k": 2, "scale": 1.0}
    kernels.route(**fitting)
    with pytest.raises(ValueError, match=message):
        kernels.route(**fitting | change)


# The bench.


@pytest.mark.interpreted
def test_bench_turns_seconds_into_shares(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that says 2 s to eager torch and 1 s to every other candidate, for as many calls as there are copies."""
    monkeypatch.setattr(bench, "CACHE_BYTES", 0)
    subject = bench.router(33, 8, 2, 1.0)
    clock = itertools.cycle([1.0, 1.0, 2.0, 1.0])  # reference, triton, eager, compile

    def timer(call: Callable[[], Any]) -> float:
        call()
        return next(clock)

    timings = bench.measure(subject, device, timer, bytes_per_second=1e6)
    assert [timing.candidate for timing in timings] == ["reference", "triton", "eager", "compile"] * 2
    forward = next(timing for timing in timings if (timing.step, timing.candidate) == ("forward", "triton"))
    assert (forward.microseconds, forward.speedup) == (1e6, 2.0)
    assert forward.roofline == pytest.approx(33 * (8 * 4 + 2 * 12) / 1e6)


@pytest.mark.triton
def test_bench_checks_and_says_that_nothing_was_measured_without_a_gpu(pytestconfig: pytest.Config) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: bench would measure")
    command = [sys.executable, "-m", "kernels.bench"]
    run = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "nothing was measured" in run.stdout
    assert run.stdout.count("  correct\n") == 4  # two implementations at two shapes
