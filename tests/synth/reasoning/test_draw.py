from collections import Counter

from synth.reasoning.draw import Draw


def test_a_draw_depends_on_its_key_alone() -> None:
    first = [Draw(7, "a", 1).integer(0, 1000) for _ in range(3)]
    assert len(set(first)) == 1
    assert first[0] == 529  # the same on every machine and in every version
    assert Draw(8, "a", 1).integer(0, 1000) != first[0] or Draw(7, "a", 2).integer(0, 1000) != first[0]


def test_integers_reach_both_ends_evenly() -> None:
    draw = Draw(0, "even")
    counts = Counter(draw.integer(-1, 2) for _ in range(4000))
    assert sorted(counts) == [-1, 0, 1, 2]
    assert all(900 < count < 1100 for count in counts.values())


def test_a_sample_repeats_nothing() -> None:
    draw = Draw(0, "sample")
    assert sorted(draw.sample("abcde", 5)) == list("abcde")
    assert len(draw.sample("ab", 5)) == 2
    assert 0 not in {draw.nonzero(2) for _ in range(50)}


def test_prose_takes_one_of_the_alternatives_and_leaves_words_as_they_are() -> None:
    said = {Draw(0, place).prose("[One|Two {x}|[Three|Four]] end", x="{y} [a|b]") for place in range(60)}
    assert said == {"One end", "Two {y} [a|b] end", "Three end", "Four end"}
