"""One atomic unit: model, optimisers, feed state, plan, random state. `kill -9` of any rank at any time leaves a usable one.

    checkpoints/step-00000040/   plan.json state.json weights/    after 40 global steps
    checkpoints/latest           the name of the newest complete one, for people and scripts

A checkpoint is written into a hidden folder, flushed, and renamed: a folder with its final name is complete. Older ones
are removed after that, but for those that `trainer.retention` keeps. The plan in it is the feed's, which may know more than
the plan.json that the run began with. It loads into any parallel layout (`trainer.torch_dist`); on the same layout a run goes on
bit for bit.

A save stops training for as long as it takes to copy the state aside; a thread on every rank writes the copy, and the
threads agree among themselves, over a process group of their own, when all is written. So it does not matter when
each rank looks (`poll`), and an error on one rank is known to all. One save at a time: the next waits for the one before.
The tiny model with its optimisers (26 MB, one CPU) stops for 15 ms; the thread takes 0.1 s, most of it from the step beside it.

A save that fails (a full disk) takes its hidden folder with it. The run is warned and goes on to the next save that is due;
only if the last one of a run fails is that an error (`finish`). A folder that cannot be written at all ends the run as it starts.

A damaged one is named, with the file; nothing is removed by itself, because the storage may be at fault. What the tensors were
written with is compared before they are loaded (`trainer.damage`); the small JSON files only as far as they contradict each other.

The folder must be shared by all ranks. Not covered: object stores; two runs in one folder.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist

from trainer.checkpoint_folder import (
    FOLDER,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    complete_ones,
    describe,
    hidden_name,
    layout_in_words,
    opened,
    path_after,
    point_to,
    remove_old,
    without,
)
from trainer.durable import clean, flush, write_text
from trainer.layout import Layout
from trainer.retention import Policy
from trainer.together import tell_all, together

if TYPE_CHECKING:
    from curriculum.feed import Feed
    from trainer.torch_dist import Aside

RANDOM = "random."  # what the keys of generators begin with
# How long the threads wait for each other. One whose process has died is noticed at once.
PATIENCE = timedelta(hours=2)

log = logging.getLogger(__name__)


class _Save(NamedTuple):
    """What the thread of a rank is to write."""

    path: Path  # the final name
    aside: "Aside"
    texts: dict[str, str]  # other files of the checkpoint, on rank 0


class Checkpoints:
    """The checkpoints of a run: every rank makes one, and calls the same methods in the same order.

    Raises CheckpointError where a rank cannot write below `root`, on one rank and Elsewhere on the others (`trainer.together`).

    keep_last, keep_every_tokens, keep_stage_ends  which ones stay, see `trainer.retention.kept`
    asynchronous  `save` returns when the state is copied; otherwise when it is on the disk
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        *,
        keep_last: int = 2,
        keep_every_tokens: int = 0,
        keep_stage_ends: bool = False,
        asynchronous: bool = True,
    ) -> None:
        from trainer.torch_dist import ShardCopier

        if keep_last < 1:
            raise ValueError(f"keep_last is {keep_last}: at least the newest checkpoint stays, so give 1 or more")
        self.folder, self.layout, self.asynchronous = root / FOLDER, layout, asynchronous
        self._policy = Policy(keep_last, keep_every_tokens, keep_stage_ends)
        self._prepare()
        # Only one thread of a process uses it at a time: this one while nothing is being written, else the one that writes.
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if layout.world > 1 else None
        self._copier = ShardCopier(self._group)
        self._thread = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="checkpoint", initializer=_use, initargs=(layout.device,)
        )
        self._pending: Future[str | None] | None = None
        self._failure: str | None = None  # of the last save
        self._is_told = True  # the failure, if there is one

    def save(self, feed: "Feed", done: int, model: torch.nn.Module, optimizers: Any) -> None:
        """Write the checkpoint after `done` steps, unless it is there. Waits for the save before, and warns if that has failed."""
        self._settle()
        self._warn()
        path = path_after(self.folder, done)
        if self._tell_all(path.exists()):
            return
        aside = self._copier.copy_aside(_state(model, optimizers, self.layout, has_random=True))
        texts = describe(feed, done, self.layout) if self.layout.rank == 0 else {}
        self._pending = self._thread.submit(self._write, _Save(path, aside, texts))
        if not self.asynchronous:
            self._settle()

    def poll(self) -> None:
        """Notice a save that has ended, to tell of its failure. Costs nothing; may be called at any time."""
        if self._pending and self._pending.done():
            self._settle()
        self._warn()

    def finish(self) -> None:
        """Wait for the last save; raises CheckpointError if it has failed, on every rank. That says it: there is no warning too."""
        self._settle()
        self._is_told = True
        if self._failure:
            raise CheckpointError(self._failure)

    def close(self) -> None:
        """Let a save that is under way come to its end, also when the run ends by an error."""
        if self._pending:
            wait([self._pending])
            if error := self._pending.exception():
                log.warning("the checkpoint that was being written is lost: %r", error)
            else:
                self._settle()
        self._warn()
        self._thread.shutdown()
        if self._group is not None:
            dist.destroy_process_group(self._group)

    def load(self, checkpoint: Checkpoint, model: torch.nn.Module, optimizers: Any) -> None:
        """Put the state of `checkpoint` into the model, the optimisers and torch's generators.

        Generators keep the state they have when the layout is not the one the checkpoint was written with. What cannot be loaded is
        a CheckpointError on one rank, and Elsewhere on the others (`trainer.together`).
        """
        from trainer import torch_dist

        folder = checkpoint.path / WEIGHTS
        with together(self.layout, CheckpointError):
            try:
                torch_dist.check(folder)
            except torch_dist.Damaged as error:
                raise CheckpointError(f"{error}. {without(checkpoint.path)}") from error
        has_random = checkpoint.layout == layout_in_words(self.layout)
        state = _state(model, optimizers, self.layout, has_random=has_random)
        with together(self.layout, CheckpointError):
            try:
                loaded = torch_dist.load(state, folder, ignore=RANDOM)
            except torch_dist.Unreadable as error:
                raise CheckpointError(
                    f"{folder} {error}. Continue with the version and the plan that wrote it, or remove {checkpoint.path} to go "
                    "on with the one before."
                ) from error
        missing, unexpected = model.load_state_dict(loaded["model"], strict=False)
        missing = [name for name in missing if not name.endswith("_extra_state")]
        if missing or unexpected:
            raise RuntimeError(
                f"the model's sharded_state_dict is not its state: missing {missing}, unexpected {unexpected}"
            )
        optimizers.load_state_dict(loaded["optimizer"])
        if has_random:
            _set_random(loaded["random"], self.layout.device)
        elif self.layout.rank == 0:
            log.info("the checkpoint is of another layout (%s): random generators begin anew", checkpoint.layout)

    def _prepare(self) -> None:
        """Remove what is half-written, and see that every rank can write."""
        with self._all_can_write():
            if self.layout.rank == 0:
                clean(self.folder)
        with self._all_can_write():  # not at the same time: `clean` would take what the others write
            _try_out(self.folder / f".rank-{self.layout.rank}.tmp")

    @contextlib.contextmanager
    def _all_can_write(self) -> Iterator[None]:
        with together(self.layout, CheckpointError):
            try:
                yield
            except OSError as error:
                raise CheckpointError(
                    f"{self.folder} cannot be written ({error}), and checkpoints go there. Give a --root in which every rank may "
                    "write; a file that has this name must go away."
                ) from error

    def _settle(self) -> None:
        """Wait for the save that is under way."""
        pending, self._pending = self._pending, None
        if pending:
            self._failure, self._is_told = pending.result(), False

    def _warn(self) -> None:
        """Tell of the failure of the last save, once."""
        if self._failure and not self._is_told and self.layout.rank == 0:
            log.warning("%s", self._failure)
        self._is_told = True

    def _tell_all(self, value: Any) -> Any:
        """Rank 0's value."""
        if self._group is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, group=self._group)
        return values[0]

    def _write(self, save: _Save) -> str | None:
        """In the thread: why it failed, or None; the same on every rank."""
        from trainer import torch_dist

        hidden, written, failure = hidden_name(save.path), [], None
        try:
            (hidden / WEIGHTS).mkdir(parents=True, exist_ok=True)
            written = torch_dist.write(save.aside, hidden / WEIGHTS)
        except OSError as error:
            failure = f"rank {self.layout.rank}: {error}"
        parts = self._gather((written, failure))
        if self.layout.rank == 0:
            failures = [failure for _, failure in parts if failure]
            failure = "; ".join(failures) or self._complete(save, hidden, [written for written, _ in parts])
            if failure:
                shutil.rmtree(hidden, ignore_errors=True)
                failure = self._in_words(save.path, failure)
        return self._tell_all(failure)

    def _gather(self, part: Any) -> list[Any]:
        """The parts of all ranks, on rank 0."""
        if self._group is None:
            return [part]
        parts: list[Any] | None = [None] * self.layout.world if self.layout.rank == 0 else None
        dist.gather_object(part, parts, group=self._group)
        return parts or []

    def _complete(self, save: _Save, hidden: Path, written: list[Any]) -> str | None:
        """Give the folder its name, and let old ones go. Returns why that is not possible, or None."""
        from trainer import torch_dist

        try:
            torch_dist.finish(save.aside, written, hidden / WEIGHTS)
            for name, text in save.texts.items():
                write_text(hidden / name, text)
            flush(hidden)
            hidden.rename(save.path)
        except OSError as error:
            return f"rank 0: {error}"
        try:
            point_to(save.path)
            remove_old(self.folder, self._policy)
        except OSError as error:
            log.warning("%s is complete, but its folder could not be tidied up: %s", save.path, error)
        return None

    def _in_words(self, path: Path, failure: str) -> str:
        complete = complete_ones(self.folder)
        newest = f"The newest complete one is {complete[-1].name}" if complete else "There is none yet"
        return (
            f"{path} could not be written ({failure}). {newest}. Make room, or keep fewer (`[checkpoints]` of the site "
            "file); the next one that is due is written all the same, and the same command continues from the newest."
        )


