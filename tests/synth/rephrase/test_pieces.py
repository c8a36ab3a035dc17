import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.rephrase.pieces import Piece, Quote, as_json, cell, clause, filled, from_json, sources_of, spoken

TEXT = "A  bee\nflies. The | pipe."
QUOTES = st.builds(
    Quote, st.just(0), st.integers(0, 10), st.integers(1, 10), st.sampled_from(["raw", "line", "cell", "clause"])
)


@given(st.lists(st.text(max_size=5) | QUOTES, max_size=8))
def test_stored_pieces_say_the_same(pieces: list[Piece]) -> None:
    stored: list[Any] = json.loads(json.dumps(as_json(pieces)))
    assert spoken(from_json(stored), [TEXT]) == spoken(pieces, [TEXT])


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("raw", "A  bee\nflies."),
        ("line", "A bee flies."),
        ("clause", "a bee flies"),
        ("cell", "A bee flies."),
        ("bare_cell", "A bee flies."),
    ],
)
def test_views(view: str, shown: str) -> None:
    assert spoken([Quote(0, 0, 13, view)], [TEXT]) == shown


def test_clauses_and_cells() -> None:
    assert clause("True if it flies.") == "True if it flies"
    assert clause("None of them...") == "None of them..."
    assert cell("a | b \\| c") == r"a \| b \| c"


def test_phrases_are_filled_with_one_piece_or_several() -> None:
    made = filled("{a} of {b}!", {"a": Quote(0, 3, 3), "b": ["the ", Quote(0, 7, 5)]})
    assert spoken(made, [TEXT]) == "bee of the flies!"


@pytest.mark.parametrize("quote", [Quote(1, 0, 3), Quote(0, -1, 3), Quote(0, 0, 0), Quote(0, 20, 9), Quote(0, 6, 1)])
def test_a_quotation_that_shows_nothing_is_found(quote: Quote) -> None:
    assert not sources_of(["x", quote], [TEXT])["passed"]


def test_the_share_that_is_quoted() -> None:
    assert sources_of(["abc", Quote(0, 3, 3)], [TEXT]) == {"passed": True, "quotes": 1, "quoted": 0.5}
    assert not sources_of(["abc"], [TEXT])["passed"]
