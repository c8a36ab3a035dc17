"""The sharded part of a checkpoint: tensors of all ranks in one folder, in megatron's torch_dist format.

    weights/   __<rank>_0.distcp  .metadata  common.pt  metadata.json   and sha256sums of the last three

`megatron.core.dist_checkpointing.load` reads it, in any layout. What is written where is planned with megatron's planner. The
writing is ours: megatron's writer starts a process manager and forks processes for every save (3 s for 30 MB on two cores),
and tells of a full disk only as "worker failure". Here a rank copies its shards into buffers that it keeps, and a thread
may write these while training goes on. That costs the host memory of one more copy of the rank's share.

The plan is made once: who writes which of the shards that several ranks hold, and where each lies in the whole. It holds as
long as every rank's shards look like those of the last save.

Not covered: object stores; reading a shard once and sending it to its data-parallel copies, which here read it themselves.
"""

import copy
import dataclasses
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.core import (
    CONFIG_FNAME,
    CheckpointingConfig,
    CheckpointingException,
    maybe_load_config,
)
from megatron.core.dist_checkpointing.dict_utils import extract_matching_values, nested_values
from megatron.core.dist_checkpointing.mapping import ShardedBase, ShardedObject, ShardedStateDict
from megatron.core.dist_checkpointing.state_dict_utils import save_preprocess
from megatron.core.dist_checkpointing.strategies.common import COMMON_STATE_FNAME
from megatron.core.dist_checkpointing.strategies.fully_parallel import (
    determine_main_replica_uniform_distribution,
    distribute_main_replicas_with_precomputed_distribution,
)
from megatron.core.dist_checkpointing.strategies.torch import (
    MCoreSavePlanner,
    _replace_state_dict_keys_with_sharded_keys,
    mcore_to_pyt_state_dict,
)
from megatron.core.dist_checkpointing.validation import (
    StrictHandling,
    determine_global_metadata,
    validate_sharding_integrity,
)
from torch.distributed.checkpoint import CheckpointException, FileSystemWriter, Metadata
from torch.distributed.checkpoint.filesystem import SerializationFormat, _write_item
from torch.distributed.checkpoint.planner import SavePlan, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult

from trainer.damage import (
    CONTENTS,
    Archive,
    Damaged,
    Unreadable,
    archives,
    check_share,
    check_sums,
    contents,
    write_sums,
)
from trainer.durable import durable, flush, write_text

CONFIG = CheckpointingConfig("torch_dist")


class Aside(NamedTuple):
    """A rank's share of a state, copied: what is written is this, whatever training does meanwhile."""

    items: list[tuple[WriteItem, Any]]  # tensors in host memory, or bytes
    common: dict[str, Any]  # what is not sharded; rank 0's is written
    contents: Metadata | None  # on rank 0: the table of contents, but for the places in the files
    wait: Callable[[], None]  # until the copies from the GPU have arrived


class ShardCopier:
    """Copies states aside, one after the other. `group`: all ranks, on the CPU; None for a process that is alone."""

    def __init__(self, group: dist.ProcessGroup | None) -> None:
        self._group, self._rank = group, dist.get_rank()
        self._shards: list[ShardedBase] = []  # of the last save, without their data
        self._distribution: Any = None
        self._plan = SavePlan([])
        self._contents: Metadata | None = None
        self._buffers: dict[tuple[str, Any], torch.Tensor] = {}

    def copy_aside(self, state: ShardedStateDict) -> Aside:
        """Every rank calls. Overwrites the copy before; `state` is used up."""
        sharded, common = save_preprocess(_without_nothing(state), validate_access_integrity=False)
        shards = [shard.without_data() for shard in nested_values(sharded)]
        is_known = self._all_agree(shards == self._shards)
        group = parallel_state.get_data_parallel_group(with_context_parallel=True)
        if not is_known:
            self._distribution = determine_main_replica_uniform_distribution(sharded, group)
        distribute_main_replicas_with_precomputed_distribution(sharded, group, self._distribution)
        planner = MCoreSavePlanner(flatten_state_dict=False)
        by_key, _, _ = _replace_state_dict_keys_with_sharded_keys(sharded, keep_only_main_replica=True)
        planner.set_up_planner(mcore_to_pyt_state_dict(by_key), is_coordinator=self._rank == 0)
        if not is_known:
            validate_sharding_integrity(determine_global_metadata(sharded)[1])
            self._plan = planner.create_local_plan()
            self._contents = self._gather_contents(planner)
            self._shards = shards
            self._buffers.clear()
        items = [(item, self._copied(item, planner.resolve_data(item))) for item in self._plan.items]
        return Aside(items, copy.deepcopy(common) if self._rank == 0 else {}, self._contents, _arrival())

    def _gather_contents(self, planner: MCoreSavePlanner) -> Metadata | None:
        plans = [self._plan]
        if self._group is not None:
            plans = [SavePlan([])] * dist.get_world_size() if self._rank == 0 else []
            dist.gather_object(self._plan, plans or None, group=self._group)
        return planner.create_global_plan(plans)[1] if self._rank == 0 else None

    def _all_agree(self, yes: bool) -> bool:
        vote = torch.tensor(int(yes))
        if self._group is not None:
            dist.all_reduce(vote, dist.ReduceOp.MIN, group=self._group)
        return bool(vote)

    def _copied(self, item: WriteItem, data: Any) -> Any:
        if item.type == WriteItemType.BYTE_IO:
            return data
        key = (item.index.fqn, item.index.offset)
        if key not in self._buffers:
            self._buffers[key] = torch.empty(data.shape, dtype=data.dtype, pin_memory=data.is_cuda)
        return self._buffers[key].copy_(data.detach(), non_blocking=True)


