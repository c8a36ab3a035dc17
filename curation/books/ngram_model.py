"""A word trigram model with modified Kneser-Ney smoothing (Chen and Goodman 1999) in numpy: counted exactly, kept in hash tables.

A token is a word, a run of marks, or an ideograph, in lower case, digits all alike. Kneser-Ney because it is the best smoothing known
for models this small, and KenLM's (Heafield et al. 2013), which CCNet used; its lower orders ask after how many words a word comes, and
not how often. The model is kept as KenLM keeps it: per n-gram a logarithm of its probability and one of its back-off weight, so that a
token costs at most three look-ups. An n-gram's place in a table is its hash; a bucket has two slots of 8 bytes: 32 bits that tell
n-grams apart, 16 for either logarithm in steps of 1/2048 nats. Of n-grams that fall into one bucket the most frequent stay (3 to 10 %
go, nearly all of which were seen once).

Per CPU second: 4 MB of text counted, 14 MB scored. `max_ngrams` bounds the tables: 32 bytes for each n-gram of an order at most.

A character model for unknown words was tried: it tells OCR noise better (area 0.95 for 0.89 on foreign ground), and shuffled words worse
(0.86 for 0.98), because in technical text it pays most for names.

Suffixes as in `curation.words`: S tokens, G distinct n-grams, D documents.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import words

ORDER = 3
STEP = 2_048  # steps per nat; logarithms lie in 0..-32 nats
SLOTS = 2  # of a bucket: a cache line holds four buckets
LEAST_BUCKET_BITS = 12
_FIELD = np.uint64(0xFFFF)


class Tokens(NamedTuple):
    """The tokens of some documents in order."""

    hashes_S: np.ndarray  # uint64
    doc_S: np.ndarray  # int64, ascending
    num_docs: int


class Grams(NamedTuple):
    """The distinct n-grams of one order, by hash."""

    hashes_G: np.ndarray  # uint64, ascending
    context_G: np.ndarray  # uint64, hash of all but the last token; 0 for single tokens
    shorter_G: np.ndarray  # uint64, hash of all but the first
    counts_G: np.ndarray  # int64


class Model(NamedTuple):
    """One table per order, and what a token costs that the model does not know."""

    tables: list[np.ndarray]  # uint64 (slots,), a power of two
    unknown: float  # nats, negative
    tokens: int  # counted


def tokens_of(texts: Sequence[str]) -> Iterator[Tokens]:
    """The tokens of the texts, some texts at a time."""
    folded = pc.replace_substring_regex(pa.array(texts, pa.large_string()), "[1-9]", "0")
    for chunk in words.chunks(folded):
        kind_C = np.where(chunk.classes_C & words.WORD, np.uint8(1), np.uint8(2))
        kind_C[(chunk.classes_C & words.SPACE) != 0] = 0
        starts = np.ones(len(kind_C), bool)
        starts[1:] = kind_C[1:] != kind_C[:-1]
        if np.bitwise_or.reduce(chunk.classes_C) & words.IDEOGRAPH:
            ideograph_C = (chunk.classes_C & words.IDEOGRAPH) != 0
            starts |= ideograph_C
            starts[1:] |= ideograph_C[:-1]
        edges = np.flatnonzero(starts)
        inside = kind_C[edges] != 0
        start_S = edges[inside]
        end_S = np.append(edges[1:], len(kind_C))[inside]
        doc_S = np.searchsorted(chunk.starts_D, start_S, side="right") - 1
        spans = words.Spans(start_S, end_S, doc_S)
        hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
        yield Tokens(hashes_S, doc_S, len(chunk.starts_D))


def train(texts: Sequence[str], max_ngrams: int) -> Model:
    """A model of these texts. Of the n-grams of an order the `max_ngrams` most frequent are kept."""
    counted = _counted(list(tokens_of(texts)))
    num_tokens = int(counted[0].counts_G.sum())
    for n in range(ORDER - 1, 0, -1):  # lower orders count different tokens before, where there is one
        found, different_G = np.unique(counted[n].shorter_G, return_counts=True)
        place_G = np.searchsorted(counted[n - 1].hashes_G, found)
        counts_G = counted[n - 1].counts_G.copy()
        counts_G[place_G] = different_G
        counted[n - 1] = counted[n - 1]._replace(counts_G=counts_G)
    singles = counted[0]
    share = 1 / (len(singles.hashes_G) + 1)  # of every word, and of all that are unknown
    below_G = np.full(len(singles.hashes_G), share)
    probability_G, _, left = _smoothed(singles, below_G)
    tables, unknown = [], math.log(float(left[0]) * share)
    for shorter, longer in pairwise(counted):
        below_G = probability_G[np.searchsorted(shorter.hashes_G, longer.shorter_G)]
        longer_G, contexts, left = _smoothed(longer, below_G)
        back_off_G = np.ones(len(shorter.hashes_G))
        back_off_G[np.searchsorted(shorter.hashes_G, contexts)] = left
        tables.append(_table(shorter, probability_G, back_off_G, max_ngrams))
        probability_G = longer_G
    tables.append(_table(counted[-1], probability_G, np.ones(len(probability_G)), max_ngrams))
    return Model(tables, unknown, num_tokens)


def nats(model: Model, tokens: Tokens) -> np.ndarray:
    """float32 (S,): minus the logarithm of every token's probability after the two before it in its document."""
    hashes_S, doc_S = tokens.hashes_S, tokens.doc_S
    num_tokens = len(hashes_S)
    log_S = np.full(num_tokens, model.unknown, np.float32)
    told_S, is_known_S, back_off_S = _read(model.tables[0], hashes_S)
    log_S[is_known_S] = told_S[is_known_S]
    for n in range(2, ORDER + 1):
        grams_G, first_G = words.ngrams(hashes_S, doc_S, n)
        told_G, is_known_G, next_G = _read(model.tables[n - 1], grams_G)
        last_G = first_G + n - 1
        log_S[last_G] = np.where(is_known_G, told_G, log_S[last_G] + back_off_S[last_G - 1])
        back_off_S = np.zeros(num_tokens, np.float32)
        back_off_S[last_G] = next_G
    return -log_S


