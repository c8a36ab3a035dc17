"""Decontamination: documents that hold an item of a benchmark are dropped, or the item is cut out of them.

The items are the documents of a reference corpus; `ngram_index` finds them. The rule is not "any shared 13-gram" (Brown et al.
2020, appendix C), it differs in three points:

- All numbers are alike, and neighbouring ones are one (`1,000`, `3.14`, `2 / 3`): GSM8K with one number changed is still GSM8K.
- Enough is a share of the item's n-grams (`min_share`), or a run that speaks for itself however long the item is (`enough_matches`).
- What more than `max_items` items of one benchmark have in common is its boilerplate, and counts for none of them.

Words are compared in lower case, without punctuation and in Unicode's composed form: line breaks, quotes, dollars of LaTeX and comment
signs do not matter. Of 623 GSM8K items with one number changed all are found (by the plain 13-gram 99.0 %), of 2,000 GSM8K training
problems one is taken for a test item (it is one with other numbers), of 4,000 pieces of the standard library none. The index takes 14 to
17 bytes per n-gram; some 11,000 documents of 2 kB pass per CPU second. `python -m curation.bench decontaminate` prints these.

An item of fewer than `ngram` words must be there as a whole and with its own numbers, by its runs of `short_ngram` words; one with fewer
than those is not looked for, and counted. Not covered: paraphrases, translations, items as pictures or in tables read by column.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curation.decontamination import ngram_index
from curation.decontamination.ngram_index import Index, Kind
from curation.edits import Edit, moved, replaced
from curation.reasons import mark
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import LOSS_SPANS, LOSS_SPANS_TYPE, with_column

VERDICT = pa.schema(  # one row
    [
        ("hashes", pa.large_list(pa.uint64())),  # these four: `ngram_index.Index`
        ("items", pa.large_list(pa.uint32())),
        ("filter", pa.large_list(pa.uint8())),
        ("needed", pa.large_list(pa.uint32())),
        ("ngrams", pa.large_list(pa.int64())),  # these two: `ngram_index.Kind`, those that occur
        ("masked", pa.large_list(pa.bool_())),
        ("names", pa.large_list(pa.large_string())),  # by item: its origin
        ("benchmarks", pa.large_list(pa.large_string())),
    ]
)
MAX_NAMED = 10  # items that the `meta` of one document names
JOINT = "\n\n"  # between the pieces that are left of a document


def merge(
    tables: Sequence[pa.Table],
    *,
    reference: pa.Table | None = None,
    ngram: int = 13,
    short_ngram: int = 8,
    min_share: float = 0.3,
    enough_matches: int = 30,
    max_items: int = 10,
    mask_numbers: bool = True,
) -> pa.Table:
    """The index of the reference: one row (`VERDICT`). `tables` is empty: nothing is learned from the corpus itself.

    `reference`: columns id, text, and origin, whose file is the benchmark. A document holds an item when it has `min_share` of its
    different n-grams, or `enough_matches`. The schema's metadata counts items, those too short, those with nothing of their own, and
    n-grams. Raises StepError when nothing can be looked for. The order of the reference does not matter.
    """
    if reference is None:
        raise ValueError("no reference: name a corpus of benchmark items, e.g. `reference: evals`")
    names, benchmarks, texts = _items(reference)
    long = ngram_index.entries(texts, Kind(ngram, mask_numbers))
    is_long_I = np.bincount(long[1], minlength=len(texts)) > 0
    rest = ["" if is_long else text for is_long, text in zip(is_long_I, texts, strict=True)]
    short = ngram_index.entries(rest, Kind(short_ngram, False))
    hash_E, item_E = (np.concatenate(pair) for pair in zip(long, short, strict=True))
    num_indexed = len(np.unique(item_E))
    own_E = _is_own(hash_E, np.unique(benchmarks, return_inverse=True)[1][item_E], max_items)
    hash_E, item_E = hash_E[own_E], item_E[own_E]
    if not len(hash_E):
        raise StepError(
            f"none of the {len(texts)} items of the reference can be looked for ({len(texts) - num_indexed} have "
            f"fewer than {short_ngram} words): check that its reader names the right `text_key`, or lower short_ngram"
        )
    count_I = np.bincount(item_E, minlength=len(texts))
    share_I = np.minimum(np.ceil(min_share * count_I), enough_matches)
    order = np.lexsort((item_E, hash_E))
    kinds = [Kind(ngram, mask_numbers)] * any(is_long_I) + [Kind(short_ngram, False)] * bool(len(short[0]))
    columns = {
        "hashes": hash_E[order],
        "items": item_E[order].astype(np.uint32),
        "filter": ngram_index.filter_of(hash_E),
        "needed": np.maximum(np.where(is_long_I, share_I, count_I), 1).astype(np.uint32),
        "ngrams": [kind.n for kind in kinds],
        "masked": [kind.mask_numbers for kind in kinds],
        "names": names,
        "benchmarks": benchmarks,
    }
    counts = {"items": len(texts), "too_short": len(texts) - num_indexed, "ngrams": len(hash_E)}
    counts["nothing_of_their_own"] = num_indexed - int(np.count_nonzero(count_I))
    table = pa.table([pa.array([columns[field.name]], field.type) for field in VERDICT], schema=VERDICT)
    return table.replace_schema_metadata({COUNTS: json.dumps(counts)})


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    action: str = "drop",
    margin: int = 200,
    min_chars: int = 200,
    max_pieces: int = 10,
) -> pa.Table:
    """Sets `decontaminate.<benchmark>` on documents that hold an item, and names up to ten items in `meta` (`contaminated`).

    The benchmark is that of the item with most n-grams in the document. With `action: cut` those n-grams go, with `margin` characters on
    either side, and the pieces of at least `min_chars` characters stay, joined by a blank line; a document of which none is left, or more
    than `max_pieces`, is dropped all the same (the numbers: Brown et al. 2020, appendix C). `loss_spans` move along.
    """
    texts = [ngram_index.composed(text or "") for text in docs["text"].to_pylist()]
    lists = {name: verdict[name].combine_chunks().values for name in VERDICT.names}
    index = Index(*(lists[name].to_numpy() for name in ("hashes", "items", "filter", "needed")))
    kinds = list(map(Kind, lists["ngrams"].to_pylist(), lists["masked"].to_pylist()))
    found = ngram_index.find(texts, index, kinds)
    reasons: list[str | None] = [None] * docs.num_rows
    named: dict[int, list[str]] = {}
    for doc, item in zip(found.text_H.tolist(), found.item_H.tolist(), strict=True):
        items = named.setdefault(doc, [])
        if len(items) < MAX_NAMED:
            items.append(lists["names"][item].as_py())
        reasons[doc] = reasons[doc] or f"decontaminate.{lists['benchmarks'][item]}"
    cuts = _cuts(texts, found, margin, min_chars, max_pieces) if action == "cut" else {}
    for doc in cuts:
        reasons[doc] = None
    return mark(_edited(docs, texts, named, cuts), pa.array(reasons, pa.string()))


def check(
    *,
    reference: str = "",
    ngram: int = 13,
    short_ngram: int = 8,
    min_share: float = 0.3,
    enough_matches: int = 30,
    max_items: int = 10,
    action: str = "drop",
    margin: int = 200,
    min_chars: int = 200,
    max_pieces: int = 10,
) -> None:
    """Raises ValueError for parameters out of range; `reference` is the name of a corpus here."""
    if not reference:
        raise ValueError("there is nothing to look for: name a corpus of benchmark items, e.g. `reference: evals`")
    if action not in ("drop", "cut"):
        raise ValueError(f"action is {action!r}: type drop, or cut to remove the items and keep the rest")
    if not 2 <= short_ngram <= ngram <= 50:
        raise ValueError(
            f"ngram {ngram} and short_ngram {short_ngram} must be 2..50, the short one not the longer: type 13 and 8"
        )
    if not 0 < min_share <= 1:
        raise ValueError(
            f"min_share is {min_share}, but it is a share: type a number above 0 and at most 1, such as 0.3"
        )
    if min(enough_matches, max_items, max_pieces) < 1:
        raise ValueError(
            f"enough_matches {enough_matches}, max_items {max_items} and max_pieces {max_pieces} must be at least 1: type 30, 10 and 10"
        )
    if min(margin, min_chars) < 0:
        raise ValueError(f"margin {margin} and min_chars {min_chars} are characters: type 200, or 0 for none")


DECONTAMINATE = CorpusStep(None, None, merge, apply, check, reference_documents=None)


def benchmark_of(origin: str) -> str:
    """The file of an origin such as `evals/gsm8k_test.jsonl.gz#1234`, without its folder and endings: `gsm8k_test`."""
    file = origin.partition("#")[0].rstrip("/").rpartition("/")[2]
    return file.partition(".")[0] or file or "reference"


def _items(reference: pa.Table) -> tuple[list[str], list[str], list[str]]:
    """(names, benchmarks, texts) in an order that depends on nothing else."""
    ids, texts = reference["id"].to_pylist(), reference["text"].to_pylist()
    if "origin" in reference.column_names:
        names = [origin or name for origin, name in zip(reference["origin"].to_pylist(), ids, strict=True)]
        benchmarks = list(map(benchmark_of, names))
    else:
        names, benchmarks = ids, ["reference"] * len(ids)
    rows = sorted(zip(benchmarks, names, map(ngram_index.composed, (text or "" for text in texts)), strict=True))
    return [name for _, name, _ in rows], [benchmark for benchmark, _, _ in rows], [text for _, _, text in rows]


def _is_own(hash_E: np.ndarray, benchmark_E: np.ndarray, max_items: int) -> np.ndarray:
    """bool (E,): n-grams that at most `max_items` items of the same benchmark have."""
    order, starts = ngram_index.equal_pairs(benchmark_E, hash_E)
    counts = np.diff(np.append(starts, len(order)))
    own_E = np.empty(len(order), bool)
    own_E[order] = np.repeat(counts <= max_items, counts)
    return own_E


def _cuts(
    texts: Sequence[str], found: ngram_index.Matches, margin: int, min_chars: int, max_pieces: int
) -> dict[int, list[Edit]]:
    """What is removed from each document that can be kept."""
    cuts: dict[int, list[Edit]] = {}
    order = np.lexsort((found.start_G, found.text_G))
    starts = np.flatnonzero(np.diff(found.text_G[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if not len(rows):
            continue
        doc = int(found.text_G[rows[0]])
        text = texts[doc]
        gaps, place = [], 0
        for start, end in zip(found.start_G[rows].tolist(), found.end_G[rows].tolist(), strict=True):
            gaps.append((place, start - margin))
            place = max(place, end + margin)
        whole = [_whole_words(text, start, end) for start, end in [*gaps, (place, len(text))] if start < end]
        kept = [(start, end) for start, end in whole if end - start >= max(1, min_chars)]
        if kept and len(kept) <= max_pieces:
            cuts[doc] = _removals(kept, len(text))
    return cuts


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without the words that its borders cut through, and without white space there; borders of the text are none."""
    while 0 < start < end and not text[start - 1].isspace():
        start += 1
    while start < end < len(text) and not text[end].isspace():
        end -= 1
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip()) if start else 0
    right = len(piece) - len(piece.rstrip()) if end < len(text) else 0
    return start + left, max(start + left, end - right)


