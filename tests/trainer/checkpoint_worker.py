"""A process of a parallel run that saves and loads, one task after the other. Started by test_reshard.py.

argv: folder with plan.json, shards and the checkpoint of a single process; folder for what is found; the tasks as JSON.
A task is [what, layout as a mapping for `Parallel`, what else it takes]; rank 0 writes what it returns to <number>.json.
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from trainer import mcore_compat

mcore_compat.install()

import torch  # noqa: E402

from curriculum.feed import Feed  # noqa: E402
from curriculum.parallel import Parallel  # noqa: E402
from curriculum.plan import Plan  # noqa: E402
from trainer import checkpoint, torch_dist  # noqa: E402
from trainer.checkpoint import CheckpointError, Checkpoints  # noqa: E402
from trainer.layout import Layout, joined  # noqa: E402
from trainer.loop import Trainer  # noqa: E402
from trainer.schedule import settings  # noqa: E402


def main() -> None:
    root, out, tasks = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    torch.distributed.init_process_group("gloo")
    for number, (what, sizes, *more) in enumerate(tasks):
        with joined(1, Parallel(**sizes)) as layout:
            own = out / f"{number}"
            own.mkdir(exist_ok=True)
            found = TASKS[what](root, own, layout, *more)
            if layout.rank == 0:
                (out / f"{number}.json").write_text(json.dumps(found))


def learn(trainer: Trainer, root: Path, steps: range, after: Callable[[int], None] = lambda done: None) -> list[str]:
    """The losses of some global steps, exactly. `after` is called behind each with the number of steps done."""
    layout, found = trainer.layout, []
    stream = Feed(trainer.plan, str(root)).stream(steps.start, rank=layout.data_rank, world=layout.data, mtp_depths=1)
    for step, (stage, _, batch) in zip(steps, stream, strict=False):
        line = trainer.step(settings(trainer.plan, step), trainer.plan.stages[stage], batch)
        found.append(float(line["loss"]).hex())
        after(step + 1)
    stream.close()
    return found


def loaded(root: Path, layout: Layout) -> tuple[Trainer, int]:
    """A fresh trainer that has loaded the newest checkpoint below `root`, and the steps in it."""
    trainer = Trainer(Plan.from_json((root / "plan.json").read_text()), layout)
    found = checkpoint.newest(root)
    assert found is not None
    with closing(Checkpoints(root, layout)) as checkpoints:
        checkpoints.load(found, trainer.model, trainer.optimizers)
    return trainer, found.done


def reshard(root: Path, own: Path, layout: Layout, written_by: int | None = None) -> list[str]:
    """Load what a single process wrote, or the task of a number, write it again, and learn on."""
    trainer, done = loaded(root if written_by is None else own.with_name(f"{written_by}"), layout)
    with closing(Checkpoints(own, layout)) as again:
        again.save(Feed(trainer.plan, str(root)), done, trainer.model, trainer.optimizers)
        return learn(trainer, root, range(done, done + 2))  # while it is being written


def resume(root: Path, own: Path, layout: Layout) -> dict[str, Any]:
    """Four steps unbroken, with a save after the second that is written meanwhile; and two from there on by a fresh trainer."""
    plan = Plan.from_json((root / "plan.json").read_text())
    (own / "plan.json").write_text(plan.to_json())
    unbroken, checkpoints = Trainer(plan, layout), Checkpoints(own, layout)
    feed = Feed(plan, str(root))

    def save(done: int) -> None:
        if done == 2:
            checkpoints.save(feed, done, unbroken.model, unbroken.optimizers)

    losses = learn(unbroken, root, range(4), save)
    checkpoints.finish()
    drawn = torch.rand(3).tolist()
    resumed, done = loaded(own, layout)
    again = learn(resumed, root, range(done, 4))
    return {
        "losses": losses[2:],
        "again": again,
        "drawn": [drawn, torch.rand(3).tolist()],
        "differs": different(unbroken, resumed, own, layout),
    }


def different(one: Trainer, other: Trainer, own: Path, layout: Layout) -> int:
    """How many bytes of the files differ that two trainers write."""
    feed, files = Feed(one.plan, str(own)), []
    for name, trainer in (("one", one), ("other", other)):
        torch.manual_seed(0)
        with closing(Checkpoints(own / name, layout)) as checkpoints:
            checkpoints.save(feed, 4, trainer.model, trainer.optimizers)
        files.append((own / name / "checkpoints/step-00000004/weights" / f"__{layout.rank}_0.distcp").read_bytes())
    counts = torch.tensor([sum(a != b for a, b in zip(*files, strict=True)), -min(map(len, files))])
    return int(layout.sum(counts)[0])


def full_disk(root: Path, own: Path, layout: Layout) -> dict[str, Any]:
    """The second save fails on rank 1 alone, and the third does not; then the last one fails."""
    trainer, _ = loaded(root, layout)
    feed, checkpoints, found = Feed(trainer.plan, str(root)), Checkpoints(own, layout, keep_last=9), {}
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for done, is_full in ((1, False), (2, True), (3, False), (4, True)):
        if is_full and layout.rank == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        checkpoints.save(feed, done, trainer.model, trainer.optimizers)
        while checkpoints._pending:
            time.sleep(0.02)  # leave the processor to the thread that writes
            checkpoints.poll()
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        found[done] = sorted(os.listdir(own / "checkpoints"))
    try:
        checkpoints.finish()
    except CheckpointError as error:
        found["error"] = str(error)
    raised = torch.tensor(int("error" in found))
    return {**found, "ranks that raise": int(layout.sum(raised))}


def die(root: Path, own: Path, layout: Layout) -> None:
    """Rank 1 dies while it writes the second save."""
    trainer, _ = loaded(root, layout)
    feed, checkpoints = Feed(trainer.plan, str(root)), Checkpoints(own, layout)
    checkpoints.save(feed, 1, trainer.model, trainer.optimizers)
    checkpoints.finish()
    write = torch_dist.write

    def dying(aside: torch_dist.Aside, folder: Path) -> Any:
        written = write(aside, folder)
        if layout.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    torch_dist.write = dying
    checkpoints.save(feed, 2, trainer.model, trainer.optimizers)
    checkpoints.finish()


TASKS: dict[str, Callable[..., Any]] = {
    "reshard": reshard,
    "resume": resume,
    "full disk": full_disk,
    "die": die,
}

if __name__ == "__main__":
    main()
