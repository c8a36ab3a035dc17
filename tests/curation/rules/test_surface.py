"""Measures that no rule's own test pins down: sentences, phrases, shares of nothing, the order of characters."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.rules import surface
from curation.rules.repetition import duplicate_ngrams, top_ngrams


def of(*texts: str) -> surface.Surface:
    return surface.Surface(words.chunk_of(texts))


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("No end", 1),
        ("One. Two", 2),
        ("One. Two.", 2),
        ('He said: "One." Two! (Three?) Four', 4),
        ("(He said “one.”) Two", 2),
        ("3.14 and a.b.c", 1),
        ("Wait... what", 1),
        ("What?! No", 2),
        ("一。二！三", 3),
        ("「一。」二", 2),
        ("एक। दो।", 2),
        (". . .", 3),
    ],
)
def test_sentences_of_a_line(line: str, count: int) -> None:
    assert surface.line_sentences(of(line)).tolist() == [count]
    assert surface.sentences(of(f"\n{line}\n\n{line}  \n", "", "x")).tolist() == [2 * count, 0, 1]


@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=6))
def test_counts_and_totals_are_those_of_each_document(values: list[list[int]]) -> None:
    surface_of, doc = of(*[""] * len(values)), np.repeat(np.arange(len(values)), list(map(len, values)))
    assert surface_of.count(doc).tolist() == list(map(len, values))
    assert surface_of.total(np.array([each for own in values for each in own], np.int8), doc).tolist() == list(
        map(sum, values)
    )


def test_phrases_are_found_in_whatever_case() -> None:
    found = surface.lines_with(of("İ Use Cookies\n\nno\nUSE\nCOOKIES", "we use cookies"), ["use cookies", "absent"])
    assert found.tolist() == [True, False, False, False, True]
    assert surface.lines_with(of("a"), []).tolist() == [False]
    assert surface.lines_with(of("İİİİİİİ", "x", "y", "z"), ["x"]).tolist() == [False, True, False, False]


def test_stop_words_count_once_in_three_forms() -> None:
    assert surface.stop_words(of("the The THE", "tHe", "And to", ""), ["the", "and", "and"]).tolist() == [1, 0, 1, 0]
    assert surface.stop_words(of("a"), []).tolist() == [0]


MEASURES = [
    surface.word_count,
    surface.mean_word_length,
    surface.hash_signs,
    surface.ellipses,
    surface.bullet_lines,
    surface.ellipsis_lines,
    surface.alphabetic_words,
    surface.stop_words,
    surface.duplicate_lines,
    surface.duplicate_line_chars,
    surface.duplicate_chars_of_lines,
    surface.duplicate_paragraphs,
    surface.duplicate_paragraph_chars,
    surface.punctuated_lines,
    surface.short_lines,
    surface.long_lines,
    surface.newlines,
    surface.upper_case_lines,
    surface.sentences,
]


@given(st.lists(st.text(st.sampled_from("aB# \n.…-•中。\0\"'é!"), max_size=30), min_size=1, max_size=4))
def test_a_measure_is_finite_and_does_not_see_the_neighbours(texts: list[str]) -> None:
    together = of(*texts)
    for measure in MEASURES:
        values = measure(together)
        assert values.shape == (len(texts),)
        assert np.isfinite(values).all()
        assert values.tolist() == [measure(of(text))[0] for text in texts]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=25).map(" ".join), min_size=1, max_size=4), st.floats(0, 0.6))
def test_bounds_change_nothing_above_the_limit(texts: list[str], limit: float) -> None:
    chunk = of(*texts)
    everyone = np.ones(len(texts), bool)
    for measure in (top_ngrams, duplicate_ngrams):
        limits = {2: limit, 3: limit / 2, 5: limit}
        for n, shares in measure(chunk, limits, everyone):
            [(_, exact)] = measure(chunk, {n: 0.0}, everyone)
            assert ((shares > limits[n]) == (exact > limits[n])).all()
            assert (shares[shares > limits[n]] == exact[shares > limits[n]]).all()


def test_surfaces_keep_the_order_of_the_column() -> None:
    texts = ["x " * 50_000, None, "one two", "y " * 70_000, ""]
    counts = [surface.word_count(one) for one in surface.surfaces(pa.array(texts, pa.large_string()))]
    assert np.concatenate(counts).tolist() == [50_000, 0, 2, 70_000, 0]
