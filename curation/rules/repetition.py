"""Characters in repeated n-grams of words, for all documents of a chunk: the two measures of Gopher's repetition rules.

- The top n-gram is the most frequent one that occurs at least twice, of equally frequent ones the one that comes first, in characters with
  one space between words, times its count.
- Duplicate n-grams are counted from left to right, skipping behind a duplicate, so that no character counts twice; without spaces.

The paper (Rae et al. 2021, appendix A.1.1) leaves both open; this is how datatrove counts. Only documents that an upper bound does
not clear are looked at more closely: every occurrence of an n-gram is one of its first n-1 words, so what is rare or covers little for
one n does so for the next. The exact count of duplicates walks through a document in Python, a few microseconds per repeated n-gram.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from curation import words
from curation.rules.surface import Surface, share


class _Words(NamedTuple):
    """The words of some documents of a chunk."""

    hashes_S: np.ndarray
    chars_S: np.ndarray
    doc_S: np.ndarray
    before_S1: np.ndarray  # int64 (S+1,), characters of all words before each word

    @staticmethod
    def of(hashes_S: np.ndarray, chars_S: np.ndarray, doc_S: np.ndarray) -> "_Words":
        return _Words(hashes_S, chars_S, doc_S, np.concatenate([[0], np.cumsum(chars_S)]))

    def of_documents(self, among_D: np.ndarray) -> "_Words":
        """Without the words of other documents."""
        keep_S = np.flatnonzero(among_D[self.doc_S])
        if len(keep_S) == len(self.doc_S):
            return self
        return _Words.of(self.hashes_S[keep_S], self.chars_S[keep_S], self.doc_S[keep_S])


def top_ngrams(of: Surface, limits: Mapping[int, float], among_D: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(n, share_D) for each n of `limits`, ascending. Characters in all occurrences of the most frequent n-gram as a share of all.

    float64 (D,), exact for the documents `among_D` (bool (D,)) whose share exceeds the n's limit; of others it may be 0. The caller may
    clear flags of `among_D` between two n.
    """
    most_D = of.chunk.chars_D  # how often the top n-gram can occur
    among = _Words.of(of.word_hashes_S, of.words.chars_S, of.words.doc_S)
    for n, limit in sorted(limits.items()):
        could_D = among_D & (most_D > 1)
        if could_D.any() and limit > 0:
            could_D &= share(most_D * _longest(among, n, of.num_docs), of.chunk.chars_D) > limit
        share_D = np.zeros(of.num_docs)
        if could_D.any():
            counts_D, chars_D = _top(among.of_documents(could_D), n, of.num_docs)
            most_D = np.where(could_D, counts_D, most_D)
            share_D = share(chars_D, of.chunk.chars_D)
        yield n, share_D


def _longest(among: _Words, n: int, num_docs: int) -> np.ndarray:
    """int64 (D,): characters of the longest n-gram of each document, with spaces."""
    before_S1, num_grams = among.before_S1, max(0, len(among.doc_S) - n + 1)
    longest_D = np.zeros(num_docs, np.int64)
    if not num_grams:
        return longest_D
    chars_G = before_S1[n:] - before_S1[:num_grams] + n - 1  # over the edge of a document too: still an upper bound
    first = np.flatnonzero(np.diff(among.doc_S[:num_grams], prepend=-1))
    longest_D[among.doc_S[first]] = np.maximum.reduceat(chars_G, first)
    return longest_D


