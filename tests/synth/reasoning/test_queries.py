from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.reasoning.compare import is_right
from synth.reasoning.queries import NUMERIC, run, run_again
from synth.reasoning.tables import read

TABLE = read("""\
| City | People | Size | Coast |
|---|---|---|---|
| Aber | 100 | 2.5 | yes |
| Brun | 300 | 1.0 | no |
| Cole | 300 | 4.0 | yes |
| Dorn | 50 | 3.25 | - |
""")


@pytest.mark.parametrize(
    ("where", "ask", "answer"),
    [
        ([["City", "=", "Brun"]], ["cell", "Size"], "1.0"),
        ([["Coast", "=", "yes"]], ["cell", "City"], None),  # two rows
        ([["City", "=", "Dorn"]], ["cell", "Coast"], None),  # says nothing
        ([["People", "=", "50"]], ["cell", "City"], "Dorn"),
        ([["Coast", "=", "yes"]], ["count"], "2"),
        ([["Coast", "is not", "yes"]], ["count"], "2"),
        ([["Coast", "=", "maybe"]], ["count"], None),
        ([["People", ">", "50"], ["Size", "<", "4.0"]], ["count"], "2"),
        ([], ["sum", "Size"], "43/4"),
        ([["Coast", "=", "yes"]], ["mean", "Size"], "13/4"),
        ([], ["span", "Size"], "3"),
        ([], ["most", "Size", "City"], "Cole"),
        ([], ["least", "People", "City"], "Dorn"),
        ([], ["most", "People", "City"], None),  # a tie
        ([], ["rank", "Size", "City", 2], "Dorn"),
        ([], ["rank", "People", "City", 2], None),
        ([], ["rank", "People", "City", 3], "Aber"),
        ([], ["rank", "Size", "City", 5], None),
        ([], ["distinct", "Coast"], None),  # an empty cell
        ([["City", "is not", "Dorn"]], ["distinct", "Coast"], "2"),
        ([], ["distinct", "People"], "3"),
        ([], ["less", "Size", "City", "Aber", "Cole"], "-3/2"),
        ([], ["larger", "Size", "City", "Aber", "Cole"], "Cole"),
        ([], ["larger", "People", "City", "Brun", "Cole"], None),
    ],
)
def test_queries_are_executed_twice(where: list[list[str]], ask: list[Any], answer: str | None) -> None:
    assert TABLE is not None
    query = {"where": where, "ask": ask}
    assert run(TABLE, query) == answer
    assert run_again(TABLE, query) == answer


cells = st.sampled_from(["1", "2", "-3", "2.5", "10"])
words = st.sampled_from(["red", "blue", "-", ""])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(words, cells, cells), min_size=3, max_size=7), st.data())
def test_both_executions_agree(rows: list[tuple[str, str, str]], data: st.DataObject) -> None:
    lines = [f"| k{place} | {word} | {one} | {two} |" for place, (word, one, two) in enumerate(rows)]
    table = read("\n".join(["| Key | Word | One | Two |", "|--|--|--|--|", *lines]))
    assert table is not None
    keys = st.sampled_from([f"k{place}" for place in range(len(rows))])
    number = st.sampled_from(["One", "Two"])
    conditions = st.one_of(
        st.tuples(st.just("Word"), st.sampled_from(["=", "is not"]), words),
        st.tuples(number, st.sampled_from(["=", "is not", ">", "<"]), cells),
    )
    asked = st.one_of(
        st.tuples(st.just("cell"), st.sampled_from(["Key", "Word", "One"])),
        st.just(("count",)),
        st.tuples(st.sampled_from(["sum", "mean", "span"]), number),
        st.tuples(st.just("distinct"), st.sampled_from(["Word", "One"])),
        st.tuples(st.sampled_from(["most", "least"]), number, st.just("Key")),
        st.tuples(st.just("rank"), number, st.just("Key"), st.integers(2, 4)),
    )
    pair = st.tuples(st.sampled_from(["less", "larger"]), number, st.just("Key"), keys, keys)
    ask = list(data.draw(st.one_of(asked, pair)))
    where = (
        []
        if ask[0] in ("less", "larger")
        else [list(data.draw(conditions)) for _ in range(data.draw(st.integers(0, 2)))]
    )
    query = {"where": where, "ask": ask}
    first, second = run(table, query), run_again(table, query)
    assert (first is None) == (second is None), query
    if first is not None and second is not None:
        assert is_right("number" if ask[0] in NUMERIC else "text", first, second), query
