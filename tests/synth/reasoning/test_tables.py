from fractions import Fraction

import pytest

from synth.reasoning.tables import Table, is_empty, read, tables

SPEEDS = """\
| Package | Accuracy | Time | Licence |
|---|:---:|---|---|
| chardet | 99.5 % | 1,200 | LGPL |
| normalizer | 98 % | -5 | MIT |
| cchardet | 94.25 % | 30 | MIT |
"""


def speeds() -> Table:
    table = read(SPEEDS)
    assert table is not None
    return table


def test_columns_are_typed() -> None:
    table = speeds()
    assert [column.name for column in table.columns] == ["Package", "Accuracy", "Time", "Licence"]
    assert table.column("Accuracy").unit == "%"
    assert [table.column("Accuracy").number(row) for row in range(3)] == [Fraction(199, 2), 98, Fraction(377, 4)]
    assert table.column("Accuracy").scale == 100
    assert table.column("Time").numbers == (1200, -5, 30)
    assert table.column("Licence").numbers is None
    assert table.key() is table.column("Package")


def test_units_that_differ_make_words() -> None:
    table = read(SPEEDS.replace("98 %", "98 ms"))
    assert table is not None
    assert table.column("Accuracy").numbers is None


@pytest.mark.parametrize(
    "source",
    [
        SPEEDS.replace("| chardet | 99.5 % | 1,200 | LGPL |", "| chardet | 99.5 % | 1,200 |"),  # ragged
        SPEEDS.replace("Time", "accuracy"),  # two columns of one name
        SPEEDS.replace("Time", ""),
        "\n".join(SPEEDS.split("\n")[:4]),  # too few rows
        SPEEDS + "| a | 1 % | 2 | MIT |\n" * 60,
        SPEEDS.replace("LGPL", "L" * 201),
        SPEEDS.replace("LGPL", "[LGPL](https://x.example)"),
        SPEEDS.replace("LGPL", ":ref:`LGPL`"),
        SPEEDS.replace("LGPL", "`LGPL`_"),
    ],
)
def test_what_cannot_be_asked_about_is_no_table(source: str) -> None:
    assert read(source) is None


def test_tables_are_found_where_they_stand() -> None:
    text = f"Before\n\n{SPEEDS}\nBetween | pipes\n\n| no | header |\n| a | b |\n\n{SPEEDS}"
    found = list(tables(text))
    assert len(found) == 2
    assert all(text[table.start :].startswith(table.text) for table in found)


def test_escaped_pipes_and_empty_cells_are_cells() -> None:
    table = read("| a | b |\n|--|--|\n| x \\| y |  |\n| z | 1 |\n| w | - |\n")
    assert table is not None
    assert table.column("a").cells == ("x | y", "z", "w")
    assert table.column("b").numbers is None


def test_a_huge_page_is_read_in_no_time() -> None:
    assert list(tables("| " * 500_000)) == []
    assert list(tables("|---|\n" * 50_000)) == []
    assert len(list(tables((SPEEDS + "\n") * 500))) == 40


def test_cells_that_send_the_reader_elsewhere_say_nothing() -> None:
    assert all(
        map(
            is_empty,
            (
                "",
                "--",
                "n/a",
                "as below",
                "As above",
                "ditto",
                "Same as above",
                "...",
                "(see below)",
                "(3)",
                "same as above, but shorter",
                "*N/A*",
                "?",
                "″",
            ),
        )
    )
    assert not any(
        map(is_empty, ("as belowground", "0", "none", "the same as above a limit", "*", ".", "..", "+", "nan"))
    )
