"""Every op against float64, then against the clock:  python -m kernels.bench [--json FILE]

Not yet measured: no GPU has run this file, so neither the times nor the launch tables have been checked on a device.
Without a GPU the correctness part runs alone, with the kernels in Triton's interpreter, and the output says so.

How it measures: in CUDA graphs, because these kernels take less time than their launch. A graph walks over copies of the
input that together exceed the L2 cache; the median of its runs, divided by the number of copies, counts. The roofline is
the copy bandwidth of the same device in the same run. An op's bytes are those it must move, each once: an atomic, or a
second read that hits a cache, is not in them.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from kernels import dispatch

TOLERANCE = 1e-5  # absolute, of outputs and gradients of order one from float32 inputs
CACHE_BYTES = 128 * 2**20  # more than the L2 cache of any chip the kernels target
COPY_BYTES = 2**30

Candidate = Callable[..., torch.Tensor]
Timer = Callable[[Callable[[], Any]], float]  # the median seconds of one call


class Subject(NamedTuple):
    """One op at one shape. A candidate maps the inputs to the output that carries the gradient of the first input;
    "reference" and "eager" are always among them."""

    op: str
    shape: str
    inputs: Callable[[torch.device, int], tuple[torch.Tensor, ...]]  # by device and seed
    candidates: dict[str, Candidate]
    forward_bytes: int
    backward_bytes: int


class Timing(NamedTuple):
    op: str
    shape: str
    step: str  # "forward" or "training": forward and backward
    candidate: str
    microseconds: float
    roofline: float  # the share of the copy bandwidth at which the op's bytes move
    speedup: float  # over eager torch


def router(num_tokens: int, num_experts: int, top_k: int, scale: float) -> Subject:
    """The sigmoid router on float32 logits. Eager is what a model without a kernel runs: topk, with undefined ties."""

    def inputs(device: torch.device, seed: int) -> tuple[torch.Tensor, ...]:
        draw = torch.Generator().manual_seed(seed)
        logits_TE = torch.randn(num_tokens, num_experts, generator=draw)
        return logits_TE.to(device).requires_grad_(), (0.1 * torch.randn(num_experts, generator=draw)).to(device)

    def implementation(name: str) -> Candidate:
        route = dispatch.load("router", name)
        return lambda logits_TE, bias_E: route(logits_TE, bias_E, top_k=top_k, scale=scale).weights_TK

    def eager(logits_TE: torch.Tensor, bias_E: torch.Tensor) -> torch.Tensor:
        scores_TE = logits_TE.sigmoid()
        experts_TK = (scores_TE + bias_E).topk(top_k, dim=1).indices
        torch.zeros_like(scores_TE).scatter(1, experts_TK, 1.0).sum(dim=0)  # the load of the experts
        chosen_TK = scores_TE.gather(1, experts_TK)
        return chosen_TK / (chosen_TK.sum(dim=1, keepdim=True) + 1e-20) * scale

    logits_bytes, choices_bytes = 4 * num_experts, 12 * top_k  # per token; a choice is a float32 and an int64
    return Subject(
        "router",
        f"T={num_tokens} E={num_experts} K={top_k}",
        inputs,
        {name: implementation(name) for name in runnable("router")} | {"eager": eager},
        forward_bytes=num_tokens * (logits_bytes + choices_bytes),
        backward_bytes=num_tokens * (logits_bytes + choices_bytes + 4 * top_k),
    )


def checked_subjects() -> list[Subject]:
    """Small and odd shapes: the interpreter needs seconds for them."""
    return [router(65, 128, 8, 1.0), router(33, 160, 8, 2.5)]


def measured_subjects() -> list[Subject]:
    """GLM-4.5-Air and GLM-4.5, with the tokens of one device."""
    return [router(16_384, 128, 8, 1.0), router(16_384, 160, 8, 2.5)]


def runnable(op: str) -> list[str]:
    """The op's implementations whose library is installed."""
    return [name for name in dispatch.OPS[op] if name != "triton" or importlib.util.find_spec("triton")]


def errors(subject: Subject, candidate: str, device: torch.device) -> tuple[float, float]:
    """The largest absolute error of output and gradient, against the reference in float64."""
    inputs = subject.inputs(device, 0)
    exact = (inputs[0].detach().double().requires_grad_(), *inputs[1:])
    output, expected = subject.candidates[candidate](*inputs), subject.candidates["reference"](*exact)
    weights = torch.linspace(-1, 1, output.numel(), device=device).view_as(output)
    (grad,) = torch.autograd.grad(output, inputs[0], weights)
    (expected_grad,) = torch.autograd.grad(expected, exact[0], weights.double())
    return (output - expected).abs().max().item(), (grad - expected_grad).abs().max().item()


