"""Rephrased documents: by a teacher in the styles of Nemotron-CC, or without one in the words of their source.

A row is a plain document of its source's kind, learned whole: pre-training data, as in Nemotron-CC (arXiv 2412.02595, section 3.4), not a
conversation. `emit` sends whole documents to their receivers; passages are cut there, because each style wants its own length. Which
documents get which styles is said by their bucket or score: the paper has pages of low quality rewritten (`low_styles`), and from those of
high quality new things made (`styles`).

A receiver holds its documents and their facts, and asks a teacher about at most `WAVE` candidates at a time. Left out without a word are
documents shorter than `min_chars` and those of kinds that are conversations; what lies behind `max_scan_chars` is not looked at.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import xxhash

from curation.steps import StepError
from datapipe.schema import DOCUMENT
from datapipe.tokenize import RENDERED_KINDS
from synth.candidates import Source
from synth.generators import Generator
from synth.rephrase import extracted, taught
from synth.rephrase.styles import HIGH, LOW, STYLES
from synth.rows import Made, Parent, documents
from synth.wording import source_title

if TYPE_CHECKING:
    from synth.teacher import Crew

WAVE = 256
NAME = "rephrase"
SENT = pa.schema(
    [
        ("key", pa.uint64()),  # hash of the document's id
        *(DOCUMENT.field(name) for name in ("id", "text", "origin", "kind", "license")),
        ("sha", pa.string()),  # of the whole text
        ("title", pa.string()),
        ("is_low", pa.bool_()),
    ]
)


def check(
    *,
    by: str = "",
    low: Sequence[str] = (),
    below: float = 12.0,
    styles: Sequence[str] = (),
    low_styles: Sequence[str] = (),
    min_chars: int = 400,
    max_scan_chars: int = 1_000_000,
    accept: int = 0,
) -> None:
    """Raises ValueError for parameters that cannot be meant."""
    known = {*STYLES, *extracted.STYLES}
    for name, given in (("styles", styles), ("low_styles", low_styles)):
        if isinstance(given, str):
            raise ValueError(f"{name} is the text {given!r}, but it is a list: type [{given}]")
        if unknown := [style for style in given if style not in known]:
            raise ValueError(
                f"{name} has {unknown[0]!r}: with a teacher there are {', '.join(STYLES)}; without one {', '.join(extracted.STYLES)}"
            )
    if isinstance(low, str):
        raise ValueError(f"low is the text {low!r}, but it is a list of buckets: type [{low}]")
    if low and not by:
        raise ValueError(f"low names buckets ({', '.join(low)}), but not where they stand: type by: bucket")
    for name, value, least in (
        ("min_chars", min_chars, 1),
        ("max_scan_chars", max_scan_chars, min_chars),
        ("accept", accept, 0),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}, below {least}: type {max(least, 400)}")


def emit(
    docs: pa.Table,
    *,
    by: str = "",
    low: Sequence[str] = ("low", "lowest"),
    below: float = 12.0,
    min_chars: int = 400,
    max_scan_chars: int = 1_000_000,
) -> pa.Table:
    """The documents that can be rephrased, each with what it is to be known by.

    by      the column that says how good a document is; "" when all are good
    low     if that holds buckets: which of them are of low quality
    below   if it holds numbers: those below this are. 12 of 20 ranks is where NVIDIA's recipe for Nemotron-CC draws the line
    """
    if by and by not in docs.column_names:
        raise StepError(
            f"the documents have no column {by!r}: name one of {', '.join(docs.column_names)}, or leave out `by`"
        )
    quality = docs[by].to_pylist() if by else [None] * docs.num_rows
    sent = []
    columns = ("id", "text", "origin", "kind", "license", "meta")
    for row, how_good in zip(docs.select(columns).to_pylist(), quality, strict=True):
        text = row["text"] or ""
        if len(text) < min_chars or row["kind"] in RENDERED_KINDS:
            continue
        seen = text[:max_scan_chars]
        title = source_title(row["origin"], row["kind"], seen, row.pop("meta"))
        sent.append(
            {
                **row,
                "text": seen,
                "key": xxhash.xxh3_64_intdigest(row["id"].encode()),
                "sha": Parent.of(row["id"], text, None).sha,
                "title": title,
                "is_low": how_good in low if isinstance(how_good, str) else how_good is not None and how_good < below,
            }
        )
    return pa.Table.from_pylist(sent, schema=SENT)


def reduce(
    rows: pa.Table,
    *,
    seed: int = 0,
    styles: Sequence[str] = (),
    low_styles: Sequence[str] = (),
    accept: int = 0,
    teacher: "Crew | None" = None,
) -> pa.Table:
    """Documents in the styles that are asked for, sorted by id; rejected ones carry a reason.

    styles, low_styles   of good documents and of those of low quality; empty: with a teacher those of Nemotron-CC (`styles.HIGH`, `LOW`),
                         without one all of `extracted.STYLES`
    accept               so many rows at most from this receiver, 0: all
    """
    by_id = {row["id"]: row for row in rows.select([name for name in SENT.names if name != "key"]).to_pylist()}
    given = [by_id[id] for id in sorted(by_id)]
    sources = [
        Source(row["id"], row["text"], row["origin"], row["kind"], row["title"], row["license"], None) for row in given
    ]
    parents = {row["id"]: Parent(row["id"], row["sha"], row["license"]) for row in given}
    is_low = {row["id"]: row["is_low"] for row in given}
    good, bad = (
        (styles or HIGH, low_styles or LOW) if teacher else (styles or extracted.STYLES, low_styles or extracted.STYLES)
    )
    known = STYLES if teacher else extracted.STYLES
    wanted = {id: [style for style in (bad if low else good) if style in known] for id, low in is_low.items()}
    if teacher:
        made = _taught(sources, parents, wanted, seed, accept, teacher)
    else:
        made = ([row] for row in extracted.rows(Made(NAME, seed), sources, parents, wanted))
    return documents(_accepted(made, accept))


def _taught(
    sources: Sequence[Source],
    parents: Mapping[str, Parent],
    styles: Mapping[str, Sequence[str]],
    seed: int,
    accept: int,
    teacher: "Crew",
) -> Iterator[list[dict[str, Any]]]:
    """Rows of one candidate after the other. No more of them are asked about at once than may still be accepted."""
    waiting = iter(taught.candidates(sources, styles, seed=seed))
    left = accept
    while wave := list(itertools.islice(waiting, min(WAVE, left) if accept else WAVE)):
        given = teacher.run([functools.partial(taught.ask, candidate=candidate) for candidate in wave])
        for candidate, answers in zip(wave, given, strict=True):
            about = {"model": teacher.model, "prompt": taught.prompt_hash(candidate.style)}
            made = Made(NAME, seed, author=teacher.model, teacher=about)
            rows = list(taught.rows(made, candidate, answers, parents[candidate.source.id]))
            left -= sum(row["drop_reason"] is None for row in rows)
            yield rows


def _accepted(made: Iterator[list[dict[str, Any]]], accept: int) -> Iterator[dict[str, Any]]:
    """All rows up to the one that makes their number full."""
    count = 0
    for rows in made:
        yield from rows
        count += sum(row["drop_reason"] is None for row in rows)
        if accept and count >= accept:
            return


REPHRASE = Generator(emit, reduce, check)
