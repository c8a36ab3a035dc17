"""An index of word n-grams of many short texts (items), and finding in documents those items of which they hold enough.

Words are those of `curation.words` in lower case. Where numbers are masked, all are alike and neighbouring ones are one. The index is a
sorted array of 64-bit hashes with an item number each (12 bytes per n-gram and item) behind a bit filter (2 to 4 bytes), which lets at most
one in 17 foreign n-grams through; so a lookup mostly costs one byte of memory read. The hash alone decides: one foreign n-gram in 2**64
per entry is taken for an item's. Suffixes: C characters, S words, G n-grams, E entries of the index, I items, H hits.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation import words

BITS_PER_ENTRY = 16
MIN_DIFFERENT_WORDS = 5  # in an n-gram of an item: `sin 10 circ cos 20 circ ...` says nothing
OVERLAP_CHARS = 4_096  # of the pieces in which a text beyond words.MAX_CHARS is looked at

_NUMBER = np.uint64(words.hash_text("0"))


class Kind(NamedTuple):
    """Runs of `n` words, in which numbers may be masked."""

    n: int
    mask_numbers: bool


class Grams(NamedTuple):
    """N-grams of texts and the characters they cover."""

    hash_G: np.ndarray  # uint64
    text_G: np.ndarray  # int64, index of the text
    start_G: np.ndarray  # int64
    end_G: np.ndarray  # int64, one past the last character
    word_S: np.ndarray  # uint64 hashes of the words of the chunk
    first_G: np.ndarray  # int64, which of them is the first of the n-gram


class Index(NamedTuple):
    """What is looked for."""

    hash_E: np.ndarray  # uint64, ascending
    item_E: np.ndarray  # uint32, ascending among equal hashes
    filter: np.ndarray  # uint8, eight bits each
    needed_I: np.ndarray  # uint32: so many different n-grams of an item make a hit


class Matches(NamedTuple):
    """N-grams of items of which a text holds enough (`hits`), or any (`matches`): text, item, and the characters covered."""

    text_H: np.ndarray
    item_H: np.ndarray
    count_H: np.ndarray  # different n-grams of the item in the text
    text_G: np.ndarray
    item_G: np.ndarray
    start_G: np.ndarray
    end_G: np.ndarray


def composed(text: str) -> str:
    """The text in Unicode's canonical composition (NFC), in which accents written in two ways are one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def grams(texts: Sequence[str], kinds: Sequence[Kind]) -> Iterator[Grams]:
    """All runs of words of the wanted kinds that lie in one text; a chunk of texts and a kind at a time."""
    piece_texts, piece_starts, pieces = _pieces(texts)
    first = 0
    for chunk in words.chunks(pa.array(pieces, pa.large_string())):
        exact = words.word_runs(chunk)
        exact_S = words.hash_spans(words.char_sums(chunk, lower=True), exact)
        masked_S, masked = (
            _masked(chunk, exact_S, exact) if any(kind.mask_numbers for kind in kinds) else (exact_S, exact)
        )
        for n, mask_numbers in kinds:
            hash_S, spans = (masked_S, masked) if mask_numbers else (exact_S, exact)
            hash_G, first_G = words.ngrams(hash_S, spans.doc_S, n)
            piece_G = spans.doc_S[first_G]
            shift_G = piece_starts[first + piece_G] - chunk.starts_D[piece_G]
            start_G, end_G = spans.start_S[first_G] + shift_G, spans.end_S[first_G + n - 1] + shift_G
            yield Grams(hash_G, piece_texts[first + piece_G], start_G, end_G, hash_S, first_G)
        first += len(chunk.starts_D)


