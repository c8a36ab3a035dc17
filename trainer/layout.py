"""The processes of a run: which rank this is, on which device, in which groups.

Launched by torchrun it reads the environment (RANK, WORLD_SIZE, LOCAL_RANK); alone it needs no port and no file. All
ranks are data-parallel: every rank holds the whole model. Not covered: tensor, expert, pipeline and context
parallelism.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist


class Layout(NamedTuple):
    """This process among all of the run."""

    rank: int
    world: int
    device: torch.device

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of `values` over all ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def wait_for_all(self) -> None:
        if self.world > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(threads: int) -> Iterator[Layout]:
    """Join the run with `threads` CPU threads; leaves all groups at the end. Deterministic algorithms are asked for."""
    from megatron.core import parallel_state

    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    # The backward of flash attention on CUDA has no deterministic variant.
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Filling every new tensor against reading what was never written would cost 2 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if world > 1:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        parallel_state.initialize_model_parallel()
        yield Layout(rank, world, device)
    finally:
        parallel_state.destroy_model_parallel()
        dist.destroy_process_group()
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads_before)


def choose_device() -> torch.device:
    """This rank's CUDA device where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
