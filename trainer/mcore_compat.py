"""What megatron-core 0.16.1 needs beyond itself to run with TransformerEngine or without: one place, one reason per entry.

Where TransformerEngine can be imported, megatron takes other branches in a good dozen of its modules. On the path of our model
they come to the same: they serve modules of TE (which are not in our slots), FP8, fused kernels and offloading (which
`transformer_config` leaves off) and optimisers (ours). Two do not, and are below: an import that fails, and streams.

Most gaps are filled by modules of ours in megatron's own slots (norm, attention, router, experts, optimiser: each says
what it replaces). What remains is below. Nothing here runs at import; `install` is for processes that train and nothing
else. PATCHED names every line of megatron that a patch relies on, and a test looks each of them up.
"""

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MCORE_VERSION = "0.16.1"
TRANSFORMER_ENGINE = "transformer_engine"

log = logging.getLogger(__name__)


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
    # Micro-batches differ in length; memory in fixed blocks would fall to pieces that fit none of them.
    # Pinned memory is rounded up to powers of two, which for the copy that a checkpoint is written from would be half as much again.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True,pinned_max_round_threshold_mb:16")
    # A tensor-parallel layer's collective goes before the product that it overlaps with, if both share one queue
    # (tensor_parallel/layers.py:526).
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")
    # Warnings that Apex and TransformerEngine are missing (optimizer/__init__.py:24 and others): known, and meant.
    warnings.filterwarnings("ignore", module=r"megatron\.")
    logging.getLogger("megatron").setLevel(logging.ERROR)
    _hide_misfit()


def _hide_misfit() -> None:
    """Let megatron see no TransformerEngine that is installed but cannot be imported.

    Half of megatron's imports of TE bear ImportError, and tensor_parallel/random.py:30 ModuleNotFoundError alone: an extension built
    for another torch, or a machine without libcuda.so.1, would end the run although nothing of TE is needed.
    """
    if importlib.util.find_spec(TRANSFORMER_ENGINE) is None:
        return
    from trainer.transformer_engine import misfit

    if reason := misfit():
        # Once a machine: what is installed may differ from one to the next.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            log.warning("TransformerEngine is installed but does not import, and is not used: %s", reason)
        for name in [name for name in sys.modules if name.partition(".")[0] == TRANSFORMER_ENGINE]:
            del sys.modules[name]
        sys.modules[TRANSFORMER_ENGINE] = None  # type: ignore[assignment]  # importing it raises ModuleNotFoundError


# File of megatron.core -> lines that a patch is there for.
PATCHED = {
    "pipeline_parallel/schedules.py": ('total_num_tokens = torch.zeros([], dtype=torch.int, device="cuda")',),
    "pipeline_parallel/p2p_communication.py": ("device=torch.cuda.current_device()", "torch.cuda.synchronize()"),
    "distributed/param_and_grad_buffer.py": ("device=torch.cuda.current_device()",),
    "models/common/language_module/language_module.py": ("weight.data = weight.data.cuda()",),
    "tensor_parallel/random.py": (
        "ctx.rng_states = _get_all_rng_states()",
        "_set_all_rng_states(*ctx.rng_states)",
        "cuda_rng_state = _get_cuda_rng_state(",
        "except ModuleNotFoundError:",
    ),
    "transformer/transformer_block.py": ("if get_cpu_offload_context is not None:",),
    # `trainer.model` sets the first behind the back of the check, which asks for a dispatcher that is replaced afterwards anyway.
    "transformer/transformer_config.py": ("if self.variable_seq_lengths is True:",),
    "transformer/moe/moe_layer.py": ("self.token_dispatcher = MoEAllGatherTokenDispatcher(",),
}


@contextlib.contextmanager
def running_on(device: "torch.device") -> Iterator[None]:
    """Let megatron run on `device`. It names CUDA outright in a few places, which on a CPU are led here; on CUDA nothing is changed.

    The patches of `torch.cuda` hold for the whole process while this is open.
    """
    if device.type == "cuda":
        yield
        return
    import torch
    from megatron.core.pipeline_parallel import schedules
    from megatron.core.tensor_parallel import random
    from megatron.core.transformer import transformer_block

    patches: list[tuple[Any, str, Any]] = [
        # Gradient buffers and what pipeline stages receive are allocated on the current CUDA device.
        (torch.cuda, "current_device", lambda: device),
        # Pipeline stages wait for the device before they use what they received; on a CPU it has arrived.
        (torch.cuda, "synchronize", _nothing),
        # The word embeddings on the last stage are moved to CUDA before they are compared with those on the first.
        (torch.Tensor, "cuda", lambda tensor: tensor),
        # A count that we do not use is made on "cuda".
        (schedules, "torch", _TorchOn(device)),
        # Recomputed activations restore CUDA's random state. Dropout is 0: nothing is drawn.
        (random, "_get_all_rng_states", lambda: (None, None)),
        (random, "_set_all_rng_states", _nothing),
        # TransformerEngine (2.8, no longer 2.12) opens CUDA streams for the offloading of activations, also when nothing is offloaded.
        (transformer_block, "get_cpu_offload_context", None),
    ]
    with contextlib.ExitStack() as undo:
        for where, name, replacement in patches:
            undo.callback(setattr, where, name, getattr(where, name))
            setattr(where, name, replacement)
        yield


class _TorchOn:
    """The module torch, whose `zeros` go to `device` whatever device is asked for."""

    def __init__(self, device: "torch.device") -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        import torch

        return getattr(torch, name)

    def zeros(self, *size: Any, **options: Any) -> "torch.Tensor":
        import torch

        return torch.zeros(*size, **{**options, "device": self._device})


def _nothing(*_: Any, **__: Any) -> None:
    pass
