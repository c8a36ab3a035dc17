"""Words, lines and n-grams of many documents at once, as numpy arrays: the ground under the text rules and MinHash.

Documents are joined into chunks of code points (UTF-32), each followed by one line feed, so that no word or line spans two of them.
A span is a [start, end) range of characters; its hash is a polynomial over its code points, read off one prefix sum, so hashing every
word of a chunk costs the same few array passes whatever the words are. No Python runs per word: words, their hashes and 5-grams of
English at about 100 MB per CPU second.

Letters are Unicode's (any script). Every ideograph counts as a word of its own, because Chinese and Japanese write no spaces; Thai,
Lao and Khmer are not segmented: a run between spaces is one word there. Only the first `MAX_CHARS` characters of a document are looked
at, which bounds the memory that one huge document can ask for (about 100 bytes per character).

Suffixes name dimensions: C characters of a chunk, D documents, S spans, G n-grams.
"""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

MAX_CHARS = 1 << 21  # twenty times the longest text of 100,000 words that the rules could keep
CHUNK_CHARS = 1 << 17  # a chunk's arrays then stay within a core's cache

SPACE, NEWLINE, LETTER, WORD, IDEOGRAPH, SYMBOL, PLAIN, STOP = (np.uint8(1 << bit) for bit in range(8))

_MASK64 = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15  # any odd number is invertible modulo 2**64
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = 0xD6E8FEB86659FD93
_GRAM_BASE = 0xC2B2AE3D27D4EB4F
_ASSIGNED = 0x40000  # no letter, mark, number or space lies above
_CASED = 0x20000  # no letter with another case lies above

# Han characters and kana: scripts written without spaces in which one character is about one morpheme.
_IDEOGRAPHS = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# Code points with the property Sentence_Terminal (Unicode 17, PropList.txt): `.`, `!`, `?` and their like in all scripts.
_SENTENCE_TERMINALS = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D5 1803 1809 1944-1945
1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F 1B7D-1B7F 1C3B-1C3C 1C7E-1C7F 2024 203C-203D 2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 2E60-2E61
3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F
FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C
112A9 113D4-113D5 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42
11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16D6E-16D6F 16E98 1BC9F 1DA88
"""


class Chunk(NamedTuple):
    """Some documents as one array of code points."""

    codes_C: np.ndarray  # uint32, or uint8 when all is ASCII
    classes_C: (
        np.ndarray
    )  # uint8 flags: SPACE, NEWLINE, LETTER, WORD, IDEOGRAPH, SYMBOL, PLAIN (neither space nor symbol), STOP
    texts: Sequence[str]
    starts_D: np.ndarray  # int64, first character of each document
    ends_D: np.ndarray  # int64, one past its last; the line feed that follows is not part of it
    low_bytes: bytes  # of every code point
    beyond: np.ndarray  # int64, where the characters lie that are not ASCII

    @property
    def chars_D(self) -> np.ndarray:
        """Characters looked at per document."""
        return self.ends_D - self.starts_D

    def count_flags(self, flags_C: np.ndarray) -> np.ndarray:
        """How many characters of each document are flagged; int64 (D,)."""
        ends = zip(self.starts_D.tolist(), self.ends_D.tolist(), strict=True)
        return np.fromiter((np.count_nonzero(flags_C[start:end]) for start, end in ends), np.int64, len(self.ends_D))


class Spans(NamedTuple):
    """Ranges of characters in the order of the text."""

    start_S: np.ndarray  # int64
    end_S: np.ndarray  # int64
    doc_S: np.ndarray  # int64, index of the document in the chunk

    @property
    def chars_S(self) -> np.ndarray:
        return self.end_S - self.start_S


def chunks(texts: pa.ChunkedArray | pa.Array, chunk_chars: int = CHUNK_CHARS) -> Iterator[Chunk]:
    """The documents of a text column in order, about `chunk_chars` characters at a time; a null reads as an empty text."""
    batch: list[str] = []
    size = 0
    for whole in texts.to_pylist():
        text = (whole or "")[:MAX_CHARS]
        if batch and size + len(text) > chunk_chars:
            yield chunk_of(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield chunk_of(batch)


def chunk_of(texts: Sequence[str]) -> Chunk:
    """One chunk of exactly these documents."""
    joined = "\n".join(texts) + "\n"
    if joined.isascii():
        low_bytes, beyond = joined.encode("ascii"), np.empty(0, np.int64)
        codes_C: np.ndarray = np.frombuffer(low_bytes, np.uint8)
    else:
        codes_C = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        low_bytes, beyond = codes_C.astype(np.uint8).tobytes(), np.flatnonzero(codes_C > 0x7F)
    lengths_D = np.fromiter(map(len, texts), np.int64, len(texts))
    ends_D = np.cumsum(lengths_D + 1) - 1
    classes_C = _looked_up(codes_C, low_bytes, beyond, _classes())
    return Chunk(codes_C, classes_C, texts, ends_D - lengths_D, ends_D, low_bytes, beyond)


def blank_separated(chunk: Chunk) -> Spans:
    """Runs of characters other than white space."""
    return runs(chunk, (chunk.classes_C & SPACE) == 0)


def word_runs(chunk: Chunk) -> Spans:
    """Runs of letters, marks, digits and underscores: words without punctuation."""
    return runs(chunk, (chunk.classes_C & WORD) != 0)


def lines(chunk: Chunk) -> Spans:
    """Lines that hold more than white space, without their line feed."""
    end_S = np.flatnonzero((chunk.classes_C & NEWLINE) != 0)
    start_S = np.concatenate([[0], end_S[:-1] + 1])
    keep_S = (np.bitwise_or.reduceat(chunk.classes_C, start_S) & ~(SPACE | NEWLINE)) != 0
    return _spans(chunk, start_S[keep_S], end_S[keep_S])


def paragraphs(chunk: Chunk, of_lines: Spans) -> Spans:
    """Runs of the chunk's lines with no blank line between them."""
    feeds = np.flatnonzero((chunk.classes_C & NEWLINE) != 0)
    number_S = np.searchsorted(feeds, of_lines.end_S)  # of the line, blank ones counted
    first_S = np.ones(len(of_lines.start_S), bool)
    first_S[1:] = (np.diff(number_S) > 1) | (of_lines.doc_S[1:] != of_lines.doc_S[:-1])
    last_S = np.append(first_S[1:], True)[: len(first_S)]
    return _spans(chunk, of_lines.start_S[first_S], of_lines.end_S[last_S])


