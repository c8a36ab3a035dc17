"""What training costs beside its own arithmetic, and what Muon is worth.

    python -m trainer.bench feed OUT           the plan of a finished build: fed and logged, against the same model and random tokens
    python -m trainer.bench optimizers OUT     the first stage with Muon and with AdamW, each at several rates
    python -m trainer.bench compile OUT        with pointwise functions compiled, and not
    python -m trainer.bench speed OUT          tokens/s, model FLOPs utilisation and waiting, with what is ours and without

`feed` learns the first steps twice over, in turns of a few: as `trainer.run` does (rows from the shards, metrics, TensorBoard, no
checkpoints), and from random tokens laid out alike, made before. Figures are tokens per CPU second of the process, also those of
`compile`, which leaves out the first turn, in which the compiler works. `speed` is for a GPU (trainer/bench_speed.py). All print what
they measured and write nothing into OUT.
"""

import argparse
import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curriculum.feed import Batch, Feed
from curriculum.plan import Plan
from trainer import mcore_compat

PARTS = ("feed", "optimizers", "compile", "speed")
TURN = 16  # steps
RATES = {"muon": (5e-3, 1e-2, 2e-2), "adamw": (1e-3, 2e-3, 4e-3, 8e-3)}
SHOWN = 12  # points of a curve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m trainer.bench", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out", help="folder of a finished build")
    parser.add_argument("--steps", type=int, default=64, help="steps of the first stage (default: 64)")
    parser.add_argument(
        "--small", action="store_true", help="speed: with the plan's own model, as a trial without a GPU"
    )
    arguments = parser.parse_args()
    mcore_compat.install()
    from trainer.layout import joined

    path = Path(arguments.out, "plan.json")
    if not path.is_file():
        raise SystemExit(f"{path} is not there: give the folder of a finished build")
    if arguments.steps < 1:
        raise SystemExit(f"--steps {arguments.steps}: give 1 or more")
    plan = Plan.from_json(path.read_text())
    steps = range(min(arguments.steps, plan.stages[0].steps))
    with joined(threads=1) as layout:
        if arguments.part == "speed":
            from trainer.bench_speed import bench_speed

            bench_speed(plan, arguments.out, steps, layout, small=arguments.small)
        else:
            part = {"feed": bench_feed, "optimizers": bench_optimizers, "compile": bench_compile}[arguments.part]
            part(plan, arguments.out, steps, layout)


def bench_feed(plan: Plan, out: str, steps: range, layout: Any) -> None:
    from trainer.checkpoint import Checkpoints
    from trainer.learn import Run
    from trainer.loop import Trainer
    from trainer.schedule import settings

    turns = _turns(steps)
    batches = {step: _random(plan, batch) for step, batch in _batches(Feed(plan, out), steps)}
    random_trainer, fed_trainer = Trainer(plan, layout), Trainer(plan, layout)
    random_seconds, fed_seconds = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Checkpoints(Path(folder), layout)) as checkpoints:
        run = Run(Path(folder), Feed(plan, out), fed_trainer, checkpoints, lambda line: None)
        for turn in turns:
            started = time.process_time()
            for step in turn:
                random_trainer.step(settings(plan, step), plan.stages[0], batches[step])
            between = time.process_time()
            run.learn(turn, save=False)
            random_seconds += between - started
            fed_seconds += time.process_time() - between
    tokens = sum(batch.tokens.size for batch in batches.values())
    print(f"{len(steps)} steps of stage {plan.stages[0].name!r}, {tokens:,} tokens, in turns of {TURN} steps")
    print(f"random tokens, nothing logged   {tokens / random_seconds:8.0f} tokens per CPU second")
    print(f"fed from the shards and logged  {tokens / fed_seconds:8.0f} tokens per CPU second")
    print(f"ratio                           {random_seconds / fed_seconds:8.3f}")


