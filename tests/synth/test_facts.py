"""Facts: what is found in prose, docstrings, manuals and examples, with exact spans; nothing in noise, and no crash on anything."""

import itertools
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.evidence import Fact, answer, evidence
from synth.facts import extract, select

SOURCE = '''"""Geometry on grids.

A grid is a rectangular arrangement of cells.
"""


class Grid:
    """A board of cells."""

    def neighbours(self, cell, diagonal=False):
        """Return the cells that touch a cell.

        Args:
            cell (tuple): Row and column of the cell
                in question.
            diagonal (bool): Whether corners count.

        Raises:
            IndexError: If the cell lies outside.

        >>> grid = Grid(2)
        >>> grid.size
        2
        >>> grid.neighbours((0, 0))
        [(0, 1),
         (1, 0)]
        """

    @property
    def size(self):
        """Number of cells along one side."""

    def _hidden(self):
        """Return the secret of the grid."""


def spread(values, width: int = 3):
    """Distribute values over cells.

    :param values: numbers in any order, see
        :func:`sorted`
    :returns: a list of lists with equal sums
    :raises ValueError: if there are no values

    Parameters
    ----------
    width : int
        How many cells a row has.
    """
'''
MANUAL = """grids
=====

The Portable Grid Format is a plain text format for boards. It is small.
  * cell: one place of the board, addressed by row and column.

Piece:

: What stands on a cell of the board, belongs to a player, and
  can be moved. Pieces have colours.

grids.Grid.clear(self)
----------------------

Remove all pieces from the board.

grids.load(path)
----------------

Read a board. Raises OSError if the file is not readable.

>>> grids.load("x").size
8
"""


def found(text: str, kind: str = "book", origin: str = "b#1") -> dict[tuple[str, str, str], str]:
    return {(f.kind, f.subject, f.detail): answer(text, f) for f in extract(text, kind=kind, origin=origin)}


def test_docstrings_of_python_source() -> None:
    facts = found(SOURCE, "code", "grids@1:grids/board.py")
    call = "Grid.neighbours(cell, diagonal=False)"
    assert facts == {
        ("definition", "grid", "is a grid"): "a rectangular arrangement of cells",
        ("summary", "Grid", ""): "A board of cells.",
        ("returns", call, ""): "the cells that touch a cell.",
        ("parameter", call, "cell"): "Row and column of the cell in question.",
        ("parameter", call, "diagonal"): "Whether corners count.",
        ("raises", call, "IndexError"): "If the cell lies outside.",
        ("example", "grid.size", ">>> grid = Grid(2)\n>>> grid.size"): "2",
        (
            "example",
            "grid.neighbours((0, 0))",
            ">>> grid = Grid(2)\n>>> grid.size\n>>> grid.neighbours((0, 0))",
        ): "[(0, 1),\n (1, 0)]",
        ("summary", "Grid.size", ""): "Number of cells along one side.",
        ("summary", "spread", ""): "Distribute values over cells.",
        ("parameter", "spread", "values"): "numbers in any order, see :func:`sorted`",
        ("returns", "spread", ""): "a list of lists with equal sums",
        ("raises", "spread", "ValueError"): "if there are no values",
        ("parameter", "spread", "width"): "How many cells a row has.",
    }


def test_entries_of_a_manual() -> None:
    facts = extract(MANUAL, kind="book", origin="books.jsonl#1")
    assert found(MANUAL) == {
        ("definition", "Portable Grid Format", "is the Portable Grid Format"): "a plain text format for boards",
        ("term", "cell", ""): "one place of the board, addressed by row and column.",
        ("term", "Piece", ""): "What stands on a cell of the board, belongs to a player, and can be moved.",
        ("summary", "grids.Grid.clear()", ""): "Remove all pieces from the board.",
        ("raises", "grids.load(path)", "OSError"): "if the file is not readable.",
        ("example", 'grids.load("x").size', '>>> grids.load("x").size'): "8",
    }
    assert [fact.scope for fact in facts] == ["", "", "", "grids.Grid.clear", "grids.load", "grids.load"]


