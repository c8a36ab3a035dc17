"""Hashes read eight bytes at a time are those of the plain definition, and of nothing but the text."""

import string

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.span_hash import hash_bytes, hash_of_bytes, hash_spans, hash_text

TEXTS = st.lists(st.text("ab_é小łĀ𝒳 \n", max_size=60), min_size=1, max_size=4)


@given(TEXTS)
def test_spans_have_the_hash_of_their_text(texts: list[str]) -> None:
    chunk = words.chunk_of(texts)
    spans = words.blank_separated(chunk)
    joined = "\n".join(texts) + "\n"
    found = hash_spans(chunk, spans).tolist()
    assert found == [
        hash_text(joined[start:end]) for start, end in zip(spans.start_S.tolist(), spans.end_S.tolist(), strict=True)
    ]


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8))
def test_bytes_have_the_hash_of_themselves_wherever_they_stand(pieces: list[bytes]) -> None:
    size_S = np.array([len(piece) for piece in pieces])
    assert hash_bytes(b"".join(pieces), np.cumsum(size_S) - size_S, size_S).tolist() == list(map(hash_of_bytes, pieces))


def test_lines_of_any_length_are_read_to_their_end() -> None:
    lines = [letter * length for length in range(1, 40) for letter in "xy"]
    lines += (
        [line[:-1] + "é" for line in lines] + [line[:-1] + "小" for line in lines] + ["小" + line for line in lines]
    )
    chunk = words.chunk_of(["\n".join(lines)])
    found = hash_spans(chunk, words.lines(chunk)).tolist()
    assert found == list(map(hash_text, lines))
    assert len(set(found)) == len(set(lines))


def test_words_that_resemble_each_other_have_hashes_apart() -> None:
    """Names of one to three letters, before and behind a long stem, and characters that trade places: neither end of the hash is shared."""
    short = [
        a + b + c for a in string.ascii_lowercase for b in ["", *string.ascii_lowercase] for c in ["", *"0123456789"]
    ]
    stem = "the_same_beginning_"
    names = sorted(
        {*short, *(stem + name for name in short), *(name + stem for name in short), "小łx小ł", "ł小x小ł", "ł小xł小"}
    )
    chunk = words.chunk_of(["\n".join(names)])
    hashes = hash_spans(chunk, words.lines(chunk))
    assert len(np.unique(hashes)) == len(names)
    by_chance = 65536 * (1 - np.exp(-len(names) / 65536))  # of so many values, some names share one
    for part in (hashes & np.uint64(0xFFFF), hashes >> np.uint64(48)):
        assert len(np.unique(part)) > by_chance - 300
