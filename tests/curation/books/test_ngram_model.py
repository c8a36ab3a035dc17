"""The trigram model against the definition of modified Kneser-Ney smoothing, written out for a handful of words."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.books.ngram_model import Tokens, nats, tokens_of, train


def discounts(counts: Counter[tuple[str, ...]]) -> list[float]:
    """Chen and Goodman 1999, equation 17, kept away from taking nothing or all; without enough n-grams to tell, halves."""
    one, two, three, four = (sum(count == often for count in counts.values()) for often in (1, 2, 3, 4))
    if not (one and two and three and four):
        return [0, 0.5, 1, 1.5]
    y = one / (one + 2 * two)
    found = [1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three]
    return [0, *(min(max(each, 0.1 * (at + 1)), 0.95 * (at + 1)) for at, each in enumerate(found))]


class Plain:
    """Interpolated Kneser-Ney by the book (Chen and Goodman 1999, section 4.1.6), on lists of words."""

    def __init__(self, texts: list[list[str]]) -> None:
        grams = [
            Counter(tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1)) for n in (1, 2, 3)
        ]
        self.counts = [*grams]
        for n in (1, 0):
            before: dict[tuple[str, ...], set[str]] = defaultdict(set)
            for gram in grams[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = Counter({gram: len(before[gram]) or count for gram, count in grams[n].items()})
        self.num_words = len(grams[0])

    def probability(self, gram: tuple[str, ...]) -> float:
        if not gram:
            return 1 / (self.num_words + 1)
        counts = self.counts[len(gram) - 1]
        followers = {other: count for other, count in counts.items() if other[:-1] == gram[:-1]}
        if not followers:
            return self.probability(gram[1:])
        total, taken = sum(followers.values()), discounts(counts)
        left = sum(taken[min(count, 3)] for count in followers.values()) / total
        own = counts.get(gram, 0)
        return (own - taken[min(own, 3)]) / total + left * self.probability(gram[1:])


def cost(texts: list[str], text: str) -> list[float]:
    model = train(texts, 1_000)
    [tokens] = tokens_of([text])
    return nats(model, tokens).tolist()


WORDS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), min_size=1, max_size=6)


@given(WORDS, st.lists(st.sampled_from("abcde"), min_size=1, max_size=8))
def test_probabilities_are_those_of_the_definition(texts: list[list[str]], asked: list[str]) -> None:
    plain = Plain(texts)
    expected = [-math.log(plain.probability(tuple(asked[max(0, at - 2) : at + 1]))) for at in range(len(asked))]
    assert cost([" ".join(text) for text in texts], " ".join(asked)) == pytest.approx(expected, abs=3e-3)


def test_probabilities_add_up_to_one() -> None:
    texts = ["a b c a b d", "b c d a", "a a b"]
    for before in itertools.product("abcd", repeat=2):
        total = sum(math.exp(-cost(texts, " ".join([*before, word]))[-1]) for word in "abcd")
        assert total + math.exp(-cost(texts, " ".join([*before, "unknown"]))[-1]) == pytest.approx(1, abs=5e-3)


def test_tokens_are_words_marks_and_ideographs_in_lower_case() -> None:
    def hashes(text: str) -> list[int]:
        return next(tokens_of([text])).hashes_S.tolist()

    assert hashes("Hello, World 1999!") == hashes("hello  ,\nWORLD 2024 !")
    assert len(hashes("a...b -- c")) == 5
    assert len(hashes("深度学习, ok")) == 6
    assert hashes("深 度") == hashes("深度")
    assert hashes(" \n ") == []
    [two] = tokens_of(["a b", "c"])
    assert (two.doc_S.tolist(), two.num_docs) == ([0, 0, 1], 2)


def test_the_most_frequent_ngrams_are_kept_and_the_tables_bounded() -> None:
    texts = [
        " ".join(f"w{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}" for number in range(start, start + 400))
        for start in range(200)
    ]
    small, large = train(texts, 50), train(texts, 100_000)
    assert [len(table) for table in small.tables] == [2 << 12] * 3
    assert len(large.tables[2]) <= 4 * 200 * 400
    [tokens] = tokens_of([texts[0]])
    assert nats(large, tokens).mean() < nats(small, tokens).mean()


def test_most_ngrams_find_a_slot() -> None:
    text = " ".join(
        f"{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}{chr(97 + number // 676)}" for number in range(8_000)
    )
    model = train([text], 100_000)
    [*parts] = tokens_of([text])
    known = np.concatenate([nats(model, part) for part in parts]) < -model.unknown
    assert known.mean() > 0.9


def test_training_does_not_depend_on_the_order_of_texts() -> None:
    texts = ["a b c d", "b c a", "d d a b", "c"]
    first, second = train(texts, 100), train(texts[::-1], 100)
    assert all(np.array_equal(a, b) for a, b in zip(first.tables, second.tables, strict=True))
    assert first.unknown == second.unknown


def test_an_empty_text_costs_nothing() -> None:
    assert nats(train(["a"], 10), Tokens(np.empty(0, np.uint64), np.empty(0, np.int64), 1)).tolist() == []
