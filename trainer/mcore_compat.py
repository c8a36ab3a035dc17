"""What megatron-core 0.16.1 needs beyond itself to run without TransformerEngine: one place, one reason per entry.

Most gaps are filled by modules of ours in megatron's own slots (norm, attention, router, experts, optimiser: each says
what it replaces). What remains is below. Nothing here runs at import; `install` is for processes that train and nothing
else.
"""

import contextlib
import importlib.metadata
import logging
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MCORE_VERSION = "0.16.1"


def install() -> None:
    """Prepare this process for training, before torch is imported. Raises RuntimeError for another megatron-core."""
    installed = importlib.metadata.version("megatron-core")
    if installed != MCORE_VERSION:
        raise RuntimeError(
            f"megatron-core {installed} is installed, but trainer/ is written against {MCORE_VERSION}: its modules "
            f"override methods that are not public. Run `pip install megatron-core=={MCORE_VERSION}`."
        )
    # megatron/core/jit.py decorates functions with torch.compile at import, which loads the whole Inductor (2 s) and,
    # when one is called, needs a C++ compiler. None of them is on our path.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    # Deterministic matrix products on CUDA want this (see torch.use_deterministic_algorithms).
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Warnings that Apex and TransformerEngine are missing (optimizer/__init__.py:24 and others): known, and meant.
    warnings.filterwarnings("ignore", module=r"megatron\.")
    logging.getLogger("megatron").setLevel(logging.ERROR)


@contextlib.contextmanager
def buffers_on(device: "torch.device") -> Iterator[None]:
    """Megatron's DDP allocates its gradients on the current CUDA device, also those of a CPU model
    (distributed/param_and_grad_buffer.py:806, `device=torch.cuda.current_device()`): here that is `device`.
    """
    import torch

    if device.type == "cuda":
        yield
    else:
        current_device = torch.cuda.current_device
        torch.cuda.current_device = lambda: device  # type: ignore[assignment, return-value]
        try:
            yield
        finally:
            torch.cuda.current_device = current_device
