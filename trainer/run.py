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
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.feed import Site, SiteError, load_site
from curriculum.parallel import Parallel
from curriculum.plan import Plan, PlanError
from curriculum.plan_changes import PlanChanged, check, compare
from trainer import mcore_compat
from trainer.metrics import MetricsError
from trainer.schedule import settings

if TYPE_CHECKING:
    from curriculum.feed import Feed
    from trainer.checkpoint import Checkpoint
    from trainer.layout import Layout
    from trainer.loop import Trainer

log = logging.getLogger(__name__)

OnStep = Callable[[dict[str, Any]], None]

TERMINATED = 128 + signal.SIGTERM  # exit code
# torchrun ends all processes as soon as one has ended with an error: whoever says it goes first.
FIRST_OF_MACHINE_SECONDS = 10.0  # how long the others wait before the ranks have met; they may still be starting
LAST_WORD_SECONDS = 1.0  # and afterwards


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
    Raises RootError, LayoutError, PlanError, PlanChanged, SiteError, CheckpointError, MetricsError, Diverged, Terminated after
    SIGTERM, and what the feed raises for shards it cannot read or a build that does not deliver. Once the ranks of a run have met,
    one of them raises such an error, and the others Elsewhere (`trainer.together`).
    """
    from curriculum.feed import Feed

    with _first_of_machine_first():
        folder, plan = _open(root)
        about = load_site(site)
        parallel = _parallel(about, plan)
    feed = Feed(plan, shards or root, site=about)
    mcore_compat.install()
    from trainer.layout import joined

    run = joined(threads, parallel, patience_seconds=about.patience_seconds, deterministic=about.deterministic)
    with run as layout, contextlib.closing(feed):
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
    from trainer.learn import Run

    started = time.perf_counter()
    found = checkpoint.newest_of_all(root, layout)
    plan, edits = _plan_to_learn(feed, found, layout)
    if layout.rank == 0:
        _tell_plan(plan, edits)
    if weights and found and layout.rank == 0:
        log.warning("%s is not used: %s is there to continue from", weights, found.path)
    trainer = _trainer(plan, layout, site, None if found else weights)
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
        run = Run(root, feed, trainer, checkpoints, on_step, grace_seconds=site.grace_seconds)
        last = run.learn(range(first, end))
    # Not looked for: this rank may not see yet what rank 0 has just written.
    newest = checkpoint.path_after(checkpoints.folder, end) if end > first else found and found.path
    return {
        "first_step": first,
        "end_step": end,
        "tokens": settings(plan, end - 1).tokens if end else 0,
        "seconds": time.perf_counter() - started,
        "checkpoint": str(newest) if newest else None,
        "plan_edits": edits,
        "kernels": [choice._asdict() for choice in (trainer.model.attention, trainer.pointwise, *kernels.explain())],
        "last": last,
    }


@contextlib.contextmanager
def _first_of_machine_first() -> Iterator[None]:
    """Before the ranks have met they cannot agree who says what is wrong, but those of a machine read the same files.

    So the first of every machine raises at once, and the others a while later: torchrun has ended them by then, unless
    something is wrong with them alone.
    """
    try:
        yield
    except (RootError, LayoutError, PlanError, SiteError):
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(FIRST_OF_MACHINE_SECONDS)
        raise


def _plan_to_learn(feed: "Feed", found: "Checkpoint | None", layout: "Layout") -> tuple[Plan, list[str]]:
    """The plan as it is now, equal on all ranks but for what a running build still adds; and its edits since the checkpoint."""
    from curriculum.feed import READ_ERRORS
    from trainer.together import tell_all, together

    plan, edits = feed.plan, list[str]()
    with together(layout, PlanError, PlanChanged, *READ_ERRORS):
        if plan.is_live:
            plan = feed.refresh(found.done if found else 0)
        if found:
            edits = check(found.plan, plan, found.done, where=str(found.path / "plan.json"))
    if layout.world == 1:
        return plan, edits
    of_rank_0 = Plan.from_json(tell_all(layout, plan.to_json()))
    with together(layout, RootError):
        less, more = sorted((of_rank_0, plan), key=lambda known: sum(not stage.is_open for stage in known.stages))
        changes = compare(less, more, 0)
        if differences := [*changes.past, *changes.future]:
            listed = "\n    ".join(differences)
            raise RootError(
                f"plan.json below {feed.root} is not for all ranks the same:\n    {listed}\n"
                "The folder must be on storage that all ranks share. Wait until that shows the same file everywhere, and start again."
            )
    return plan, edits


def _trainer(plan: Plan, layout: "Layout", site: Site, weights: str | None) -> "Trainer":
    from trainer.huggingface_config import HuggingFaceError
    from trainer.initial import open_weights
    from trainer.learn import trainer_options
    from trainer.loop import Trainer
    from trainer.together import together
    from trainer.weights import WeightsError

    with together(layout, WeightsError, HuggingFaceError):
        begin = open_weights(Path(weights), plan.model) if weights else None
    return Trainer(plan, layout, weights=begin, **trainer_options(site, layout.device))


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
        try:
            lines.write(json.dumps(line, allow_nan=False) + "\n")
            lines.flush()
        except BrokenPipeError:
            raise
        except OSError as error:  # it is a file on a full disk
            raise MetricsError(
                f"stdout cannot be written ({error}); the same command continues after the newest checkpoint"
            ) from error

    return write


def _log_line(line: dict[str, Any]) -> None:
    # What is not finite, and the loss of a step in which nothing was learned, is None.
    numbers = ((line["loss"], ".4f"), (line["grad_norm"], ".3f"))
    loss, norm = ("-" if value is None else format(value, digits) for value, digits in numbers)
    log.info(
        "step %d: loss %s, gradient norm %s, lr %.3g, %.0f tokens/s",
        *(line["step"], loss, norm, line["lr"], line["speed"]["tokens_per_second"]),
    )


def _hear_of_curves_once() -> None:
    """TensorBoard's thread raises what it cannot write, and hands it to the next call as well, where `Board` warns of it."""
    before = threading.excepthook

    def told(failure: threading.ExceptHookArgs) -> None:
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__name__ == "_AsyncWriterThread"):
            before(failure)

    threading.excepthook = told


