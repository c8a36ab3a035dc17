"""The least score of each language, taken from the corpus itself: models are surer of some languages than of others.

The rule of FineWeb2 (Penedo et al. 2025): the median of the language's scores less their standard deviation, no lower than 0.3 and no
higher than 0.9. It stands behind `filter.language: {min_score: 0}`, so that all scores are seen. Scores are counted in steps of a
thousandth, which is how exact the thresholds are; no process ever holds more than a row per language and step, and the counts are integers,
so the order of the documents leaves no trace.
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.reasons import mark
from curation.steps import COUNTS, CorpusStep, StepError

STEPS_PER_UNIT = 1_000
COUNT = pa.schema([("key", pa.uint64()), ("lang", pa.string()), ("step", pa.int32()), ("documents", pa.int64())])
VERDICT = pa.schema(
    [
        ("lang", pa.string()),
        ("documents", pa.int64()),
        ("median", pa.float64()),
        ("sigma", pa.float64()),
        ("threshold", pa.float64()),
    ]
)


def emit(docs: pa.Table) -> pa.Table:
    """How many documents of each language have each score: `COUNT`, a row per language and thousandth. Needs lang and lang_score."""
    if "lang_score" not in docs.column_names:
        raise StepError("the documents have no column 'lang_score': put `filter.language: {min_score: 0}` before it")
    steps = np.rint(pc.fill_null(docs["lang_score"], 0.0).to_numpy().astype(np.float64) * STEPS_PER_UNIT)
    rows = pa.table([docs["lang"], pa.array(steps.astype(np.int32))], names=["lang", "step"]).drop_null()
    return _counted(rows.append_column("documents", pa.array(np.ones(rows.num_rows, np.int64))))


def reduce(rows: pa.Table) -> pa.Table:
    """The counts of all tables added up."""
    return _counted(rows)


def merge(
    tables: Sequence[pa.Table],
    *,
    sigmas: float = 1.0,
    floor: float = 0.3,
    ceiling: float = 0.9,
    min_documents: int = 1_000,
    default: float = 0.65,
) -> pa.Table:
    """The threshold of each language: `VERDICT`, and in its metadata for the report.

    median less `sigmas` standard deviations, within `floor` and `ceiling`; `default` for a language of fewer than `min_documents`
    documents, whose deviation says little.
    """
    rows = _counted(pa.concat_tables([COUNT.empty_table(), *tables]))
    found = []
    for lang in sorted(set(rows["lang"].to_pylist())):
        of_lang = rows.filter(pc.equal(rows["lang"], lang))
        counts = of_lang["documents"].to_numpy()
        scores = of_lang["step"].to_numpy() / STEPS_PER_UNIT
        total = int(counts.sum())
        below = np.cumsum(counts)
        middle = (scores[np.searchsorted(below, [(total + 1) // 2, total // 2 + 1])]).mean()
        mean = float(counts @ scores) / total
        sigma = float(np.sqrt(max(0.0, counts @ (scores - mean) ** 2 / total)))
        threshold = min(max(middle - sigmas * sigma, floor), ceiling) if total >= min_documents else default
        values = (lang, total, float(middle), sigma, float(threshold))
        found.append(dict(zip(VERDICT.names, values, strict=True)))
    told = {"thresholds": {row["lang"]: round(row["threshold"], 3) for row in found}}
    return pa.Table.from_pylist(found, schema=VERDICT.with_metadata({COUNTS: json.dumps(told)}))


def apply(docs: pa.Table, verdict: pa.Table) -> pa.Table:
    """Sets `language.below_<label>` where the score is under the threshold of the document's language; no language, no reason."""
    place = pc.index_in(docs["lang"], verdict["lang"].combine_chunks())
    least = pc.take(verdict["threshold"], place)
    # half a step lower: scores were rounded when they were counted
    below = pc.less(
        pc.cast(pc.fill_null(docs["lang_score"], 0.0), pa.float64()), pc.subtract(least, 0.5 / STEPS_PER_UNIT)
    )
    names = pc.binary_join_element_wise("language.below_", docs["lang"], "")
    return mark(docs, pc.if_else(below, names, pa.scalar(None, pa.string())))


def check(
    *,
    sigmas: float = 1.0,
    floor: float = 0.3,
    ceiling: float = 0.9,
    min_documents: int = 1_000,
    default: float = 0.65,
) -> None:
    """Raises ValueError for parameters out of range."""
    if not 0 <= floor <= ceiling <= 1:
        raise ValueError(
            f"floor {floor} and ceiling {ceiling} bound a probability: type 0 <= floor <= ceiling <= 1, such as 0.3 and 0.9"
        )
    if not 0 <= default <= 1:
        raise ValueError(f"default is {default}, but it is a probability: type 0..1, such as 0.65")
    if sigmas < 0:
        raise ValueError(f"sigmas is {sigmas}: type 0 for the median, or a positive number such as 1.0")
    if min_documents < 1:
        raise ValueError(f"min_documents is {min_documents}: type at least 1, such as 1000")


LANGUAGE_THRESHOLD = CorpusStep(emit, reduce, merge, apply, check)


def _counted(rows: pa.Table) -> pa.Table:
    """One row of `COUNT` per language and step, in their order."""
    grouped = rows.group_by(["lang", "step"], use_threads=False).aggregate([("documents", "sum")])
    grouped = grouped.sort_by([("lang", "ascending"), ("step", "ascending")])
    keys = [xxhash.xxh3_64_intdigest(lang.encode()) for lang in grouped["lang"].to_pylist()]
    columns = [pa.array(keys, pa.uint64()), grouped["lang"], grouped["step"], grouped["documents_sum"]]
    return pa.table(columns, schema=COUNT)
