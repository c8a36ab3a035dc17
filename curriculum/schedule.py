"""From shares of tokens to the source of every row: the mixture segments of a stage.

Shares of rows follow from shares of tokens and from what a row holds (`curriculum.holdings`): a corpus whose rows are emptier gets more of
them, and one whose documents fill gaps elsewhere gets rows of its own only for what that does not give already. A ramp is a staircase
with the shares at the middle of each stair, so that its tokens are those of the line.

A phase whose shares hold is one segment that follows from these shares alone; the golden-ratio sequence strays from them by a few rows.
Every stair of a ramp is drawn exactly, so that what a source has got since the stage began is what it should, to a row or two: errors do
not add up. Stages with corpora given by epochs are drawn exactly throughout. No prefix of 3,000 random stages was more than 4 rows off.

Costs, at row 3e10: 0.07 s of a core for 20 sources and a ramp, 1.7 s for 300 sources, nearly all of it exact bounds. Not covered: shares
that follow anything but tokens.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import chain, cycle, islice, pairwise
from typing import NamedTuple

from curriculum import mixture
from curriculum.holdings import Holding
from curriculum.plan import MixtureSegment
from curriculum.stages import StageSpec

MIX_STAIRS = 32  # stairs of a ramp of shares
STAIR_ROWS = 16  # a stair has at least so many rows, or whole rows would not follow its shares


class Stair(NamedTuple):
    """Rows [first_row, end_row) of a stage, over which the shares hold."""

    first_row: int
    end_row: int
    phase: int
    shares: dict[str, Fraction]  # of the tokens of the mix

    @property
    def rows(self) -> int:
        return self.end_row - self.first_row


class RowShares(NamedTuple):
    rows: dict[str, Fraction]  # of every corpus of the mix, per row of the stage
    filled: dict[str, Fraction]  # the share of the tokens of the mix that a filling corpus gives in rows of others


def stairs(spec: StageSpec, rows: int) -> list[Stair]:
    """The parts of a stage's first `rows` rows over which the shares hold; all but a last one begin and end where the manifest says."""
    found: list[Stair] = []
    before: dict[str, Fraction] = {}
    begin = reached = 0
    for number, phase in enumerate(spec.mix):
        reached += phase.tokens
        end = reached // spec.seq_len
        shares = {name: Fraction(str(phase.shares.get(name, 0))) for name in spec.shared}
        count = max(1, min(MIX_STAIRS, (end - begin) // STAIR_ROWS)) if phase.ramp else 1
        borders = [begin + (end - begin) * stair // count for stair in range(count + 1)]
        for first, stop in pairwise(borders):
            way = Fraction(first + stop - 2 * begin, 2 * (end - begin)) if phase.ramp else Fraction(1)
            here = {
                name: share if way == 1 else before[name] + (share - before[name]) * way
                for name, share in shares.items()
            }
            if first < rows:
                found.append(Stair(first, min(stop, rows), number, here))
        begin, before = end, shares
    return found


def whole_rows(wanted: Sequence[Fraction], rows: int, counted: int) -> list[int]:
    """So many rows in all, as near to what every source wants as whole numbers of 0 and more can be.

    The last `counted` sources are given by epochs: what they want is whole, and others give way to them.
    """
    given = [max(0, math.floor(want)) for want in wanted]
    left, first_counted = rows - sum(given), len(wanted) - counted
    by_need = [source for source in range(first_counted) if wanted[source] > 0]  # who wants nothing may have nothing
    by_need.sort(key=lambda source: given[source] - wanted[source])
    last = range(first_counted, len(wanted))
    for source in islice(cycle(by_need or last), max(0, left)):
        given[source] += 1
    while left < 0:  # some have more than they want already, from the segments before
        for source in (*reversed(by_need), *last):
            if given[source] and left:
                given[source], left = given[source] - 1, left + 1
    return given


@dataclasses.dataclass(frozen=True)
class StageMix:
    """A stage of so many rows over what its corpora hold (in the order of the stage)."""

    spec: StageSpec
    rows: int
    holdings: Mapping[str, Holding]

    @cached_property
    def counted(self) -> dict[str, list[int]]:
        """Rows of the stage from each bucket of the corpora that are given by epochs."""
        return {
            name: [
                round(Fraction(str(epochs)) * bucket.epochs * bucket.trainable)
                for bucket in self.holdings[name].buckets
            ]
            for name, epochs in self.spec.epochs.items()
        }

    @cached_property
    def rest(self) -> Fraction:
        """The part of the rows that the mix has."""
        return 1 - Fraction(sum(map(sum, self.counted.values())), self.rows)

    def row_shares(self, shares: Mapping[str, Fraction]) -> RowShares:
        """Shares of rows from shares of tokens. A corpus whose fillers alone exceed its share gets no rows (`filled` says so)."""
        per_token: dict[str, Fraction] = {}  # rows of each corpus per token of the mix
        filled: dict[str, Fraction] = {}
        counted: dict[str, Fraction] = {}  # rows that fillers in rows given by epochs stand for, per row of the stage
        hosts = [name for name in self.spec.shared if name not in self.spec.fill]
        for name in hosts:
            per_token[name] = shares[name] / self.holdings[name].own_tokens
        for name in self.spec.fill:
            own = self.holdings[name].own_tokens
            filled[name] = sum((per_token[host] * self._lent(host, name) for host in hosts), Fraction(0))
            per_token[name] = max(Fraction(0), shares[name] - filled[name]) / own if own else Fraction(0)
            counted[name] = self._lent_by_epochs(name) / own if own else Fraction(0)
        if not any(per_token.values()):  # only a corpus without rows of its own has a share here
            return RowShares(per_token, filled)
        tokens = (self.rest + sum(counted.values())) / sum(per_token.values())
        rows = {name: max(Fraction(0), tokens * rate - counted.get(name, 0)) for name, rate in per_token.items()}
        scale = self.rest / sum(rows.values())  # 1, unless a filling corpus got no rows
        return RowShares(
            {name: rows[name] * scale for name in self.spec.shared},
            {name: share + self._lent_by_epochs(name) / tokens for name, share in filled.items()},
        )

    def _lent(self, host: str, filling: str) -> Fraction:
        """Tokens of a filling corpus in a row of another."""
        return self.holdings[host].content.get(filling, Fraction(0))

    def _lent_by_epochs(self, filling: str) -> Fraction:
        """Tokens of a filling corpus in rows given by epochs, per row of the stage."""
        return sum(
            (Fraction(sum(rows), self.rows) * self._lent(name, filling) for name, rows in self.counted.items()),
            Fraction(0),
        )

    def source_shares(self, shares: Mapping[str, Fraction]) -> list[Fraction]:
        """Shares of rows of all sources, in units of 2**-64 of the mix: exact fractions, though of bounded length."""
        rows = self.row_shares(shares).rows
        exact = [
            rows[name] / self.rest * part for name in self.spec.shared for part in self.holdings[name].bucket_shares
        ]
        of_mix = [self.rest * Fraction(unit, mixture.TURN) for unit in mixture.apportion(mixture.TURN, exact)]
        return of_mix + [Fraction(rows, self.rows) for rows in chain.from_iterable(self.counted.values())]

    def segments(self, seed: int) -> tuple[tuple[MixtureSegment, ...], list[int]]:
        """The mixture segments, and the rows of the stage from each source.

        Segments look back and never ahead, not even at how many steps fit the stage: so nothing learned changes when the rest of a
        running stage is written differently. Only corpora given by epochs are spread over the rows that there are.
        """
        spec, start, counted = self.spec, mixture.offset(seed), sum(map(len, self.counted.values()))
        found: list[MixtureSegment] = []
        num_sources = sum(len(holding.buckets) for holding in self.holdings.values())
        target, taken, counts = [Fraction(0)] * num_sources, [0] * num_sources, [0] * num_sources
        for part in stairs(spec, self.rows if counted else spec.tokens // spec.seq_len):
            if part.first_row >= self.rows:
                break
            shares = self.source_shares(part.shares)
            target = [have + part.rows * share for have, share in zip(target, shares, strict=True)]
            if spec.mix[part.phase].ramp or counted:
                reach = [
                    *target[: num_sources - counted],
                    *(Fraction(round(t)) for t in target[num_sources - counted :]),
                ]
                wanted = [have - before for have, before in zip(reach, taken, strict=True)]
                drawn = whole_rows(wanted, part.rows, counted)
                bounds = mixture.exact_bounds(part.first_row, part.end_row, drawn, start)
            else:
                bounds = mixture.bounds(shares)
            found.append(MixtureSegment(part.first_row, tuple(bounds), tuple(taken)))
            counts = _add(taken, mixture.counts_between(part.first_row, min(part.end_row, self.rows), bounds, start))
            taken = _add(taken, mixture.counts_between(part.first_row, part.end_row, bounds, start))
        return tuple(found), counts


def _add(some: Sequence[int], others: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(some, others, strict=True)]
