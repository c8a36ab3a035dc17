"""One document at each Gopher rule's threshold and one just beyond it; the repetition rules against a plain rendition."""

import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.rules.gopher import DUPLICATE_NGRAMS, TOP_NGRAMS, gopher_quality, gopher_repetition
from datapipe.schema import documents


def docs(*texts: str) -> pa.Table:
    return documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(texts)])


def text_of(*words: str, size: int = 100) -> str:
    """`words` and two stop words, filled up to `size` words of five letters."""
    return " ".join([*words, "the", "and", *["chair"] * (size - len(words) - 2)])


QUALITY_CASES = [
    ("few_words", text_of(size=50), text_of(size=49)),
    ("few_words", text_of("***", "...", size=52), text_of("***", "...", size=51)),  # punctuation is no word
    ("many_words", text_of(size=100_000), text_of(size=100_001)),
    ("short_words", "the and " + "abc " * 60, "the and " + "abc " * 60 + "ab"),
    ("long_words", "the and " + "a" * 24 + " abcdefghij" * 60, "the and " + "a" * 25 + " abcdefghij" * 60),
    ("hash_signs", text_of("#tag", *["a#b"] * 9), text_of("##tag", *["a#b"] * 9)),
    ("ellipses", text_of(*["so...", "and…"] * 5), text_of("oh......", *["so...", "and…"] * 5)),
    ("bullet_lines", "\n".join(["- the " + "chair " * 9, "• and"] + ["-x"] * 7 + ["end " * 50]), None),
    ("bullet_lines", None, "\n".join(["- the and " + "chair " * 49] + ["  • chair"] * 9)),
    ("ellipsis_lines", "\n".join([text_of()] + ["chair"] * 6 + ["chair..."] * 2 + ["chair…  "]), None),
    ("ellipsis_lines", None, "\n".join([text_of()] + ["chair"] * 5 + ["chair..."] * 2 + ["chair…"])),
    ("few_alphabetic_words", text_of(*["12345"] * 20), text_of(*["12345"] * 21)),
    ("few_stop_words", "The and " + "chair " * 60, "The the " + "chair " * 60),
]


@pytest.mark.parametrize(("rule", "kept", "dropped"), QUALITY_CASES)
def test_a_quality_rule_keeps_at_its_threshold_and_drops_beyond(
    rule: str, kept: str | None, dropped: str | None
) -> None:
    if kept is not None:
        assert gopher_quality(docs(kept)).to_pylist() == [None]
    if dropped is not None:
        assert gopher_quality(docs(dropped)).to_pylist() == [f"gopher_quality.{rule}"]


def test_quality_thresholds_are_parameters() -> None:
    chinese = docs("我们 今天 去 学校 学习 中文。" * 10)
    assert gopher_quality(chinese).to_pylist() == ["gopher_quality.short_words"]
    kept = gopher_quality(chinese, min_mean_word_length=1, stop_words=["我", "学"], min_alpha_ratio=0.7)
    assert kept.to_pylist() == [None]
    assert gopher_quality(docs("")).to_pylist() == ["gopher_quality.few_words"]
    assert gopher_quality(docs("")[:0]).to_pylist() == []


def distinct(count: int, prefix: str = "w") -> list[str]:
    """`count` different words of six characters."""
    return [f"{prefix}{index:05d}" for index in range(count)]


def repetition_cases() -> list[tuple[str, str, str]]:
    many, lines = distinct(1000), ["\n".join(distinct(count)) for count in (7, 8)]
    top = [" ".join(distinct(1000)[: 1000 - 4 * count]) for count in (40, 41)]
    return [
        ("duplicate_lines", "\n".join([lines[0], *["w00000"] * 3]), "\n".join([*distinct(6), *["w00000"] * 3])),
        (
            "duplicate_line_chars",
            "\n".join([" ".join(many), *["x" * 100, *distinct(5)] * 2]),
            "\n".join([" ".join(many[:30]), *["x" * 100] * 2, *distinct(5)]),
        ),
        (
            "duplicate_paragraphs",
            "\n\n".join([*distinct(7), *["w00000"] * 3]),
            "\n\n".join([*distinct(6), *["w00000"] * 3]),
        ),
        (
            "duplicate_paragraph_chars",
            "\n\n".join([*many, "x" * 100, "x" * 100]),
            "\n\n".join(["x" * 100, "x" * 100, "y" * 100, "z" * 50]),
        ),
        ("top_2_gram", top[0] + " ab cd ef" * 20, " ".join(many[:50]) + " word pair".join(f" s{i}" for i in range(15))),
    ]


@pytest.mark.parametrize(("rule", "kept", "dropped"), repetition_cases())
def test_a_repetition_rule_keeps_and_drops(rule: str, kept: str, dropped: str) -> None:
    assert gopher_repetition(docs(dropped)).to_pylist() == [f"gopher_repetition.{rule}"]
    assert gopher_repetition(docs(kept)).to_pylist() != [f"gopher_repetition.{rule}"]


@pytest.mark.parametrize("n", sorted(DUPLICATE_NGRAMS))
def test_duplicate_ngrams_drop_beyond_their_share(n: int) -> None:
    phrase, only = distinct(n, "p"), {"top_ngrams": {}, "duplicate_ngrams": {n: DUPLICATE_NGRAMS[n]}}
    text = " ".join([*phrase, *distinct(10), *phrase, *distinct(200, "v")])
    share = 6 * n / len(text)
    assert gopher_repetition(docs(text), top_ngrams={}, duplicate_ngrams={n: share}).to_pylist() == [None]
    beyond = gopher_repetition(docs(text), top_ngrams={}, duplicate_ngrams={n: share * 0.999})
    assert beyond.to_pylist() == [f"gopher_repetition.duplicate_{n}_gram"]
    many_times = " ".join(distinct(200, "v") + [" ".join([*phrase, word]) for word in distinct(20)])
    assert gopher_repetition(docs(many_times), **only).to_pylist() == [f"gopher_repetition.duplicate_{n}_gram"]


def plain_repetition(text: str) -> str | None:
    """The rules as they read, on one text."""
    lines = [line for line in text.split("\n") if line.strip()]
    paragraphs = [part.strip("\n") for part in re.split(r"\n(?:[^\S\n]*\n)+", text) if part.strip()]
    for name, parts in (("paragraph", paragraphs), ("line", lines)):
        again = [part for index, part in enumerate(parts) if part in parts[:index]]
        if len(again) > 0.3 * len(parts):
            return f"duplicate_{name}s"
        if sum(map(len, again)) > 0.2 * len(text):
            return f"duplicate_{name}_chars"
    words = text.split()
    for n, limit in TOP_NGRAMS.items():
        counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        most = max(counts.values(), default=0)
        if most > 1 and len(counts.most_common(1)[0][0]) * most > limit * len(text):
            return f"top_{n}_gram"
    for n, limit in DUPLICATE_NGRAMS.items():
        seen, chars, place = set(), 0, 0
        while place <= len(words) - n:
            gram = tuple(words[place : place + n])
            chars += sum(map(len, gram)) if gram in seen else 0
            place += n if gram in seen else 1
            seen.add(gram)
        if chars > limit * len(text):
            return f"duplicate_{n}_gram"
    return None


