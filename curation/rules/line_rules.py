"""Two rules on lines from other recipes: pages in capitals, and pages without long lines.

RefinedWeb removes lines that are mainly in capitals (Penedo et al. 2023, appendix G.2); DCLM drops a page if more than half of its lines
are (Li et al. 2024). mC4 wants three lines of 200 characters (Xue et al. 2021, section 3.1). 30 µs for 2,200 characters.
"""

import pyarrow as pa

from curation.reasons import first_reason
from curation.rules import surface
from curation.rules.per_language import per_language


@per_language
def lines(
    docs: pa.Table,
    *,
    max_upper_case_lines: float = 0.5,
    min_long_lines: int = 0,
    long_line_chars: int = surface.LONG_LINE_CHARS,
) -> pa.Array:
    """Rules on lines. One reason per row, null = keep.

    `max_upper_case_lines`: greatest share of lines with letters of which none is in lower case. `min_long_lines`: so many lines of at least
    `long_line_chars` characters (mC4: 3). Reasons: `lines.upper_case`, `lines.few_long`.
    """
    reasons = [pa.array([], pa.string())]
    for of in surface.surfaces(docs["text"]):
        failed = [
            ("lines.upper_case", surface.upper_case_lines(of) > max_upper_case_lines),
            ("lines.few_long", surface.long_lines(of, long_line_chars) < min_long_lines),
        ]
        reasons.append(first_reason(of.num_docs, failed))
    return pa.concat_arrays(reasons)
