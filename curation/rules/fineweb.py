"""FineWeb's own filters (Penedo et al. 2024, section 3.6): four measures on lines, found by comparing a good and a bad version of a crawl.

The authors name two limits for characters in duplicated lines: 0.1 in the text of the paper and for FineWeb-2, 0.01 in its appendix and in
datatrove's default. The default here is 0.1; at 0.01 a page of 2,000 characters is dropped for one heading that occurs twice.

A line ends a sentence if its last character is a mark with Unicode's property Sentence_Terminal (`.`, `!`, `?` and their like
in other scripts; no quotes, as in datatrove). Blank lines do not count. 50 µs for 2,200 characters.
"""

import numpy as np
import pyarrow as pa

from curation.reasons import first_reason
from curation.rules import surface
from curation.rules.per_language import per_language


@per_language
def fineweb(
    docs: pa.Table,
    *,
    min_punctuated_lines: float = 0.12,
    max_short_lines: float = 0.67,
    short_line_chars: int = surface.SHORT_LINE_CHARS,
    max_duplicate_line_chars: float = 0.1,
    max_newlines_per_word: float = 0.3,
) -> pa.Array:
    """FineWeb's filters. One reason per row, null = keep.

    `min_punctuated_lines`: least share of lines that end a sentence. `max_short_lines`: greatest share of lines of at most
    `short_line_chars` characters. `max_duplicate_line_chars`: characters in lines that came before, as a share of all but line feeds.
    `max_newlines_per_word`: line feeds per word, which lists have many of. A text without words is `fineweb.empty`.
    """
    reasons = [pa.array([], pa.string())]
    for of in surface.surfaces(docs["text"]):
        failed = [
            ("fineweb.empty", np.equal(of.lines_D, 0)),
            ("fineweb.few_punctuated_lines", surface.punctuated_lines(of) < min_punctuated_lines),
            ("fineweb.short_lines", surface.short_lines(of, short_line_chars) > max_short_lines),
            ("fineweb.duplicate_line_chars", surface.duplicate_chars_of_lines(of) > max_duplicate_line_chars),
            ("fineweb.newlines", surface.newlines(of) > max_newlines_per_word),
        ]
        reasons.append(first_reason(of.num_docs, failed))
    return pa.concat_arrays(reasons)
