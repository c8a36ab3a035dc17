"""Words, lines and hashes against plain Python on the same text."""

import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation import words

TEXTS = st.lists(st.text(st.sampled_from("abÅ_1 \t\n.,中あ-…é\u0301"), max_size=40), min_size=1, max_size=5)


def lowered(text: str) -> str:
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def read(texts: list[str], spans: words.Spans) -> list[list[str]]:
    """The text of every span, by document."""
    joined = "\n".join(texts) + "\n"
    found: list[list[str]] = [[] for _ in texts]
    for start, end, doc in zip(spans.start_S, spans.end_S, spans.doc_S, strict=True):
        found[doc].append(joined[start:end])
    return found


@given(TEXTS)
def test_words_are_runs_between_white_space_and_single_ideographs(texts: list[str]) -> None:
    chunk = words.chunk_of(texts)
    assert read(texts, words.blank_separated(chunk)) == [re.findall(r"[中あ]|[^\s中あ]+", text) for text in texts]
    expected = [re.findall(r"[中あ]|[abÅ_1é\u0301]+", text) for text in texts]
    assert read(texts, words.word_runs(chunk)) == expected


@given(TEXTS)
def test_lines_and_paragraphs(texts: list[str]) -> None:
    chunk = words.chunk_of(texts)
    in_lines = words.lines(chunk)
    assert read(texts, in_lines) == [[line for line in text.split("\n") if line.strip()] for text in texts]
    paragraphs = [
        [part.strip("\n") for part in re.split(r"\n(?:[ \t]*\n)+", "\n" + text + "\n") if part.strip()]
        for text in texts
    ]
    assert [[part.strip() for part in doc] for doc in read(texts, words.paragraphs(chunk, in_lines))] == [
        [part.strip() for part in doc] for doc in paragraphs
    ]


@given(TEXTS, st.integers(1, 4))
def test_hashes_equal_their_plain_definition(texts: list[str], n: int) -> None:
    chunk = words.chunk_of(texts)
    spans = words.word_runs(chunk)
    hashes = words.hash_spans(words.char_sums(chunk, lower=True), spans)
    found = [[lowered(word) for word in doc] for doc in read(texts, spans)]
    assert hashes.tolist() == [words.hash_text(word) for doc in found for word in doc]
    grams, first = words.ngrams(hashes, spans.doc_S, n)
    assert grams.tolist() == [words.hash_ngram(doc[i : i + n]) for doc in found for i in range(len(doc) - n + 1)]
    assert spans.doc_S[first].tolist() == [index for index, doc in enumerate(found) for _ in range(len(doc) - n + 1)]


@given(st.lists(st.sampled_from([0, 1, 2, 3, 1 << 40, 1 << 63, (1 << 63) + 1]), max_size=20))
def test_repeats_are_all_but_the_first_occurrence_in_a_document(values: list[int]) -> None:
    hashes, docs = np.array(values * 2, np.uint64), np.repeat([0, 1], len(values))
    again = [value in values[:index] for index, value in enumerate(values)]
    assert words.repeats(hashes, docs).tolist() == again * 2


@given(st.lists(st.sampled_from([0, 1, 1 << 40, (1 << 40) + 1, 1 << 63]) | st.integers(0, 2**64 - 1), max_size=30))
def test_occurrences_are_those_of_a_stable_sort(values: list[int]) -> None:
    """Also where hashes are alike but for the lowest bits, whose place the index takes."""
    hashes, one_document = np.array(values, np.uint64), np.zeros(len(values), np.int64)
    order, starts = words.occurrences(hashes, one_document)
    assert order.tolist() == np.argsort(hashes, kind="stable").tolist()
    assert starts.tolist() == [
        index for index, at in enumerate(order) if not index or values[at] != values[order[index - 1]]
    ]


@given(TEXTS)
def test_classes_in_a_span_are_those_of_its_characters(texts: list[str]) -> None:
    chunk = words.chunk_of(texts)
    spans = words.blank_separated(chunk)
    spaces = int(words.SPACE | words.NEWLINE)
    for start, end, found in zip(spans.start_S, spans.end_S, words.classes_in(chunk, spans), strict=True):
        assert int(found) & ~spaces == int(np.bitwise_or.reduce(chunk.classes_C[start:end]))


def test_marks_that_end_sentences_and_plain_characters() -> None:
    text = '.!?。？।؟۔։…,;:"\u0000a1_\u0300 '
    flags = words.chunk_of([text]).classes_C[:-1]
    assert "".join(char for char, flag in zip(text, flags, strict=True) if flag & words.STOP) == ".!?。？।؟۔։"
    assert "".join(char for char, flag in zip(text, flags, strict=True) if flag & words.PLAIN) == "\0a1\u0300"


def test_flags_and_lower_case_of_code_points_are_those_of_texts() -> None:
    text = "aÅ中_ .\u212a"
    codes = np.array([ord(char) for char in text])
    assert words.flags_of(codes).tolist() == words.chunk_of([text]).classes_C[:-1].tolist()
    assert "".join(map(chr, words.lower_of(codes).tolist())) == lowered(text)


def test_every_character_is_put_in_lower_case_as_python_does() -> None:
    text = "".join(map(chr, range(0x110000)))
    for part in (text, text[:0x80], text[:0x400] + "x" * 0x2000):  # few of ASCII, nothing else, most
        sums = words.char_sums(words.chunk_of([part]), lower=True)
        assert np.array_equal(sums, words.char_sums(words.chunk_of([lowered(part)])))


def test_hashes_do_not_depend_on_the_place_in_a_chunk() -> None:
    long, short = "x" * words.CHUNK_CHARS + " tail", "one two"
    alone = words.chunk_of([short])
    behind = words.chunk_of([long, short])
    spans = words.blank_separated(behind)
    hashes = words.hash_spans(words.char_sums(behind), spans)[spans.doc_S == 1]
    assert hashes.tolist() == words.hash_spans(words.char_sums(alone), words.blank_separated(alone)).tolist()


def test_chunks_keep_order_cut_huge_texts_and_read_null_as_empty() -> None:
    texts = ["a" * 100_000, None, "b" * 100_000, "c" * (words.MAX_CHARS + 5), ""]
    chars = [chunk.chars_D.tolist() for chunk in words.chunks(pa.array(texts, pa.large_string()))]
    assert chars == [[100_000, 0], [100_000], [words.MAX_CHARS], [0]]
    assert list(words.chunks(pa.array([], pa.large_string()))) == []
