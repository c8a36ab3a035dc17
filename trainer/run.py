"""Train a plan: `python -m trainer.run --root OUT`, or under torchrun with one process per GPU.

Reads OUT/plan.json and the shards it names; writes OUT/metrics.jsonl and OUT/checkpoints. Called again it continues
after the newest checkpoint. Importing this module costs nothing; torch and megatron come with `train`.

A build that is still running is followed: the feed waits for what is not there yet, and order, losses and checkpoints
are those of a run on the finished build. Its plan may only grow meanwhile: an edited one ends the run, and is judged when
the run is started again.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.feed import SiteError, load_site
from curriculum.plan import Plan, PlanError
from curriculum.plan_changes import PlanChanged, check
from trainer import mcore_compat
from trainer.metrics import MetricsError, MetricsLog
from trainer.schedule import StepSettings, settings

if TYPE_CHECKING:
    from curriculum.feed import Feed
    from trainer.layout import Layout
    from trainer.loop import Trainer

log = logging.getLogger(__name__)

OnStep = Callable[[dict[str, Any]], None]


class RootError(ValueError):
    """The folder to train in cannot be used; the message says what to give instead."""


def train(
    root: str,
    *,
    shards: str | None = None,
    site: str | None = None,
    threads: int = 1,
    on_step: OnStep | None = None,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train the plan in the folder `root` to its end, or for `stop_after` more steps; either leaves a checkpoint.

    shards   where the shards lie when not in `root`: a folder, or s3://bucket/prefix
    site     the site file: cache and time limits of this machine (`datapipe.site`); without one that of TOKENLOOM_SITE
    threads  CPU threads of this process. The tiny model gains little from a second one on an idle machine (1.4 times as
             fast), and loses much on a busy one, where threads wait for each other. Another number gives other bits.
    on_step  called on rank 0 with every line of metrics.jsonl; what it raises ends the training

    Returns {"first_step", "end_step", "tokens", "seconds", "checkpoint", "plan_edits", "kernels", "last"}: the steps
    [first, end) of the run were learned now; `last` is the last line of metrics, None when nothing was left to learn.
    Raises RootError, PlanError, PlanChanged, SiteError, CheckpointError, Diverged, and what the feed raises for shards it cannot read
    or a build that does not deliver.
    """
    from curriculum.feed import Feed

    folder, plan = _open(root)
    feed = Feed(plan, shards or root, site=load_site(site))
    mcore_compat.install()
    from trainer.layout import joined

    with joined(threads) as layout, contextlib.closing(feed):
        return _train(folder, feed, layout, on_step or _ignore, stop_after)


def _train(root: Path, feed: "Feed", layout: "Layout", on_step: OnStep, stop_after: int | None) -> dict[str, Any]:
    import kernels
    from trainer import checkpoint
    from trainer.loop import Trainer

    started = time.perf_counter()
    found = checkpoint.newest(root)
    plan = feed.refresh(found.done if found else 0) if feed.plan.is_live else feed.plan
    edits = check(found.plan, plan, found.done, where=str(found.path / "plan.json")) if found else []
    if layout.rank == 0:
        _tell_plan(plan, edits)
    trainer = Trainer(plan, layout)
    if found:
        checkpoint.load(found, trainer.model, trainer.optimizers, layout.device)
    first = found.done if found else 0
    end = plan.steps if stop_after is None else min(plan.steps, first + stop_after)
    last = _learn(trainer, feed, range(first, end), root, on_step)
    newest = checkpoint.newest(root)
    return {
        "first_step": first,
        "end_step": end,
        "tokens": settings(plan, end - 1).tokens if end else 0,
        "seconds": time.perf_counter() - started,
        "checkpoint": str(newest.path) if newest else None,
        "plan_edits": edits,
        "kernels": [choice._asdict() for choice in kernels.explain()],
        "last": last,
    }


def _learn(trainer: "Trainer", feed: "Feed", steps: range, root: Path, on_step: OnStep) -> dict[str, Any] | None:
    """Learn these global steps, record and checkpoint them; returns the last line of metrics."""
    from trainer import checkpoint

    layout, depths = trainer.layout, trainer.plan.model["mtp_layers"]
    line: dict[str, Any] | None = None
    stream = feed.stream(steps.start, rank=layout.data_rank, world=layout.data, mtp_depths=depths)
    with contextlib.closing(stream) as batches, _record(root, steps.start, layout) as metrics:
        for step in steps:
            started = time.perf_counter()
            _, _, batch = next(batches)
            plan = feed.plan  # a running build extends it, and has closed this step's stage by now
            now = settings(plan, step)
            if metrics:
                _tell_switch(plan, now)
            line = trainer.step(now, plan.stages[now.stage], batch)
            line["seconds"] = {"step": time.perf_counter() - started, **batch.seconds}
            due = _checkpoint_is_due(plan, now, steps.stop)
            if metrics:
                metrics.append(line)
                on_step(line)
                if due:
                    metrics.flush_to_disk()
                    checkpoint.save(root, feed, step + 1, trainer.model, trainer.optimizers)
            if due:
                layout.wait_for_all()
    return line


