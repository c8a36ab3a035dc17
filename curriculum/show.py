"""Tables for the terminal: what `plan`, `describe`, `build`, `train` and `inspect` print on stdout.

Names are never cut, and the tables of the quickstart fit 80 columns; elsewhere long cells are folded.
"""

import json
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curation.quality.effective import MANY_EPOCHS, effective_tokens
from curriculum.fill_in import cuts, longest
from curriculum.made_by import makers, shares
from curriculum.manifest import Manifest
from curriculum.model_shape import ModelShape
from curriculum.plan import SCHEDULED, Plan, Ramp, Source, Stage
from curriculum.stage_fields import SHARED
from curriculum.stages import StageSpec
from curriculum.units import binary, si, size

ROOMY = 100  # columns of a terminal from which on tables are spread out
REASONS_TOLD = 3
CLUSTERS_TOLD = 3
STEPS_TOLD = 12  # of a piece that is learned more often


def _table(console: Console, title: str, *columns: str, texts: tuple[str, ...] = (), whole: int = 1) -> Table:
    """Names come first and stay whole, numbers stand to the right; `texts` are the other columns that are words.

    whole  so many columns from the left are never folded
    """
    room = 1 if console.width >= ROOMY else 0
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, room))
    for index, column in enumerate(columns):
        is_text = not index or column in texts
        table.add_column(column, justify="left" if is_text else "right", no_wrap=index < whole, overflow="fold")
    return table


def show_plan(console: Console, manifest: Manifest, plan: Plan, measured: bool) -> None:
    """Stages, then the sources of every stage."""
    shape = ModelShape(**plan.model).parameters()
    total = sum(stage.tokens for stage in plan.stages)
    console.print(
        f"[bold]{plan.name}[/] {plan.version}  seed {plan.seed}  model {plan.model['name']} ({si(shape.total)} parameters, "
        f"{si(shape.active)} active)  {si(total)} tokens in {plan.steps:,} steps\n",
        highlight=False,
    )
    columns = ("stage", "tokens", "row", "pack", "rows", "steps", "batch", "RoPE base", "bias rate", "MTP")
    stages = _table(console, "Stages", *columns, whole=4)
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
            *(_setting(getattr(stage, name)) for name in SCHEDULED),
        )
    console.print(stages, "")
    console.print(_mixture(console, manifest, plan, measured))
    made = _made_by(console, manifest, plan)
    if made.row_count:
        console.print("", made)
    if any(not (measured or source.rows) for stage in plan.stages for source in stage.sources):
        console.print(
            "\nSizes marked ? are measured by `tokenloom build`; `tokenloom plan MANIFEST --out OUT` shows them."
        )
    for name in dict.fromkeys(name for stage in manifest.stages for name in stage.corpora):
        if fim := manifest.corpora[name].fim:
            limit = longest(manifest.stages, name)
            unless = f", unless it would be longer than a row of {limit:,} tokens" if limit else ""
            shares = f"{100 * fim.rate:.3g} % of its documents, {100 * fim.spm:.3g} % of these as SPM"
            console.print(f"\nFill-in-the-middle: {name}, {shares}{unless}.", highlight=False)


def show_cuts(console: Console, lock: dict[str, Any]) -> None:
    """Documents that are rearranged for fill-in-the-middle, and how many of them a row's end cuts, where there are any."""
    if found := cuts(lock):
        table = _table(
            console, "Fill-in-the-middle", "source", "packing", "documents", "rearranged", "cut", texts=("packing",)
        )
        for each in found:
            share = f" ({100 * each.cut / each.rearranged:.1f} %)" if each.cut else ""
            table.add_row(
                each.source, each.packing, f"{each.documents:,}", f"{each.rearranged:,}", f"{each.cut:,}{share}"
            )
        console.print("", table)