def entries(texts: Sequence[str], kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """(uint64 hash (E,), int64 text (E,)): every n-gram of every text once, but for those of few different words."""
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for part in grams(texts, [kind]):
        sorted_GN = np.sort(part.word_S[part.first_G[:, None] + np.arange(kind.n)], axis=1)
        varied_G = 1 + np.count_nonzero(np.diff(sorted_GN, axis=1), axis=1) >= min(MIN_DIFFERENT_WORDS, kind.n)
        hashes.append(part.hash_G[varied_G])
        owners.append(part.text_G[varied_G])
    hash_G, text_G = np.concatenate(hashes), np.concatenate(owners)
    order, starts = equal_pairs(text_G, hash_G)
    return hash_G[order[starts]], text_G[order[starts]]


def equal_pairs(major: np.ndarray, minor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, starts): `order` sorts the pairs (major, minor), and each run of equal ones begins at one of `starts`."""
    order = np.lexsort((minor, major))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(major[order]) != 0) | (np.diff(minor[order]) != 0)
    return order, np.flatnonzero(first)


def filter_of(hash_E: np.ndarray) -> np.ndarray:
    """uint8: one bit per prefix of the hashes, set where a hash has it."""
    width = max(6, int(len(hash_E) * BITS_PER_ENTRY - 1).bit_length())
    flags = np.zeros(1 << width, bool)
    flags[hash_E >> np.uint64(64 - width)] = True
    return np.packbits(flags, bitorder="little")


def find(texts: Sequence[str], index: Index, kinds: Sequence[Kind]) -> Matches:
    """The items that the texts hold, by text and, within one, most n-grams first."""
    parts = [_matches(part, index) for part in grams(texts, kinds) if len(part.hash_G)]
    empty = np.empty((4, 0), np.int64)
    text_G, entry_G, start_G, end_G = np.concatenate([empty, *parts], axis=1)
    num_entries, num_items = len(index.hash_E), len(index.needed_I)
    distinct = np.unique(text_G * num_entries + entry_G)
    owner = distinct // num_entries * num_items + index.item_E[distinct % num_entries]
    owner_H, count_H = np.unique(owner, return_counts=True)
    enough = count_H >= index.needed_I[owner_H % num_items]
    owner_H, count_H = owner_H[enough], count_H[enough]
    order = np.lexsort((owner_H, -count_H, owner_H // num_items))
    owner_H, count_H = owner_H[order], count_H[order]
    item_G = index.item_E[entry_G].astype(np.int64)
    of_hit = np.isin(text_G * num_items + item_G, owner_H)
    return Matches(
        owner_H // num_items,
        owner_H % num_items,
        count_H,
        *(values[of_hit] for values in (text_G, item_G, start_G, end_G)),
    )


def _matches(part: Grams, index: Index) -> np.ndarray:
    """int64 (4, matches): text, entry, start, end; an n-gram of several items once per item."""
    width = 3 + (len(index.filter) - 1).bit_length()
    prefix_G = part.hash_G >> np.uint64(64 - width)
    bits_G = index.filter[prefix_G >> np.uint64(3)] >> (prefix_G & np.uint64(7)).astype(np.uint8)
    maybe = np.flatnonzero(bits_G & np.uint8(1))
    first = np.searchsorted(index.hash_E, part.hash_G[maybe], "left")
    counts = np.searchsorted(index.hash_E, part.hash_G[maybe], "right") - first
    gram = np.repeat(maybe, counts)
    nth = np.arange(len(gram)) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = np.repeat(first, counts) + nth
    return np.stack([part.text_G[gram], entry, part.start_G[gram], part.end_G[gram]])


def _masked(chunk: words.Chunk, hash_S: np.ndarray, spans: words.Spans) -> tuple[np.ndarray, words.Spans]:
    """The words with every run of numbers as one, all of them equal. A number is a word that begins with a digit of any script."""
    class_S = chunk.classes_C[spans.start_S] & (words.WORD | words.LETTER)
    number_S = (class_S == words.WORD) & (chunk.codes_C[spans.start_S] != ord("_"))
    again_S = np.zeros(len(hash_S), bool)
    again_S[1:] = number_S[1:] & number_S[:-1] & (spans.doc_S[1:] == spans.doc_S[:-1])
    kept = np.flatnonzero(~again_S)
    last = np.append(kept[1:], len(hash_S))[: len(kept)] - 1  # of neighbouring numbers
    return np.where(number_S, _NUMBER, hash_S)[kept], words.Spans(
        spans.start_S[kept], spans.end_S[last], spans.doc_S[kept]
    )


def _pieces(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(text, first character) of every piece, and the pieces: a text is one unless it is longer than `curation.words` looks at."""
    step = words.MAX_CHARS - OVERLAP_CHARS
    cut = [
        (index, start, text[start : start + words.MAX_CHARS] if len(text) > words.MAX_CHARS else text)
        for index, text in enumerate(texts)
        for start in range(0, max(1, len(text) - OVERLAP_CHARS), step)
    ]
    places = np.array([(index, start) for index, start, _ in cut], np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1], [piece for _, _, piece in cut]