@contextlib.contextmanager
def _record(root: Path, first_step: int, layout: "Layout") -> Iterator[MetricsLog | None]:
    """The file of metrics on rank 0, None on the others."""
    if layout.rank:
        yield None
        return
    with contextlib.closing(MetricsLog(root, first_step)) as metrics:
        yield metrics


def _open(root: str) -> tuple[Path, Plan]:
    if "://" in root:
        raise RootError(
            f"{root}: the trainer writes metrics and checkpoints to a local folder. Copy plan.json into one, give that as "
            f"--root, and --shards {root} for the data."
        )
    path = Path(root) / "plan.json"
    if not path.is_file():
        raise RootError(f"{path} is not there: `tokenloom build` writes it, with the shards it names.")
    return Path(root), Plan.from_json(path.read_text())


def _checkpoint_is_due(plan: Plan, now: StepSettings, end: int) -> bool:
    """Every `checkpoint_steps` of the run, at the end of a stage, and before stopping."""
    every, done = plan.training["checkpoint_steps"], now.step + 1
    return done % every == 0 or done == end or now.stage_step + 1 == plan.stages[now.stage].steps


def _tell_plan(plan: Plan, edits: list[str]) -> None:
    for edit in edits:
        log.warning("plan.json was edited behind the checkpoint, accepted: %s", edit)
    if plan.is_live:
        known = sum(not stage.is_open for stage in plan.stages)
        log.info("following a build that is still running: %d of %d stages are laid out", known, len(plan.stages))


def _tell_switch(plan: Plan, now: StepSettings) -> None:
    if now.stage_step == 0:
        stage = plan.stages[now.stage]
        log.info(
            "step %d: stage %r begins: %d rows of %d tokens, RoPE base %g, bias rate %g, MTP weight %g, %d steps",
            *(now.step, stage.name, now.rows, now.seq_len, now.rope_base, now.bias_rate, now.mtp_weight, stage.steps),
        )


def _ignore(line: dict[str, Any]) -> None:
    pass


def _stdout_for_lines() -> OnStep:
    """Keeps stdout to ourselves: whatever a library prints goes to stderr from here on."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def write(line: dict[str, Any]) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    return write


def _log_line(line: dict[str, Any]) -> None:
    rate = line["rows"] * line["seq_len"] / line["seconds"]["step"]
    log.info(
        "step %d: loss %.4f, gradient norm %.3f, lr %.3g, %.0f tokens/s",
        line["step"],
        line["loss"],
        line["grad_norm"],
        line["lr"],
        rate,
    )


def main() -> int:
    """Exit codes: 0 done, 1 cannot train (the message is on stderr), 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m trainer.run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root", required=True, help="folder with plan.json; metrics and checkpoints are written there"
    )
    parser.add_argument("--shards", help="where the shards lie when not in --root: a folder or s3://bucket/prefix")
    parser.add_argument(
        "--site", metavar="FILE", help="TOML: cache and time limits of this machine (default: $TOKENLOOM_SITE)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this process (default: 1)")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop with a checkpoint after N more steps")
    parser.add_argument(
        "--steps-to-stdout", action="store_true", help="write the lines of metrics.jsonl to stdout as they come"
    )
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING if arguments.steps_to_stdout else logging.INFO)
    logging.getLogger("tokenloom.kernels").setLevel(logging.INFO)  # which kernel runs, and why: one line each
    on_step = _stdout_for_lines() if arguments.steps_to_stdout else _log_line
    try:
        train(
            arguments.root,
            shards=arguments.shards,
            site=arguments.site,
            threads=arguments.threads,
            on_step=on_step,
            stop_after=arguments.stop_after,
        )
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        log.error("whoever read the steps is gone; the same command continues after the last checkpoint")
        return 1
    except (RootError, PlanError, PlanChanged, SiteError, MetricsError) as error:
        log.error("%s", error)
        return 1
    except _foreseen() as error:
        log.error("%s", error)
        return 1
    return 0


def _foreseen() -> tuple[type[Exception], ...]:
    """The errors of training whose message is enough; evaluated, and so imported, only when there is an error."""
    from curriculum.feed import READ_ERRORS
    from trainer.checkpoint import CheckpointError
    from trainer.loop import Diverged

    return CheckpointError, Diverged, *READ_ERRORS


if __name__ == "__main__":
    sys.exit(main())