def runs(chunk: Chunk, inside_C: np.ndarray) -> Spans:
    """Maximal runs of flagged characters, cut before and after every ideograph."""
    padded = np.zeros(len(inside_C) + 2, bool)
    padded[1:-1] = inside_C
    change_C1 = padded[1:] != padded[:-1]
    if not np.bitwise_or.reduce(chunk.classes_C) & IDEOGRAPH:
        edges = np.flatnonzero(change_C1)
        return _spans(chunk, edges[::2], edges[1::2])
    ideograph_C = (chunk.classes_C & IDEOGRAPH) != 0
    change_C1[:-1] |= ideograph_C
    change_C1[1:] |= ideograph_C
    edges = np.flatnonzero(change_C1)
    return _spans(chunk, edges[padded[edges + 1]], edges[padded[edges]])


def classes_in(chunk: Chunk, spans: Spans) -> np.ndarray:
    """uint8 (S,): all flags that occur in a span, or in the white space behind it."""
    return np.bitwise_or.reduceat(chunk.classes_C, spans.start_S)


def flags_of(codes: np.ndarray) -> np.ndarray:
    """uint8: the flags of code points, as in `Chunk.classes_C`."""
    return _classes().take(codes)


def lower_of(codes: np.ndarray) -> np.ndarray:
    """uint32: code points in lower case, where that is one character."""
    return _lower().take(codes)


