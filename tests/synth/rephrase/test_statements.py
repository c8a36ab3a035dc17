import pytest

from synth.rephrase.statements import changes

SOURCE = (
    "Ann Miller wrote the first report about 5 pears and 3 apples in spring. Bob Weaver sold 40 boxes of honey at the market. "
    "The bridge was not closed during the winter storm. The old mill stands near the river since 1820."
)


def how(made: str, source: str = SOURCE) -> list[str]:
    return [each.how for each in changes(source, made)[0]]


@pytest.mark.parametrize(
    "made",
    [
        SOURCE,
        "In spring Ann Miller wrote the first report; it was about 5 pears and 3 apples.",
        "At the market 40 boxes of honey were sold by Bob Weaver.",
        "Since 1820 the old mill has stood near the river.",
        "The first report about 5 pears and 3 apples was written by Ann Miller in spring.",
        "Something that is nowhere in the source was said by nobody at all.",
    ],
)
def test_what_is_said_in_other_words_is_the_same(made: str) -> None:
    assert how(made) == []


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("Ann Miller wrote the first report about 3 pears and 5 apples in spring.", "rebound"),
        ("Bob Weaver wrote the first report about pears and apples in spring.", "rebound"),
        ("The old mill stands near the river since 40 years.", "moved"),
        ("The old mill of Bob Weaver stands near the river.", "moved"),
        ("The bridge was closed during the winter storm.", "negated"),
        ("Bob Weaver never sold 40 boxes of honey at the market.", "negated"),
        ("Bob Miller sold 40 boxes of honey at the market.", "rebound"),
    ],
)
def test_what_is_said_differently_is_found(made: str, kind: str) -> None:
    assert how(made) == [kind]


LONG = (
    "The firm bought 12 wagons from the railway in spring and painted all of them with the green colour of the house. It has 30 horses. "
    "The committee did not accept the proposal of the engineers to move the old railway station to the northern bank of the river. "
    "The song was written by Ann Miller in the cold spring of that year. Bob Weaver listened to it."
)


def test_in_a_free_rewrite_only_what_stands_behind_a_mark_is_compared() -> None:
    assert how("The firm bought 30 wagons.", LONG) == ["rebound"]
    assert how("The engineers had a proposal to move the station.", LONG) == []
    assert how("Painted green, the wagons of the firm: 12.", LONG) == []


def test_in_a_close_rewrite_what_stands_before_a_mark_is_compared_too() -> None:
    assert how("The song was written by Bob Weaver in the cold spring of that year.", LONG) == ["rebound"]
    assert how("In the cold spring of that year Ann Miller had written the song.", LONG) == []
    assert how("The song was written by Bob Miller in the cold spring of that year.", LONG) == ["rebound"]


def test_a_sentence_joined_of_several_is_not_moved() -> None:
    assert (
        how("Ann Miller wrote the first report about pears in spring, and the mill near the river is from 1820.") == []
    )


def test_sentences_that_are_one_template_find_their_own() -> None:
    source = "Version 1.1 was released in December with many fixes. Version 1.2 was released in March with many fixes."
    assert how("Version 1.2 was released in March with a lot of fixes.", source) == []
    assert changes(source, source) == ([], 2)


def test_the_passive_turns_a_sentence_around() -> None:
    source = "Then Ann praised Bob for the long and careful work in the garden."
    assert how("Then Bob was praised by Ann for the long and careful work in the garden.", source) == []
    assert how("Then Bob praised Ann for the long and careful work in the garden.", source) == ["rebound"]


def test_a_sentence_that_stands_there_word_for_word_is_not_compared_with_its_like() -> None:
    source = (
        "Fail unless a log message of this level is emitted on the logger or its children. "
        "Fail unless no log messages of this level are emitted on the logger or its children."
    )
    assert changes(source, source) == ([], 2)
    assert how("Fail unless no log message of this level is ever emitted on the logger or its children.", source) == []