def bench_compile(plan: Plan, out: str, steps: range, layout: Any) -> None:
    from trainer.loop import Trainer
    from trainer.pointwise import choose
    from trainer.schedule import settings

    first, *turns = _turns(steps)
    if not turns:
        raise SystemExit(f"{len(steps)} steps are one turn: give --steps {2 * TURN} or more")
    batches = dict(_batches(Feed(plan, out), steps))
    trainers = {switch: Trainer(plan, layout) for switch in ("off", "on")}
    seconds = dict.fromkeys(trainers, 0.0)
    for turn in (first, *turns):
        for switch, trainer in trainers.items():
            choose(switch, layout.device)
            started = time.process_time()
            for step in turn:
                trainer.step(settings(plan, step), plan.stages[0], batches[step])
            seconds[switch] += time.process_time() - started if turn is not first else 0.0
    tokens = sum(batches[step].tokens.size for turn in turns for step in turn)
    print(f"{len(steps) - TURN} steps of stage {plan.stages[0].name!r}, {tokens:,} tokens, in turns of {TURN} steps")
    for switch, taken in seconds.items():
        print(f"compile = {switch:4} {tokens / taken:8.0f} tokens per CPU second")
    print(f"ratio          {seconds['off'] / seconds['on']:8.3f}")


def bench_optimizers(plan: Plan, out: str, steps: range, layout: Any) -> None:
    curves = {}
    for rule, rates in RATES.items():
        for rate in rates:
            lr = {**plan.training["lr"], "peak": rate, "end": rate / 10}
            learned = dataclasses.replace(plan, training={**plan.training, "optimizer": rule, "lr": lr})
            curves[rule, rate] = _losses(learned, out, steps, layout)
            print(f"{rule:6} {rate:<7g} last quarter {_last_quarter(curves[rule, rate]):.4f}", flush=True)
    best = {rule: min(rates, key=lambda rate: _last_quarter(curves[rule, rate])) for rule, rates in RATES.items()}
    muon, adamw = (curves[rule, best[rule]] for rule in RATES)
    print(f"\nloss by step, each at its best rate (muon {best['muon']:g}, adamw {best['adamw']:g})")
    for step in range(0, len(steps), max(1, len(steps) // SHOWN)):
        print(f"{step:6} {muon[step]:8.3f} {adamw[step]:8.3f}")
    print("\nsteps until the mean of four steps is below a loss")
    for loss in _goals(adamw):
        print(f"{loss:8.2f} {_first_below(muon, loss):>8} {_first_below(adamw, loss):>8}")
    print(json.dumps({"muon": muon, "adamw": adamw}))


def _turns(steps: range) -> list[range]:
    return [steps[first : first + TURN] for first in range(0, len(steps), TURN)]


def _losses(plan: Plan, out: str, steps: range, layout: Any) -> list[float]:
    from trainer.loop import Trainer
    from trainer.schedule import settings

    trainer = Trainer(plan, layout)
    return [
        trainer.step(settings(plan, step), plan.stages[0], batch)["loss"]
        for step, batch in _batches(Feed(plan, out), steps)
    ]


def _batches(feed: Feed, steps: range) -> Iterator[tuple[int, Batch]]:
    with contextlib.closing(feed.stream(steps.start, mtp_depths=feed.plan.model["mtp_layers"])) as stream:
        for step, (_, _, batch) in zip(steps, stream, strict=False):
            yield step, batch


def _random(plan: Plan, batch: Batch) -> Batch:
    """Random tokens in documents of the same lengths, learned at the same places."""
    random = np.random.default_rng(plan.seed)
    drawn = random.integers(0, plan.tokenizer["vocab_size"], batch.tokens.shape)
    ahead = [np.roll(drawn, -depth).astype(np.int32) for depth in range(1, 2 + len(batch.mtp_labels))]
    labels = np.where(batch.labels < 0, batch.labels, ahead[0])
    deeper = np.where(batch.mtp_labels < 0, batch.mtp_labels, np.array(ahead[1:]).reshape(batch.mtp_labels.shape))
    return Batch(drawn.astype(np.uint32), labels, deeper, batch.cu_seqlens, batch.source_ids)


def _last_quarter(losses: Sequence[float]) -> float:
    quarter = losses[-max(1, len(losses) // 4) :]
    return sum(quarter) / len(quarter)


def _goals(losses: Sequence[float]) -> list[float]:
    """Losses that a curve passes at a quarter, a half, three quarters and the end of its steps."""
    return [sum(losses[end - 4 : end]) / 4 for end in (len(losses) * part // 4 for part in (1, 2, 3, 4)) if end >= 4]


def _first_below(losses: Sequence[float], goal: float) -> str:
    means = [sum(losses[step - 3 : step + 1]) / 4 for step in range(3, len(losses))]
    return next((str(step + 4) for step, mean in enumerate(means) if mean <= goal), "never")


if __name__ == "__main__":
    main()