def _mixture(console: Console, manifest: Manifest, plan: Plan, measured: bool) -> Table:
    """The sources of every stage. Shares are of tokens without padding, epochs through the end of the stage, caps of the corpus;
    rows are of those that are not held out for validation. Worth is what all epochs so far are worth in fresh tokens."""
    columns = ("source", "share", "phases", "tokens", "rows", "of", "epochs", "worth", "corpus", "")
    table = _table(console, "Mixture", *columns, texts=("",))
    for stage, spec in zip(plan.stages, manifest.stages, strict=True):
        tokens = sum(source.tokens_planned for source in stage.sources)
        told: set[str] = set()
        table.add_row(f"[bold]{stage.name}[/]")
        for source in stage.sources:
            known, first = measured or source.rows > 0, source.corpus not in told
            told.add(source.corpus)
            table.add_row(
                f"  {source.name}",
                f"{100 * source.tokens_planned / tokens:.1f} %",
                _phases(spec, source.corpus) if first else "",
                si(source.tokens_planned),
                f"{source.rows_planned:,}",
                f"{source.trainable_rows:,}" if known else "?",
                *(_epochs(source) if source.rows else ("-", "-") if known else ("?", "?")),
                _of_cap(manifest, stage, spec, source.corpus) if first and known else "",
                _role(spec, source.corpus) if first else "",
            )
    return table


def _made_by(console: Console, manifest: Manifest, plan: Plan) -> Table:
    """The share of every generator and author in the tokens of every stage; a corpus counts in full to each of those that made it."""
    made = makers(manifest.corpora)
    table = _table(
        console, "Made by (shares add up to more where several had a hand in it)", "stage", "", "share", "bound"
    )
    for stage, spec in zip(plan.stages, manifest.stages, strict=True):
        tokens: dict[str, int] = {}
        for source in stage.sources:
            tokens[source.corpus] = tokens.get(source.corpus, 0) + source.tokens_planned
        for key in SHARED:
            for name, share in shares(tokens, made, key).items():
                bound = spec.max_share.get(key, {}).get(name)
                said = "" if bound is None else f"{100 * bound:g} %"
                table.add_row(stage.name, f"{key} {name}", f"{100 * float(share):.3g} %", said)
    return table


def _epochs(source: Source) -> tuple[str, str]:
    """Epochs through the end of the stage, and the fresh tokens that they are worth; marked where repetition costs."""
    epochs = (source.first_rank + source.rows_planned) / source.trainable_rows
    unique = source.trainable_rows * source.tokens_planned / source.rows_planned if source.rows_planned else 0
    worth = si(effective_tokens(unique, epochs))
    return (f"[yellow]{epochs:.2f}[/]", f"[yellow]{worth}[/]") if epochs > MANY_EPOCHS else (f"{epochs:.2f}", worth)


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
    one_pass = sum(wanted[source.bucket] * source.trainable_rows for source in sources)
    drawn = sum(source.first_rank + source.rows_planned for source in sources)
    return f"{drawn / one_pass:.2f} of {spec.epoch_cap(corpus):g}" if one_pass else ""


def _role(spec: StageSpec, corpus: str) -> str:
    epochs = spec.epochs.get(corpus)
    roles = [f"{epochs:g} epoch{'' if epochs == 1 else 's'}"] if epochs else []
    roles += ["fills"] if corpus in spec.fill else []
    roles += ["together"] if corpus in spec.together else []
    return ", ".join(roles)


def _batch(stage: Stage) -> str:
    first, last = (binary(rows * stage.seq_len) for rows in (stage.batch[0].rows, stage.batch[-1].rows))
    return first if first == last else f"{first} to {last}"


def _setting(value: float | Ramp) -> str:
    return str(value) if isinstance(value, Ramp) else f"{value:g}"


def show_build(console: Console, lock: dict[str, Any]) -> None:
    """What came out of every corpus."""
    columns = ("corpus", "read", "kept", "characters", "tokens", "buckets", "shards", "size")
    table = _table(console, "Corpora", *columns, texts=("buckets",))
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
    show_teachers(console, lock["corpora"])
    show_cuts(console, lock)


def show_teachers(console: Console, corpora: dict[str, Any]) -> None:
    """A line per corpus that a model was asked for: answers, tokens, cost."""
    for name, corpus in corpora.items():
        if told := corpus["steps"][0]["about"].get("teacher"):
            tokens = told["prompt_tokens"] + told["completion_tokens"]
            cost = f", cost {told['cost']:,.2f}" if told["cost"] else ""
            answers = f"{told['answers']:,} answers of {told['model']}, {si(tokens)} tokens{cost}"
            console.print(f"{name}: {answers}", highlight=False)


