"""`score.perplexity`: how odd a text of any length is to a model of good text, after CCNet (Wenzek et al. 2020, section 3.3).

A trigram model (`curation.books.ngram_model`) learns from windows of a reference corpus. A document's score is the mean of minus the
logarithm of its tokens' probabilities, in nats: the logarithm of the perplexity, so that texts of all lengths compare. It is taken over
windows of `window_chars` characters, and a second column, `<column>_worst`, is the score that the worst `worst_share` of the text
reaches or exceeds: half a book of broken scan shows there, one page of index does not. `filter.score` cuts on either.

What scores badly: OCR noise, shuffled words, wrong encodings, other languages than the reference's, lists, tables and code. CCNet keeps
such limits per language, because the scores of two languages do not compare; so should a manifest, with a corpus and a reference for
each. What scores too well repeats itself. Not covered: sense and truth; scripts without spaces other than Han and kana.

Costs, in CPU seconds: learning from 20 MB (the default) 6, and 0.6 GB of memory; scoring 14 MB 1. The verdict has 52 MB then, and at
most 100 with the default `max_ngrams`.

Measured: of 307 paragraphs of a handbook, scored by a model of its others, all score worse with 4 % of their letters mistaken, with their
words shuffled, or in a wrong encoding. Between different paragraphs the area under the ROC curve is 0.87 for such noise (0.50 by length,
0.89 by single words), 0.96 for shuffled words (0.50 by either), 1.00 for French; half the noise in one paragraph is 0.71: to be
sure of little noise takes a longer text.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import xxhash

from curation import draw
from curation.books import ngram_model
from curation.books.ngram_model import Model
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

BATCH_CHARS = 1 << 20  # of texts whose windows are scored together
VERDICT = pa.schema(
    [("tables", pa.large_list(pa.large_list(pa.uint64()))), ("unknown", pa.float64()), ("tokens", pa.int64())]
)


def merge(
    tables: Sequence[pa.Table],
    *,
    reference: pa.Table | None = None,
    window_chars: int = 8_192,
    train_chars: int = 20_000_000,
    max_ngrams: int = 2_000_000,
    seed: int = 0,
) -> pa.Table:
    """Learns the model from windows of the reference's texts (columns id and text), at most `train_chars` characters of them.

    Which windows is drawn by seed, id and place. Raises StepError when the reference has no text.
    """
    if reference is None:
        raise ValueError("no reference: name a corpus of good documents, e.g. `reference: books`")
    drawn: list[tuple[int, str]] = []
    for name, text in zip(reference["id"].to_pylist(), reference["text"].to_pylist(), strict=True):
        for place, window in enumerate(windows(text or "", window_chars)):
            drawn.append((xxhash.xxh3_64_intdigest(f"{name}:{place}".encode(), seed), window))
    drawn.sort()
    taken: list[str] = []
    size = 0
    for _, window in drawn:
        size += len(window)
        if size > train_chars and taken:
            break
        taken.append(window)
    if not any(window.strip() for window in taken):
        raise StepError("the reference has no text to learn from: name a corpus that keeps documents")
    model = ngram_model.train(taken, max_ngrams)
    told = {"windows": len(taken), "tokens": model.tokens, "unknown_nats": round(-model.unknown, 2)}
    columns = [[list(model.tables)], [model.unknown], [model.tokens]]
    return pa.table(columns, schema=VERDICT.with_metadata({COUNTS: json.dumps(told).encode()}))


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    column: str = "perplexity",
    window_chars: int = 8_192,
    worst_share: float = 0.1,
) -> pa.Table:
    """Adds `column` and `<column>_worst` (float32, nats per token), null for a text without tokens."""
    model = _model(verdict)
    texts = (text or "" for text in docs["text"].to_pylist())
    scored = list(scores(model, texts, window_chars, worst_share))
    for name, values in zip(
        (column, f"{column}_worst"), zip(*scored, strict=True) if scored else ([], []), strict=True
    ):
        docs = with_column(docs, name, pa.array(values, pa.float32()))
    return docs


def check(
    *,
    reference: str = "",
    window_chars: int = 8_192,
    train_chars: int = 20_000_000,
    max_ngrams: int = 2_000_000,
    worst_share: float = 0.1,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range; `reference` is the name of a corpus here."""
    if not reference:
        raise ValueError("the model learns from a corpus of good documents: name one, e.g. `reference: books`")
    if window_chars < 500:
        raise ValueError(
            f"window_chars is {window_chars}, and so few words tell little: type at least 500, such as 8192"
        )
    if not 1_000 <= train_chars <= 100_000_000:
        raise ValueError(
            f"train_chars is {train_chars}: type 1000 to 100000000 (75 bytes of memory each), such as 20000000"
        )
    if not 1 <= max_ngrams <= 1 << 26:
        raise ValueError(f"max_ngrams is {max_ngrams}: type 1 to {1 << 26} (up to 32 bytes each), such as 2000000")
    if not 0 < worst_share <= 1:
        raise ValueError(
            f"worst_share is {worst_share}, but it is a share: type a number above 0 and at most 1, such as 0.1"
        )
    draw.check(sample=1, max_examples=1, seed=seed)


PERPLEXITY = CorpusStep(None, None, merge, apply, check, reference_documents=5_000)


def windows(text: str, chars: int) -> list[str]:
    """The text in pieces of `chars` characters, the last of them of half as many up to half as many more."""
    starts = range(0, max(1, len(text) - chars // 2), chars)
    return [text[start : start + chars] for start in starts[:-1]] + [text[starts[-1] :]]


def scores(
    model: Model, texts: Iterable[str], window_chars: int, worst_share: float
) -> Iterator[tuple[float | None, float | None]]:
    """Of every text (mean nats per token, those that the worst share reaches); None, None for one without tokens."""
    for some in _batches(texts):
        cut = [windows(text, window_chars) for text in some]
        doc_W = np.repeat(np.arange(len(cut)), [len(each) for each in cut])
        total: list[np.ndarray] = []
        count: list[np.ndarray] = []
        for tokens in ngram_model.tokens_of([window for each in cut for window in each]):
            nats_S = ngram_model.nats(model, tokens)
            total.append(np.bincount(tokens.doc_S, nats_S, tokens.num_docs))
            count.append(np.bincount(tokens.doc_S, minlength=tokens.num_docs))
        total_W, count_W = np.concatenate(total), np.concatenate(count)
        ends = np.searchsorted(doc_W, np.arange(len(cut) + 1)).tolist()
        for start, end in itertools.pairwise(ends):
            yield _of_windows(total_W[start:end], count_W[start:end], worst_share)


def _of_windows(total_W: np.ndarray, count_W: np.ndarray, worst_share: float) -> tuple[float | None, float | None]:
    """Nats and tokens per window to (their mean per token, that of the window at which the worst share is reached)."""
    num_tokens = int(count_W.sum())
    if not num_tokens:
        return None, None
    mean_W = total_W / np.maximum(count_W, 1)
    worst_first = np.argsort(-mean_W, kind="stable")
    reached = np.searchsorted(np.cumsum(count_W[worst_first]), worst_share * num_tokens)
    return float(total_W.sum() / num_tokens), float(mean_W[worst_first[reached]])


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Some texts at a time: their arrays take some bytes per character."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _model(verdict: pa.Table) -> Model:
    tables = verdict["tables"].combine_chunks().values
    parts = [tables[order].values.to_numpy() for order in range(len(tables))]
    return Model(parts, verdict["unknown"][0].as_py(), verdict["tokens"][0].as_py())