def _counted(parts: Sequence[Tokens]) -> list[Grams]:
    """The n-grams of every order up to `ORDER`."""
    counted = []
    for n in range(1, ORDER + 1):
        columns: list[list[np.ndarray]] = [[], [], []]
        for part in parts:
            shorter = [words.ngrams(part.hashes_S, part.doc_S, n - 1)[0]] if n > 2 else [part.hashes_S]
            hashes_G, first_G = words.ngrams(part.hashes_S, part.doc_S, n) if n > 1 else (part.hashes_S, None)
            columns[0].append(hashes_G)
            if first_G is None:
                continue
            if n > 2:
                _, starts = words.ngrams(part.hashes_S, part.doc_S, n - 1)
                place = np.searchsorted(starts, first_G)
                columns[1].append(shorter[0][place])
                columns[2].append(shorter[0][place + 1])
            else:
                columns[1].append(part.hashes_S[first_G])
                columns[2].append(part.hashes_S[first_G + 1])
        hashes = np.concatenate([np.empty(0, np.uint64), *columns[0]])
        hashes_G, first, counts_G = np.unique(hashes, return_index=True, return_counts=True)
        context_G, shorter_G = (
            np.concatenate(column)[first] if column else np.zeros(len(hashes_G), np.uint64) for column in columns[1:]
        )
        counted.append(Grams(hashes_G, context_G, shorter_G, counts_G))
    return counted


def _smoothed(grams: Grams, below_G: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probability of every n-gram's last token, interpolated; the distinct contexts; what each leaves to shorter ones).

    `below_G`: the probability that the shorter n-gram gives. Discounts are those of Chen and Goodman 1999, section 3.
    """
    discount_G = _discounts(grams.counts_G)[np.minimum(grams.counts_G, 3)]
    contexts, place_G = np.unique(grams.context_G, return_inverse=True)
    totals = np.bincount(place_G, grams.counts_G)
    left = np.bincount(place_G, discount_G) / totals
    return (grams.counts_G - discount_G) / totals[place_G] + left[place_G] * below_G, contexts, left


def _discounts(counts_G: np.ndarray) -> np.ndarray:
    """float64 (4,): what is taken off a count of 0, 1, 2, and 3 or more; 0.5, 1 and 1.5 where too few n-grams tell."""
    _, once, twice, thrice, often = np.bincount(np.minimum(counts_G, 5), minlength=6)[:5]
    if not (once and twice and thrice and often):
        return np.array([0, 0.5, 1, 1.5])
    y = once / (once + 2 * twice)
    found = np.array([0, 1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * often / thrice])
    return np.clip(found, [0, 0.1, 0.2, 0.3], [0, 0.95, 1.9, 2.85])


def _table(grams: Grams, probability_G: np.ndarray, back_off_G: np.ndarray, max_ngrams: int) -> np.ndarray:
    """uint64 (slots,): the most frequent n-grams, most frequent first in their bucket; 0 where a slot is empty."""
    order = np.lexsort((grams.hashes_G, -grams.counts_G))[:max_ngrams]
    hashes_G = grams.hashes_G[order]
    num_buckets = 1 << max(LEAST_BUCKET_BITS, (2 * len(order) // SLOTS - 1).bit_length())
    entry_G = (hashes_G >> np.uint64(32)) << np.uint64(32)
    for shift, values_G in ((16, probability_G), (0, back_off_G)):
        steps_G = np.clip(np.rint(-np.log(values_G[order]) * STEP), 0, 0xFFFF).astype(np.uint64)
        entry_G |= steps_G << np.uint64(shift)
    bucket_G = (hashes_G & np.uint64(num_buckets - 1)).astype(np.int64)
    by_bucket = np.argsort(bucket_G, kind="stable")
    bucket_G = bucket_G[by_bucket]
    rank_G = np.arange(len(bucket_G)) - np.searchsorted(bucket_G, bucket_G)
    fits_G = rank_G < SLOTS
    table = np.zeros(num_buckets * SLOTS, np.uint64)
    table[bucket_G[fits_G] * SLOTS + rank_G[fits_G]] = entry_G[by_bucket[fits_G]]
    return table


def _read(table: np.ndarray, hashes_G: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(log probability, is there, log back-off weight: 0 where it is not) of n-grams."""
    place_G = (hashes_G & np.uint64(len(table) // SLOTS - 1)).astype(np.int64) * SLOTS
    print_G = hashes_G >> np.uint64(32)
    entry_G, other_G = table[place_G], table[place_G + 1]
    second_G = (entry_G >> np.uint64(32)) != print_G
    entry_G = np.where(second_G, other_G, entry_G)
    is_known_G = (entry_G >> np.uint64(32)) == print_G
    log_G = ((entry_G >> np.uint64(16)) & _FIELD).astype(np.float32) / np.float32(-STEP)
    back_off_G = np.where(is_known_G, (entry_G & _FIELD).astype(np.float32), np.float32(0)) / np.float32(-STEP)
    return log_G, is_known_G, back_off_G
