"""Tables for the terminal: what `plan`, `build` and `inspect` print on stdout."""

from typing import Any

from rich.console import Console
from rich.table import Table

from curriculum.manifest import Manifest
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan, Stage
from curriculum.stages import StageSpec
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
    console.print(_mixture(manifest, plan, measured))
    if any(not (measured or source.rows) for stage in plan.stages for source in stage.sources):
        console.print(
            "Sizes marked ? are measured by `tokenloom build`; `tokenloom plan MANIFEST --out OUT` shows them."
        )


def _mixture(manifest: Manifest, plan: Plan, measured: bool) -> Table:
    """The sources of every stage. Shares are of tokens without padding, epochs through the end of the stage, caps of the corpus."""
    table = Table(
        "stage", "source", "share", "phases", "tokens", "rows", "held", "epochs", "corpus", "", title="Mixture"
    )
    for column in table.columns[2:-1]:
        column.justify = "right"
    for stage, spec in zip(plan.stages, manifest.stages, strict=True):
        tokens = sum(source.tokens_planned for source in stage.sources)
        told: set[str] = set()
        for index, source in enumerate(stage.sources):
            known, first = measured or source.rows > 0, source.corpus not in told
            told.add(source.corpus)
            table.add_row(
                stage.name if index == 0 else "",
                source.name,
                f"{100 * source.tokens_planned / tokens:.1f} %",
                _phases(spec, source.corpus) if first else "",
                si(source.tokens_planned),
                f"{source.rows_planned:,}",
                f"{source.rows:,}" if known else "?",
                f"{(source.first_rank + source.rows_planned) / source.rows:.2f}"
                if source.rows
                else "-"
                if known
                else "?",
                _of_cap(manifest, stage, spec, source.corpus) if first and known else "",
                _role(spec, source.corpus) if first else "",
            )
        table.add_section()
    return table


def _phases(spec: StageSpec, corpus: str) -> str:
    """The shares of a corpus in the phases of the mix, unless they are all the same; an arrow is a ramp."""
    shares = [f"{100 * phase.shares.get(corpus, 0.0):.3g}" for phase in spec.mix]
    if len(set(shares)) == 1:
        return ""
    joints = (" → " if phase.ramp else ", " for phase in spec.mix[1:])
    return shares[0] + "".join(joint + share for joint, share in zip(joints, shares[1:], strict=True)) + " %"


def _of_cap(manifest: Manifest, stage: Stage, spec: StageSpec, corpus: str) -> str:
    """Epochs of a whole corpus through the end of the stage, and how many it may have."""
    wanted = manifest.corpora[corpus].bucket_epochs
    sources = [source for source in stage.sources if source.corpus == corpus]
    one_pass = sum(wanted[source.bucket] * source.rows for source in sources)
    drawn = sum(source.first_rank + source.rows_planned for source in sources)
    return f"{drawn / one_pass:.2f} of {spec.epoch_cap(corpus):g}" if one_pass else ""


def _role(spec: StageSpec, corpus: str) -> str:
    roles = [f"{spec.epochs[corpus]:g} epochs"] if corpus in spec.epochs else []
    roles += ["fills gaps"] if corpus in spec.fill else []
    roles += ["together"] if corpus in spec.together else []
    return ", ".join(roles)


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


def show_document(console: Console, found: dict[str, Any]) -> None:
    """A document: what its corpus knows of it, and where and when it is learned."""
    pieces = found["pieces"]
    facts = {name: value for name, value in found.items() if name not in ("pieces", "steps_done") and value is not None}
    for name, value in facts.items():
        console.print(f"[bold]{name}[/]  ", end="")
        console.print(str(value), markup=False, highlight=False, soft_wrap=True)
    table = Table(
        "stage", "rows of", "shard row", "start", "tokens", "offset", "steps", title="Where and when it is learned"
    )
    for piece in pieces:
        seen = sum(step < found["steps_done"] for step in piece["steps"])
        steps = ", ".join(map(str, piece["steps"][:12])) + (", ..." if len(piece["steps"]) > 12 else "")
        told = f"{steps} ({seen} done)" if piece["steps"] else "never"
        row = f"{piece['shard']} {piece['shard_row']}"
        numbers = (str(piece[name]) for name in ("start", "length", "offset"))
        table.add_row(piece["stage"], piece["rows_of"], row, *numbers, told)
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
