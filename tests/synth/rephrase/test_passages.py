from hypothesis import given
from hypothesis import strategies as st

from synth.rephrase.passages import passages

PIECES = st.sampled_from(["a", "word ", "Ends. ", "\n", "\n\n", "\n  \n", "```\n", "~~~\n", "    ", "é"])


@given(st.lists(PIECES, max_size=120).map("".join), st.integers(1, 60))
def test_passages_make_up_the_text(text: str, limit: int) -> None:
    found = passages(text, limit)
    assert "".join(text[begin:end] for begin, end in found) == text
    assert all(0 < end - begin <= limit for begin, end in found)


def test_cuts_are_between_paragraphs() -> None:
    text = "One one.\n\nTwo two.\n \nThree three.\n\n"
    assert [text[begin:end].split() for begin, end in passages(text, 22)] == [
        ["One", "one.", "Two", "two."],
        ["Three", "three."],
    ]


def test_a_fence_stays_whole_and_a_long_line_is_cut_at_a_sentence() -> None:
    code = "```\na\n\nb\n```\n"
    text = f"Before it.\n\n{code}After it goes on.\n\n"
    assert [text[begin:end] for begin, end in passages(text, 20)] == ["Before it.\n\n", code, "After it goes on.\n\n"]
    line = "First sentence here. Second sentence goes on and on"
    assert line[: passages(line, 30)[0][1]] == "First sentence here. "


def test_lines_without_blank_ones_are_paragraphs() -> None:
    text = "a line\n" * 10
    assert {end - begin for begin, end in passages(text, 15)} == {14}
