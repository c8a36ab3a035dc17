"""Rounds of recall: pages like those that are known to be about a subject, then the sites where many such pages lie, and again.

The method of DeepSeekMath (Shao et al. 2024, section 2.1): a fastText classifier learns to tell a seed from random pages, the corpus is
ranked by it and the top is taken; sites of which more than 10 % was taken are about the subject, their other pages join the seed, the
classifier learns anew; the rounds end when 98 % of what one finds was known. A manifest names one `recall.round` after the other, numbered
from 1, and then `filter.recalled`. A round is one pass: it counts sites and draws examples in the same exchange, so the sites of round 1
are opened in round 2 (a last round finds no new sites). People choose among a site's paths there; here `folder_share` does
(`curation.recall.places`).

What differs from the paper besides:

- Half of the drawn pages is learned from by one classifier, half by another, and each page is judged by the one that did not see it. A page
  that is wanted and not yet found is a negative to its own classifier, and would be scored as one.
- The top of the ranking is cut where the drawn pages say that `share` of the characters lies above; for 20,000 pages and a share of 0.02
  that is off by 5 % (one standard deviation). No worker holds a score per page.
- Words and n-grams lie in hashed slots (`curation.quality.reference`): the paper's least count of 3 has no counterpart.
- 20,000 examples of a kind by default; the paper has 500,000. The seed is cut to 20,000 documents by the engine.

On real text (a seed of 150 problems of algebra; 3,022 pages of other problems, sums and a manual of numerics among 5,133 of news,
articles and manuals; half of the former and a third of the latter in forums of both; share 0.3, 16 dimensions) the rounds have a recall of
0.65, 0.92, 0.99, 0.99, then end, and a precision of 1.00, 0.96, 0.95, 0.95. Without addresses: 0.61 to 0.80 in five, at 0.99. The first
classifier alone has 0.94 at 0.90 when it may take as many pages as the rounds find.

What a round learned from, what it found and how much that is of all stands in the report.

Costs per round with 3,000 examples of 140 words to a classifier: 20 s of CPU at 16 dimensions, 85 s at 256, most of it for the starting
vectors of 300,000 slots; 16 find as much, for a classifier of two classes is linear in its slots. Scoring: 20,000 pages of 900 characters
per CPU second.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw
from curation.quality import reference as classifier
from curation.recall import places
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

RECALLED = "recalled"  # int32: the round that found a page, 0 for none
SCORE = "recall"  # float32: P(about the subject), of the last round that ran
EXAMPLES_TOLD = 10  # new folders, in the report
_SEED = pa.schema([("id", pa.string()), ("text", pa.large_string())])
_TOTAL = pa.schema([("round", pa.int32()), ("pages", pa.int64()), ("chars", pa.int64())])
_ROW = pa.schema(
    [
        ("key", pa.uint64()),
        ("draw", pa.uint64()),  # of an example; null in the other two kinds of row
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("folder", pa.string()),  # of an example, or counted
        ("hits", pa.int64()),  # of a counted folder
        ("round", pa.int32()),  # that found the example, or all these pages
        ("pages", pa.int64()),
        ("chars", pa.int64()),
    ]
)
VERDICT = pa.schema(
    [
        ("weights", pa.list_(pa.float32())),  # a row per half; none when the round does nothing
        ("cut", pa.float64()),  # the least score that is recalled
        ("folders", pa.list_(pa.string())),
    ]
)


def emit(docs: pa.Table, *, sample: float = 1.0, max_chars: int = 4_000, seed: int = 0) -> pa.Table:
    """Examples, pages and hits per folder, and totals per round (`_ROW`).

    `sample` is the share of the documents that become candidates: lower it for a corpus of many millions, of which `merge` then still
    sees more than twice `max_examples`.
    """
    found_D = round_of(docs)
    chars_D = pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()
    chosen, keys, draws = draw.candidates(docs["id"], sample, seed)
    rows = docs.select(["id", "text", "origin"]).take(chosen)
    drawn = {
        "key": keys,
        "draw": draws,
        "id": rows["id"],
        "text": pc.utf8_slice_codeunits(rows["text"], 0, max_chars),
        "folder": pa.array(map(places.folder_of, rows["origin"].to_pylist()), pa.string()),
        "round": found_D[chosen.to_numpy()],
        "chars": chars_D[chosen.to_numpy()],
    }
    counted = (
        places.counted(docs["origin"].to_pylist(), found_D > 0)
        if RECALLED in docs.column_names
        else places.PLACES.empty_table()
    )
    rounds, round_D = np.unique(found_D, return_inverse=True)
    totals = {
        "key": np.zeros(len(rounds), np.uint64),
        "round": rounds,
        "pages": np.bincount(round_D, minlength=len(rounds)),
        "chars": np.bincount(round_D, chars_D, len(rounds)).astype(np.int64),
    }
    counted_columns = {name: counted[name] for name in places.PLACES.names}
    return pa.concat_tables([_rows(drawn), _rows(counted_columns), _rows(totals)])


def reduce(
    rows: pa.Table,
    *,
    site_share: float = 0.1,
    folder_share: float = 0.5,
    min_pages: int = 5,
    max_examples: int = 20_000,
) -> pa.Table:
    """Of every kind of example the smallest draws, the folders that are hit, the totals added up.

    A folder is hit when more than `site_share` of the pages of its site were recalled, and more than `folder_share` of its own, which
    are at least `min_pages`.
    """
    examples, folders, totals = _kinds(rows)
    opened = places.hit(folders, site_share=site_share, folder_share=folder_share, min_pages=min_pages)
    kept = [draw.smallest(kind, max_examples) for kind in _groups(examples)]
    return pa.concat_tables([*kept, _rows({name: opened[name] for name in places.PLACES.names}), _rows(_added(totals))])


def merge(
    tables: Sequence[pa.Table],
    *,
    reference: pa.Table | None = None,
    round: int = 1,
    share: float = 0.02,
    min_score: float = 0.5,
    min_yield: float = 0.02,
    ngram: int = 3,
    dim: int = 256,
    buckets: int = 100_000,
    epochs: int = 3,
    lr: float = 0.1,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    min_auc: float = classifier.MIN_AUC,
    seed: int = 0,
) -> pa.Table:
    """Trains two classifiers and finds the cut (`VERDICT`). Positives: `reference`, what was recalled, pages of folders that are hit.

    `share`: of the characters of the corpus, those already recalled among them, the top that is recalled where its score is at least
    `min_score`. Of `max_examples` positives and as many negatives each classifier learns. A round after one that yielded less than
    `min_yield`, its share of all that was recalled, does nothing. The other parameters are those of `score.quality`.
    Raises StepError when seed and corpus cannot be told apart, or when rounds are out of order.
    """
    examples, folders, totals = _kinds(pa.concat_tables([_ROW.empty_table(), *tables]))
    examples = pa.concat_tables([draw.smallest(kind, max_examples) for kind in _groups(examples)])
    found = {row["round"]: row for row in pa.table(_added(totals)).to_pylist()}
    if found and max(found) >= round:
        raise StepError(
            f"the corpus has been through round {max(found)} of recall, and this is round {round}: number the rounds 1, 2, 3"
        )
    told: dict[str, Any] = {"round": round, "min_yield": min_yield}
    before = {number: row["pages"] for number, row in sorted(found.items()) if number}
    if round > 1:
        told["recalled_before"] = {str(number): pages for number, pages in before.items()}
        told["chars_before"] = sum(row["chars"] for number, row in found.items() if number)
        told["yield_before"] = before.get(round - 1, 0) / max(1, sum(before.values()))
        if told["yield_before"] < min_yield:
            told["ended"] = f"round {round - 1} yielded less than {min_yield:g}: this round does nothing"
            return _verdict([], 0.0, [], told)
    if before and 0 not in found:
        told["ended"] = "every page has been recalled: this round does nothing"
        return _verdict([], 0.0, [], told)
    hit = places.most_hits(folders)
    opened = hit["folder"].to_pylist()
    new = hit.filter(pc.less(hit["hits"], hit["pages"]))["folder"].to_pylist()  # of the others every page is recalled
    told |= {"sites": _sites(opened), "folders": len(opened)}
    told |= {"new_sites": _sites(new), "new_folders": len(new), "such_as": new[:EXAMPLES_TOLD]}
    known = pc.or_(pc.greater(examples["round"], 0), pc.is_in(examples["folder"], pa.array(opened, pa.string())))
    options: dict[str, Any] = {"ngram": ngram, "buckets": buckets, "max_chars": max_chars}
    learning: dict[str, Any] = {
        "dim": dim,
        "epochs": epochs,
        "lr": lr,
        "max_examples": max_examples,
        "min_auc": min_auc,
        "seed": seed,
    }
    seeds = pa.table([[], []], schema=_SEED) if reference is None else reference.select(_SEED.names).cast(_SEED)
    models, reports = [], []
    for half in (0, 1):
        own = pa.array(_half(examples["draw"]) == half)
        good = pa.concat_tables([seeds, examples.filter(pc.and_(own, known)).select(["id", "text"])])
        rest = draw.smallest(examples.filter(pc.and_(own, pc.invert(known))).select(draw.SAMPLE.names), good.num_rows)
        models.append(classifier.merge([rest], reference=good, **options, **learning))
        reports.append(json.loads(models[-1].schema.metadata[COUNTS]))
    told |= {"halves": reports}
    weights = [model["weights"][0].values for model in models]
    cut = max(_cut(examples, _scores(examples, weights, seed, options), found, share), min_score)
    told["cut"] = cut
    return _verdict(weights, cut, opened, told)


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    round: int = 1,
    ngram: int = 3,
    buckets: int = 100_000,
    max_chars: int = 4_000,
    seed: int = 0,
) -> pa.Table:
    """Sets `recalled` of pages at or above the cut, or in a folder that is hit, to the round, where it is 0; and `recall`, the score."""
    found_D = round_of(docs)
    if not verdict.num_rows:
        return with_column(docs, RECALLED, pa.array(found_D, pa.int32()))
    weights = [row.values for row in verdict["weights"]]
    scores_D = _scores(docs, weights, seed, {"ngram": ngram, "buckets": buckets, "max_chars": max_chars})
    opened = frozenset(verdict["folders"][0].as_py())
    lies_there_D = np.array([places.folder_of(origin) in opened for origin in docs["origin"].to_pylist()], bool)
    chars_D = pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()
    is_like_D = (chars_D > 0) & (scores_D >= np.float32(verdict["cut"][0].as_py()))
    new_D = (found_D == 0) & (is_like_D | lies_there_D)
    docs = with_column(docs, RECALLED, pa.array(np.where(new_D, round, found_D), pa.int32()))
    docs = with_column(docs, SCORE, pa.array(scores_D, pa.float32()))
    counts = {
        "by_rank": int((new_D & is_like_D).sum()),
        "by_folder": int((new_D & ~is_like_D).sum()),
        "chars": int(chars_D[new_D].sum()),
    }
    return docs.replace_schema_metadata({COUNTS: json.dumps(counts).encode()})


def check(
    *,
    reference: str = "",
    round: int = 1,
    share: float = 0.02,
    min_score: float = 0.5,
    min_yield: float = 0.02,
    site_share: float = 0.1,
    folder_share: float = 0.5,
    min_pages: int = 5,
    sample: float = 1.0,
    ngram: int = 3,
    dim: int = 256,
    buckets: int = 100_000,
    epochs: int = 3,
    lr: float = 0.1,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    min_auc: float = classifier.MIN_AUC,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range; `reference` is the name of a corpus here."""
    if not reference:
        raise ValueError("recall starts from a corpus about the subject: name one, e.g. `reference: seed`")
    if round < 1:
        raise ValueError(f"round is {round}: number the rounds 1, 2, 3")
    shares = {"share": share, "min_score": min_score, "min_yield": min_yield}
    for name, value in {**shares, "site_share": site_share, "folder_share": folder_share}.items():
        if not 0 <= value <= 1 or (name == "share" and not value):
            raise ValueError(f"{name} is {value}, but it is a share: type a number from 0 to 1")
    if min_pages < 1:
        raise ValueError(f"min_pages is {min_pages}: type 1 or more, such as 5")
    draw.check_above_zero(ngram=ngram, dim=dim, buckets=buckets, epochs=epochs, lr=lr)
    classifier.check(
        reference=reference, sample=sample, max_chars=max_chars, max_examples=max_examples, min_auc=min_auc, seed=seed
    )


