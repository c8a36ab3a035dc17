"""Tables for the terminal: what `plan`, `build` and `inspect` print on stdout."""

from typing import Any

from rich.console import Console
from rich.table import Table

from curriculum.manifest import Manifest
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan, Stage
from curriculum.units import binary, si, size


def show_plan(console: Console, manifest: Manifest, plan: Plan, measured: bool) -> None:
    """Stages, then the sources of every stage."""
    shape = ModelShape(**plan.model).parameters()
    total = sum(stage.tokens for stage in plan.stages)
    console.print(
        f"[bold]{plan.name}[/] {plan.version}  seed {plan.seed}  model {plan.model['name']} ({si(shape.total)} parameters, "
        f"{si(shape.active)} active)  {si(total)} tokens in {plan.steps:,} steps"
    )
    stages = Table(
        "stage", "tokens", "row", "pack", "rows", "steps", "batch", "RoPE base", "bias rate", "MTP", title="Stages"
    )
    for column in stages.columns[1:]:
        column.justify = "right"
    for stage in plan.stages:
        stages.add_row(
            stage.name,
            si(stage.tokens),
            str(stage.seq_len),
            stage.pack,
            f"{stage.rows:,}",
            f"{stage.steps:,}",
            _batch(stage),
            si(stage.rope_base),
            f"{stage.bias_rate:g}",
            f"{stage.mtp_weight:g}",
        )
    console.print(stages)
    mixture = Table("stage", "source", "share", "tokens", "rows", "held", "epochs", title="Mixture")
    for column in mixture.columns[2:]:
        column.justify = "right"
    for stage in plan.stages:
        for index, source in enumerate(stage.sources):
            mixture.add_row(
                stage.name if index == 0 else "",
                source.name,
                f"{100 * source.rows_planned / stage.rows:.1f} %",
                si(source.rows_planned * stage.seq_len),
                f"{source.rows_planned:,}",
                f"{source.rows_built:,}" if measured else "?",
                f"{source.epochs:.2f}" if measured else "?",
            )
        mixture.add_section()
    console.print(mixture)
    if not measured:
        console.print(
            "Sizes marked ? are measured by `tokenloom build`; `tokenloom plan MANIFEST --out OUT` shows them."
        )


def _batch(stage: Stage) -> str:
    first, last = (binary(rows * stage.seq_len) for rows in (stage.batch[0].rows, stage.batch[-1].rows))
    return first if first == last else f"{first} to {last}"


def show_build(console: Console, lock: dict[str, Any]) -> None:
    """What came out of every corpus."""
    table = Table("corpus", "read", "kept", "characters", "tokens", "buckets", "shards", "size", title="Corpora")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, corpus in lock["corpora"].items():
        sets = [entry for entry in lock["shards"] if entry["corpus"] == name]
        files = [file for entry in sets for file in entry["files"]]
        first, last = corpus["steps"][0], corpus["steps"][-1]
        table.add_row(
            name,
            f"{first['documents_in']:,}",
            f"{last['documents_out']:,}",
            si(last["chars_out"]),
            si(sum(bucket["tokens"] for bucket in corpus["buckets"].values())),
            " ".join(f"{bucket} {si(counts['tokens'])}" for bucket, counts in corpus["buckets"].items()),
            str(len(files)),
            size(sum(file["bytes"] for file in files)),
        )
    console.print(table)


def show_step(console: Console, found: dict[str, Any]) -> None:
    """The rows of a step and their documents."""
    title = f"Step {found['step']}: stage {found['stage']}, its step {found['stage_step']}, rows of {found['seq_len']}"
    table = Table("row", "source", "epoch", "shard row", "document", "start", "tokens", "origin", title=title)
    for row in found["rows"]:
        for index, piece in enumerate(row["pieces"]):
            head = (
                (str(row["row"]), row["source"], str(row["epoch"]), str(row["shard_row"])) if index == 0 else ("",) * 4
            )
            table.add_row(*head, piece["doc"][:12], str(piece["start"]), str(piece["length"]), piece.get("origin", ""))
    console.print(table)


def show_training(console: Console, steps: list[dict[str, Any]]) -> None:
    """Every stage of a run, from the lines of metrics.jsonl: where its loss began, and its mean over the last quarter of its steps."""
    table = Table("stage", "steps", "tokens", "first loss", "last quarter", "tokens/s", "waiting", title="Training")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in dict.fromkeys(step["stage"] for step in steps):
        stage = [step for step in steps if step["stage"] == name]
        last = stage[-max(1, len(stage) // 4) :]
        tokens = sum(step["rows"] * step["seq_len"] for step in stage)
        seconds = sum(step["seconds"]["step"] for step in stage)
        table.add_row(
            name,
            str(len(stage)),
            si(tokens),
            f"{stage[0]['loss']:.3f}",
            f"{sum(step['loss'] for step in last) / len(last):.3f}",
            f"{tokens / seconds:,.0f}",
            f"{100 * sum(step['seconds']['wait'] for step in stage) / seconds:.1f} %",
        )
    console.print(table)
