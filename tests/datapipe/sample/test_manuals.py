import json

from hypothesis import given
from hypothesis import strategies as st

from datapipe.sample.language_reference import reference_sections
from datapipe.sample.manuals import MIN_CHARS, Book, book_lines, volumes


@given(st.lists(st.text("ab ", min_size=1, max_size=50)), st.integers(1, 100))
def test_volumes_keep_every_section_whole_and_in_order(sections: list[str], max_chars: int) -> None:
    assert "".join("".join(volume.split("\n")) for volume in volumes(sections, max_chars)) == "".join(sections)
    for volume in volumes(sections, max_chars):
        kept = volume.split("\n\n\n")
        assert len(kept) == 1 or sum(map(len, kept)) - 1 <= max_chars


def test_each_volume_of_a_book_has_an_origin_of_its_own_and_a_short_rest_is_left_out() -> None:
    book = Book("Manual", "thing-1.0:thing", "MIT", ["x" * MIN_CHARS, "y" * MIN_CHARS, "z" * 10])
    records = [json.loads(line) for line in book_lines(book, MIN_CHARS, max_bytes=10**6)]
    assert [record["origin"] for record in records] == ["thing-1.0:thing", "thing-1.0:thing#volume-2"]
    assert [record["title"] for record in records] == ["Manual", "Manual, volume 2"]
    assert len(list(book_lines(book, MIN_CHARS, max_bytes=MIN_CHARS + 200))) == 1


def test_the_reference_has_its_chapters_in_order_and_no_section_twice() -> None:
    text = "\n".join(reference_sections())
    chapters = ["1. Lexical analysis", "2. Data model", "4. Expressions", "6. Compound statements"]
    places = [text.index(chapter + "\n") for chapter in chapters]
    assert places == sorted(places)
    assert text.count('The "try" statement\n') == 1
    assert text.count("Basic customization\n") == 1
