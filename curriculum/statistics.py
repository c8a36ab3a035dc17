"""Two corpora side by side in every statistic that a rule limits: how far apart they lie, and which limit tells them apart best.

The first corpus is the good one, the second the bad one (say, a crawl before and after a filter, a clean source and a raw one, or what a
step kept and its `rejects.parquet`). A limit is good if it drops much of the bad one and little of the good one: the
best one maximises the difference (Youden's index). The Kolmogorov-Smirnov distance is the largest difference between the shares below
any value, whichever side a rule cuts.

A sample is enough: with 10,000 documents each, a share is known to a percentage point. 0.35 ms of CPU per document of 2,200 characters.

The texts of a `rejects.parquet` end after `tally.REJECT_CHARS` characters, and most statistics depend on the length: where one corpus is
such a file, the texts of the other are cut there too. It holds some documents of each reason, in no proportion to how many had it.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.rules.statistics import STATISTICS, Statistic, measure
from curriculum.tally import REJECT_CHARS
from datapipe import readers, store
from datapipe.schema import DROP

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 24
SPLIT_BYTES = 8 << 20  # a sample is spread over pieces of about this size
REJECTS = "rejects.parquet"
FEW_DOCUMENTS = 400  # of fewer a share is known to no better than 5 percentage points
COUNTS = "_step.json"
READERS = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".json.gz", ".json.zst", ".json"),
}

Observe = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit on a statistic, and what share of either corpus it drops."""

    parameter: str  # step.parameter
    keeps: str  # ">=" or "<="
    value: float
    good: float
    bad: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One statistic of two corpora."""

    name: str
    distance: float  # Kolmogorov-Smirnov
    quantiles: tuple[list[float], list[float]]  # at QUANTILES, of the good and of the bad corpus
    edges: list[float]  # of the bins of the histograms
    histograms: tuple[list[float], list[float]]  # shares of documents per bin
    defaults: list[Limit]
    best: Limit | None  # none where every limit drops more of the good corpus than of the bad one

    @property
    def gain(self) -> float:
        """Share of the bad corpus minus share of the good one that the best limit drops."""
        return self.best.bad - self.best.good if self.best else 0.0


def cut_at(*paths: str) -> int | None:
    """How many characters of each text are compared: None for all, or those that a sample of rejects has where one of `paths` is one."""
    return REJECT_CHARS if any(path.endswith(REJECTS) for path in paths) else None


def caveats(paths: Sequence[str], documents: Sequence[int]) -> list[str]:
    """What limits the comparison, a sentence or two each; `documents`: how many there are in each."""
    found = []
    if chars := cut_at(*paths):
        found.append(
            f"The first {chars:,} characters of every text are compared, which is all that {REJECTS} has. It holds some documents of each "
            "reason, not in proportion to how many had it."
        )
    few = [(side, count) for side, count in zip(("good", "bad"), documents, strict=True) if count < FEW_DOCUMENTS]
    if few:
        told = " and ".join(f"{count:,} {side} documents ±{share_error(count):.0%}" for side, count in few)
        found.append(
            f"Few documents: with 95 % confidence a share is known to ({told}), and a distance below "
            f"{chance_distance(*documents):.2f} may be chance."
        )
    return found


def share_error(documents: int) -> float:
    """Half the width of the 95 % interval of a share of a half, as a share: the widest there is (normal approximation)."""
    return min(1.0, 0.98 / math.sqrt(documents))


def chance_distance(good: int, bad: int) -> float:
    """The distance that two samples of one corpus stay below in 95 of 100 cases (Kolmogorov-Smirnov, Smirnov 1948)."""
    return min(1.0, 1.358 * math.sqrt((good + bad) / (good * bad)))


def documents(path: str, sample: int, text_key: str = "text") -> Iterator[pa.Array]:
    """Texts of at most `sample` documents (0: of all): of a file, a glob or a folder of Parquet or JSON Lines, local or on S3.

    The sample is the first documents of every piece of the files (row groups, or some 8 MiB), the pieces in an order of their content.
    Raises ValueError when there is nothing to read, StoreError when a store says no.
    """
    pieces = _pieces(path, text_key)
    pieces.sort(key=lambda piece: xxhash.xxh3_64_intdigest(repr(piece.identity()).encode()))
    left, damaged, met = sample, Counter[str](), False
    for number, piece in enumerate(pieces):
        wanted = -(-left // (len(pieces) - number))  # what one piece lacks is shared by those after it
        for table in readers.read(piece, ""):
            damaged.update(table[DROP].drop_null().to_pylist())
            texts = table.filter(pc.is_null(table[DROP]))["text"] if DROP in table.column_names else table["text"]
            texts = texts.combine_chunks()[: wanted or None] if sample else texts.combine_chunks()
            met = met or bool(len(texts))
            yield texts
            wanted, left = wanted - len(texts), left - len(texts)
            if sample and wanted <= 0:
                break
        if sample and left <= 0:
            return
    if not met:
        why = ", ".join(f"{reason} {count:,}" for reason, count in damaged.most_common(3))
        said = (
            f" ({why}): name the key of its text with --text-key, which is {text_key!r} now, or a file that is whole"
            if why
            else ""
        )
        raise ValueError(f"{path}: no document in it{said}")


def _pieces(path: str, text_key: str) -> list[readers.Split]:
    """Row groups of Parquet files, or pieces of JSON Lines, each a split of its own."""
    found = [info.path for info in store.glob(path)]
    counts = [file for file in found if file.endswith(COUNTS)]
    for reader, suffixes in READERS.items():
        paths = [file for file in found if file.endswith(suffixes) and file not in counts]
        if not path.endswith(REJECTS):
            paths = [file for file in paths if not file.endswith(REJECTS)]
        if paths:
            source = {"reader": reader, "paths": paths, "split_bytes": SPLIT_BYTES, "text_key": text_key}
            splits = readers.list_splits(source, ".")
            return [dataclasses.replace(split, inputs=(one,)) for split in splits for one in split.inputs]
    if counts:
        raise ValueError(
            f"{path}: no documents in it. Steps between two that compare documents run in one go, and what they keep lies with the last of "
            "them: name the nearest folder of a later step that holds part-*.parquet"
        )
    if not found:
        raise ValueError(f"{path}: no such file or folder, nor a file that the pattern matches; check the path")
    if any(file.endswith(REJECTS) for file in found):
        raise ValueError(
            f"{path}: no documents but samples of rejects in it; name one, or a glob that ends in {REJECTS}"
        )
    raise ValueError(f"{path}: {len(found)} files, none of them Parquet or JSON Lines; name a file, a folder or a glob")


def measured(
    path: str, sample: int, text_key: str = "text", observe: Observe | None = None, max_chars: int | None = None
) -> dict[str, np.ndarray]:
    """Every statistic of the documents: float64, one value per document. `observe` hears (documents done, documents at most).

    `max_chars`: how much of each text is measured (`cut_at`).
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in STATISTICS}
    done = 0
    for texts in documents(path, sample, text_key):
        for values in measure(texts if max_chars is None else pc.utf8_slice_codeunits(texts, 0, max_chars)):
            for name, values_D in values.items():
                parts[name].append(values_D)
            done += len(values_D)
            if observe:
                observe(done, sample)
    return {name: np.concatenate(values) for name, values in parts.items()}


