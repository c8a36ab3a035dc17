"""Ragged arrays: rows that hold different numbers of things, as flat numpy columns and a count per row. No Python loop over things."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


def expand(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The integers begins[i], begins[i] + 1, .. of which there are counts[i], for one i after the other: int64 (counts.sum(),)."""
    return np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


def by_value(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct value, growing, with the positions that hold it."""
    if not values.size:
        return
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    cuts = (np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist()
    for begin, end in pairwise([0, *cuts, values.size]):
        yield int(ordered[begin]), order[begin:end]


@dataclass(frozen=True)
class Ranges:
    """Ranges [begin, end) of tokens inside each of n rows, one row after the other.

    counts: int64 (n,), ranges per row; begin, end: int64 (counts.sum(),), in tokens of the row, growing inside a row.
    """

    counts: np.ndarray
    begin: np.ndarray
    end: np.ndarray

    def take(self, rows: np.ndarray) -> "Ranges":
        """The ranges of these rows (of 0..n-1), in this order."""
        chosen = self.of_rows(rows)
        return Ranges(self.counts[rows], self.begin[chosen], self.end[chosen])

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Where the ranges of these rows stand in the flat columns, row after row."""
        return expand((np.cumsum(self.counts) - self.counts)[rows], self.counts[rows])

    def flat(self, seq_len: int) -> tuple[np.ndarray, np.ndarray]:
        """(begin, end) in the rows laid end to end."""
        row_begin = np.repeat(np.arange(self.counts.size) * seq_len, self.counts)
        return self.begin + row_begin, self.end + row_begin

    @staticmethod
    def concatenate(parts: Sequence["Ranges"]) -> "Ranges":
        """The rows of all parts, one part after the other."""
        columns = zip(*((part.counts, part.begin, part.end) for part in parts), strict=True)
        return Ranges(*map(np.concatenate, columns))
