"""FineWeb's filters and the rules on lines: one text at each limit and one just beyond it."""

import pyarrow as pa
import pytest

from curation.rules.fineweb import fineweb
from curation.rules.line_rules import lines
from datapipe.schema import documents

LONG = "A line that is long enough to be no short line at all"


def docs(*texts: str) -> pa.Table:
    return documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(texts)])


def numbered(count: int, end: str = "") -> list[str]:
    return [f"{LONG}, number {index}{end}" for index in range(count)]


CASES = [
    ("few_punctuated_lines", [*numbered(3, "."), *numbered(22)], [*numbered(2, "?"), *numbered(15)]),
    ("few_punctuated_lines", [*numbered(1, "。"), *numbered(7)], [*numbered(1, '."'), *numbered(7)]),  # no quotes
    ("short_lines", [*numbered(33, "."), *(f"{n:029}." for n in range(67))], None),
    ("short_lines", [*numbered(1, "."), *(f"{n:030}." for n in range(9))], None),  # 31 characters
    ("short_lines", None, [*numbered(32, "."), *(f"{n:029}." for n in range(68))]),
    ("duplicate_line_chars", ["y" * 39 + ".", *["xxxx."] * 2], ["y" * 38 + ".", *["xxxx."] * 2]),
]


@pytest.mark.parametrize(("rule", "kept", "dropped"), CASES)
def test_a_limit_keeps_what_is_on_it(rule: str, kept: list[str] | None, dropped: list[str] | None) -> None:
    others = {"max_newlines_per_word": 2.0, "max_short_lines": 0.67 if rule == "short_lines" else 1.0}
    for lines_of, expected in ((kept, None), (dropped, f"fineweb.{rule}")):
        if lines_of is not None:
            assert fineweb(docs("\n".join(lines_of)), **others).to_pylist() == [expected]


def test_line_feeds_per_word() -> None:
    words = "one two three four five six seven eight nine ten."
    kept, dropped = words + "\n" * 3 + ".", words + "\n" * 4 + "."
    settings = {"max_short_lines": 1.0, "max_newlines_per_word": 3 / 11}
    assert fineweb(docs(kept, dropped), **settings).to_pylist() == [None, "fineweb.newlines"]


def test_odd_texts() -> None:
    odd = docs("", " \n\t", "...", "\0", "中文。" * 40, f"{LONG}.   \n{LONG}!\t")
    assert fineweb(odd).to_pylist() == [
        "fineweb.empty",
        "fineweb.empty",
        "fineweb.short_lines",
        "fineweb.few_punctuated_lines",
        None,
        None,  # white space behind a line's end does not count
    ]
    assert fineweb(odd[:0]).to_pylist() == []


def test_a_heading_that_repeats_is_a_matter_of_the_limit() -> None:
    text = "\n".join([*numbered(20, "."), "See also.", "See also."])
    assert fineweb(docs(text)).to_pylist() == [None]
    assert fineweb(docs(text), max_duplicate_line_chars=0.005).to_pylist() == ["fineweb.duplicate_line_chars"]


def test_capitals_and_long_lines() -> None:
    capitals = docs("ALL OF IT\nnot this", "ALL OF IT\nAND THIS\nnot this", "1234\n中文", "ÉTÉ\nЖ")
    assert lines(capitals).to_pylist() == [None, "lines.upper_case", None, "lines.upper_case"]
    long = docs("\n".join(["x" * 200] * 3), "\n".join(["x" * 200] * 2 + ["x" * 199]))
    assert lines(long, min_long_lines=3).to_pylist() == [None, "lines.few_long"]
    assert lines(docs("")).to_pylist() == [None]