def main() -> int:
    """Exit codes: 0 done, 1 cannot train (the message is on stderr), 130 interrupted, 143 ended by SIGTERM with all saved.

    Who says an error: every process whose `train` raises it. That is one, also where the error is of all ranks: see
    `trainer.together` for the time when the ranks have met, `_first_of_machine_first` for the time before. Ranks but 0 name themselves.
    """
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
    parser.add_argument("--stop-after", type=_count, metavar="N", help="stop with a checkpoint after N more steps")
    parser.add_argument(
        "--steps-to-stdout", action="store_true", help="write the lines of metrics.jsonl to stdout as they come"
    )
    arguments = parser.parse_args()
    rank = os.environ.get("RANK", "0")
    speaker = "" if rank == "0" else f"rank {rank}: "
    level = logging.WARNING if arguments.steps_to_stdout else logging.INFO
    logging.basicConfig(format=f"{speaker}%(message)s", level=level)
    # Which kernel runs, and why: one line each, of one rank.
    logging.getLogger("tokenloom.kernels").setLevel(logging.WARNING if speaker else logging.INFO)
    _hear_of_curves_once()
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
    except _elsewhere() as error:
        time.sleep(LAST_WORD_SECONDS)
        return TERMINATED if isinstance(error.__cause__, _terminated()) else 1
    except _terminated() as error:
        log.error("%s", error)
        return TERMINATED
    except _foreseen() as error:
        log.error("%s", "\n".join([str(error), *getattr(error, "__notes__", [])]))
        return 1
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of steps: give 0 or more")
    return int(text)


def _elsewhere() -> type[Exception]:
    """Evaluated, and so imported, only when there is an error."""
    from trainer.together import Elsewhere

    return Elsewhere


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
