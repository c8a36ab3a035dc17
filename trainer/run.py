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
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.feed import Site, SiteError, load_site
from curriculum.parallel import Parallel
from curriculum.plan import Plan, PlanError
from curriculum.plan_changes import PlanChanged, check
from trainer import mcore_compat
from trainer.metrics import MetricsError
from trainer.schedule import settings

if TYPE_CHECKING:
    from curriculum.feed import Feed
    from trainer.layout import Layout

log = logging.getLogger(__name__)

OnStep = Callable[[dict[str, Any]], None]

TERMINATED = 128 + signal.SIGTERM  # exit code


class RootError(ValueError):
    """The folder to train in cannot be used; the message says what to give instead."""


class LayoutError(ValueError):
    """The model cannot be spread over these processes as the site file says; the message says what to write instead."""


def train(
    root: str,
    *,
    shards: str | None = None,
    site: str | None = None,
    threads: int = 1,
    on_step: OnStep | None = None,
    stop_after: int | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """Train the plan in the folder `root` to its end, or for `stop_after` more steps; either leaves a checkpoint.

    shards   where the shards lie when not in `root`: a folder, or s3://bucket/prefix
    site     the site file: parallel layout, precision, checkpoints to keep, cache and time limits of this machine
             (`datapipe.site`); without one that of TOKENLOOM_SITE
    threads  CPU threads of this process. The tiny model gains little from a second one on an idle machine (1.4 times as
             fast), and loses much on a busy one, where threads wait for each other. Another number gives other bits.
    on_step  called on rank 0 with every line of metrics.jsonl; what it raises ends the training
    weights  a checkpoint's folder or a Hugging Face directory to begin from, when there is no checkpoint in `root` yet

    Returns {"first_step", "end_step", "tokens", "seconds", "checkpoint", "plan_edits", "kernels", "last"}: the steps
    [first, end) of the run were learned now; `last` is the last line of metrics, None when nothing was left to learn.
    Raises RootError, LayoutError, PlanError, PlanChanged, SiteError, CheckpointError, Diverged, Terminated after SIGTERM, and
    what the feed raises for shards it cannot read or a build that does not deliver.
    """
    from curriculum.feed import Feed

    folder, plan = _open(root)
    about = load_site(site)
    parallel = _parallel(about, plan)
    feed = Feed(plan, shards or root, site=about)
    mcore_compat.install()
    from trainer.layout import joined

    with joined(threads, parallel, patience_seconds=about.patience_seconds) as layout, contextlib.closing(feed):
        return _train(folder, feed, layout, about, on_step or _ignore, stop_after, weights)


def _train(
    root: Path,
    feed: "Feed",
    layout: "Layout",
    site: Site,
    on_step: OnStep,
    stop_after: int | None,
    weights: str | None,
) -> dict[str, Any]:
    import kernels
    from trainer import checkpoint
    from trainer.initial import open_weights
    from trainer.learn import Run, trainer_options
    from trainer.loop import Trainer

    started = time.perf_counter()
    found = checkpoint.newest(root)
    plan = feed.refresh(found.done if found else 0) if feed.plan.is_live else feed.plan
    edits = check(found.plan, plan, found.done, where=str(found.path / "plan.json")) if found else []
    if layout.rank == 0:
        _tell_plan(plan, edits)
    if weights and found and layout.rank == 0:
        log.warning("%s is not used: %s is there to continue from", weights, found.path)
    begin = open_weights(Path(weights), plan.model) if weights and not found else None
    trainer = Trainer(plan, layout, weights=begin, **trainer_options(site, layout.device))
    checkpoints = checkpoint.Checkpoints(
        root,
        layout,
        keep_last=site.keep_last,
        keep_every_tokens=site.keep_every_tokens,
        keep_stage_ends=site.keep_stage_ends,
        asynchronous=site.asynchronous_checkpoints,
    )
    with contextlib.closing(checkpoints):
        if found:
            checkpoints.load(found, trainer.model, trainer.optimizers)
        first = found.done if found else 0
        end = plan.steps if stop_after is None else min(plan.steps, first + stop_after)
        last = Run(root, feed, trainer, checkpoints, on_step).learn(range(first, end))
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


def _parallel(site: Site, plan: Plan) -> Parallel:
    parallel = Parallel.of_site(site)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if problems := parallel.problems(plan.model, world):
        raise LayoutError("\n".join(["[parallel] of the site file does not fit:", *problems]))
    rows, name = min((segment.rows, stage.name) for stage in plan.stages for segment in stage.batch)
    if rows < parallel.data(world):
        raise LayoutError(
            f"stage {name!r} has batches of {rows} rows, which {parallel.data(world)} data-parallel ranks cannot share: use fewer "
            "processes, or more of them for pipeline, tensor or context in [parallel] of the site file"
        )
    return parallel


def _tell_plan(plan: Plan, edits: list[str]) -> None:
    for edit in edits:
        log.warning("plan.json was edited behind the checkpoint, accepted: %s", edit)
    if plan.is_live:
        known = sum(not stage.is_open for stage in plan.stages)
        log.info("following a build that is still running: %d of %d stages are laid out", known, len(plan.stages))


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
    log.info(
        "step %d: loss %.4f, gradient norm %.3f, lr %.3g, %.0f tokens/s",
        *(line["step"], line["loss"], line["grad_norm"], line["lr"], line["speed"]["tokens_per_second"]),
    )


def main() -> int:
    """Exit codes: 0 done, 1 cannot train (the message is on stderr), 130 interrupted, 143 ended by SIGTERM with all saved."""
    parser = argparse.ArgumentParser(prog="python -m trainer.run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root", required=True, help="folder with plan.json; metrics and checkpoints are written there"
    )
    parser.add_argument("--shards", help="where the shards lie when not in --root: a folder or s3://bucket/prefix")
    parser.add_argument(
        "--site", metavar="FILE", help="TOML: layout, precision, checkpoints, cache (default: $TOKENLOOM_SITE)"
    )
    parser.add_argument(
        "--weights", metavar="FOLDER", help="begin from these weights: a checkpoint or a Hugging Face directory"
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
            weights=arguments.weights,
        )
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        log.error("whoever read the steps is gone; the same command continues after the last checkpoint")
        return 1
    except (RootError, LayoutError, PlanError, PlanChanged, SiteError, MetricsError) as error:
        log.error("%s", error)
        return 1
    except _terminated() as error:
        log.error("%s", error)
        return TERMINATED
    except _foreseen() as error:
        log.error("%s", "\n".join([str(error), *getattr(error, "__notes__", [])]))
        return 1
    return 0


def _terminated() -> type[Exception]:
    """Evaluated, and so imported, only when there is an error."""
    from trainer.learn import Terminated

    return Terminated


def _foreseen() -> tuple[type[Exception], ...]:
    """The errors of training whose message is enough; evaluated, and so imported, only when there is an error."""
    from curriculum.feed import READ_ERRORS
    from trainer.checkpoint import CheckpointError
    from trainer.huggingface_config import HuggingFaceError
    from trainer.loop import Diverged
    from trainer.weights import WeightsError

    return CheckpointError, Diverged, HuggingFaceError, WeightsError, *READ_ERRORS


if __name__ == "__main__":
    sys.exit(main())
