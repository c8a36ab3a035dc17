"""Chains of operations on every element: as torch computes them, one after the other, or compiled into one kernel.

Such a chain costs memory traffic, not arithmetic: uncompiled, every operation reads and writes the whole tensor. The
functions marked here are pure functions of tensors, compiled in few variants for any number of rows; everything else in
the model is a matrix product or a kernel already. Megatron's own compiled functions stay out (`mcore_compat.install`).

On a CPU the functions themselves run about twice as fast, of which a step of the tiny model, nine tenths matrix products,
sees 2 % (`python -m trainer.bench compile OUT`), and the first steps wait some ten seconds for the compiler. So
`compile = "auto"` of the site file compiles on GPUs alone. What it gives there was not measured yet. Compiled functions
round otherwise: a run that changes over goes on, but not bit for bit.
"""

import functools
import importlib.util
import logging
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

from curriculum.feed import SiteError
from kernels import Choice, missing_c_compiler

P = ParamSpec("P")
R = TypeVar("R")
OP = "pointwise"
RECOMPILE_LIMIT = (
    64  # variants of a function; behind the limit, 8 by default, torch would compile no more, and say nothing
)

log = logging.getLogger("tokenloom.kernels.pointwise")

_state = {"compiled": False}


def choose(requested: str, device: torch.device) -> Choice:
    """From here on, in this process: compiled or not, and what to tell of it in the run's record.

    requested  "auto": on GPUs, where torch brings its compiler along; "on"; "off"
    Raises SiteError where they are to be compiled and no compiler is there.
    """
    # Otherwise every rank of a machine starts as many compilers as it has cores, for a handful of functions.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    compiler = _missing_compiler(device) if requested == "on" or device.type == "cuda" else None
    if requested == "on" and compiler:
        raise SiteError(f'[training] compile = "on": {compiler} is not there\n    install it, or write "auto" or "off"')
    is_compiled = requested == "on" or (requested == "auto" and device.type == "cuda" and not compiler)
    if is_compiled:
        # Set by mcore_compat.install, against megatron's own compiled functions.
        os.environ["TORCHDYNAMO_DISABLE"] = "0"
        # For some sizes another variant is compiled: none, one, two that are equal; with gradients and without.
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    _state["compiled"] = is_compiled
    reason = f"on {device.type}{f', {compiler} is not there' if compiler else ''}"
    if requested != "auto":
        reason = f'compile = "{requested}" in [training] of the site file'
    choice = Choice(OP, "compiled" if is_compiled else "torch", reason)
    log.info("%s functions run on the %s implementation: %s", *choice)
    return choice


def pointwise(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a function that may be compiled."""
    compiled = functools.cache(lambda: torch.compile(function))  # from the second number of rows on for any

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        chosen: Any = compiled() if _state["compiled"] else function
        result: R = chosen(*args, **kwargs)
        return result

    return call


def _missing_compiler(device: torch.device) -> str | None:
    if device.type != "cpu":
        return "triton" if importlib.util.find_spec("triton") is None else missing_c_compiler()
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "a C++ compiler"
    return None