def char_sums(chunk: Chunk, *, lower: bool = False) -> np.ndarray:
    """uint64 (C+1,): what `hash_spans` reads hashes from; of the text in lower case, character by character, if asked."""
    codes_C = chunk.codes_C
    if lower:
        codes_C = _looked_up(codes_C, chunk.low_bytes, chunk.beyond, _lower())
    sums_C1 = np.empty(len(codes_C) + 1, np.uint64)
    sums_C1[0] = 0
    np.multiply(codes_C, _powers(_power_of_two(len(codes_C)))[0][: len(codes_C)], out=sums_C1[1:], dtype=np.uint64)
    return _accumulated(sums_C1)


def hash_spans(sums_C1: np.ndarray, spans: Spans) -> np.ndarray:
    """uint64 (S,): `hash_text` of the text of every span."""
    inverses_C = _powers(_power_of_two(len(sums_C1) - 1))[1]
    return _mix((sums_C1[spans.end_S] - sums_C1[spans.start_S]) * inverses_C[spans.start_S])


def _accumulated(values: np.ndarray) -> np.ndarray:
    """`np.add.accumulate`, in place. Side by side each sum waits until the one before is in memory: of every other one alone it takes a
    tenth of the time, and half of all with the two additions around it."""
    second = values[1::2]
    second += values[: 2 * len(second) : 2]
    np.add.accumulate(second, out=second)
    values[2::2] += second[: (len(values) - 1) // 2]
    return values


@functools.lru_cache(maxsize=1 << 16)
def hash_text(text: str) -> int:
    """The 64-bit hash that `hash_spans` gives a span with this text: the plain definition."""
    total = sum(ord(char) * pow(_BASE, index, 1 << 64) for index, char in enumerate(text))
    return _mix_int(total & _MASK64)


def ngrams(hashes_S: np.ndarray, doc_S: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint64 hash (G,), int64 index of the first span (G,)) of every run of `n` spans that lies in one document."""
    num_grams = max(0, len(hashes_S) - n + 1)
    first_G = np.flatnonzero(doc_S[:num_grams] == doc_S[n - 1 :])
    total_G = np.zeros(num_grams, np.uint64)
    for offset in range(n):
        total_G += hashes_S[offset : offset + num_grams] * np.uint64(gram_factor(offset))
    return _mix(total_G[first_G]), first_G


@functools.lru_cache(maxsize=64)
def gram_factor(offset: int) -> int:
    """What the hash of the word at `offset` of an n-gram is multiplied with."""
    return pow(_GRAM_BASE, offset + 1, 1 << 64)


def hash_ngram(words: Sequence[str]) -> int:
    """The 64-bit hash that `ngrams` gives these words: the plain definition."""
    total = sum(hash_text(word) * gram_factor(offset) for offset, word in enumerate(words))
    return _mix_int(total & _MASK64)


def per_document(values_S: np.ndarray, doc_S: np.ndarray, num_docs: int) -> np.ndarray:
    """int64 (D,): sums of integers or flags by document."""
    return np.bincount(doc_S, weights=values_S, minlength=num_docs).astype(np.int64)


def occurrences(hashes_S: np.ndarray, doc_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, starts): `order` brings equal hashes of one document together, earlier ones first; groups begin at `starts`."""
    keys_S = hashes_S ^ (doc_S.astype(np.uint64) * np.uint64(_BASE))
    index_bits = np.uint64(max(1, len(keys_S)).bit_length())
    # The index takes the place of the lowest bits: sorting values is five times as fast as a stable argsort.
    packed_S = (keys_S >> index_bits << index_bits) | np.arange(len(keys_S), dtype=np.uint64)
    packed_S.sort()
    order = (packed_S & ((np.uint64(1) << index_bits) - np.uint64(1))).astype(np.int64)
    first_S = _changes(keys_S[order])
    if np.any(
        first_S & ~_changes(packed_S >> index_bits)
    ):  # different hashes, alike but for the bits that the index took
        order = np.argsort(keys_S, kind="stable")
        first_S = _changes(keys_S[order])
    return order, np.flatnonzero(first_S)


def repeats(hashes_S: np.ndarray, doc_S: np.ndarray) -> np.ndarray:
    """bool (S,): the same hash came before in the same document."""
    order, starts = occurrences(hashes_S, doc_S)
    again_S = np.ones(len(hashes_S), bool)
    again_S[order[starts]] = False
    return again_S


def _changes(values: np.ndarray) -> np.ndarray:
    """bool, as long as `values`: another value than the one before; the first is."""
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return first


def _spans(chunk: Chunk, start_S: np.ndarray, end_S: np.ndarray) -> Spans:
    first_D1 = np.searchsorted(start_S, np.append(chunk.starts_D, len(chunk.codes_C)))
    return Spans(start_S, end_S, np.repeat(np.arange(len(chunk.starts_D)), np.diff(first_D1)))


def _mix(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 whose every output bit depends on every input bit (xmx of the Murmur family)."""
    values = values ^ (values >> np.uint64(32))
    values *= np.uint64(_MIX)
    values ^= values >> np.uint64(32)
    values *= np.uint64(_MIX)
    values ^= values >> np.uint64(32)
    return values


def _mix_int(value: int) -> int:
    for _ in range(2):
        value = ((value ^ (value >> 32)) * _MIX) & _MASK64
    return value ^ (value >> 32)


def _power_of_two(size: int) -> int:
    """Size of the table of powers for `size` characters: few different ones, so that one table serves most chunks."""
    return max(CHUNK_CHARS * 2, 1 << (size - 1).bit_length())


@functools.lru_cache(maxsize=2)  # that of most chunks, and that of the last huge document
def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """base**i and base**-i modulo 2**64 for i below `size`."""
    tables = []
    for base in (_BASE, _BASE_INVERSE):
        table = np.full(size, base, np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table, dtype=np.uint64))
    return tables[0], tables[1]


def _looked_up(codes_C: np.ndarray, low_bytes: bytes, beyond: np.ndarray, table: np.ndarray) -> np.ndarray:
    """`table[codes_C]`. ASCII, which is most of most texts, goes through `bytes.translate`, some ten times as fast."""
    if len(beyond) > len(codes_C) // 4:
        return table.take(codes_C)
    found_C = np.frombuffer(low_bytes.translate(table[:256].astype(np.uint8).tobytes()), np.uint8)
    if codes_C.dtype == np.uint8:
        return found_C
    found_C = found_C.astype(table.dtype)
    found_C[beyond] = table[codes_C[beyond]]
    return found_C


@functools.lru_cache(maxsize=1)
def _classes() -> np.ndarray:
    """uint8 flags by code point; 0.07 s to make."""
    chars = list(map(chr, range(_ASSIGNED)))
    categories = np.frombuffer("".join(map(unicodedata.category, chars)).encode("ascii"), np.uint8)[::2]  # "Lu": L
    is_space, is_alpha = (np.fromiter(map(test, chars), bool, len(chars)) for test in (str.isspace, str.isalpha))
    table = np.zeros(0x110000, np.uint8)
    flags = table[:_ASSIGNED]
    is_symbol = np.isin(categories, [ord("P"), ord("S")])
    is_word = np.isin(categories, [ord("L"), ord("M"), ord("N")])
    flags[:] = np.where(is_symbol, SYMBOL, np.where(is_word, PLAIN | WORD, PLAIN))
    flags[is_word & is_alpha] |= LETTER
    for first, last in _IDEOGRAPHS:
        flags[first : last + 1][is_word[first : last + 1]] |= IDEOGRAPH
    flags[ord("_")] |= WORD
    flags[is_space] = SPACE
    flags[ord("\n")] |= NEWLINE
    for entry in _SENTENCE_TERMINALS.split():
        first_hex, _, last_hex = entry.partition("-")
        table[int(first_hex, 16) : int(last_hex or first_hex, 16) + 1] |= STOP
    return table


@functools.lru_cache(maxsize=1)
def _lower() -> np.ndarray:
    """uint32 lower-case code point by code point, where it is one character; 0.03 s to make."""
    chars = list(map(chr, range(_CASED)))
    lowered = [new if len(new) == 1 else old for old, new in zip(chars, map(str.lower, chars), strict=True)]
    table = np.arange(0x110000, dtype=np.uint32)
    table[:_CASED] = np.frombuffer("".join(lowered).encode("utf-32-le", "surrogatepass"), np.uint32)
    return table