def _top(among: _Words, n: int, num_docs: int) -> tuple[np.ndarray, np.ndarray]:
    """(how often the top n-gram occurs, 0 or at least 2; characters of all its occurrences), int64 (D,)."""
    before_S1 = among.before_S1
    hashes_G, first_G = words.ngrams(among.hashes_S, among.doc_S, n)
    order, starts = words.occurrences(hashes_G, among.doc_S[first_G])
    counts = np.diff(np.append(starts, len(order)))
    often = counts > 1
    place, counts = first_G[order[starts[often]]], counts[often]
    ranked = np.lexsort((-place, counts))
    place, counts = place[ranked], counts[ranked]
    counts_D, chars_D = np.zeros(num_docs, np.int64), np.zeros(num_docs, np.int64)
    # Of several values for a document numpy keeps the last: the most frequent, and of those the first in the text.
    counts_D[among.doc_S[place]] = counts
    chars_D[among.doc_S[place]] = (before_S1[place + n] - before_S1[place] + n - 1) * counts
    return counts_D, chars_D


def duplicate_ngrams(of: Surface, limits: Mapping[int, float], among_D: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(n, share_D) for each n of `limits`, ascending. Characters in duplicate n-grams as a share of all.

    float64 (D,), exact for the documents `among_D` (bool (D,)) whose share exceeds the n's limit; of others it may be 0. The caller may
    clear flags of `among_D` between two n.
    """
    among = _Words.of(of.word_hashes_S, of.words.chars_S, of.words.doc_S)
    could_D = among_D.copy()
    for n, limit in sorted(limits.items()):
        could_D &= among_D
        share_D = np.zeros(of.num_docs)
        if could_D.any():
            among = among.of_documents(could_D)
            grams = _Repeated.of(among, n)
            bound_D = share(grams.covered_chars(among, n, of.num_docs), of.chunk.chars_D)
            share_D = share(grams.duplicate_chars(among, n, bound_D > limit), of.chunk.chars_D)
            could_D &= bound_D > min(other for longer, other in limits.items() if longer >= n)
        yield n, share_D


class _Repeated(NamedTuple):
    """The n-grams of a document that occur more than once in it, in the order of the text."""

    hashes_G: np.ndarray
    first_G: np.ndarray  # int64, the n-gram's first word
    again_G: np.ndarray  # bool, the same n-gram came before

    @staticmethod
    def of(among: _Words, n: int) -> "_Repeated":
        hashes_G, first_G = words.ngrams(among.hashes_S, among.doc_S, n)
        order, starts = words.occurrences(hashes_G, among.doc_S[first_G])
        counts = np.diff(np.append(starts, len(order)))
        again_G = np.ones(len(order), bool)
        again_G[order[starts]] = False
        repeated = np.sort(order[np.repeat(counts > 1, counts)])
        return _Repeated(hashes_G[repeated], first_G[repeated], again_G[repeated])

    def covered_chars(self, among: _Words, n: int, num_docs: int) -> np.ndarray:
        """int64 (D,): characters of the words in n-grams that came before; duplicates have no more."""
        first, num_words = self.first_G[self.again_G], len(among.doc_S)
        edge_S = np.bincount(first, minlength=num_words + 1) - np.bincount(first + n, minlength=num_words + 1)
        covered_S = np.cumsum(edge_S[:num_words]) > 0
        return words.per_document(among.chars_S[covered_S], among.doc_S[covered_S], num_docs)

    def duplicate_chars(self, among: _Words, n: int, wanted_D: np.ndarray) -> np.ndarray:
        """int64 (D,): characters in duplicates, from left to right, each counted once; 0 where it is not wanted."""
        chars_D = np.zeros(len(wanted_D), np.int64)
        before_S1, docs_G = among.before_S1, among.doc_S[self.first_G]
        for doc in np.flatnonzero(wanted_D).tolist():
            mine = slice(*np.searchsorted(docs_G, [doc, doc + 1]).tolist())
            first = self.first_G[mine]
            sizes = before_S1[first + n] - before_S1[first]
            seen: set[int] = set()
            chars = place = 0
            for gram, at, size in zip(self.hashes_G[mine].tolist(), first.tolist(), sizes.tolist(), strict=True):
                if at < place:
                    continue
                if gram in seen:
                    chars += size
                    place = at + n
                seen.add(gram)
            chars_D[doc] = chars
        return chars_D
