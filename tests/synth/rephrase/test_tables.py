import pytest

from synth.rephrase.pieces import spoken
from synth.rephrase.tables import prose, tables
from tests.synth.rephrase.pages import TABLE, passage, voices


def test_every_cell_is_told_with_the_name_of_its_column() -> None:
    for voice in voices():
        draft = prose(passage(TABLE), voice)
        assert draft
        text = spoken(draft.pieces, [TABLE])
        assert all(text.count(cell) == 1 for cell in ("Ammer", "46.6 km²", "79.9 km²", "73 m", "1.8 km²"))
        assert text.count("Area") == 3
        assert text.count("Depth") == 2  # one is empty
        assert "|" not in text
    assert len({spoken(d.pieces, [TABLE]) for voice in voices() if (d := prose(passage(TABLE), voice))}) > 25


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| Lake |", "|  |"),
        ("| Chiem |", "| Ammer |"),
        ("| 81 m |\n", "| 81 m | more |\n"),
        ("|------|-----:|-------|\n", ""),
        ("| Ammer |", "|  |"),
        ("46.6 km²", "4" * 301),
        ("| Ammer | 46.6 km² | 81 m |\n| Chiem | 79.9 km² | 73 m |\n", ""),
    ],
)
def test_a_table_that_cannot_be_told_is_left_out(old: str, new: str) -> None:
    assert old in TABLE
    text = TABLE.replace(old, new)
    assert list(tables(text, 0, len(text))) == []
    assert prose(passage(text), voices(1)[0]) is None


def test_escaped_pipes_are_shown_as_they_read() -> None:
    text = TABLE.replace("81 m", r"81 \| 82 m")
    draft = prose(passage(text), voices(1)[0])
    assert draft
    assert "81 | 82 m" in spoken(draft.pieces, [text])


@pytest.mark.parametrize("dull", ["--", "n/a", "as below", "..."])
def test_cells_that_say_nothing_are_not_told(dull: str) -> None:
    text = TABLE.replace("81 m", dull)
    drafts = [draft for voice in voices() if (draft := prose(passage(text), voice))]
    assert drafts
    assert not any(dull in spoken(draft.pieces, [text]) for draft in drafts)
    assert prose(passage(TABLE.replace("Ammer", dull)), voices(1)[0]) is None


def test_a_cell_ends_no_sentence() -> None:
    text = TABLE.replace("81 m", "Deep, they say.").replace("73 m", "and so on...")
    for voice in voices():
        if draft := prose(passage(text), voice):
            assert ".." not in spoken(draft.pieces, [text]).replace("...", "")
            assert "they say. as" not in spoken(draft.pieces, [text])


def test_names_with_signs_are_not_joined_by_signs() -> None:
    text = TABLE.replace("Area", "a < b")
    assert all("a < b is" in spoken(d.pieces, [text]) for voice in voices() if (d := prose(passage(text), voice)))
