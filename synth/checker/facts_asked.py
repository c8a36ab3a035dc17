"""Rows of the generators that ask about one document: `qa`, `lookup`, `chat`, `long`.

Every answer is cut from the document again by the span of its fact, the evidence holds it, and both stand where the row says: the question
with the user, the answer with the assistant, the passage in the context. The lines that `lookup` finds and reads are looked up again.
Not checked: the sense of a question, its being unambiguous among all documents.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from synth.checker.conversation import arguments
from synth.checker.row import Documents, Row

MAX_HITS, MAX_LINES, MAX_CHARS = 8, 40, 160  # of `lookup`, as its tools say


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of one of them."""
    text = documents[row.parents[0]].text
    said = "\n".join(turn.text for turn in row.turns if turn.role == "assistant")
    for asked in row.meta["questions"]:
        yield from _fact(asked, text)
        if asked["question"] not in row.asked:
            yield f"nobody asks {asked['question'][:60]!r}"
        if asked["answer"].strip() not in said:
            yield f"nobody answers {asked['answer'][:60]!r}"
    if "window" in row.meta:
        begin, length = row.meta["window"]
        passage = text[begin : begin + length].strip()
        told = [turn.text for turn in row.turns if turn.role in ("system", "user")]
        if not any(text.startswith(f"{passage}\n\n") or text.endswith(f"\n\n{passage}") for text in told):
            yield "the passage is not shown as it stands in the document"
    if row.meta["generator"] == "lookup":
        yield from _found(row, text)


def _fact(asked: Mapping[str, Any], text: str) -> Iterator[str]:
    start, (begin, length) = asked["start"], asked["evidence"]
    span = text[start : start + asked["length"]]
    answer = " ".join(span.split())
    if asked["fact"] == "example":
        indent = start - (text.rfind("\n", 0, start) + 1)
        first, *rest = span.split("\n")
        answer = "\n".join([first, *(line[indent:] for line in rest)])
    if answer != asked["answer"]:
        yield f"the answer is {asked['answer'][:60]!r}, and its span says {answer[:60]!r}"
    if not begin <= start <= start + asked["length"] <= begin + length:
        yield "the evidence does not hold the answer"


def _found(row: Row, text: str) -> Iterator[str]:
    lines = text.split("\n")
    for turn, after in zip(row.turns, [*row.turns[1:], None], strict=True):
        for call in turn.calls:
            given = arguments(row.turns, call)
            shown = after.responses[0].split("\n") if after and after.responses else []
            if call.name == "find":
                numbers = [number for number, line in enumerate(lines, start=1) if given["pattern"] in line]
                head = re.match(r"(\d+) lines?", shown[0]) if shown else None
                if not head or int(head[1]) != len(numbers) or len(shown) - 1 != min(len(numbers), MAX_HITS):
                    yield f"find counts {shown[:1]}, and {len(numbers)} lines have {given['pattern'][:40]!r}"
                yield from _lines(shown[1:], lines, numbers)
            else:
                first, count = given["line"], min(given["count"], MAX_LINES)
                expected = [f"{n}: {line}" for n, line in enumerate(lines[first - 1 : first - 1 + count], start=first)]
                if shown != expected:
                    yield f"read shows {shown[:1]}, not {expected[:1]}"


def _lines(shown: list[str], lines: list[str], numbers: list[int]) -> Iterator[str]:
    for line, number in zip(shown, numbers, strict=False):
        place, _, words = line.partition(": ")
        cut = words.removeprefix("…").removesuffix("…")
        if place != str(number) or cut not in lines[number - 1] or len(cut) > MAX_CHARS:
            yield f"find shows {line[:60]!r}, and line {number} says something else"
