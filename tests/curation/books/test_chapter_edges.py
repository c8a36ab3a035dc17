"""What a site puts around its pages goes from the ends of chapters; what a person wrote there stays."""

from hypothesis import given
from hypothesis import strategies as st

from curation.books.chapter_edges import without_furniture, without_shared_parts


def test_lines_that_half_of_the_chapters_have_at_an_end() -> None:
    texts = [f"<-previousnext->\n\nChapter {n}\n<-previousnext->\nText {n}.\nmade by a tool" for n in range(6)]
    assert without_furniture(texts) == [f"Chapter {n}\n<-previousnext->\nText {n}." for n in range(6)]
    assert without_furniture(texts[:4]) == texts[:4]


def test_links_alone_go_wherever_they_lead_and_however_few_have_them() -> None:
    linked = [f"| [ << Chapter {n} ] | [Top][Contents] | [ >> ] |\nText {n}.\n[ < {n} ] [Up]\n" for n in range(5)]
    plain = [f"Page {n}." for n in range(20)]
    assert without_furniture([*linked, *plain]) == [*(f"Text {n}." for n in range(5)), *plain]


def test_what_few_chapters_share_stays() -> None:
    texts = [f"Page {n}." for n in range(20)] + ["[1] See also\nText.\n[2] Notes"] * 4
    assert without_furniture(texts) == texts


@given(st.lists(st.lists(st.sampled_from(["a", "b", "", "[x] [y]", " c"]), max_size=5), max_size=9))
def test_only_lines_at_the_ends_go(chapters: list[list[str]]) -> None:
    texts = ["\n".join(lines) for lines in chapters]
    for before, after in zip(texts, without_furniture(texts), strict=True):
        assert after in before


def test_what_most_titles_begin_or_end_with() -> None:
    titles = [*(f"GAP (ref) - Chapter {n}: Sets" for n in range(1, 4)), "GAP (ref) - Index", "Licence"]
    assert without_shared_parts(titles) == ["Chapter 1: Sets", "Chapter 2: Sets", "Chapter 3: Sets", "Index", "Licence"]
    assert without_shared_parts(["1 On sets | The Book", "2 On maps | The Book"]) == ["1 On sets", "2 On maps"]
    assert without_shared_parts(["6 Shell Grammar (zsh)", "7 Redirection (zsh)", "Notes"]) == [
        "6 Shell Grammar",
        "7 Redirection",
        "Notes",
    ]
    assert without_shared_parts(["Rome: the end", "Athens: the end", "", ""]) == [
        "Rome: the end",
        "Athens: the end",
        "",
        "",
    ]


def test_what_many_chapters_share_and_a_person_wrote_stays() -> None:
    for shape in (
        "Text {0}.\n\n```c\nint x{0};\n```",
        "```c\nint x{0};\n```\nText {0}.",
        "f{0}() {{\n    g{0}();\n    }}\n}}",
    ):
        texts = [shape.format(n) for n in range(6)]
        assert without_furniture(texts) == texts
    tables = [f"| Name | Value |\n| --- | --- |\n| {n} | 2 |\nText." for n in range(6)]
    assert without_furniture(tables) == [table.removesuffix("\nText.") for table in tables]
    short = ["Hymn\n\nGlory", "Hymn\n\nPeace"] * 3
    assert without_furniture(short) == short


def test_numbers_that_most_titles_have_are_their_place() -> None:
    titles = [*(f"Part 1: Chapter {n}" for n in range(1, 4)), "Part 2: Chapter 1", "Rest (II)", "End (II)", "All (II)"]
    assert without_shared_parts(titles[:4]) == titles[:4]
    assert without_shared_parts(titles[4:]) == titles[4:]
