"""Hashes of words and lines, read eight bytes at a time.

`curation.words.hash_spans` reads hashes off sums over all characters, for spans of any kind. Words are two thirds of a text, and most end
within their first eight bytes: reading nothing else takes a fifth of the time.
"""

import functools

import numpy as np

from curation.words import Chunk, Spans

_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_MASK64 = (1 << 64) - 1
_MIX = 0xD6E8FEB86659FD93  # these are any odd numbers
_PIECE = 0x9E3779B97F4A7C15
_PLACE = 0xC2B2AE3D27D4EB4F


def hash_bytes(data: bytes, start_S: np.ndarray, size_S: np.ndarray) -> np.ndarray:
    """uint64 (S,): `hash_of_bytes` of the `size_S` bytes of `data` from `start_S` on; at least one each."""
    return _mixed(_totals(data, start_S, size_S))


def hash_of_bytes(data: bytes) -> int:
    """The hash of some bytes: the plain definition."""
    return _mixed_int(_total(data))


def hash_spans(chunk: Chunk, spans: Spans) -> np.ndarray:
    """uint64 (S,): `hash_text` of the text of every span; they ascend and do not overlap.

    Of a character the low byte is read; what Unicode has above that, which is rare in code, is added character by character.
    """
    totals_S = _totals(chunk.low_bytes, spans.start_S, spans.chars_S)
    wide = chunk.beyond[chunk.codes_C[chunk.beyond] > 0xFF]
    if len(wide) and len(totals_S):
        span = np.maximum(np.searchsorted(spans.start_S, wide, "right") - 1, 0)
        inside = (spans.start_S[span] <= wide) & (wide < spans.end_S[span])
        span, wide = span[inside], wide[inside]
        above = (chunk.codes_C[wide] >> np.uint32(8)).astype(np.uint64)
        above += (wide - spans.start_S[span] + 1).astype(np.uint64) * np.uint64(_PLACE)
        np.add.at(totals_S, span, _mixed(above))
    return _mixed(totals_S)


@functools.lru_cache(maxsize=1 << 12)
def hash_text(text: str) -> int:
    """The hash that `hash_spans` gives a span with this text: the plain definition."""
    total = _total(bytes(ord(char) & 0xFF for char in text))
    for place, char in enumerate(text):
        if ord(char) > 0xFF:
            total += _mixed_int((ord(char) >> 8) + (place + 1) * _PLACE)
    return _mixed_int(total)


def _totals(data: bytes, start_S: np.ndarray, size_S: np.ndarray) -> np.ndarray:
    """uint64 (S,): `_total` of each span. P: their pieces beyond the first."""
    eight_B = np.ndarray(len(data), "<u8", data + bytes(8), strides=(1,))  # the eight bytes that begin at each
    totals_S = eight_B[start_S] & _FIRST_BYTES.take(size_S, mode="clip")
    long = np.flatnonzero(size_S > 8)
    if len(long):
        more = (size_S[long] - 1) >> 3
        stop = np.cumsum(more)
        behind_P = 8 * (np.arange(1, stop[-1] + 1) - np.repeat(stop - more, more))
        pieces_P = eight_B[np.repeat(start_S[long], more) + behind_P]
        pieces_P &= _FIRST_BYTES.take(np.repeat(size_S[long], more) - behind_P, mode="clip")
        pieces_P += behind_P.astype(np.uint64) * np.uint64(_PIECE)
        totals_S[long] += np.diff(np.cumsum(_mixed(pieces_P), dtype=np.uint64)[stop - 1], prepend=np.uint64(0))
    return totals_S


def _total(data: bytes) -> int:
    """The first eight bytes as a number, and of every eight after them one that depends on their place."""
    total = int.from_bytes(data[:8], "little")
    for behind in range(8, len(data), 8):
        total += _mixed_int(int.from_bytes(data[behind : behind + 8], "little") + behind * _PIECE)
    return total


def _mixed(values: np.ndarray) -> np.ndarray:
    """`_mixed_int` of uint64, which are overwritten."""
    values ^= values >> np.uint64(32)
    values *= np.uint64(_MIX)
    values ^= values >> np.uint64(32)
    return values


def _mixed_int(value: int) -> int:
    value &= _MASK64
    value = ((value ^ (value >> 32)) * _MIX) & _MASK64
    return value ^ (value >> 32)
