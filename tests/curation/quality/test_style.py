"""Every number on style against a plain definition, document by document."""

import math
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.quality import style
from curation.rules.surface import Surface

PIECES = [
    "the ",
    "I ",
    "Your ",
    "Bees ",
    "extraordinary ",
    "2024 ",
    "COLONY, ",
    "end. ",
    "why? ",
    "wait... ",
    "no…\n",
    "\n",
    "\n\n",
]
PIECES += [
    '"so" ',
    "http://a.b/c ",
    "well-known: ",
    "x " * 80,
    "été ",
    "Ωμέγα ",
    "(b) ",
    "! ",
    "long line of words " * 9 + "\n",
    "same line\n",
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), min_size=1, max_size=4)


def measured(texts: list[str]) -> np.ndarray:
    chunk = words.chunk_of(texts)
    runs = words.word_runs(chunk)
    return style.measure(Surface(chunk), runs, words.hash_spans(words.char_sums(chunk, lower=True), runs))


def plain(text: str) -> dict[str, float]:
    tokens, runs = text.split(), re.findall(r"\w+", text)
    lower, lines = [run.lower() for run in runs], [line for line in text.split("\n") if line.strip()]
    per_line = [len(line.split()) for line in lines]
    of_runs, of_lines, of_words, chars = max(1, len(runs)), max(1, len(lines)), max(1, len(tokens)), max(1, len(text))
    marks = {
        "ellipses": "…|\\.\\.\\.",
        "commas": ",",
        "full_stops": "\\.",
        "exclamations": "!",
        "questions": "\\?",
        "quotes": '["“”]',
    }
    marks |= {"colons": ":", "dashes": "[-–—]", "slashes": "[/|]", "links": "http|www\\."}
    return {
        "log_chars": math.log1p(len(text)),
        "log_words": math.log1p(len(tokens)),
        "log_distinct_words": math.log1p(len(set(lower))),
        "log_lines": math.log1p(len(lines)),
        "log_words_per_line": math.log1p(len(tokens) / of_lines),
        "log_words_of_longest_line": math.log1p(max(per_line, default=0)),
        "long_words": sum(len(run) >= 7 for run in runs) / of_runs,
        "distinct_words": len(set(lower)) / of_runs,
        "function_words": sum(word in style.FUNCTION_WORDS.split() for word in lower) / of_runs,
        "first_person": sum(word in style.FIRST_PERSON.split() for word in lower) / of_runs,
        "second_person": sum(word in style.SECOND_PERSON.split() for word in lower) / of_runs,
        "capitalised_words": sum(run[0].isupper() for run in runs) / of_runs,
        "upper_case_chars": sum(char.isupper() for char in text) / chars,
        "digit_chars": sum(char.isdigit() for char in text) / chars,
        "symbol_chars": sum(not char.isalnum() and not char.isspace() for char in text) / chars,
        "punctuated_lines": sum(line.rstrip()[-1] in ".!?" for line in lines) / of_lines,
        "chars_in_long_lines": sum(len(line) for line in lines if len(line) >= 150) / chars,
        "duplicate_lines": 1 - len(set(lines)) / len(lines) if lines else 0.0,
        **{name: len(re.findall(mark, text)) / of_words for name, mark in marks.items()},
    }


@given(TEXTS)
def test_numbers_are_as_defined(texts: list[str]) -> None:
    found = measured(texts)
    assert found.shape == (len(texts), len(style.NAMES))
    for text, row in zip(texts, found, strict=True):
        by_name = dict(zip(style.NAMES, row.tolist(), strict=True))
        for name, value in plain(text).items():
            assert math.isclose(by_name[name], value, abs_tol=1e-9), (name, by_name[name], value, text)


@given(TEXTS)
def test_a_document_has_the_same_numbers_alone(texts: list[str]) -> None:
    together = measured(texts)
    assert all(np.array_equal(measured([text])[0], row) for text, row in zip(texts, together, strict=True))


def test_an_empty_text_has_none_and_chinese_has_words() -> None:
    found = dict(zip(style.NAMES, measured(["", "蜜蜂採蜜。"])[1].tolist(), strict=True))
    assert not measured([""]).any()
    assert found["log_distinct_words"] == math.log1p(3)
    assert found["punctuated_lines"] == 1