def show_funnels(console: Console, corpora: dict[str, Any]) -> None:
    """Every step of every corpus: what came in, what went out, and the commonest reasons of what did not. Then what is left of each entry
    of `paths`, and the largest clusters."""
    for name, corpus in corpora.items():
        table = _table(
            console, name, "step", "documents", "kept", "share", "characters", "dropped most", texts=("dropped most",)
        )
        for step in corpus["steps"]:
            share = step["documents_out"] / step["documents_in"] if step["documents_in"] else 1.0
            reasons = sorted(step["reasons"].items(), key=lambda item: (-item[1], item[0]))[:REASONS_TOLD]
            table.add_row(
                step["step"],
                f"{step['documents_in']:,}",
                f"{step['documents_out']:,}",
                f"{100 * share:.1f} %",
                si(step["chars_out"]),
                ", ".join(
                    f"{reason.removeprefix(step['step'].partition('.')[2] + '.')} {count:,}"
                    for reason, count in reasons
                ),
            )
        console.print(table, "")
        if entries := corpus["steps"][0].get("paths"):
            table = _table(console, f"{name} by path", "path", "documents", "kept", "share")
            for entry, counts in entries.items():
                read, left = counts["documents_in"], corpus["steps"][-1]["paths"][entry]["documents_out"]
                table.add_row(escape(entry), f"{read:,}", f"{left:,}", f"{100 * left / read:.1f} %" if read else "")
            console.print(table, "")
        if corpus["clusters"]:
            table = _table(console, f"{name}: largest clusters", "kept", "documents in it", whole=0)
            for cluster in corpus["clusters"][:CLUSTERS_TOLD]:
                table.add_row(escape(cluster["origin"]), f"{cluster['cluster_size']:,}")
            console.print(table, "")


def show_step(console: Console, found: dict[str, Any]) -> None:
    """The rows of a step and their documents; ids are whole, for `inspect --document`."""
    rows = found["rows"]
    told = f"its step {found['stage_step']}, {len(rows)} row{'s' if len(rows) > 1 else ''} of {found['seq_len']} tokens"
    console.print(f"[bold]Step {found['step']}[/] of stage {found['stage']}: {told}", highlight=False)
    console.print(f"{'start':>8} {'tokens':>7}  {'document':<32}  origin")
    for row in rows:
        place = f"{row['source']}, epoch {row['epoch']}, row {row['shard_row']} of {row['shard']}"
        console.print(f"\n[bold]row {row['row']}[/]  {place}", highlight=False, soft_wrap=True)
        for piece in row["pieces"]:
            filled = "" if piece["source"] == row["source"] else f"  ({piece['source']})"
            line = f"{piece['start']:>8} {piece['length']:>7}  {piece['doc']}  {piece['origin']}{filled}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_document(console: Console, found: dict[str, Any]) -> None:
    """A document: what its corpus knows of it, and where and when it is learned."""
    facts = {name: value for name, value in found.items() if name not in ("pieces", "steps_done", "text", "fim")}
    origin = ("made by", _provenance(found.get("meta")))
    for name, value in [*facts.items(), origin, ("text", found.get("text")), ("learned as", _fim(found.get("fim")))]:
        if value is not None:
            console.print(f"[bold]{name}[/]  ", end="")
            console.print(str(value), markup=False, highlight=False, soft_wrap=True)
    table = _table(
        console, "\nLearned", "stage", "its tokens", "steps", "start", "row", "shard", texts=("steps", "shard")
    )
    totals = []
    for name, group in groupby(found["pieces"], key=lambda piece: piece["stage"]):
        pieces = list(group)
        learned = [piece for piece in pieces if piece["steps"]]
        totals.append(f"{name} {len(learned)} of {len(pieces)}")
        for piece in learned:
            tokens = f"{piece['offset']} to {piece['offset'] + piece['length'] - 1}"
            place = (str(piece["start"]), str(piece["shard_row"]), piece["shard"])
            table.add_row(name, tokens, _steps(piece["steps"], found["steps_done"]), *place)
    if table.row_count:
        console.print(table, "")
    console.print(f"Pieces that are learned: {', '.join(totals)}.", highlight=False)
    if held_out := sum(piece["held_out"] for piece in found["pieces"]):
        console.print(f"Pieces held out for validation: {held_out}.", highlight=False)


