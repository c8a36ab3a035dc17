"""Which implementation of an op runs, and why.

Every op has a `reference` (plain torch, any device) and may have a `triton` kernel. The default, `auto`, takes the
kernel for CUDA tensors when triton imports, and the reference otherwise; the reason is logged once. A choice made by name
never falls back: where it cannot run it raises `KernelUnavailable`. Names come from `select()`, else from the
environment: TOKENLOOM_KERNELS="router=reference".

Cost: a decision is made once per (op, request, device type, obstacle) and looked up afterwards, in microseconds.
Not covered: choosing by shape or by measured speed, and vendors other than NVIDIA.
"""

import importlib
import logging
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

log = logging.getLogger("tokenloom.kernels")

ENVIRONMENT = "TOKENLOOM_KERNELS"

# op -> implementation -> "module:function". All functions of an op take the same arguments.
OPS: dict[str, dict[str, str]] = {
    "router": {"reference": "kernels.router.reference:route", "triton": "kernels.router.triton_router:route"},
}


class KernelUnavailable(RuntimeError):
    """An implementation was asked for by name and cannot run here. The message has the reason and the remedy."""


class Choice(NamedTuple):
    """One decision, as a run's record keeps it. `implementation` is "none" for an op that has not been called."""

    op: str
    implementation: str
    reason: str


class _Request(NamedTuple):
    implementation: str  # "auto" or a key of OPS[op]
    origin: str


class _Situation(NamedTuple):
    op: str
    request: _Request
    device_type: str
    obstacle: str | None


_selected: dict[str, _Request] = {}
_decided: dict[_Situation, Choice] = {}


def select(op: str, implementation: str) -> None:
    """Ask for `auto`, `reference` or `triton` for one op from now on; goes before the environment.

    Raises ValueError for an unknown op or implementation.
    """
    _check_names(op, implementation, f"kernels.select({op!r}, {implementation!r})")
    _selected[op] = _Request(implementation, "kernels.select")


def explain() -> list[Choice]:
    """Every decision taken so far, in order; an op that has not been called yet has one row that says so."""
    taken = list(dict.fromkeys(_decided.values()))
    idle = [op for op in OPS if all(choice.op != op for choice in taken)]
    return taken + [Choice(op, "none", f"not called yet; {_request(op).implementation} requested") for op in idle]


def implementation(op: str, device: "torch.device", obstacle: str | None = None) -> Callable[..., Any]:
    """The function to call for tensors on `device`.

    `obstacle` says why the op's kernel cannot take these arguments, if it cannot. Raises KernelUnavailable where the
    kernel was asked for by name and cannot run, ValueError for a malformed environment variable.
    """
    situation = _Situation(op, _request(op), device.type, obstacle)
    choice = _decided.get(situation)
    if choice is None:
        choice = _decided[situation] = _decide(*situation)
        _report(choice, situation)
    return load(op, choice.implementation)


def load(op: str, name: str) -> Callable[..., Any]:
    """One implementation of an op by name, past every check: for tests and benchmarks."""
    module, _, function = OPS[op][name].partition(":")
    return getattr(importlib.import_module(module), function)


def parse_environment(text: str) -> dict[str, str]:
    """`"router=reference,other=auto"` as a dict. ValueError for an entry that does not parse or names nothing known."""
    requests: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        op, equals, name = (part.strip() for part in entry.partition("="))
        if not equals:
            raise ValueError(
                f"{ENVIRONMENT}={text!r}: {entry!r} has no '='. Write op=implementation, such as router=reference."
            )
        _check_names(op, name, f"{ENVIRONMENT}={text!r}")
        requests[op] = name
    return requests


def _request(op: str) -> _Request:
    if op in _selected:
        return _selected[op]
    name = parse_environment(os.environ.get(ENVIRONMENT, "")).get(op)
    return _Request(name, ENVIRONMENT) if name else _Request("auto", "default")


def _decide(op: str, request: _Request, device_type: str, obstacle: str | None) -> Choice:
    name, origin = request
    if name == "reference":
        return Choice(op, name, f"requested by {origin}")
    if name == "auto" and device_type != "cuda":  # asked first, so that a CPU run never pays for importing triton
        return Choice(op, "reference", f"the tensors are on {device_type}, the kernel needs cuda")
    hindrance = _triton_hindrance(device_type) or obstacle
    if name == "triton" and hindrance:
        raise KernelUnavailable(
            f"{op}: triton was requested by {origin}, but {hindrance}. Otherwise choose {op}=reference or {op}=auto."
        )
    if hindrance:
        return Choice(op, "reference", hindrance)
    reason = f"requested by {origin}" if name == "triton" else "the tensors are on cuda"
    return Choice(op, "triton", f"{reason}; triton {importlib.import_module('triton').__version__}")


def _triton_hindrance(device_type: str) -> str | None:
    """Why no triton kernel can run on this kind of device, with the remedy; None where it can."""
    try:
        triton = importlib.import_module("triton")
    except ImportError as error:
        return f"triton does not import ({error}); pip install 'tokenloom[kernels]'"
    if device_type == "cuda" and (compiler := missing_c_compiler()):
        return f"{compiler} is not there, with which triton builds what launches its kernels; install gcc, or set CC"
    if device_type != "cuda" and not triton.knobs.runtime.interpret:
        return (
            f"the tensors are on {device_type}; move them to cuda, or set TRITON_INTERPRET=1 before Python starts "
            "to interpret the kernel on the CPU (thousands of times slower, for tests)"
        )
    return None


def missing_c_compiler() -> str | None:
    """What is missing where triton finds no C compiler (triton/runtime/build.py), None where it finds one."""
    named = os.environ.get("CC")
    if named:
        return None if shutil.which(named) else f"CC={named}"
    return None if shutil.which("gcc") or shutil.which("clang") else "a C compiler"


def _report(choice: Choice, situation: _Situation) -> None:
    """A reference that nobody asked for costs speed on a GPU and is a warning; everything else is information."""
    fell_back = situation.request.implementation == "auto" and choice.implementation == "reference"
    level = logging.WARNING if fell_back and situation.device_type == "cuda" else logging.INFO
    log.log(level, "%s runs on the %s implementation: %s", *choice)


def _check_names(op: str, name: str, where: str) -> None:
    if op not in OPS:
        raise ValueError(f"{where}: no op {op!r}. Ops: {', '.join(OPS)}.")
    allowed = ("auto", *OPS[op])
    if name not in allowed:
        raise ValueError(f"{where}: {op} has no implementation {name!r}. Type one of {', '.join(allowed)}.")