def _removals(kept: Sequence[tuple[int, int]], num_chars: int) -> list[Edit]:
    """Edits that leave the ranges `kept`."""
    ends = [0, *(end for _, end in kept)]
    starts = [*(start for start, _ in kept), num_chars]
    last = len(kept)
    return [
        Edit(end, start, "" if place in (0, last) else JOINT)
        for place, (end, start) in enumerate(zip(ends, starts, strict=True))
        if end < start
    ]


def _edited(
    docs: pa.Table, texts: Sequence[str], named: Mapping[int, list[str]], cuts: Mapping[int, Sequence[Edit]]
) -> pa.Table:
    """The documents with items named in `meta` and edits made."""
    if named:
        metas: list[Any] = docs["meta"].to_pylist()
        for doc, items in named.items():
            metas[doc] = json.dumps({**json.loads(metas[doc] or "{}"), "contaminated": items})
        docs = with_column(docs, "meta", pa.array(metas, pa.string()))
    if not cuts:
        return docs
    before = docs["text"].to_pylist()
    after = [replaced(texts[doc], cuts[doc]) if doc in cuts else text for doc, text in enumerate(before)]
    if LOSS_SPANS in docs.column_names:
        spans = docs[LOSS_SPANS].to_pylist()
        for doc, edits in cuts.items():
            spans[doc] = None if spans[doc] is None else moved(_composed_spans(spans[doc], before[doc]), edits)
        docs = with_column(docs, LOSS_SPANS, pa.array(spans, LOSS_SPANS_TYPE))
    return with_column(docs, "text", pa.array(after, pa.large_string()))


def _composed_spans(spans: Sequence[Mapping[str, int]], text: str) -> list[dict[str, int]]:
    """Spans of a text in its composed form."""

    def place(index: int) -> int:
        return len(ngram_index.composed(text[:index]))

    borders = [(place(span["start"]), place(span["start"] + span["length"])) for span in spans]
    return [{"start": start, "length": end - start} for start, end in borders]
