"""Marks in a text, and the passages that come back for them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.kept import Kept


def test_a_passage_in_a_line_stays_in_it() -> None:
    kept = Kept()
    mark = kept.mark(r"\(x\)", "formula", block=False)
    assert kept.restore(f"where {mark} is") == (r"where \(x\) is", Counter(formula=1))


def test_a_block_stands_on_lines_of_its_own() -> None:
    kept = Kept()
    mark = kept.mark("a\n\n  b", "code", block=True)
    assert kept.restore(f"run {mark} twice")[0] == "run\na\n\n  b\ntwice"
    assert kept.restore(f"one\n{mark}\ntwo")[0] == "one\na\n\n  b\ntwo"
    assert kept.restore(f"{mark} {mark}")[0] == "a\n\n  b\na\n\n  b"


def test_bullets_and_bars_around_a_block_go() -> None:
    kept = Kept()
    mark = kept.mark("x", "code", block=True)
    assert kept.restore(f"a\n- {mark}\n- b")[0] == "a\nx\n- b"
    assert kept.restore(f"| {mark} |\n| c |")[0] == "x\n| c |"
    assert kept.restore(f"| d | {mark} |\n| c |")[0] == "| d |\nx\n| c |"


def test_a_passage_may_hold_marks() -> None:
    kept = Kept()
    formula = kept.mark(r"\[y\]", "formula", block=True)
    table = kept.mark(f"| {formula} | 1 |", "table", block=True)
    assert kept.restore(table) == ("| \\[y\\] | 1 |", Counter(formula=1, table=1))


def test_a_number_that_nobody_marked_stays() -> None:
    kept = Kept()
    kept.mark("x", "code", block=False)
    strange = "\U0001060012\U00010601 and \U00010600x"
    assert kept.restore(strange) == (strange, Counter())


def test_long_passages_weigh_more() -> None:
    kept = Kept()
    lengths = [len(kept.mark("x" * count, "code", block=True)) for count in (1, 100, 500, 50_000)]
    assert lengths[0] < 5 < 90 < lengths[1] < lengths[2] < 530
    assert lengths[3] < 530


@given(st.lists(st.text("ab \n\\|-", min_size=1), max_size=8), st.data())
def test_every_passage_comes_back_as_it_was(passages: list[str], data: st.DataObject) -> None:
    kept, text = Kept(), ""
    for passage in passages:
        text += data.draw(st.text("xy \n")) + kept.mark(passage, "code", block=data.draw(st.booleans()))
    restored, counts = kept.restore(text + " ")
    assert counts.total() == len(passages)
    at = 0
    for passage in passages:
        at = restored.index(passage.rstrip("\n") if passage is passages[-1] else passage, at)
