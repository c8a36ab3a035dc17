"""Which slice of which document lies where: documents packed into rows of `seq_len` tokens.

`concat` lays documents end to end and cuts them at row ends: no padding but in the last row; GLM-4.5 pre-training. `best_fit` cuts no
document that fits a row, at the price of a little padding (Ding et al. 2024, "Fewer Truncations Improve Language Modeling"; GLM-4.5
mid-training); it can keep related documents together and fill the gaps with short documents of other sources.

Best-fit decreasing is computed on the *histogram* of lengths (datapipe/bins.py): exactly the rows of the sequential algorithm, for all
documents in one call. A million documents of web lengths: 2.8 to 3.5 M documents per CPU second; over the lower bound at most 4 rows of
4,096 tokens (of 516,000), 1 of 32,768, 0 of 131,072. Peak memory: 89 bytes per document, 40 of them the result. Long documents alone
(log-normal, median 12,000, rows of 32,768) fill 0.9961 of their rows, with web documents as fillers 0.999996.

Not covered: lengths that do not fit one machine's memory; fillers that are cut, or chosen by anything but length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from datapipe.bins import Bins
from datapipe.ragged import expand

ALONE = -1  # the group of a document without related ones
MAX_SEQ_LEN = 2**31 - 1  # lengths and places are int32 while it packs
MAX_PIECES = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Packing:
    """A table of pieces, int64 (P,) each, sorted by row and start. A document is named by its place in the lengths given; a filler by the
    number of documents plus its place among the fillers.

    Piece p is the tokens [offset[p], offset[p] + length[p]) of document[p], and begins at token start[p] of row[p].
    """

    document: np.ndarray
    offset: np.ndarray
    row: np.ndarray
    start: np.ndarray
    length: np.ndarray
    num_rows: int
    seq_len: int
    cut_documents: int  # documents in more than one piece
    cut_tokens: int  # all tokens of these documents
    avoidable_cuts: int  # cut documents that a row would have held whole
    avoidable_cut_tokens: int  # all tokens of these

    @property
    def padding(self) -> int:
        """Tokens of the rows that no document fills."""
        return self.num_rows * self.seq_len - int(self.length.sum())

    def rows(self) -> Iterator[list[tuple[int, int, int, int]]]:
        """The pieces (document, offset, start, length) of each row."""
        pieces = zip(
            *(column.tolist() for column in (self.document, self.offset, self.start, self.length)), strict=True
        )
        for count in np.bincount(self.row, minlength=self.num_rows).tolist():
            yield [next(pieces) for _ in range(count)]


def concat(lengths: np.ndarray, seq_len: int) -> Packing:
    """Documents in the given order back to back, cut at row ends; the rest of the last row is padding.

    lengths: tokens per document, int (N,); an empty document has no piece.
    """
    lengths = _checked("document", lengths, seq_len)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first_row, last_row = begins // seq_len, (ends - 1) // seq_len
    pieces_of = np.where(lengths > 0, last_row - first_row + 1, 0)
    document = np.repeat(np.arange(lengths.size), pieces_of)
    row = expand(first_row, pieces_of)
    begin = np.maximum(begins[document], row * seq_len)  # in the stream of all tokens
    end = np.minimum(ends[document], (row + 1) * seq_len)
    return Packing(
        document=document,
        offset=begin - begins[document],
        row=row,
        start=begin - row * seq_len,
        length=end - begin,
        num_rows=-(-int(lengths.sum()) // seq_len),
        seq_len=seq_len,
        **_cuts(lengths[pieces_of > 1], seq_len),
    )


def best_fit(
    lengths: np.ndarray, seq_len: int, *, related: np.ndarray | None = None, fillers: np.ndarray | None = None
) -> Packing:
    """Best-fit decreasing: the longest first, each into the row with the least space that holds it.

    lengths: tokens per document, int (N,). A document longer than a row is cut into rows and a remainder; no other is cut.
    related: group of each document, int (N,), -1 for none. The documents of a group are neighbours in `lengths`; they are joined, in order,
        into as few units of at most a row as cutting between them allows, and a unit lies in one row without a gap.
    fillers: tokens of documents of other sources, int (M,). After all else, the longest first, each goes into the least space that
        holds it; one that no space holds has no piece. None is cut, none opens a row.

    Rows stand in the order of the documents that opened them (their longest), so that neighbours are as unlike in length as the documents
    were, reading the documents for them is nearly sequential, and the full rows of a large group follow each other. Inside a row
    the longest unit comes first, fillers last; equals keep the given order.
    """
    lengths = _checked("document", lengths, seq_len)
    fillers = _checked("filler", np.zeros(0, np.int64) if fillers is None else fillers, seq_len)
    if (asked := int(np.maximum(-(-lengths // seq_len), 1).sum()) + fillers.size) > MAX_PIECES:
        raise ValueError(
            f"{asked} pieces and fillers; a call packs at most {MAX_PIECES}: pack a part of them at a time"
        )
    document, offset, length = _pieces(lengths, seq_len)
    unit_begin = None  # every piece is a unit of its own
    if related is not None:
        unit_begin = _unit_begins(length, _checked_groups(related, lengths.size)[document], seq_len)

    bins = Bins(seq_len)
    unit, bin_of = _place(bins, length if unit_begin is None else np.add.reduceat(length, unit_begin))
    filler, filler_bin = _fill_gaps(bins, fillers)
    row, place = _sorted(_row_of_bin(unit, bin_of)[np.append(bin_of, filler_bin)])
    # A placed filler is one more piece and one more unit.
    number = np.arange(filler.size, dtype=np.int32)
    piece = np.append(unit, number + unit.size)[place]
    if unit_begin is not None:
        unit_begin = np.append(unit_begin, number + length.size)
        pieces_of_unit = np.diff(unit_begin, append=length.size + filler.size)[piece]
        row, piece = np.repeat(row, pieces_of_unit), expand(unit_begin[piece], pieces_of_unit)
    length = np.append(length, fillers[filler])[piece]
    return Packing(
        document=np.append(document, filler + lengths.size)[piece].astype(np.int64),
        offset=np.append(offset, np.zeros_like(filler))[piece],
        row=row.astype(np.int64),
        start=_starts(row, length),
        length=length,
        num_rows=bins.count,
        seq_len=seq_len,
        **_cuts(lengths[lengths > seq_len], seq_len),
    )


PACKERS: dict[str, Callable[[np.ndarray, int], Packing]] = {"concat": concat, "best_fit": best_fit}


def _pieces(lengths: np.ndarray, seq_len: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(document, offset, length) of each piece, when documents are cut into rows and a remainder. Only offsets need 64 bits."""
    pieces_of = -(-lengths // seq_len)
    document = np.repeat(np.arange(lengths.size, dtype=np.int32), pieces_of)
    offset = expand(np.zeros_like(pieces_of), pieces_of)
    offset *= seq_len
    return document, offset, np.minimum(lengths[document] - offset, seq_len).astype(np.int32)


def _unit_begins(length: np.ndarray, group: np.ndarray, seq_len: int) -> np.ndarray:
    """The first piece of each unit: a run of pieces of one group, as many as a row holds."""
    begins_group = np.ones(length.size, bool)
    begins_group[1:] = (group[1:] != group[:-1]) | (group[1:] == ALONE)
    begin = np.flatnonzero(begins_group)
    group_end = np.append(begin[1:], length.size)[: begin.size]
    end = np.cumsum(length, dtype=np.int64)  # of each piece in the stream of all tokens
    begins = [begin]
    while begin.size:  # the second unit of the groups that have one, then the third of these, ..
        begin = np.searchsorted(end, end[begin] - length[begin] + seq_len, side="right")
        more = begin < group_end
        begin, group_end = begin[more], group_end[more]
        begins.append(begin)
    return np.sort(np.concatenate(begins))


def _place(bins: Bins, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in `lengths`, the longest first, and the bin of each."""
    space, order = _sorted(bins.size - lengths)
    return order, bins.place(bins.size - space, opening=True)


def _fill_gaps(bins: Bins, fillers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which fillers found a gap, the longest first, and the bin of each."""
    candidates = np.flatnonzero((fillers > 0) & (fillers <= bins.most_space))
    space, order = _sorted(bins.size - fillers[candidates])
    bin_of = bins.place(bins.size - space, opening=False)
    return candidates[order[bin_of >= 0]].astype(np.int32), bin_of[bin_of >= 0]


def _row_of_bin(unit: np.ndarray, bin_of: np.ndarray) -> np.ndarray:
    """Bins are numbered in the order they were opened, the longest first; rows by the unit that opened them."""
    highest = np.maximum.accumulate(bin_of)
    openers = unit[np.flatnonzero(np.diff(highest, prepend=-1))]
    row_of_bin = np.empty(openers.size, np.int32)
    row_of_bin[_sorted(openers)[1]] = np.arange(openers.size)
    return row_of_bin


def _starts(row: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Where each piece begins in its row, when the pieces of a row lie back to back."""
    start = np.cumsum(length)
    start -= length
    start -= start[np.flatnonzero(np.diff(row, prepend=-1))][row]
    return start


def _cuts(cut: np.ndarray, seq_len: int) -> dict[str, int]:
    """What `Packing` says of documents of these lengths, all of them cut."""
    avoidable = cut[cut <= seq_len]
    return {
        "cut_documents": cut.size,
        "cut_tokens": int(cut.sum()),
        "avoidable_cuts": avoidable.size,
        "avoidable_cut_tokens": int(avoidable.sum()),
    }


def _checked(what: str, lengths: np.ndarray, seq_len: int) -> np.ndarray:
    lengths = np.asarray(lengths, np.int64)
    if not 1 <= seq_len <= MAX_SEQ_LEN:
        raise ValueError(f"seq_len is {seq_len}; a row has 1 to {MAX_SEQ_LEN} tokens")
    if lengths.size and lengths.min() < 0:
        raise ValueError(f"{what} {lengths.argmin()} has length {lengths.min()}; lengths are 0 or more tokens")
    return lengths


def _checked_groups(related: np.ndarray, num_documents: int) -> np.ndarray:
    related = np.asarray(related)
    if related.shape != (num_documents,):
        raise ValueError(f"related has shape {related.shape}; it has one group per document: ({num_documents},)")
    begin = np.flatnonzero(np.append(True, related[1:] != related[:-1])[:num_documents])
    begin = begin[related[begin] != ALONE]
    order = np.argsort(related[begin], kind="stable")
    group = related[begin][order]
    again = np.flatnonzero(group[1:] == group[:-1]) + 1
    if again.size:
        at = begin[order[again[0]]]
        raise ValueError(f"document {at} is of group {related[at]}, which ended before it: sort the documents by group")
    return related


def _sorted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the values, 0 to 2**31 - 1, growing; the place of each before), int32, equals in the given order. Value and place are sorted as one
    integer: 8 times faster than a stable argsort."""
    keys = values.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(values.size, dtype=np.uint64)
    keys.sort()
    return (keys >> np.uint64(32)).astype(np.int32), keys.astype(np.uint32).view(np.int32)