def test_listed_calls_of_a_reference_page() -> None:
    page = "class Box(object)\n- open(self, lid=None)\n- Lift the lid of the box.\nFunctions\n- fill(box) -> int\n- Put sand into a box.\n"
    assert found(page, "web", "https://x.example/box.html") == {
        ("summary", "Box.open(lid=None)", ""): "Lift the lid of the box.",
        ("summary", "fill(box)", ""): "Put sand into a box.",
    }


@pytest.mark.parametrize(
    ("sentence", "asked", "answered"),
    [
        ("A lock file is the list of exact versions.", "is a lock file", "the list of exact versions"),
        ("SQLite is an in-process library.", "is SQLite", "an in-process library"),
        ("The Domain Name System (DNS) is a naming system.", "is the Domain Name System", "a naming system"),
        ("`udev` is a device manager for Linux.", "is `udev`", "a device manager for Linux"),
        ("Regular expressions are a language for patterns.", "are regular expressions", "a language for patterns"),
        ("DNS stands for Domain Name System.", "does DNS stand for", "Domain Name System"),
        (
            "A trie is a tree, e.g. of\nwords, with shared prefixes.",
            "is a trie",
            "a tree, e.g. of words, with shared prefixes",
        ),
    ],
)
def test_definitions(sentence: str, asked: str, answered: str) -> None:
    text = f"Something before it all ends here. {sentence} And more follows."
    assert [(f.detail, answer(text, f)) for f in extract(text, kind="web", origin="u")] == [(asked, answered)]


def test_a_wrapped_line_is_not_the_beginning_of_a_sentence() -> None:
    text = "Many tools that are in daily use were written in the language whose name\nPython is a pun on a television series.\n"
    assert not extract(text, kind="book", origin="b")


def test_sessions_keep_what_the_answer_may_depend_on() -> None:
    text = "\n\n".join(
        [
            ">>> from heapq import heappop\n>>> heap = [1, 2]\n>>> other = [3]\n>>> other[0]\n3\n>>> heappop(heap)\n1\n>>> heap\n[2]",
            "Text.\n",
        ]
    )
    last = extract(text, kind="book", origin="b")[-1]
    assert last.detail.split("\n") == [
        ">>> from heapq import heappop",
        ">>> heap = [1, 2]",
        ">>> other = [3]",
        ">>> heappop(heap)",  # it changed the heap
        ">>> heap",
    ]


def test_output_that_runs_into_prose_is_not_believed() -> None:
    page = ">>> f(1)\n2\n>>> f(2)\n3\nNow something else entirely:\n>>> f(3)\n4"
    assert [answer(page, f) for f in extract(page, kind="web", origin="u")] == ["2", "4"]


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            [SOURCE, MANUAL, ">>> 1 +\n", '"""', "def f(", "- x: ", "A b is a c. ", "\n\n", "\x00", "((((", "é"]
        ),
        max_size=8,
    ),
    cut=st.integers(0, 400),
    kind=st.sampled_from(["code", "web"]),
)
def test_anything_goes_in_and_only_spans_come_out(parts: list[str], cut: int, kind: str) -> None:
    text = "".join(parts)[cut:]
    facts = extract(text, kind=kind, origin="o")
    for before, after in itertools.pairwise(facts):
        assert before.end <= after.start
    for fact in facts:
        assert (
            0 <= fact.evidence_start <= fact.start < fact.end <= fact.evidence_start + fact.evidence_length <= len(text)
        )


def test_selection_takes_turns_among_kinds_and_is_keyed() -> None:
    facts = extract(SOURCE, kind="code", origin="x.py")
    chosen = select(facts, 6, seed=1, document="d")
    assert chosen == sorted(chosen) == select(facts[::-1], 6, seed=1, document="d")
    assert {fact.kind for fact in chosen} == {fact.kind for fact in facts}
    assert any(select(facts, 6, seed=seed, document="d") != chosen for seed in range(2, 6))


def test_a_real_book_has_facts(shared_data: Path) -> None:
    with tarfile.open(shared_data / "books" / "quic-rfcs.tar.gz") as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("rfc9000.md"))
        text = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
    facts: list[Fact] = extract(text, kind="book", origin="rfc9000.md")
    assert len(facts) > 60
    assert all(answer(text, fact) in evidence(text, fact) for fact in facts if fact.kind != "example")
