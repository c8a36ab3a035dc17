from collections import Counter

from synth.draw import Draw, Stream


def test_a_draw_depends_on_its_key_alone() -> None:
    first = [Stream(7, "a", 1).integer(0, 1000) for _ in range(3)]
    assert len(set(first)) == 1
    assert first[0] == 489  # the same on every machine and in every version
    assert Stream(8, "a", 1).integer(0, 1000) != first[0] or Stream(7, "a", 2).integer(0, 1000) != first[0]


def test_integers_reach_both_ends_evenly() -> None:
    draw = Stream(0, "even")
    counts = Counter(draw.integer(-1, 2) for _ in range(4000))
    assert sorted(counts) == [-1, 0, 1, 2]
    assert all(900 < count < 1100 for count in counts.values())


def test_a_sample_repeats_nothing() -> None:
    draw = Stream(0, "sample")
    assert sorted(draw.sample("abcde", 5)) == list("abcde")
    assert len(draw.sample("ab", 5)) == 2
    assert 0 not in {draw.nonzero(2) for _ in range(50)}


def test_order_counts_in_a_stream_alone() -> None:
    stream, draw = Stream(3, "a"), Draw(3, "a")
    assert len({stream.below(1000) for _ in range(20)}) > 15
    assert len({draw.below(1000) for _ in range(20)}) == 1
    assert stream.shuffled(range(9)) != stream.shuffled(range(9))
    assert draw.shuffled(range(9), "b") == draw.shuffled(range(9), "b")


def test_a_template_takes_one_of_the_alternatives_and_leaves_words_as_they_are() -> None:
    said = {Stream(0, place).say("[One|Two {x}|[Three|Four]] end", {"x": "{y} [a|b]"}) for place in range(60)}
    assert said == {"One end", "Two {y} [a|b] end", "Three end", "Four end"}
