"""Reading a long document: the document as context, several questions about all parts of it at the end, answers with quotations.

A document is cut at line ends into windows of at most `max_context_chars`; a window with enough questions becomes a row. The questions
are those of `synth.qa` (without examples, whose answer would stand beside them), asked where the answer can be read.
"""

from collections.abc import Iterator

import pyarrow as pa

from synth.candidates import Question, Source, fit, kept_row, questions, sources, table
from synth.closed_world import settle
from synth.evidence import evidence
from synth.generators import Generator
from synth.render import Turn
from synth.rows import Made

INSTRUCTION = "Answer from the text above."


def emit(
    docs: pa.Table,
    *,
    seed: int = 0,
    max_per_document: int = 2,
    min_chars: int = 4_000,
    max_scan_chars: int = 4_000_000,
    max_context_chars: int = 12_000,
    min_questions: int = 2,
    max_questions: int = 6,
) -> pa.Table:
    """Candidates of one partition: per document at most `max_per_document` windows, the ones with most questions that pass."""
    rows, made = [], Made("long", seed)
    for source in sources(docs, min_chars=min_chars, max_scan_chars=max_scan_chars):
        asked = [q for q in questions(source, seed=seed) if q.fact.kind != "example" and q.reason is None]
        by_window = [(window, inside(asked, *window)) for window in windows(source.text, max_context_chars)]
        enough = [(window, found) for window, found in by_window if len(found) >= min_questions]
        for window, found in sorted(enough, key=lambda entry: (-len(entry[1]), entry[0]))[:max_per_document]:
            rows.append(_row(made, source, window, fit(found, max_questions, seed=seed, source=source)))
    return table(rows)


def windows(text: str, max_chars: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of consecutive windows of at most `max_chars` characters, cut at line ends where there is one."""
    begin = 0
    while begin < len(text):
        end = min(begin + max_chars, len(text))
        line_end = text.rfind("\n", begin, end) + 1
        end = line_end if begin < line_end and end < len(text) else end
        yield begin, end
        begin = end


def inside(asked: list[Question], begin: int, end: int) -> list[Question]:
    """The questions whose evidence lies in [begin, end)."""
    return [
        q for q in asked if begin <= q.fact.evidence_start and q.fact.evidence_start + q.fact.evidence_length <= end
    ]


def _row(made: Made, source: Source, window: tuple[int, int], asked: list[Question]) -> dict[str, object]:
    begin, end = window
    numbered = "\n".join(f"{number}. {q.question}" for number, q in enumerate(asked, 1))
    quoted = "\n".join(f"{number}. “{evidence(source.text, q.fact)}”" for number, q in enumerate(asked, 1))
    answers = "\n".join(f"{number}. {q.answer}" for number, q in enumerate(asked, 1))
    asking = f"{source.text[begin:end].strip()}\n\n{INSTRUCTION}\n{numbered}"
    turns = [Turn("user", asking), Turn("assistant", answers, think=f"What the text says:\n{quoted}")]
    return kept_row(made, "qa", source, begin, asked, turns, window=[begin, end - begin])


LONG = Generator(emit, settle)