ROUND = CorpusStep(emit, reduce, merge, apply, check)


def round_of(docs: pa.Table) -> np.ndarray:
    """int32 (D,): the round that found each document, 0 for none."""
    if RECALLED not in docs.column_names:
        return np.zeros(docs.num_rows, np.int32)
    return pc.fill_null(docs[RECALLED], 0).to_numpy().astype(np.int32)


def _rows(columns: dict[str, Any]) -> pa.Table:
    """A table of `_ROW` with nulls in the columns that are not given."""
    size = len(columns["key"])
    return pa.table([columns.get(field.name, pa.nulls(size, field.type)) for field in _ROW], schema=_ROW)


def _kinds(rows: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Examples, counted folders (`places.PLACES`) and totals."""
    is_example, is_folder = pc.is_valid(rows["draw"]), pc.is_valid(rows["hits"])
    folders = rows.filter(is_folder).select(places.PLACES.names)
    return rows.filter(is_example), folders, rows.filter(pc.invert(pc.or_(is_example, is_folder)))


def _groups(examples: pa.Table) -> list[pa.Table]:
    """Found and not found, of either half: each is learned from by itself, so each keeps its own smallest draws."""
    half_N, found_N = _half(examples["draw"]), examples["round"].to_numpy() > 0
    return [
        examples.filter(pa.array((half_N == half) & (found_N == is_found)))
        for half in (0, 1)
        for is_found in (False, True)
    ]


def _sites(folders: Sequence[str]) -> int:
    return len(set(map(places.site_of, folders)))


def _half(draws: pa.ChunkedArray | np.ndarray) -> np.ndarray:
    """int64 (N,): 0 or 1, by the last bit of the draw, which says nothing of whether it is a small one."""
    return (np.asarray(draws, np.uint64) & np.uint64(1)).astype(np.int64)


def _added(totals: pa.Table) -> dict[str, Any]:
    """Pages and characters by round, in the order of rounds."""
    added = totals.group_by("round").aggregate([("pages", "sum"), ("chars", "sum")]).rename_columns(_TOTAL.names)
    added = added.cast(_TOTAL).sort_by("round")
    return {"key": np.zeros(added.num_rows, np.uint64), **{name: added[name] for name in _TOTAL.names}}


def _scores(docs: pa.Table, weights: Sequence[pa.Array], seed: int, options: dict[str, Any]) -> np.ndarray:
    """float32 (D,): what the classifier says that did not learn from the page."""
    half_D = _half(draw.draws_of(docs["id"], seed))
    scores_D = np.zeros(docs.num_rows, np.float32)
    for half, own in enumerate(weights):
        judged = np.flatnonzero(half_D != half)
        texts = docs.select(["text"]).take(pa.array(judged))
        model = pa.table({"weights": pa.ListArray.from_arrays(pa.array([0, len(own)], pa.int32()), own)})
        scores_D[judged] = classifier.apply(texts, model, **options)["quality"].to_numpy()
    return scores_D


def _cut(examples: pa.Table, scores_N: np.ndarray, found: dict[int, dict[str, int]], share: float) -> float:
    """The score above which `share` of the characters of the corpus lies, as the drawn pages tell. Those that were found and those that
    were not are drawn apart, so each counts for its part of the corpus."""
    known_N, chars_N = examples["round"].to_numpy() > 0, examples["chars"].to_numpy().astype(np.float64)
    weight_N = np.zeros(len(chars_N))
    for is_found in (False, True):
        total = sum(row["chars"] for number, row in found.items() if (number > 0) == is_found)
        own = known_N == is_found
        weight_N[own] = chars_N[own] * (total / max(1.0, float(chars_N[own].sum())))
    order = np.argsort(-scores_N, kind="stable")
    above = np.cumsum(weight_N[order])
    last = max(0, int(np.searchsorted(above, share * above[-1], side="right")) - 1)
    return float(scores_N[order][last])


def _verdict(weights: Sequence[pa.Array], cut: float, folders: list[str], told: dict[str, Any]) -> pa.Table:
    """A row per half; `folders` stand in the first."""
    offsets = np.cumsum([0, *map(len, weights)])
    joined = pa.concat_arrays([pa.array([], pa.float32()), *weights])
    listed = [folders if not half else [] for half in range(len(weights))]
    columns = [
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), joined),
        pa.array([cut] * len(weights), pa.float64()),
        pa.array(listed, pa.list_(pa.string())),
    ]
    return pa.table(columns, schema=VERDICT.with_metadata({COUNTS: json.dumps(told).encode()}))
