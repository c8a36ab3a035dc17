"""Hashes of shingles, the runs of consecutive words by which `dedup.minhash` compares texts, without a shingle ever being a string.

Texts become UTF-8 in lower case with a gap for every character that is in no word, so that a word is a run of bytes; its hash is read
eight bytes at a time (`curation.span_hash`), and that of a shingle is a sum over its words. Both have 32 bits. 110 MB of English or code
per CPU second, 40 of Russian.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from curation import span_hash, words

# What stays in a core's cache. Of the shingles, two uint32 each, those of some chunks go together, because each of the permutations is
# three calls of numpy.
CHUNK_CHARS = 1 << 17
SHINGLES = 1 << 16

_GAP, _END = b"\0", b"\1"  # what stands between words, and behind a document
_WORD_CHARS = bytes(code for code in range(128) if chr(code).isalnum() or chr(code) == "_")
_FOLDED = bytes(code if code in _WORD_CHARS else _GAP[0] for code in range(256)).lower()
_GRAM_BASE = 0x85EBCA77  # any odd number


def hash_shingle(shingle: Sequence[str]) -> int:
    """32-bit hash of a shingle, given as its lower-cased words: the `hashfunc` under which datasketch gives our signatures."""
    return sum(hash_word(word) * _gram_factor(offset) for offset, word in enumerate(shingle)) & 0xFFFFFFFF


def hash_word(word: str) -> int:
    """32-bit hash of a lower-cased word: the plain definition."""
    return span_hash.hash_of_bytes(word.encode()) >> 32


def shingles(texts: pa.ChunkedArray | pa.Array, ngram: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(uint32 mixed hashes (G,), int64 documents (D,), how many of the hashes each has (D,)) of the documents with words, about
    `SHINGLES` at a time. Not in the order of documents.

    A shingle is `ngram` consecutive lower-cased words; a text with fewer words is one shingle of all of them.
    """
    held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for docs_D, folded in _folded(texts):
        hashes_G, counts_D = _chunk_shingles(folded, ngram)
        has_words_D = counts_D > 0
        held.append((_murmur_mix(hashes_G), docs_D[has_words_D], counts_D[has_words_D]))
        if sum(len(hashes_G) for hashes_G, _, _ in held) >= SHINGLES:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(held: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hashes, docs, counts = map(np.concatenate, zip(*held, strict=True))
    return hashes, docs, counts


def _folded(texts: pa.ChunkedArray | pa.Array) -> Iterator[tuple[np.ndarray, bytes]]:
    """(int64 documents (D,), their words) of about `CHUNK_CHARS` characters: UTF-8 in lower case, `_GAP` for every character that is in no
    word, `_END` behind every document. Those in ASCII come first: for them one table does it all."""
    cut = [(text or "")[: words.MAX_CHARS] for text in texts.to_pylist()]
    is_ascii = np.fromiter(map(str.isascii, cut), bool, len(cut))
    chars = np.fromiter(map(len, cut), np.int64, len(cut))
    for fold, docs in ((_folded_ascii, np.flatnonzero(is_ascii)), (_folded_unicode, np.flatnonzero(~is_ascii))):
        chunk_D = np.cumsum(chars[docs]) // CHUNK_CHARS
        for docs_D in np.split(docs, np.flatnonzero(np.diff(chunk_D)) + 1):
            if len(docs_D):
                yield docs_D, fold([cut[doc] for doc in docs_D.tolist()])


def _folded_ascii(texts: list[str]) -> bytes:
    return b"".join([text.encode("ascii").translate(_FOLDED) + _END for text in texts])


def _folded_unicode(texts: list[str]) -> bytes:
    codes_C = np.frombuffer("".join([text + "\n" for text in texts]).encode("utf-32-le"), np.uint32)
    folded_C, is_ideograph_C = _letters(codes_C)
    folded_C[np.cumsum([len(text) + 1 for text in texts]) - 1] = _END[0]
    if is_ideograph_C.any():  # a word each: with a gap on either side
        spaced_C2 = np.stack([folded_C, np.full_like(folded_C, _GAP[0])], axis=1)
        is_kept_C2 = np.ones(spaced_C2.shape, bool)
        is_kept_C2[:, 1] = is_ideograph_C
        is_kept_C2[:-1, 1] |= is_ideograph_C[1:]
        folded_C = spaced_C2[is_kept_C2]
    return folded_C.tobytes().decode("utf-32-le").encode()


def _letters(codes_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(uint32 code points in lower case, `_GAP` for what is in no word, bool whether an ideograph). Where few are beyond ASCII, these
    alone are looked up, and `bytes.translate` does the rest in half the time."""
    beyond = np.flatnonzero(codes_C > 0x7F)
    if len(beyond) > len(codes_C) // 4:
        flags_C = words.flags_of(codes_C)
        return np.where(flags_C & words.WORD, words.lower_of(codes_C), _GAP[0]), (flags_C & words.IDEOGRAPH) != 0
    low_bytes = codes_C.astype(np.uint8).tobytes()
    folded_C = np.frombuffer(low_bytes.translate(_FOLDED), np.uint8).astype(np.uint32)
    is_ideograph_C = np.zeros(len(codes_C), bool)
    if len(beyond):
        folded_C[beyond], is_ideograph_C[beyond] = _letters(codes_C[beyond])
    return folded_C, is_ideograph_C


def _chunk_shingles(folded: bytes, ngram: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint32 hashes of the shingles (G,), how many of them each document has (D,)), in the order of documents."""
    bytes_B = np.frombuffer(folded, np.uint8)
    in_word_B1 = np.zeros(len(folded) + 1, bool)
    np.greater(bytes_B, _END[0], out=in_word_B1[1:])
    start_S, end_S = np.flatnonzero(in_word_B1[1:] != in_word_B1[:-1]).reshape(-1, 2).T
    hashes_S = _high_half(span_hash.hash_bytes(folded, start_S, end_S - start_S))
    words_D = np.diff(np.searchsorted(start_S, np.flatnonzero(bytes_B == _END[0])), prepend=0)
    short = np.flatnonzero((words_D > 0) & (words_D < ngram))
    if len(short):  # a text with fewer words is one shingle: filled up with words whose hash is zero
        missing = ngram - words_D[short]
        hashes_S = np.insert(hashes_S, np.repeat(np.cumsum(words_D)[short], missing), np.uint32(0))
        words_D[short] = ngram
    num_grams = max(0, len(hashes_S) - ngram + 1)
    totals_G, terms_G = np.zeros(num_grams, np.uint32), np.empty(num_grams, np.uint32)
    for offset in range(ngram):
        totals_G += np.multiply(hashes_S[offset : offset + num_grams], np.uint32(_gram_factor(offset)), out=terms_G)
    in_one_S = np.ones(len(hashes_S), bool)
    ends = np.cumsum(words_D)[words_D > 0]
    in_one_S[ends[:, None] - np.arange(1, ngram)] = False  # no shingle begins with the last words of a document
    return totals_G[in_one_S[:num_grams]], np.maximum(words_D - (ngram - 1), 0)


def _high_half(hashes: np.ndarray) -> np.ndarray:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _gram_factor(offset: int) -> int:
    """What the hash of the word at `offset` of a shingle is multiplied with."""
    return pow(_GRAM_BASE, offset, 1 << 32)


def _murmur_mix(hashes: np.ndarray) -> np.ndarray:
    """The low 32 bits through MurmurHash3's finaliser, as "affine32" mixes what a hashfunc returns."""
    mixed = hashes.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed
