"""Fast paths with a slow twin: each op has a plain-torch reference, a Triton kernel and one dispatch line.

    import kernels
    routing = kernels.route(logits_TE, bias_E, top_k=8, scale=2.5)      # whichever implementation fits the tensors
    kernels.select("router", "triton")                                  # or TOKENLOOM_KERNELS="router=triton"
    kernels.explain()                                                   # what ran, and why: goes into a run's record

Importing this package costs milliseconds: torch comes with the first use of an op, triton with the first CUDA tensor.

A new op is a folder: `reference.py` defines it, `triton_<op>.py` speeds it up, `__init__.py` checks the arguments and
asks the dispatch. Then one line in `dispatch.OPS`, one in `_PUBLIC` below, its launches in tests/kernels/test_aot.py and
a subject in `bench.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kernels.dispatch import Choice, KernelUnavailable, explain, missing_c_compiler, select

if TYPE_CHECKING:
    from kernels.router import Routing, route

__all__ = ["Choice", "KernelUnavailable", "Routing", "explain", "missing_c_compiler", "route", "select"]

_PUBLIC = {"route": "kernels.router", "Routing": "kernels.router"}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kernels' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