def _provenance(meta: str | None) -> str | None:
    """Of a synthetic document its generator, whose words it is, and what was checked."""
    about = json.loads(meta or "{}")
    if "generator" not in about or "parents" not in about:
        return None
    checks = ", ".join(name if verdict["passed"] else f"not {name}" for name, verdict in about["verdicts"].items())
    words = f", words: {about['author']}" if about["author"] else ""
    return f"{about['generator']} {about['version']}{words}, from {len(about['parents'])} documents; checks: {checks or 'none'}"


def _fim(found: dict[str, Any] | None) -> str | None:
    """A rearranged document as its tokens have it, the middle of long parts left out."""
    if found is None:
        return None
    texts = []
    for part in found["parts"]:
        left_out = part["chars"] - len(part["begin"]) - len(part["end"])
        texts.append(
            f"{part['marker']}{part['begin']}{f' [{left_out:,} characters] ' if left_out else ''}{part['end']}"
        )
    return f"{found['form'].upper()}\n{''.join(texts)}"


def _steps(steps: list[int], steps_done: int) -> str:
    seen = sum(step < steps_done for step in steps)
    return ", ".join(map(str, steps[:STEPS_TOLD])) + (", ..." if len(steps) > STEPS_TOLD else "") + f" ({seen} done)"


def show_training(console: Console, steps: list[dict[str, Any]]) -> None:
    """Every stage of a run, from the lines of metrics.jsonl: where its loss began, and its mean over the last quarter of its steps."""
    columns = ("stage", "steps", "tokens", "first loss", "last quarter", "tokens/s", "waiting")
    table = _table(console, "Training", *columns)
    for name in dict.fromkeys(step["stage"] for step in steps):
        stage = [step for step in steps if step["stage"] == name]
        last = stage[-max(1, len(stage) // 4) :]
        tokens = sum(step["rows"] * step["seq_len"] for step in stage)
        seconds = sum(step["seconds"]["step"] for step in stage)
        table.add_row(
            name,
            str(len(stage)),
            si(tokens),
            _mean_loss(stage[:1]),
            _mean_loss(last),
            f"{tokens / seconds:,.0f}",
            f"{100 * sum(step['seconds']['wait'] for step in stage) / seconds:.1f} %",
        )
    console.print(table)


def _mean_loss(steps: list[dict[str, Any]]) -> str:
    """Of the steps that have one: a line has null where it was not finite, and where nothing was learned."""
    losses = [step["loss"] for step in steps if step["loss"] is not None]
    return f"{sum(losses) / len(losses):.3f}" if losses else "-"


PARTS = {
    "attention": "attention",
    "dense_mlp": "dense MLPs",
    "shared_experts": "shared experts",
    "routed_experts": "routed experts",
    "routers": "routers",
    "norms": "norms",
    "mtp": "MTP block",
    "word_embeddings": "word embeddings",
    "output_head": "output head",
    "projections": "attention projections",
    "scores": "attention scores",
    "mlp": "dense MLPs, shared experts",
    "experts": "routed experts, routers",
    "head": "output head",
}


def show_model(console: Console, said: dict[str, Any]) -> None:
    """What `curriculum.describe.describe` found."""
    shape, parameters, cache = said["shape"], said["parameters"], said["kv_cache"]
    moe_layers = shape["layers"] - shape["dense_layers"]
    console.print(
        f"[bold]{said['model']}[/]  {shape['layers']} layers ({shape['dense_layers']} dense, {moe_layers} with experts), "
        f"{shape['mtp_layers']} more predict further ahead; hidden {shape['hidden']}, {shape['heads']} heads of "
        f"{shape['head_dim']} ({shape['kv_heads']} for keys); {shape['experts']} experts of {shape['expert_ffn']}, "
        f"{shape['experts_per_token']} per token; vocabulary {shape['vocab_size']:,}\n",
        highlight=False,
    )
    console.print(_parameters(console, parameters), "")
    console.print(_flops(console, said["flops_per_token"]))
    console.print("A multiplication with its addition is 2; causal attention counts half the square of scores.\n")
    console.print(
        f"Key-value cache: {cache['bytes_per_token']:,} bytes per token in bf16, {_gb(cache['bytes'])} at {cache['tokens']:,} tokens.",
        highlight=False,
    )
    if "layout" in said:
        _show_memory(console, said["layout"], said["memory"])


def _parameters(console: Console, parameters: dict[str, Any]) -> Table:
    table = _table(console, "Parameters", "part", "total", "active", "share")

    def add(name: str, count: int, active: int, share: str = "") -> None:
        table.add_row(name, f"{count:,}", f"{active:,}", share)

    for name, part in parameters["parts"].items():
        if name == "mtp":
            without = parameters["without_mtp"]
            add("[bold]without MTP[/]", without["total"], without["active"])
        if name == "word_embeddings":
            add("[bold]with MTP[/]", parameters["total"], parameters["active"])
        add(PARTS[name], part["total"], part["active"], f"{100 * part['total'] / parameters['total']:.2f} %")
    return table


def _flops(console: Console, flops: dict[str, Any]) -> Table:
    total = flops["forward"]["total"]
    title = f"FLOPs per token in rows of {flops['seq_len']:,} tokens"
    table = _table(console, title, "part", "forward", "training", "share")
    for name, forward in flops["forward"].items():
        label = "[bold]all[/]" if name == "total" else PARTS[name]
        table.add_row(label, si(forward), si(3 * forward), f"{100 * forward / total:.1f} %")
    without = flops["training_without_mtp"]
    table.add_row("[bold]all without MTP[/]", si(without / 3), si(without), f"{100 * without / 3 / total:.1f} %")
    return table


def _show_memory(console: Console, layout: dict[str, Any], memory: dict[str, Any]) -> None:
    sizes = ", ".join(f"{name} {layout[name]}" for name in ("tensor", "pipeline", "context", "data", "expert"))
    head = "" if layout["head"] == layout["optimizer"] or layout["optimizer"] == "adamw" else f", head {layout['head']}"
    console.print(
        f"\n[bold]Layout[/]  {layout['gpus']} GPUs: {sizes}; {layout['experts_per_gpu']} experts per GPU, each expert on "
        f"{layout['expert_data']}; {layout['positions']:,} positions at once, {layout['precision']}, "
        f"recompute {layout['recompute']}, {layout['optimizer']}{head}\n",
        highlight=False,
    )
    columns = (
        "stage",
        "layers",
        "work",
        "parameters",
        "weights",
        "gradients",
        "optimiser",
        "activations",
        "step",
        "total",
    )
    table = _table(console, "GB on the fullest GPU of every pipeline stage", *columns)
    for number, stage in enumerate(memory["stages"]):
        is_worst = number == memory["worst_stage"]
        table.add_row(
            str(number),
            str(stage["layers"]),
            f"{stage['work']:.2f}",
            si(stage["parameters"]),
            *(f"{stage[name] / 1e9:.1f}" for name in ("weights", "gradients", "optimizer")),
            f"{(stage['activations'] + stage['going_back']) / 1e9:.1f}",
            f"{stage['step'] / 1e9:.1f}",
            f"{stage['total'] / 1e9:.1f}",
            style="bold" if is_worst else None,
        )
    console.print(table, "")
    needed, there, reserve = memory["bytes"], memory["gpu_memory_bytes"], memory["stages"][0]["reserve"]
    verdict = "[green]fits[/]" if memory["fits"] else "[red]does not fit[/]"
    console.print(
        f"{verdict}: stage {memory['worst_stage']} needs {_gb(needed)} of {_gb(there)}. Activations and the optimiser's step are "
        f"never there together: the greater counts. Estimated: {_gb(reserve)} in every total for CUDA and NCCL; the step; and within "
        "the activations what the way back through one layer needs. Work is a stage's share against the mean: the slowest sets the pace.",
        highlight=False,
    )
    written = memory["checkpoint_bytes"]
    console.print(
        f"\nA checkpoint has {_gb(written)}; until it is written the host of each GPU holds {_gb(written / layout['gpus'])} of it.",
        highlight=False,
    )


def _gb(num_bytes: float) -> str:
    return f"{num_bytes / 1e12:.3g} TB" if num_bytes >= 1e12 else f"{num_bytes / 1e9:.3g} GB"
