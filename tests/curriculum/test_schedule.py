"""Mixtures are exact: shares of tokens, whole counts, and every row drawn as the segments say."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum import mixture
from curriculum.holdings import Bucket, Holding
from curriculum.schedule import MIX_STAIRS, STAIR_ROWS, StageMix, stairs, whole_rows
from curriculum.stages import MixPhase, StageSpec

SEQ_LEN = 100
SPEC = StageSpec("s", 0, SEQ_LEN, "best_fit", SEQ_LEN, SEQ_LEN, 0, (), {}, {}, (), (), 1e4, 0.001, 0.3)


def spec_of(*phases: MixPhase, **changes: object) -> StageSpec:
    return dataclasses.replace(SPEC, tokens=sum(phase.tokens for phase in phases), mix=phases, **changes)


def holding(
    spec: StageSpec, corpus: str, *buckets: tuple[float, int, int], lent: dict[str, int] | None = None
) -> Holding:
    """Buckets of (epochs, rows, own tokens per row); `lent`: tokens of others in each row."""
    return Holding(
        corpus,
        spec.packing(corpus),
        tuple(
            Bucket(
                f"{corpus}/{number}",
                str(number),
                Fraction(str(epochs)),
                Fraction(rows),
                {
                    f"{corpus}/{number}": Fraction(rows * own),
                    **{f"{c}/0": Fraction(rows * t) for c, t in (lent or {}).items()},
                },
            )
            for number, (epochs, rows, own) in enumerate(buckets)
        ),
    )


@st.composite
def mixes(draw: st.DrawFn) -> StageMix:
    """Stages of some phases over some corpora, with ramps, corpora given by epochs, up-sampled buckets and padding."""
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True))
    shares = st.lists(st.integers(0, 9), min_size=len(names), max_size=len(names)).filter(any)
    phases = []
    for number in range(draw(st.integers(1, 4))):
        parts = draw(shares)
        drawn = {name: Fraction(part, sum(parts)) for name, part in zip(names, parts, strict=True)}
        phases.append(MixPhase(draw(st.integers(SEQ_LEN, 50_000)), drawn, ramp=bool(number) and draw(st.booleans())))
    spec = spec_of(*phases)
    bucket = st.tuples(st.sampled_from([0.5, 1, 3.2]), st.integers(1, 60), st.integers(50, SEQ_LEN))
    rows = spec.tokens // SEQ_LEN
    holdings = {name: holding(spec, name, *draw(st.lists(bucket, min_size=1, max_size=3))) for name in names}
    if rows > 700 and draw(st.booleans()):
        spec = dataclasses.replace(spec, epochs={"given": 1})
        holdings["given"] = holding(spec, "given", *draw(st.lists(bucket, min_size=1, max_size=3)))
    return StageMix(spec, rows - draw(st.integers(0, min(9, rows - 1))), holdings)


@settings(deadline=None, max_examples=150)
@given(mix=mixes(), seed=st.integers(0, 2**63))
def test_every_prefix_of_a_stage_is_as_planned(mix: StageMix, seed: int) -> None:
    segments, counts = mix.segments(seed)
    parts = stairs(mix.spec, mix.rows)
    assert [segment.first_row for segment in segments] == [part.first_row for part in parts]
    drawn, ideal = [], []
    for segment, part in zip(segments, parts, strict=True):
        rows = np.arange(part.first_row, part.end_row)
        drawn.append(mixture.source_of(rows, segment.bounds, mixture.offset(seed)))
        ideal.append(np.tile([float(share) for share in mix.source_shares(part.shares)], (part.rows, 1)))
    taken = np.cumsum(np.concatenate(drawn)[:, None] == np.arange(len(counts)), axis=0)
    assert taken[-1].tolist() == counts
    assert sum(counts) == mix.rows
    for segment in segments[1:]:
        assert taken[segment.first_row - 1].tolist() == list(segment.taken)
    astray = np.abs(taken - np.cumsum(np.concatenate(ideal), axis=0)).max(axis=1)
    assert astray.max() < 6
    drawn_exactly = [part.end_row - 1 for part in parts if mix.spec.mix[part.phase].ramp or mix.spec.epochs]
    assert not any(astray[drawn_exactly] >= 4)
    if mix.spec.epochs:
        given_rows = mix.counted["given"]
        assert counts[-len(given_rows) :] == given_rows


@given(
    wanted=st.lists(st.fractions(-2, 8, max_denominator=9), min_size=1, max_size=6),
    counted=st.lists(st.integers(0, 4), max_size=2),
)
def test_whole_rows_are_near_what_is_wanted(wanted: list[Fraction], counted: list[int]) -> None:
    everything = [*wanted, -sum(wanted, Fraction(0)) % 1, *map(Fraction, counted)]
    rows = max(0, int(sum(everything)))
    given_rows = whole_rows(everything, rows, len(counted))
    assert sum(given_rows) == rows
    assert min(given_rows) >= 0
    if min(everything) >= 0:
        assert all(math.floor(w) <= r <= math.ceil(w) for w, r in zip(everything, given_rows, strict=True))
        assert given_rows[len(wanted) + 1 :] == counted


def test_who_has_too_much_gets_nothing_and_the_others_share_the_loss() -> None:
    assert whole_rows([Fraction(-1), Fraction(5, 2), Fraction(5, 2), Fraction(2)], 6, 1) == [0, 2, 2, 2]
    assert whole_rows([Fraction(-3), Fraction(5, 2), Fraction(9, 2), Fraction(2)], 6, 1) == [0, 1, 3, 2]


def test_a_ramp_is_linear_in_tokens() -> None:
    spec = spec_of(MixPhase(10_000, {"a": 0.9, "b": 0.1}), MixPhase(640_000, {"b": 0.5, "c": 0.5}, ramp=True))
    parts = stairs(spec, 6_500)
    assert [(part.first_row, part.end_row) for part in parts[:3]] == [(0, 100), (100, 300), (300, 500)]
    assert len(parts) == 1 + MIX_STAIRS
    assert parts[1].shares == {
        "a": Fraction(9, 10) * Fraction(63, 64),
        "b": Fraction(1, 10) + Fraction(2, 5) / 64,
        "c": Fraction(1, 128),
    }
    learned = sum(part.rows * part.shares["b"] for part in parts[1:])
    assert learned == 6_400 * Fraction(3, 10)  # the mean of 0.1 and 0.5


def test_a_short_ramp_has_fewer_stairs() -> None:
    spec = spec_of(MixPhase(500, {"a": 1}), MixPhase(4_800, {"b": 1}, ramp=True), MixPhase(200, {"b": 1}))
    parts = stairs(spec, 55)
    assert [(part.first_row, part.shares["b"]) for part in parts] == [
        (0, 0), (5, Fraction(1, 6)), (21, Fraction(1, 2)), (37, Fraction(5, 6)), (53, 1),
    ]  # fmt: skip
    spec = spec_of(MixPhase(500, {"a": 1}), MixPhase(300, {"b": 1}, ramp=True))
    assert [part.shares["b"] for part in stairs(spec, 8)] == [0, Fraction(1, 2)]


def test_phases_behind_the_last_step_are_cut() -> None:
    spec = spec_of(MixPhase(500, {"a": 1}), MixPhase(300, {"b": 1}))
    assert [(part.first_row, part.end_row) for part in stairs(spec, 7)] == [(0, 5), (5, 7)]
    assert [(part.first_row, part.end_row) for part in stairs(spec, 5)] == [(0, 5)]


def test_emptier_rows_get_more_rows() -> None:
    spec = spec_of(MixPhase(100_000, {"a": 0.5, "b": 0.5}))
    mix = StageMix(spec, 1000, {"a": holding(spec, "a", (1, 900, 100)), "b": holding(spec, "b", (1, 900, 50))})
    rows = mix.row_shares({"a": Fraction(1, 2), "b": Fraction(1, 2)}).rows
    assert rows == {"a": Fraction(1, 3), "b": Fraction(2, 3)}


@settings(deadline=None)
@given(
    lent=st.lists(st.integers(0, 30), min_size=3, max_size=3),
    own=st.lists(st.integers(40, 100), min_size=4, max_size=4),
    given_rows=st.integers(1, 300),
)
def test_tokens_have_the_shares_of_the_mix_whoever_fills_whose_gaps(
    lent: list[int], own: list[int], given_rows: int
) -> None:
    """`f` fills the rows of `a`, of `b` and of `given`; counted in tokens, the mix is what was asked for, exactly."""
    shares = {"a": Fraction(3, 10), "f": Fraction(45, 100), "b": Fraction(1, 4)}
    spec = spec_of(MixPhase(100_000, {"a": 0.3, "f": 0.45, "b": 0.25}), epochs={"given": 1}, fill=("f",))
    holdings = {
        name: holding(spec, name, (1, rows, each), lent={"f": filler} if filler else None)
        for name, rows, each, filler in zip(
            ["a", "f", "b", "given"], [50, 60, 70, given_rows], own, [lent[0], 0, lent[1], lent[2]], strict=True
        )
    }
    mix = StageMix(spec, 1000, holdings)
    rows, filled = mix.row_shares(shares)
    if filled["f"] > shares["f"]:
        assert rows["f"] == 0
        return
    assert sum(rows.values()) == 1 - Fraction(given_rows, 1000)
    rows["given"] = Fraction(given_rows, 1000)
    tokens = {
        name: sum(rows[host] * holdings[host].content.get(name, Fraction(0)) for host in rows)
        for name in ("a", "f", "b")
    }
    assert {name: count / sum(tokens.values()) for name, count in tokens.items()} == shares
    assert filled["f"] == (tokens["f"] - rows["f"] * own[1]) / sum(tokens.values())


def test_the_future_of_a_running_stage_can_be_written_differently() -> None:
    """What was planned up to some phase stays when phases behind it change, come or go, and when the stage ends elsewhere."""
    a, b, both = {"a": 0.9, "b": 0.1}, {"a": 0.3, "b": 0.7}, {"a": 0.5, "b": 0.5}
    start = MixPhase(30_000, a), MixPhase(20_000, b, ramp=True), MixPhase(20_050, b)
    ends = (), (MixPhase(10_000, both, ramp=True),), (MixPhase(50_000, both), MixPhase(30_000, a))
    segments = []
    for end in ends:
        spec = spec_of(*start, *end)
        holdings = {name: holding(spec, name, (1, 400, 90), (2, 30, 80)) for name in "ab"}
        for rows in (spec.tokens // SEQ_LEN, spec.tokens // SEQ_LEN - 7):
            segments.append(StageMix(spec, rows, holdings).segments(3)[0][: 2 + 200 // STAIR_ROWS])
    assert all(each == segments[0] for each in segments)


def test_a_ramp_that_ends_with_the_stage_does_not_depend_on_its_steps() -> None:
    spec = spec_of(MixPhase(30_000, {"a": 1}), MixPhase(20_000, {"b": 1}, ramp=True))
    holdings = {name: holding(spec, name, (1, 400, 90)) for name in "ab"}
    (all_rows, counts), (fewer, fewer_counts) = (StageMix(spec, rows, holdings).segments(3) for rows in (500, 497))
    assert all_rows == fewer
    assert sum(counts) - sum(fewer_counts) == 3


@pytest.mark.parametrize("half", [10**6, 10**9, 10**12])
def test_the_size_of_a_stage_costs_nothing(half: int) -> None:
    phases = MixPhase(half * SEQ_LEN, {"a": 0.75, "b": 0.25}), MixPhase(half * SEQ_LEN, {"b": 1}, ramp=True)
    spec = spec_of(*phases)
    mix = StageMix(spec, 2 * half, {name: holding(spec, name, (1, half, 97)) for name in "ab"})
    segments, counts = mix.segments(1)
    assert len(segments) == 1 + MIX_STAIRS
    assert abs(counts[0] - half * 9 // 8) <= 2  # three quarters of one half, and of the other the half of that
    assert sum(counts) == 2 * half
