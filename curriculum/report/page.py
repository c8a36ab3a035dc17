"""Put the page together: gather, lay out, render, write.

One file with everything inlined; a content security policy forbids every request and every script but ours (by its hash), so that a text
from the web that slipped through the escaping could still do nothing. The page holds no clock: the same build gives the same bytes,
but for the seconds in the log.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from curation.quality.effective import MANY_EPOCHS
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from curriculum.report import formatting
from curriculum.report.areas import mixture_chart
from curriculum.report.bars import Bar, Histogram, histogram, stacked
from curriculum.report.corpora import corpus_view
from curriculum.report.data import Lock, ReportError, ShardSet, read_curated, read_lock, read_plan
from curriculum.report.metrics import Run, read_run
from curriculum.report.mixture import SourceMix, StageMix, mixture, repeats
from curriculum.report.notes import notes
from curriculum.report.palette import Palette, palette
from curriculum.report.rejects import Reject, read_rejects
from curriculum.report.synthetic import Synthetic, read_synthetic
from curriculum.report.timeline import timeline, token_spans
from curriculum.report.training import (
    load_chart,
    loss_chart,
    loss_table,
    smooth_bins,
    source_charts,
    stage_times,
    step_spans,
    wait_chart,
)
from datapipe import store

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Fill:
    """Shard sets that are packed alike, together."""

    packing: str
    seq_len: int
    sets: tuple[ShardSet, ...]

    def sum(self, name: str) -> int:
        return sum(getattr(shards, name) for shards in self.sets)

    @property
    def lengths(self) -> list[tuple[str, Histogram]]:
        """Where the tokens lie by length: before packing, and in the rows."""
        edges = self.sets[0].lengths.edges
        before = [sum(counts) for counts in zip(*(shards.lengths.documents for shards in self.sets), strict=True)]
        after = [sum(counts) for counts in zip(*(shards.lengths.pieces for shards in self.sets), strict=True)]
        return [
            (
                f"by length of {what}",
                histogram(f"tokens by length of {what}", edges, counts, [self.seq_len], what="tokens", beside=beside),
            )
            for what, counts, beside in (("document", before, after), ("piece in a row", after, before))
        ]

    @property
    def fill(self) -> float | None:
        """Share of the positions that hold a document's token."""
        return fill(self.sum("tokens"), self.sum("padding"))


def write_report(root: str, out: str | None = None) -> str:
    """Write the report on the build, or on what `curate` left, at `root` (a folder or s3:// prefix).

    Returns its path, `<root>/report/index.html` or `out`. What is missing (no plan yet, no training yet) is said in the page.
    Raises ReportError where there is nothing at all.
    """
    lock, plan, run = read_lock(root), read_plan(root), read_run(root)
    if plan is None and run is None:
        lock = lock or read_curated(root)
    if lock is None and plan is None and run is None:
        raise ReportError(
            f"{root}: no lock.json, plan.json, metrics.jsonl or curated.json: give the folder of a build, or run `tokenloom build` first"
        )
    path = out or store.join(root, "report", "index.html")
    rejects, synthetic = (read_rejects(root, lock), read_synthetic(root, lock)) if lock else ([], [])
    store.write_bytes(path, render(lock, plan, run, rejects, synthetic).encode())
    return path


def render(
    lock: Lock | None, plan: Plan | None, run: Run | None, rejects: list[Reject], synthetic: Sequence[Synthetic] = ()
) -> str:
    """The page as HTML text."""
    style, script = (FOLDER / "style.css").read_text(), (FOLDER / "page.js").read_text()
    colours = palette(lock, plan, run.sources if run else [])
    mixes = mixture(plan, run, lock) if plan else []
    rows = repeats(mixes, lock)
    spans = step_spans(plan, run) if run else []
    identity = lock or plan
    return _template().render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        lock=lock,
        plan=plan,
        run=run,
        tone=colours.corpus,
        identity=identity,
        tokenizer=identity.tokenizer if identity else {},
        parameters=ModelShape(**plan.model).parameters() if plan else None,
        corpora=[corpus_view(corpus, _seq_lens(lock, plan)) for corpus in lock.corpora] if lock else [],
        mixes=[(mix, _bars(mix, colours)) for mix in mixes],
        repeats=rows,
        mix_corpora=[name for name in colours.corpora if any(s.corpus == name for mix in mixes for s in mix.sources)],
        many_epochs=MANY_EPOCHS,
        fills=_fills(lock) if lock else [],
        stages=[(span.number, span.name) for span in spans] or [(mix.number, mix.stage.name) for mix in mixes],
        shares=mixture_chart(plan, lock, run, colours, token_spans(plan)) if plan else None,
        timeline=timeline(plan, run) if plan else [],
        loss=loss_chart(run, spans) if run else None,
        losses=source_charts(run, spans, colours) if run else [],
        smooth_steps=smooth_bins(run) * run.stride if run else 0,
        loss_table=loss_table(run, colours) if run else [],
        health=[load_chart(run, spans), wait_chart(run, spans)] if run else [],
        times=stage_times(run) if run else [],
        rejects=rejects,
        synthetic=synthetic,
        dropped=sum(step.dropped for corpus in lock.corpora for step in corpus.steps) if lock else 0,
        notes=notes(lock, plan, run, rows),
    )


def fill(tokens: int, padding: int) -> float | None:
    """Share of positions that hold a token."""
    return tokens / (tokens + padding) if tokens + padding else None


def _bars(mix: StageMix, colours: Palette) -> list[Bar]:
    """Planned (also at both ends, where the shares change on the way), built and consumed, each filling the width."""

    def bar(kind: str, note: str) -> Bar:
        return stacked(kind, note, [_part(source, kind, colours) for source in mix.sources])

    if mix.stage.is_open:
        return []
    total = formatting.compact
    bars = [bar("planned", f"{total(mix.planned)} tokens")]
    if mix.changes:
        bars += [bar("begin", "share of tokens"), bar("end", "share of tokens")]
    if mix.built is not None:
        bars.append(bar("built", f"{total(mix.built)} tokens"))
    if mix.started:
        bars.append(bar("consumed", f"{total(mix.consumed)} learned"))
    return bars


def _part(source: SourceMix, kind: str, colours: Palette) -> tuple[str, str, float, str]:
    share = getattr(source, f"{kind}_share")
    if kind in ("begin", "end"):
        amount, tip = share, f"{source.name}: {formatting.percent(share)} at the {kind}"
    else:
        amount = getattr(source, kind)
        tip = f"{source.name}: {formatting.compact(amount)} tokens {kind}, {formatting.percent(share)}"
    return source.name, colours.source(source.name), amount, tip


def _fills(lock: Lock) -> list[Fill]:
    kinds = sorted({(shards.seq_len, shards.packing) for shards in lock.shards})
    return [
        Fill(packing, seq_len, tuple(s for s in lock.shards if (s.seq_len, s.packing) == (seq_len, packing)))
        for seq_len, packing in kinds
    ]


def _seq_lens(lock: Lock | None, plan: Plan | None) -> list[int]:
    lengths = {shards.seq_len for shards in lock.shards} if lock else set()
    return sorted(lengths | {stage.seq_len for stage in (plan.stages if plan else ())})


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {name: getattr(formatting, name) for name in formatting.FILTERS}
    environment.filters.update(filters, fill=fill)
    return environment.get_template("page.html")
