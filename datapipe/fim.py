"""Fill-in-the-middle: the middle of a document is moved to its end, so that a model that reads left to right learns to fill gaps.

Bavarian et al. 2022 (arXiv 2207.14255), on whole documents before packing. Two places between characters are drawn uniformly (section 3),
the parts are encoded apart, and every token is learned:

    PSM   <prefix> p <suffix> s <middle> m
    SPM   <prefix> <suffix> s <middle> p m       the form of appendix D that shares its markers with PSM, for joint training

In both, what stands behind <prefix>, then behind <middle>, then behind <suffix> is the document: one inversion for both, and an SPM sample
reads like a PSM sample with an empty prefix, as it should (appendix D). Which documents, which form and where is a function of the seed and
the document's id alone, so neither order nor process counts, and a higher rate keeps the samples of a lower one as they are.

Cost: 1 us of a core for a document that is left, 5 us for one that is rearranged, 1 GB of Python files per CPU second; encoding costs
hundreds of times as much. Not covered: a new cut in every epoch (a document has one form), cuts at tokens or lines, rearranging the pieces
of rows after packing (section 3.2; the paper's main runs do), and tokenizers that do not give a text back (those that normalise it, or put
a space before it): their samples are well formed, but decode to what the tokenizer makes of the parts.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import xxhash

from datapipe.tokenize import FILL_IN_TOKENS

MIN_CHARS = 3  # of a document that can have three parts

Marker = TypeVar("Marker", str, int)


class Fim(NamedTuple):
    """How documents are rearranged: half of them, as in DeepSeek-Coder; half of these as SPM (Bavarian et al., section 3.1)."""

    rate: float = 0.5  # of the documents
    spm: float = 0.5  # of those that are rearranged
    tokens: tuple[str, str, str] = FILL_IN_TOKENS  # that come before prefix, suffix and middle


class Parts(NamedTuple):
    prefix: str
    middle: str
    suffix: str
    is_spm: bool


def cut(text: str, identity: str, seed: int, fim: Fim) -> Parts | None:
    """The three parts of a document, any of them may be empty; None for one that is left as it is.

    Both cuts are uniform over the `len(text) + 1` places beside characters, and may fall together.
    """
    if len(text) < MIN_CHARS:
        return None
    choice, form = _draws("fim", identity, seed)
    if choice >= fim.rate * 2**64:
        return None
    begin, end = sorted((draw * (len(text) + 1)) >> 64 for draw in _draws("fim cuts", identity, seed))
    return Parts(text[:begin], text[begin:end], text[end:], form < fim.spm * 2**64)


def _draws(purpose: str, identity: str, seed: int) -> tuple[int, int]:
    """Two uniform 64-bit numbers; those of one purpose say nothing of those of another, nor of the place in a row."""
    return divmod(xxhash.xxh3_128_intdigest(f"{purpose} {identity}".encode(), seed), 2**64)


def arranged(parts: Parts, markers: Sequence[Marker]) -> list[str | Marker]:
    """The parts in the order of training behind their markers (of prefix, suffix, middle): ids of tokens, or their names."""
    prefix, suffix, middle = markers
    if parts.is_spm:
        return [prefix, suffix, parts.suffix, middle, parts.prefix, parts.middle]
    return [prefix, parts.prefix, suffix, parts.suffix, middle, parts.middle]


def read(tokens: np.ndarray, markers: Sequence[int], decode: Callable[[np.ndarray], str]) -> list[str | int] | None:
    """What `arranged` made, from the tokens (n,) of a whole document; None for one that was left as it is.

    The border between prefix and middle of an SPM sample is not in its tokens: they are one text.
    """
    if not tokens.size or tokens[0] != markers[0]:
        return None
    places = [int(np.flatnonzero(tokens == marker)[0]) for marker in markers]
    ends = [*places[1:], tokens.size]
    texts = (decode(tokens[place + 1 : end]) for place, end in zip(places, ends, strict=True))
    return [each for pair in zip(markers, texts, strict=True) for each in pair]


def restored(sequence: Sequence[str | int], markers: Sequence[int]) -> str:
    """The document of a sequence that `arranged` or `read` made; ValueError for any other."""
    prefix, suffix, middle = (sequence.index(marker) for marker in markers)
    if not 0 == prefix < suffix < middle:
        raise ValueError(
            f"markers of prefix, suffix and middle stand at {prefix}, {suffix} and {middle}: they stand in this order, the first at 0"
        )
    texts = (*sequence[1:suffix], *sequence[middle + 1 :], *sequence[suffix + 1 : middle])
    return "".join(map(str, texts))