def measure(subject: Subject, device: torch.device, timer: Timer, bytes_per_second: float) -> list[Timing]:
    """Times of every candidate and of eager torch compiled: the forward alone, and with the backward."""
    candidates = subject.candidates | {"compile": torch.compile(subject.candidates["eager"])}
    copies = [subject.inputs(device, seed) for seed in range(1 + CACHE_BYTES // subject.forward_bytes)]
    steps = (
        ("forward", _forward, subject.forward_bytes),
        ("training", _training, subject.forward_bytes + subject.backward_bytes),
    )
    timings = []
    for step, over, moved in steps:
        seconds = {name: timer(over(run, copies)) / len(copies) for name, run in candidates.items()}
        for name, taken in seconds.items():
            roofline, speedup = moved / taken / bytes_per_second, seconds["eager"] / taken
            timings.append(Timing(subject.op, subject.shape, step, name, taken * 1e6, roofline, speedup))
    return timings


def copy_bandwidth(device: torch.device, timer: Timer) -> float:
    """Bytes per second, read and written, of a large copy."""
    source = torch.randint(0, 255, (COPY_BYTES,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / timer(lambda: target.copy_(source))


def graph_timer(call: Callable[[], Any]) -> float:
    """The median seconds of a call, replayed as a CUDA graph. The first calls compile, outside the graph."""
    import triton.testing

    for _ in range(3):
        call()
    return triton.testing.do_bench_cudagraph(call, rep=100, return_mode="median") / 1e3


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if an implementation is wrong, and measures nothing then."""
    parser = argparse.ArgumentParser(prog="python -m kernels.bench", description="Check every kernel, then time it.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the timings, with chip and versions")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported, below
    if not _all_correct(device):
        return 1
    if device.type == "cpu":
        print("No CUDA device: nothing was measured.")
        return 0
    timings = _timings(device)
    if options.json:
        rows = [timing._asdict() for timing in timings]
        options.json.write_text(json.dumps({"device": _versions(), "timings": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def _forward(run: Candidate, copies: list[tuple[torch.Tensor, ...]]) -> Callable[[], Any]:
    def forward() -> None:
        with torch.no_grad():
            for inputs in copies:
                run(*inputs)

    return forward


def _training(run: Candidate, copies: list[tuple[torch.Tensor, ...]]) -> Callable[[], Any]:
    """Both passes in one call: autograd runs the backward on the forward's stream, so a graph must capture both."""

    def training() -> None:
        for inputs in copies:
            output = run(*inputs)
            torch.autograd.grad(output, inputs[0], torch.ones_like(output))

    return training


def _all_correct(device: torch.device) -> bool:
    correct = True
    for subject in checked_subjects():
        for name in runnable(subject.op):
            output_error, grad_error = errors(subject, name, device)
            passed = max(output_error, grad_error) <= TOLERANCE
            correct &= passed
            verdict = "correct" if passed else f"WRONG, above {TOLERANCE:g}"
            where = "interpreter" if name == "triton" and device.type == "cpu" else device.type
            print(
                f"{subject.op:10} {subject.shape:24} {name:10} on {where:12} "
                f"output error {output_error:.1e}  gradient error {grad_error:.1e}  {verdict}"
            )
    return correct


def _timings(device: torch.device) -> list[Timing]:
    bandwidth = copy_bandwidth(device, graph_timer)
    print(f"{_versions()}, copy bandwidth {bandwidth / 1e12:.2f} TB/s")
    print(f"{'op':10} {'shape':24} {'step':9} {'candidate':10} {'us':>8} {'roofline':>9} {'vs eager':>9}")
    timings = []
    for subject in measured_subjects():
        for timing in measure(subject, device, graph_timer, bandwidth):
            timings.append(timing)
            print("{:10} {:24} {:9} {:10} {:8.1f} {:9.1%} {:8.2f}x".format(*timing))
    return timings


def _versions() -> dict[str, str]:
    import triton

    return {"chip": torch.cuda.get_device_name(), "torch": torch.__version__, "triton": triton.__version__}


if __name__ == "__main__":
    sys.exit(main())
