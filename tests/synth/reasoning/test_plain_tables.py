import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.reasoning.plain_tables import found, rows
from synth.reasoning.tables import tables

GRID = """\
   +-----------+---------------------+
   | Option    | Meaning             |
   |===========|=====================|
   | "'<'"     | Forces the field to |
   |           | be left-aligned.    |
   +-----------+---------------------+
   | "'>'"     | To the right.       |
   +-----------+---------------------+
   | "'^'"     |                     |
   +-----------+---------------------+"""
SIMPLE = """\
=========  =====  ==================
Function   Order  Description
=========  =====  ==================
mean       1      Arithmetic mean
                  of data.
median     2      Middle value.

mode       30     Most common value,
                  if there is one
=========  =====  =================="""
CELL = st.text("ab, .'", min_size=1, max_size=8).map(lambda text: text.strip(" .'") or "x")


def drawn(table: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in table) + 2 for place in range(len(table[0]))]
    lines = [
        "|" + "|".join(f" {cell}".ljust(width) for cell, width in zip(row, widths, strict=True)) + "|" for row in table
    ]
    rules = ["+" + "+".join(mark * width for width in widths) + "+" for mark in ("-", "=")]
    body = "".join(f"{line}\n{rules[0]}\n" for line in lines[1:])
    return f"{rules[0]}\n{lines[0]}\n{rules[1]}\n{body}".rstrip("\n")


def test_lines_of_a_cell_are_joined() -> None:
    assert rows(GRID) == [
        ["Option", "Meaning"],
        ["\"'<'\"", "Forces the field to be left-aligned."],
        ["\"'>'\"", "To the right."],
        ["\"'^'\"", ""],
    ]
    assert rows(SIMPLE) == [
        ["Function", "Order", "Description"],
        ["mean", "1", "Arithmetic mean of data."],
        ["median", "2", "Middle value."],
        ["mode", "30", "Most common value, if there is one"],
    ]
    assert rows(
        SIMPLE.replace("\n=========  =====  ==================\nmean", "\n---------  -----  ------------------\nmean")
    )


@pytest.mark.parametrize(
    "source",
    [
        GRID.replace("|===========|=====================|", "+-----------+---------------------+"),  # no head
        GRID.replace("\"'>'\"     | To", "\"'>'\"       To"),  # a cell over two columns
        GRID.replace(
            "+-----------+---------------------+\n   | \"'^'\"", "+-----------+                     +\n   | \"'^'\""
        ),
        SIMPLE.replace("median     2      Middle value.", "median, which is the middle"),  # over the border
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(source: str) -> None:
    assert source not in (GRID, SIMPLE)
    assert rows(source) is None


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=2, max_size=5)
    )
)
def test_a_grid_reads_as_it_was_drawn(table: list[list[str]]) -> None:
    assert rows(drawn(table)) == [[" ".join(cell.split()) for cell in row] for row in table]


def test_they_are_found_where_they_stand_beside_those_of_markdown() -> None:
    text = f"Before\n\n{GRID}\n\nAfter\n\n{SIMPLE}\n| a | b |\n|--|--|\n" + "| 1 | x |\n" * 3
    assert [text[start : start + len(source)] == source for start, source in found(text)] == [True, True]
    assert [(table.start, table.columns[0].name) for table in tables(text)] == [
        (8, "Option"),
        (text.index(SIMPLE), "Function"),
        (text.index("| a |"), "a"),
    ]
    assert [table.columns[1].numbers for table in tables(text)] == [None, (1, 2, 30), None]


def test_a_huge_page_of_rules_is_read_in_no_time() -> None:
    for line in ("+--+--+\n", "|  |  |\n", "== ==\n", "a b\n== ==\n", "== ==\nab\n", "= " * 50 + "\n", "   \n"):
        assert sum(1 for _ in found(line * 20_000)) <= 20_000
    assert list(found("== ==\na  b\n== ==\n" + "   \n" * 200 + "a  b\n")) == []
