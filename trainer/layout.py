"""The processes of a run: which rank this is, on which device, in which groups.

Launched by torchrun it reads the environment (RANK, WORLD_SIZE, LOCAL_RANK); alone it needs no port and no file. The
groups are megatron-core's (`parallel_state`), of the sizes that `curriculum.parallel` describes.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from curriculum.parallel import Parallel
from trainer import mcore_compat


class Layout(NamedTuple):
    """This process among all of the run."""

    rank: int
    world: int
    device: torch.device
    parallel: Parallel = Parallel()
    tensor_rank: int = 0
    context_rank: int = 0
    pipeline_rank: int = 0
    data_rank: int = 0  # which share of every batch this process learns from
    data: int = 1  # the number of shares

    @property
    def is_first_stage(self) -> bool:
        return self.pipeline_rank == 0

    @property
    def is_last_stage(self) -> bool:
        return self.pipeline_rank == self.parallel.pipeline - 1

    def upload(self, values: np.ndarray) -> torch.Tensor:
        """`values` on the device. The host does not wait for what the device is doing, as it would with pageable memory."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        pinned = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return pinned.to(self.device, non_blocking=True)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of `values` over all ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def max(self, value: float) -> float:
        """The greatest `value` of any rank."""
        if self.world == 1:
            return value
        values = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return float(values)


ALONE = Layout(0, 1, torch.device("cpu"))


@contextlib.contextmanager
def joined(
    threads: int,
    parallel: Parallel | None = None,
    *,
    patience_seconds: float = 3600.0,
    deterministic: bool = True,
) -> Iterator[Layout]:
    """Join the run with `threads` CPU threads; leaves its groups at the end.

    NCCL's are left to the end of the process after an error: to leave them would be to wait for collectives of ranks that know nothing
    of it.

    deterministic     of every operation the algorithm that gives the same bits each time; on a CPU always
    patience_seconds  how long one rank may wait for a running build while the others wait for it; then they give up a little later
    A process that is a member of torch's default group already stays one: it may join under one layout after the other.
    """
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import initialize_rng_tracker

    sizes = parallel or Parallel()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic or device.type == "cpu")
    # Filling every new tensor against reading what was never written would cost 2 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=patience_seconds + 600)
    was_member, is_good = dist.is_initialized(), False
    if not was_member and world > 1:
        dist.init_process_group(backend, timeout=timeout)
    elif not was_member:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        parallel_state.initialize_model_parallel(
            tensor_model_parallel_size=sizes.tensor,
            pipeline_model_parallel_size=sizes.pipeline,
            context_parallel_size=sizes.context,
            expert_model_parallel_size=sizes.expert,
            expert_tensor_parallel_size=1,
            distributed_timeout_minutes=math.ceil(timeout.total_seconds() / 60),
            create_gloo_process_groups=False,  # for megatron's optimisers
        )
        # Dropout is 0, so the separate random streams of tensor-parallel ranks have nothing to do: the tracker that does nothing.
        initialize_rng_tracker(inference_rng_tracker=True, force_reset=True)
        with mcore_compat.running_on(device):
            yield Layout(
                rank=rank,
                world=world,
                device=device,
                parallel=sizes,
                tensor_rank=parallel_state.get_tensor_model_parallel_rank(),
                context_rank=parallel_state.get_context_parallel_rank(),
                pipeline_rank=parallel_state.get_pipeline_model_parallel_rank(),
                data_rank=parallel_state.get_data_parallel_rank(),
                data=parallel_state.get_data_parallel_world_size(),
            )
        is_good = True
    finally:
        parallel_state.destroy_model_parallel()
        if not was_member and (is_good or backend == "gloo"):
            dist.destroy_process_group()
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads_before)


def choose_device() -> torch.device:
    """This rank's CUDA device where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