@given(
    st.lists(
        st.lists(
            st.sampled_from(["a", "bb", "ccc", "ee", "\n", "\n\n", "dddd\n"])
            | st.text("xyzuvw", min_size=3, max_size=9),
            max_size=60,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_repetition_equals_the_plain_rendition(drawn: list[list[str]]) -> None:
    texts = [" ".join(parts).strip() for parts in drawn]
    expected = [reason and f"gopher_repetition.{reason}" for reason in map(plain_repetition, texts)]
    assert gopher_repetition(docs(*texts)).to_pylist() == expected


def test_no_character_of_a_duplicate_counts_twice() -> None:
    text = " ".join([*distinct(7, "p"), *distinct(40), *distinct(7, "p"), *distinct(40, "v")])
    share = 5 * 6 / len(text)  # the seven words hold three 5-grams
    for limit, expected in ((share, None), (share * 0.999, "gopher_repetition.duplicate_5_gram")):
        assert gopher_repetition(docs(text), top_ngrams={}, duplicate_ngrams={5: limit}).to_pylist() == [expected]


def test_of_equally_frequent_ngrams_the_first_counts() -> None:
    filling = " ".join(distinct(20))
    short_first, long_first = (f"ab cd {filling} {long} ab cd {long}" for long in ["longerword longerword2"] * 2)
    long_first = f"longerword longerword2 {filling} ab cd longerword longerword2 ab cd"
    share = 2 * len("ab cd") / len(short_first)
    assert len(short_first) == len(long_first)
    for limit, expected in ((share, None), (share * 0.999, "gopher_repetition.top_2_gram")):
        kept = gopher_repetition(docs(short_first), top_ngrams={2: limit}, duplicate_ngrams={})
        assert kept.to_pylist() == [expected]
    dropped = gopher_repetition(docs(long_first), top_ngrams={2: share}, duplicate_ngrams={})
    assert dropped.to_pylist() == ["gopher_repetition.top_2_gram"]


def test_limits_by_length_of_ngram_come_as_text_from_a_manifest() -> None:
    text = " ".join([*distinct(5, "p"), *distinct(30), *distinct(5, "p")])
    limits: Any = {"5": 0.1}
    dropped = gopher_repetition(docs(text), top_ngrams={}, duplicate_ngrams=limits)
    assert dropped.to_pylist() == ["gopher_repetition.duplicate_5_gram"]
    gopher_repetition.check(duplicate_ngrams=limits)
    with pytest.raises(ValueError, match="duplicate_ngrams is"):
        gopher_repetition.check(duplicate_ngrams={"five": 0.1})


@pytest.mark.parametrize(
    ("text", "quality", "repetition"),
    [
        ("", "few_words", None),
        ("\n \n\t\n", "few_words", None),
        ("... !!! ??? --- ### " * 30, "few_words", "top_2_gram"),
        ("\0" * 500, "few_words", None),
        ("word\0word " * 60, "few_stop_words", "top_2_gram"),
        ("İ ﬁ Σ " * 60, "short_words", "top_2_gram"),
        (
            "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈",
            "few_words",
            None,
        ),
    ],
)
def test_odd_texts_are_judged_like_others(text: str, quality: str | None, repetition: str | None) -> None:
    assert gopher_quality(docs(text)).to_pylist() == [quality and f"gopher_quality.{quality}"]
    assert gopher_repetition(docs(text)).to_pylist() == [repetition and f"gopher_repetition.{repetition}"]


def test_what_lies_beyond_two_million_characters_is_not_looked_at() -> None:
    head = " ".join(f"the and word{number:06x}" for number in range(130_000))[: words.MAX_CHARS]
    assert len(head) == words.MAX_CHARS
    size, beyond = len(head.split()), docs(head + " again" * 200_000)
    assert gopher_quality(beyond, max_words=size).to_pylist() == [None]
    assert gopher_quality(beyond, max_words=size - 1).to_pylist() == ["gopher_quality.many_words"]
    assert gopher_repetition(beyond, top_ngrams={2: 0.4}, duplicate_ngrams={}).to_pylist() == [None]


def test_neighbours_do_not_change_a_verdict() -> None:
    texts = [text for _, *pair in QUALITY_CASES + repetition_cases() for text in pair if text is not None]
    for rule in (gopher_quality, gopher_repetition):
        together = rule(docs(*texts)).to_pylist()
        assert together == [rule(docs(text)).to_pylist()[0] for text in texts]
        assert together[::-1] == rule(docs(*texts[::-1])).to_pylist()


def test_a_stop_word_of_several_ideographs_is_these_in_a_row() -> None:
    of_two = {"min_mean_word_length": 1, "stop_words": ["我们", "他们"]}
    text = "我们今天去公园散步" * 10
    found = gopher_quality(docs(text, text + "他们", text + "他和们"), **of_two).to_pylist()
    assert found == ["gopher_quality.few_stop_words", None, "gopher_quality.few_stop_words"]