def _use(device: torch.device) -> None:
    """A thread begins on the first GPU, where each rank of the machine would take half a gigabyte for nothing."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _try_out(path: Path) -> None:
    """Raises OSError where a file cannot be written to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.unlink()


def newest(root: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None. Raises CheckpointError for one that is damaged, or of another format."""
    complete = complete_ones(root / FOLDER)
    return opened(complete[-1]) if complete else None


def newest_of_all(root: Path, layout: Layout) -> Checkpoint | None:
    """The checkpoint that rank 0 finds to be the newest. Every rank calls, and fails where one of them does not see it.

    A network file system may show another list of folders on every node for a while, and all must continue from the same one.
    """
    found: Checkpoint | None = None
    with together(layout, CheckpointError):
        if layout.rank == 0:
            found = newest(root)
    name = tell_all(layout, found.path.name if found else None)
    with together(layout, CheckpointError):
        if name and layout.rank:
            path = root / FOLDER / name
            if not all((path / part).exists() for part in ("state.json", "plan.json", f"{WEIGHTS}/.metadata")):
                raise CheckpointError(
                    f"{path} is not (all) there for this rank, though rank 0 finds it complete: {root} must be on storage that "
                    "all ranks share. Give such a folder as --root, or wait until the storage shows it everywhere, and start again."
                )
            found = opened(path)
    return found


def _state(model: Any, optimizers: Any, layout: Layout, *, has_random: bool) -> dict[str, Any]:
    """All that a checkpoint holds of a rank's tensors, as megatron's ShardedTensors."""
    from megatron.core import parallel_state
    from megatron.core.dist_checkpointing.mapping import ShardedTensor

    copies = parallel_state.get_data_parallel_group(with_context_parallel=True)
    sharded = model.sharded_state_dict(metadata={"dp_cp_group": copies})
    state = {"model": sharded, "optimizer": optimizers.sharded_state_dict(sharded)}
    if has_random:
        rows = (0, layout.rank, layout.world)
        generators = _random(layout.device).items()
        state["random"] = {
            name: ShardedTensor.from_rank_offsets(RANDOM + name, value[None], rows) for name, value in generators
        }
    return state


def _random(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's generators; nothing of ours draws from others."""
    cuda = {"cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _set_random(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"][0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][0])
