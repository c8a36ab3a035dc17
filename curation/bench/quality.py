"""Quality scorers against people: `python -m curation.bench quality --data ../shared/data`.

254 web pages that people would keep or drop for training (labels of DCLM, Li et al. 2024). Every scorer predicts pages it has not seen:
ten folds, dealt anew `--divisions` times by fixed seeds. Printed are areas under the ROC curve, DeLong's 95 % interval, and how much larger
each is than that of the length and of plain fastText on the same pages, all averaged over the divisions.

Plain fastText is what its users run: words as it cuts them, pairs, keep against drop, on ten threads, because on one it leaves most of its
matrix uninitialised and may end in NaN; so its figures move by a hundredth from run to run. Its epochs and rate are the best of a small
grid on these very labels, which favours it. The regressor is that of `score.educational` with its defaults; of its penalty 1, 3, 6 and 10
were tried (areas 0.897, 0.897, 0.895, 0.892), and what it reads was written down before any of it was tried.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation import words
from curation.quality import reference as quality
from curation.quality import regress, ridge
from curation.quality.agreement import Estimate, auc_difference, auc_interval
from curation.quality.ridge import Examples

FOLDS, BUCKETS = 10, 1 << 17
GRID = ((5, 0.1), (25, 0.5), (50, 0.5))  # epochs and learning rates; the first is the default
Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (trained on, asked about): indices of pages -> scores


class Pages(NamedTuple):
    texts: list[str]
    keep_N: np.ndarray  # bool


def read_pages(data: Path) -> Pages:
    with gzip.open(data / "quality" / "dclm_human_labels.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return Pages([row["text"] for row in rows], np.array([row["label"] == 1 for row in rows]))


def by_length(pages: Pages) -> Scorer:
    lengths_N = np.array([float(len(text)) for text in pages.texts])
    return lambda trained, asked: lengths_N[asked]


def by_plain_fasttext(pages: Pages, epochs: int, rate: float) -> Scorer:
    """The library as it comes."""
    lines = [" ".join(text.split()) for text in pages.texts]

    def score(trained: np.ndarray, asked: np.ndarray) -> np.ndarray:
        import fasttext

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "examples.txt")
            kinds = {True: quality.POSITIVE, False: quality.NEGATIVE}
            path.write_text("".join(f"{kinds[bool(pages.keep_N[n])]} {lines[n]}\n" for n in trained.tolist()))
            options = {"wordNgrams": 2, "dim": 16, "bucket": 100_000, "thread": 10, "verbose": 0}
            model = fasttext.train_supervised(str(path), epoch=epochs, lr=rate, **options)
        found = [{label: p for p, label in model.f.predict(lines[n] + "\n", 2, -1.0, "strict")} for n in asked.tolist()]
        return np.array([scores[quality.POSITIVE] for scores in found])

    return score


def by_our_fasttext(pages: Pages, epochs: int, rate: float) -> Scorer:
    """The classifier of `score.quality`, taught keep against drop."""
    bags = quality._bags(words.chunk_of([text[:4_000] for text in pages.texts]), 2, 100_000)

    def score(trained: np.ndarray, asked: np.ndarray) -> np.ndarray:
        kinds = {True: quality.POSITIVE, False: quality.NEGATIVE}
        examples = [(kinds[bool(pages.keep_N[n])], bags[n]) for n in trained.tolist()]
        weights = quality.weights_of(
            quality.train(examples, {"dim": 16, "epoch": epochs, "lr": rate, "seed": 0}), 200_000
        )
        known = [weights[[*bags[n], 200_000]] for n in asked.tolist()]
        return np.array([float(np.nanmean(each)) for each in known])

    return score


def by_regression(pages: Pages, *, style: bool = True, ngrams: bool = True) -> Scorer:
    docs = pa.table({"text": pa.array(pages.texts, pa.large_string())})
    found = regress.features_of(docs, features="ngrams", ngram=2, buckets=BUCKETS, max_chars=4_000)
    dense_NF = found.dense_NF if style else found.dense_NF[:, :0]
    examples = Examples(dense_NF, *(found[1:] if ngrams else (each[:0] for each in found[1:])))

    def score(trained: np.ndarray, asked: np.ndarray) -> np.ndarray:
        chosen_N = np.zeros(len(pages.texts), bool)
        chosen_N[trained] = True
        weights = ridge.fit(examples, pages.keep_N.astype(np.float64), chosen_N, num_slots=2 * BUCKETS, ridge=3.0)
        return ridge.predict(examples, weights)[asked]

    return score


def predictions(scorer: Scorer, keep_N: np.ndarray, seed: int) -> np.ndarray:
    """float64 (N,): every page scored by what was learned from the other folds; keep and drop are dealt apart, so folds are alike."""
    rng = np.random.Generator(np.random.Philox(seed))
    fold_N = np.empty(len(keep_N), np.int64)
    for kind in (True, False):
        own = rng.permutation(np.flatnonzero(keep_N == kind))
        fold_N[own] = np.arange(len(own)) % FOLDS
    scores_N = np.empty(len(keep_N))
    for fold in range(FOLDS):
        asked = np.flatnonzero(fold_N == fold)
        scores_N[asked] = scorer(np.flatnonzero(fold_N != fold), asked)
    return scores_N


def best_of_grid(pages: Pages, divisions: int) -> tuple[str, list[np.ndarray]]:
    """The settings of plain fastText with the largest area on these labels, and their predictions."""
    tried = []
    for epochs, rate in GRID:
        scorer = by_plain_fasttext(pages, epochs, rate)
        found = [predictions(scorer, pages.keep_N, seed) for seed in range(divisions)]
        area = float(np.mean([auc_interval(each, pages.keep_N).value for each in found]))
        tried.append((area, f"{epochs} epochs at {rate}", found))
    _, name, found = max(tried, key=lambda entry: entry[0])
    return name, found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with quality/ (default ../shared/data)"
    )
    parser.add_argument("--divisions", type=int, default=3, help="times that the folds are dealt (default 3)")
    arguments = parser.parse_args(argv)
    start = time.process_time()
    pages = read_pages(arguments.data)

    def run(scorer: Scorer) -> list[np.ndarray]:
        return [predictions(scorer, pages.keep_N, seed) for seed in range(arguments.divisions)]

    plain_name, plain = best_of_grid(pages, arguments.divisions)
    length = run(by_length(pages))
    rows = [
        ("length", length),
        (f"plain fastText, {plain_name}", plain),
        ("score.quality's classifier, 25 epochs at 0.5", run(by_our_fasttext(pages, 25, 0.5))),
        ("ridge on n-grams", run(by_regression(pages, style=False))),
        ("ridge on style", run(by_regression(pages, ngrams=False))),
        ("ridge on both: the product", run(by_regression(pages))),
    ]
    print(
        f"{len(pages.texts)} pages, {int(pages.keep_N.sum())} to keep; {arguments.divisions} divisions into {FOLDS} folds"
    )
    print(f"{'scorer':52} {'area':>6} {'95 %':>14} {'above length':>22} {'above plain fastText':>22}")
    for name, found in rows:
        area = _mean([auc_interval(each, pages.keep_N) for each in found])
        above = [
            _mean([auc_difference(e, o, pages.keep_N) for e, o in zip(found, other, strict=True)])
            for other in (length, plain)
        ]
        told = " ".join(f"{value:+8.3f} {low:+.3f}..{high:+.3f}" for value, low, high in above)
        print(f"{name:52} {area[0]:6.3f} {area[1]:6.3f}..{area[2]:.3f} {told}")
    print(f"{time.process_time() - start:.0f} CPU s")
    return 0


def _mean(estimates: Sequence[Estimate]) -> list[float]:
    return np.mean(np.array(estimates), axis=0).tolist()


if __name__ == "__main__":
    raise SystemExit(main())