def write(aside: Aside, folder: Path) -> list[WriteResult]:
    """Write this rank's file into `folder`; returns what lies where in it. Raises OSError."""
    aside.wait()
    if not aside.items:
        return []
    name = f"__{dist.get_rank()}_0.distcp"
    transforms = FileSystemWriter(folder).transforms
    try:
        with durable(folder / name) as file:
            written = [
                _write_item(transforms, file, data, item, name, SerializationFormat.TORCH_SAVE)
                for item, data in aside.items
            ]
    except RuntimeError as error:
        # torch's zip writer goes on to the end of the archive when a write fails, and then complains of its position.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    flush(folder)
    return written


def finish(aside: Aside, written: Sequence[list[WriteResult]], folder: Path) -> None:
    """On rank 0, with what `write` returned on all ranks: the files that make `folder` readable. Raises OSError."""
    with durable(folder / COMMON_STATE_FNAME) as file:
        torch.save(aside.common, file)
    assert aside.contents is not None
    _Contents(folder).finish(aside.contents, list(written))
    write_text(folder / CONFIG_FNAME, json.dumps(dataclasses.asdict(CONFIG)))
    write_sums(folder, [CONTENTS, COMMON_STATE_FNAME, CONFIG_FNAME])
    flush(folder)


def check(folder: Path) -> None:
    """Look at this rank's share of all files before they are loaded: raises Damaged for one that is not what was written.

    `trainer.damage` says what that costs. No rank waits for another.
    """
    path, common = folder / CONFIG_FNAME, folder / COMMON_STATE_FNAME
    check_sums(folder, [path.name, common.name])
    try:
        if (config := maybe_load_config(str(folder))) != CONFIG:
            raise Damaged(
                f"{path} is {'damaged' if config else 'not there'}: it should say {dataclasses.asdict(CONFIG)}"
            )
        size = common.stat().st_size
    except OSError as error:
        raise Damaged(f"{error.filename} cannot be read ({error})") from error
    except (ValueError, TypeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    check_share(folder, [Archive(common.name, 0, size, "what is not sharded"), *archives(contents(folder))])


def load(state: ShardedStateDict, folder: Path, *, ignore: str) -> dict[str, Any]:
    """`state` with the values that lie in `folder`. Every rank calls; raises Unreadable on all of them.

    Tensors of `state` are written to. Keys in the folder that begin with `ignore` need not be in `state`. `check` comes first.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # megatron uses functions that torch calls deprecated
            loaded, unused, absent = dist_checkpointing.load(
                _without_nothing(state), str(folder), strict=StrictHandling.RETURN_ALL
            )
    except CheckpointException as error:
        causes = [repr(cause) for cause, _ in error.failures.values()]
        raise Unreadable(f"cannot be read: {causes[0]}") from error
    except CheckpointingException as error:
        raise Unreadable(f"cannot be read: {error}") from error
    everywhere: list[set[str]] = [set()] * dist.get_world_size()
    dist.all_gather_object(everywhere, absent)
    missing = sorted(set().union(*everywhere))
    unexpected = sorted(key for key in unused if not key.startswith(ignore))
    if missing or unexpected:
        raise Unreadable(f"are of another model: missing {_some(missing)}, unexpected {_some(unexpected)}")
    return loaded


class _Contents(FileSystemWriter):
    """Writes `.metadata` without a random identifier: the same state gives the same bytes."""

    def storage_meta(self) -> None:
        return None


def _without_nothing(state: ShardedStateDict) -> ShardedStateDict:
    """Without the `_extra_state` of megatron's layers, which is for TransformerEngine and otherwise None."""
    _, rest = extract_matching_values(state, lambda value: isinstance(value, ShardedObject) and value.data is None)
    return rest


def _arrival() -> Callable[[], None]:
    if not torch.cuda.is_available():
        return lambda: None
    event = torch.cuda.Event()
    event.record()
    return event.synchronize


def _some(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{names[:limit]}{more}"
