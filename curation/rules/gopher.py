"""The Gopher quality and repetition rules (Rae et al. 2021, appendix A.1.1, table A1). A document fails the first rule that it breaks.

Where the paper leaves a definition open, ours is:

- A word is what stands between white space (as in Dolma), and every ideograph. Word counts and lengths leave out words of punctuation
  only; the shares per word count all words. Tokenisers that split punctuation off (datatrove's) drop far more documents at the
  80 % rule: every comma counts against a text there.
- Lines and paragraphs that hold only white space do not exist. A paragraph ends at a blank line.
- Stop words count once each, in small letters, capitalised or in capitals: two different ones must occur. The list is English; for another
  language give its own, or 0.
- Repeated n-grams are counted as `curation.rules.repetition` says.

With the same words datatrove decides the same on 99.9 % of documents: `python -m curation.bench rules` shows it. Only the first 2 M
characters of a document are looked at. Quality takes 75 µs for 2,200 characters, repetition 140 (more for text that repeats itself).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from curation.reasons import first_reason
from curation.rules import repetition, surface
from curation.rules.per_language import per_language
from curation.rules.surface import STOP_WORDS, Surface

TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


@per_language
def gopher_quality(
    docs: pa.Table,
    *,
    min_words: int = 50,
    max_words: int = 100_000,
    min_mean_word_length: float = 3.0,
    max_mean_word_length: float = 10.0,
    max_symbols_per_word: float = 0.1,
    max_bullet_lines: float = 0.9,
    max_ellipsis_lines: float = 0.3,
    min_alpha_ratio: float = 0.8,
    min_stop_words: int = 2,
    stop_words: Sequence[str] = STOP_WORDS,
) -> pa.Array:
    """Gopher quality rules. One reason per row, null = keep.

    `max_symbols_per_word` holds for hash signs and for ellipses (`...` or `…`), each on its own; `max_bullet_lines` and
    `max_ellipsis_lines` are shares of the lines that start with a bullet (`•` or `-`) or end in an ellipsis;
    `min_alpha_ratio` is the least share of words with a letter.
    """
    reasons = [pa.array([], pa.string())]
    for of in surface.surfaces(docs["text"]):
        word_count, mean_word_length = surface.word_count(of), surface.mean_word_length(of)
        failed = [
            ("gopher_quality.few_words", word_count < min_words),
            ("gopher_quality.many_words", word_count > max_words),
            ("gopher_quality.short_words", mean_word_length < min_mean_word_length),
            ("gopher_quality.long_words", mean_word_length > max_mean_word_length),
            ("gopher_quality.hash_signs", surface.hash_signs(of) > max_symbols_per_word),
            ("gopher_quality.ellipses", surface.ellipses(of) > max_symbols_per_word),
            ("gopher_quality.bullet_lines", surface.bullet_lines(of) > max_bullet_lines),
            ("gopher_quality.ellipsis_lines", surface.ellipsis_lines(of) > max_ellipsis_lines),
            ("gopher_quality.few_alphabetic_words", surface.alphabetic_words(of) < min_alpha_ratio),
            ("gopher_quality.few_stop_words", surface.stop_words(of, stop_words) < min_stop_words),
        ]
        reasons.append(first_reason(of.num_docs, failed))
    return pa.concat_arrays(reasons)


@per_language
def gopher_repetition(
    docs: pa.Table,
    *,
    max_duplicate_lines: float = 0.30,
    max_duplicate_paragraphs: float = 0.30,
    max_duplicate_line_chars: float = 0.20,
    max_duplicate_paragraph_chars: float = 0.20,
    top_ngrams: Mapping[int, float] = TOP_NGRAMS,
    duplicate_ngrams: Mapping[int, float] = DUPLICATE_NGRAMS,
) -> pa.Array:
    """Gopher repetition rules. One reason per row, null = keep. Thresholds are shares of lines, of paragraphs, or of all characters.

    `top_ngrams` and `duplicate_ngrams` give the threshold for each length of n-gram; `{}` switches the rule off.
    """
    top, duplicate = ({int(n): limit for n, limit in limits.items()} for limits in (top_ngrams, duplicate_ngrams))
    reasons = [pa.array([], pa.string())]
    for of in surface.surfaces(docs["text"]):
        failed = [
            ("gopher_repetition.duplicate_paragraphs", surface.duplicate_paragraphs(of) > max_duplicate_paragraphs),
            (
                "gopher_repetition.duplicate_paragraph_chars",
                surface.duplicate_paragraph_chars(of) > max_duplicate_paragraph_chars,
            ),
            ("gopher_repetition.duplicate_lines", surface.duplicate_lines(of) > max_duplicate_lines),
            ("gopher_repetition.duplicate_line_chars", surface.duplicate_line_chars(of) > max_duplicate_line_chars),
        ]
        reasons.append(first_reason(of.num_docs, failed + _repeated_ngrams(of, failed, top, duplicate)))
    return pa.concat_arrays(reasons)


def _repeated_ngrams(
    of: Surface, failed: list[tuple[str, np.ndarray]], top: Mapping[int, float], duplicate: Mapping[int, float]
) -> list[tuple[str, np.ndarray]]:
    """The rules on n-grams for documents that have not failed one before: (reason, bool (D,) failed), the shortest n-grams first."""
    left_D = ~np.logical_or.reduce([failed_D for _, failed_D in failed])
    found = []
    for name, limits, measure in (
        ("top", top, repetition.top_ngrams),
        ("duplicate", duplicate, repetition.duplicate_ngrams),
    ):
        for n, share_D in measure(of, limits, left_D):
            failed_D = left_D & (share_D > limits[n])
            left_D &= ~failed_D
            found.append((f"gopher_repetition.{name}_{n}_gram", failed_D))
    return found
