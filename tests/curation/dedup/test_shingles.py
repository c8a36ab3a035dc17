"""What words are made of, and their hashes; those of whole documents are compared with datasketch's in test_minhash.py."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from curation import words
from curation.dedup import shingles
from curation.dedup.minhash import signatures


def test_letters_of_ascii_are_those_of_all_rules_and_huge_texts_are_cut() -> None:
    codes = np.arange(128)
    expected = np.where(words.flags_of(codes) & words.WORD, words.lower_of(codes), 0)
    assert list(shingles._FOLDED[:128]) == expected.tolist()
    texts = pa.array(["one two three four five six seven", "één two three four five six seven"], pa.large_string())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "MAX_CHARS", 18)
        assert np.array_equal(signatures(texts), signatures(pa.array(["one two three four", "één two three four"])))


def test_hashes_collide_as_seldom_as_chance_has_it() -> None:
    """Of 100,000 numbers of 32 bits one or two pairs are equal."""
    digits = "0123456789"
    names = [f"value_{number}_of_the_table" for number in range(100_000)]
    assert len({shingles.hash_word(name) for name in names}) > 99_990
    assert len({shingles.hash_shingle(digit_words) for digit_words in itertools.product(digits, repeat=5)}) > 99_990
