"""Texts and spans after edits, against a text whose characters are followed one by one."""

from hypothesis import given
from hypothesis import strategies as st

from curation.edits import Edit, moved, replaced


def test_texts_and_spans_of_three_edits() -> None:
    text = "call me at a@b.org or c@d.org today"
    edits = [Edit(11, 18, "<E>"), Edit(22, 29, "<E>")]
    assert replaced(text, edits) == "call me at <E> or <E> today"
    spans = [
        {"start": 0, "length": 7},
        {"start": 8, "length": 3},
        {"start": 8, "length": 5},
        {"start": 19, "length": 2},
        {"start": 30, "length": 5},
    ]
    after = replaced(text, edits)
    pieces = [after[span["start"] : span["start"] + span["length"]] for span in moved(spans, edits)]
    assert pieces == ["call me", "at ", "at <E>", "or", "today"]


def test_a_span_inside_a_removed_range_goes() -> None:
    edits = [Edit(2, 8, "")]
    assert moved([{"start": 3, "length": 2}, {"start": 8, "length": 1}], edits) == [{"start": 2, "length": 1}]
    assert replaced("0123456789", []) == "0123456789"
    assert moved([{"start": 3, "length": 2}], []) == [{"start": 3, "length": 2}]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.text("xy", max_size=3)), max_size=5), st.data())
def test_what_lies_outside_the_edits_keeps_its_characters(
    parts: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    edits, place = [], 0
    for gap, length, new in parts:
        edits.append(Edit(place + gap, place + gap + length, new))
        place += gap + length
    text = "".join(chr(0x4E00 + index) for index in range(place + 3))
    touched = {index for edit in edits for index in range(edit.start, edit.end)}
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    after = replaced(text, edits)
    spans = moved([{"start": start, "length": end - start}], edits)
    covered = "".join(after[span["start"] : span["start"] + span["length"]] for span in spans)
    assert [char for char in covered if char not in "xy"] == [text[i] for i in range(start, end) if i not in touched]