def compare(good: dict[str, np.ndarray], bad: dict[str, np.ndarray]) -> list[Comparison]:
    """All statistics, those first whose best limit tells the corpora apart best."""
    found = [_compared(name, statistic, good[name], bad[name]) for name, statistic in STATISTICS.items()]
    return sorted(found, key=lambda one: (-one.gain, -one.distance, one.name))


def as_json(good_path: str, bad_path: str, documents: tuple[int, int], found: list[Comparison]) -> dict[str, Any]:
    """What `--json` prints."""
    paths = (good_path, bad_path)
    sides = [
        {"path": path, "documents": count, "share_error": round(share_error(count), 4)}
        for path, count in zip(paths, documents, strict=True)
    ]
    return {
        "good": sides[0],
        "bad": sides[1],
        "cut_at_chars": cut_at(*paths),
        "chance_distance": round(chance_distance(*documents), 4),
        "caveats": caveats(paths, documents),
        "quantiles": list(QUANTILES),
        "statistics": [{**dataclasses.asdict(one), "gain": one.gain} for one in found],
    }


def _compared(name: str, statistic: Statistic, good: np.ndarray, bad: np.ndarray) -> Comparison:
    values, below_good, below_bad = _shares_below(good, bad)
    distance = float(np.abs(below_good - below_bad).max())
    is_count = bool(np.all(good % 1 == 0) and np.all(bad % 1 == 0))
    defaults, candidates = [], []
    for side, limit in (("below", statistic.minimum), ("above", statistic.maximum)):
        if limit:
            defaults.append(_limit(limit[0], side, limit[1], good, bad))
            gain = below_bad - below_good if side == "below" else below_good - below_bad
            candidates.append(_limit(limit[0], side, _typed(values[int(gain.argmax())], side, is_count), good, bad))
    best = max(candidates, key=lambda limit: limit.bad - limit.good)
    edges, histograms = _histograms(good, bad)
    return Comparison(
        name=name,
        distance=distance,
        quantiles=(np.quantile(good, QUANTILES).tolist(), np.quantile(bad, QUANTILES).tolist()),
        edges=edges,
        histograms=histograms,
        defaults=defaults,
        best=best if best.bad > best.good else None,
    )


def _shares_below(good: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(limits between all neighbouring values, share of either corpus below each)."""
    values = np.unique(np.concatenate([good, bad]))
    limits = np.append((values[1:] + values[:-1]) / 2, values[-1]) if len(values) > 1 else values
    below = [np.searchsorted(np.sort(part), limits, "left") / len(part) for part in (good, bad)]
    return limits, below[0], below[1]


def _limit(parameter: str, side: str, value: float, good: np.ndarray, bad: np.ndarray) -> Limit:
    dropped = [float(np.mean(part < value if side == "below" else part > value)) for part in (good, bad)]
    return Limit(parameter, ">=" if side == "below" else "<=", value, dropped[0], dropped[1])


def _typed(value: float, side: str, is_count: bool) -> float:
    """A limit as one would type it: three digits, and of a count a whole number."""
    if is_count:
        value = np.ceil(value) if side == "below" else np.floor(value)
    return float(f"{value:.3g}")


def _histograms(good: np.ndarray, bad: np.ndarray) -> tuple[list[float], tuple[list[float], list[float]]]:
    """Shares of documents in bins from the lowest to the highest 1 % of either; the ends take what lies beyond."""
    least = min(np.quantile(good, 0.01), np.quantile(bad, 0.01))
    most = max(np.quantile(good, 0.99), np.quantile(bad, 0.99))
    if least >= 1 and most > 20 * least:
        edges = np.geomspace(least, most, BINS + 1)
    else:
        edges = np.linspace(least, most if most > least else least + 1, BINS + 1)
    inside = [np.clip(np.searchsorted(edges, part, "right") - 1, 0, BINS - 1) for part in (good, bad)]
    shares = [(np.bincount(bins, minlength=BINS) / len(bins)).tolist() for bins in inside]
    return edges.tolist(), (shares[0], shares[1])
