"""Which learned rows would be other rows with another mixture? Row by row, not field by field.

A mixture may be written in other segments, with its sources in another order or its borders moved: what counts is whether a row that is
learned comes from another source, or is another row of its source. Positions that change hands lie between bounds of the two plans, and
the rows at them are a lattice count (`curriculum.mixture`): no row is drawn, and the number of rows costs nothing. At row 5.6e9 it
takes 1 to 14 ms of a core for 20 sources in 1 to 4 segments that all differ; for 300 sources in 64 segments 1.6 s, 0.05 s when they are
the same.

Shares are told in three digits, of rows (the manifest's are of tokens), the largest changes first. Not covered: another seed of the
stage, which moves all positions at once; the caller compares seeds.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from curriculum import mixture
from curriculum.plan import MixtureSegment, Stage

TOLD_RANGES = 3  # of one stage: a ramp of 32 stairs is not told stair by stair
TOLD_SOURCES = 6  # of one range

Segment = TypeVar("Segment")


class Told(NamedTuple):
    """A difference in rows (or steps) [first, end), in words; without an end it holds for all that follow."""

    first: int
    end: int | None
    text: str


def mix_changes(old: Stage, new: Stage, learned_rows: int) -> tuple[list[Told], list[Told]]:
    """(what changes learned rows, what does not) of two stages with one seed, whose first `learned_rows` rows are learned."""
    past: list[Told] = []
    future: list[Told] = []
    for first, end, before, after in aligned(old.mixture, new.mixture, lambda segment: segment.first_row):
        if first >= max(old.rows, new.rows):
            break
        shares = _shares(_widths(old, before), _widths(new, after))
        learned_end = learned_rows if end is None else min(end, learned_rows)
        moved, renumbered = _moved(old, before, new, after, first, learned_end) if first < learned_end else (0, [])
        if moved:
            count = f"{moved:,} of the {learned_rows:,} learned rows come from another source"
            past.append(Told(first, end, f"{shares} ({count})" if shares else count))
        elif renumbered and not past:  # behind a range with moved rows it only follows from these
            names = ", ".join(renumbered)
            text = f"other rows of {names}: `taken`, which follows from the rows before, is another"
            past.append(Told(first, end, text))
        elif shares:
            future.append(Told(first, end, shares))
    return past, future


def drawn_before(stage: Stage, row: int) -> dict[str, int]:
    """Rows that each source has given before `row` of the stage."""
    index = bisect_right(stage.mixture, row, key=lambda segment: segment.first_row) - 1
    return _ranks(stage, stage.mixture[index], row)


def aligned(
    old: Sequence[Segment], new: Sequence[Segment], first_of: Callable[[Segment], int]
) -> Iterator[tuple[int, int | None, Segment, Segment]]:
    """(first, end, segment of old, segment of new) of every range in which both have one segment; the last has no end."""
    borders = sorted({first_of(segment) for segment in (*old, *new)})
    for first, end in zip(borders, [*borders[1:], None], strict=True):
        before, after = (side[bisect_right(side, first, key=first_of) - 1] for side in (old, new))
        yield first, end, before, after


def in_words(what: str, unit: str, told: Sequence[Told]) -> list[str]:
    """One line per range, the first few of them; neighbours that say the same are one range."""
    ranges: list[Told] = []
    for each in told:
        if ranges and (ranges[-1].end, ranges[-1].text) == (each.first, each.text):
            ranges[-1] = ranges[-1]._replace(end=each.end)
        else:
            ranges.append(each)
    lines = [
        f"{what} from {unit} {each.first:,}{f' to {each.end - 1:,}' if each.end else ''}: {each.text}"
        for each in ranges
    ]
    if len(lines) > TOLD_RANGES:
        rest = f"{what} from {unit} {ranges[TOLD_RANGES].first:,}: {len(lines) - TOLD_RANGES} more ranges differ"
        lines = [*lines[:TOLD_RANGES], rest]
    return lines


def _moved(
    old: Stage, before: MixtureSegment, new: Stage, after: MixtureSegment, first: int, end: int
) -> tuple[int, list[str]]:
    """How many of rows [first, end) come from another source; when none does, the sources that give other rows of theirs."""
    ends = sorted({*before.bounds, *after.bounds})
    owners, new_owners = (
        [stage.sources[bisect_right(segment.bounds, low)].name for low in (0, *ends[:-1])]
        for stage, segment in ((old, before), (new, after))
    )
    ranks, new_ranks = _ranks(old, before, first), _ranks(new, after, first)
    if owners == new_owners and all(ranks[name] == new_ranks[name] for name in owners):
        return 0, []
    counts = mixture.counts_between(first, end, ends, mixture.offset(old.seed))
    moved = sum(count for count, name, new_name in zip(counts, owners, new_owners, strict=True) if name != new_name)
    drawn = sorted({name for count, name in zip(counts, owners, strict=True) if count})
    return moved, [] if moved else [name for name in drawn if ranks[name] != new_ranks[name]]


def _ranks(stage: Stage, segment: MixtureSegment, row: int) -> dict[str, int]:
    """Rows that each source has given before `row`, which lies in `segment` or ends it."""
    counts = mixture.counts_between(segment.first_row, row, segment.bounds, mixture.offset(stage.seed))
    return {
        source.name: taken + count for source, taken, count in zip(stage.sources, segment.taken, counts, strict=True)
    }


def _widths(stage: Stage, segment: MixtureSegment) -> dict[str, int]:
    """How many of the 2**64 positions belong to each source that has any."""
    widths = [high - low for low, high in pairwise((0, *segment.bounds))]
    return {source.name: width for source, width in zip(stage.sources, widths, strict=True) if width}


def _shares(old: dict[str, int], new: dict[str, int]) -> str:
    """`web/high 62.0 % -> 58.0 %, ...` of the sources whose share differs in three digits; empty when none does."""
    names = sorted({*old, *new}, key=lambda name: (-abs(old.get(name, 0) - new.get(name, 0)), name))
    shown = [(name, _percent(old.get(name, 0)), _percent(new.get(name, 0))) for name in names]
    texts = [f"{name} {before} -> {after}" for name, before, after in shown if before != after]
    more = [f"{len(texts) - TOLD_SOURCES} more sources"] if len(texts) > TOLD_SOURCES else []
    return ", ".join([*texts[:TOLD_SOURCES], *more])


def _percent(width: int) -> str:
    return f"{100 * width / mixture.TURN:#.3g}".rstrip(".") + " %" if width else "0 %"
