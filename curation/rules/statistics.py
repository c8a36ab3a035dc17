"""Every statistic that a rule puts a limit on, by name, so that limits can be chosen by looking at two corpora instead of guessed.

FineWeb found its filters this way (Penedo et al. 2024, section 3.6): some fifty statistics on a good and a bad version of one crawl, a
histogram of each, and a limit where the bad one has more. `tokenloom statistics` shows them side by side.

All of them together take about 0.35 ms for 2,200 characters: n-grams are counted exactly here, where the rules stop at a bound.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curation.rules import repetition, surface
from curation.rules.gopher import DUPLICATE_NGRAMS, TOP_NGRAMS
from curation.rules.surface import Surface


class Statistic(NamedTuple):
    """One number per document, and the limits that rules put on it."""

    measure: Callable[[Surface], np.ndarray]  # float64 (D,)
    minimum: tuple[str, float] | None = None  # "step.parameter" and its default: documents below are dropped
    maximum: tuple[str, float] | None = None  # documents above are dropped

    @property
    def drops(self) -> Literal["below", "above", "either"]:
        """On which side of a limit documents are dropped."""
        if self.minimum and self.maximum:
            return "either"
        return "below" if self.minimum else "above"


def _characters(of: Surface) -> np.ndarray:
    return of.chunk.chars_D.astype(np.float64)


def _top(n: int) -> Callable[[Surface], np.ndarray]:
    return lambda of: next(repetition.top_ngrams(of, {n: 0.0}, np.ones(of.num_docs, bool)))[1]


def _duplicate(n: int) -> Callable[[Surface], np.ndarray]:
    return lambda of: next(repetition.duplicate_ngrams(of, {n: 0.0}, np.ones(of.num_docs, bool)))[1]


_QUALITY, _REPETITION = "filter.gopher_quality", "filter.gopher_repetition"

STATISTICS: dict[str, Statistic] = {
    "characters": Statistic(_characters, ("filter.length.min_chars", 1), ("filter.length.max_chars", 10_000_000)),
    "words": Statistic(surface.word_count, (f"{_QUALITY}.min_words", 50), (f"{_QUALITY}.max_words", 100_000)),
    "mean_word_length": Statistic(
        surface.mean_word_length,
        (f"{_QUALITY}.min_mean_word_length", 3.0),
        (f"{_QUALITY}.max_mean_word_length", 10.0),
    ),
    "hash_signs_per_word": Statistic(surface.hash_signs, None, (f"{_QUALITY}.max_symbols_per_word", 0.1)),
    "ellipses_per_word": Statistic(surface.ellipses, None, (f"{_QUALITY}.max_symbols_per_word", 0.1)),
    "bullet_lines": Statistic(surface.bullet_lines, None, (f"{_QUALITY}.max_bullet_lines", 0.9)),
    "ellipsis_lines": Statistic(surface.ellipsis_lines, None, (f"{_QUALITY}.max_ellipsis_lines", 0.3)),
    "alphabetic_words": Statistic(surface.alphabetic_words, (f"{_QUALITY}.min_alpha_ratio", 0.8)),
    "stop_words": Statistic(surface.stop_words, (f"{_QUALITY}.min_stop_words", 2)),
    "duplicate_lines": Statistic(surface.duplicate_lines, None, (f"{_REPETITION}.max_duplicate_lines", 0.3)),
    "duplicate_line_chars": Statistic(
        surface.duplicate_line_chars, None, (f"{_REPETITION}.max_duplicate_line_chars", 0.2)
    ),
    "duplicate_paragraphs": Statistic(
        surface.duplicate_paragraphs, None, (f"{_REPETITION}.max_duplicate_paragraphs", 0.3)
    ),
    "duplicate_paragraph_chars": Statistic(
        surface.duplicate_paragraph_chars, None, (f"{_REPETITION}.max_duplicate_paragraph_chars", 0.2)
    ),
    **{
        f"top_{n}_gram": Statistic(_top(n), None, (f"{_REPETITION}.top_ngrams.{n}", limit))
        for n, limit in TOP_NGRAMS.items()
    },
    **{
        f"duplicate_{n}_gram": Statistic(_duplicate(n), None, (f"{_REPETITION}.duplicate_ngrams.{n}", limit))
        for n, limit in DUPLICATE_NGRAMS.items()
    },
    "sentences": Statistic(surface.sentences, ("filter.c4.min_sentences", 5)),
    "punctuated_lines": Statistic(surface.punctuated_lines, ("filter.fineweb.min_punctuated_lines", 0.12)),
    "short_lines": Statistic(surface.short_lines, None, ("filter.fineweb.max_short_lines", 0.67)),
    "duplicate_chars_of_lines": Statistic(
        surface.duplicate_chars_of_lines, None, ("filter.fineweb.max_duplicate_line_chars", 0.1)
    ),
    "newlines_per_word": Statistic(surface.newlines, None, ("filter.fineweb.max_newlines_per_word", 0.3)),
    "upper_case_lines": Statistic(surface.upper_case_lines, None, ("filter.lines.max_upper_case_lines", 0.5)),
    "long_lines": Statistic(surface.long_lines, ("filter.lines.min_long_lines", 0)),
}


def measure(texts: pa.ChunkedArray | pa.Array) -> Iterator[dict[str, np.ndarray]]:
    """Every statistic of every text: float64 (D,) by name, a chunk of documents at a time, in their order."""
    for of in surface.surfaces(texts):
        yield {name: statistic.measure(of) for name, statistic in STATISTICS.items()}
