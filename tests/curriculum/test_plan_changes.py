"""What of a plan may change behind a step that is learned: exactly what no learned row depends on."""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curriculum import mixture
from curriculum.plan import BatchSegment, MixtureSegment, Plan, Ramp, Source, Stage
from curriculum.plan_changes import PlanChanged, check, compare
from tests.plans import make_source, make_stage

HALVES = (Fraction(1, 2), Fraction(1, 2))
WEB, CODE, BOOKS = make_source("web", 90, 3), make_source("code", 40), make_source("books", 30)


def stage(name: str, **changes: Any) -> Stage:
    """10 steps, 28 rows; from row 12 (step 6) on in batches of 4."""
    settings: dict[str, Any] = {"steps": 10, "batch": (BatchSegment(0, 2), BatchSegment(6, 4)), "seq_len": 32}
    return make_stage((WEB, CODE), HALVES, name=name, **{**settings, **changes})


PLAN = Plan(
    name="p",
    version="1",
    seed=1,
    manifest="m",
    lock="l",
    tokenizer={"path": "a.json", "sha256": "s"},
    model={"hidden": 32, "layers": 2},
    training={"optimizer": "muon", "lr": {"peak": 1e-3, "end": 1e-4}},
    stages=(
        stage("one"),
        stage("two", seq_len=64, mtp_weight=Ramp(0.4, 0.0, 256, 512)),
        stage("three", bias_rate=Ramp(1e-3, 0.0, 320, 0)),
    ),
)


def with_stage(index: int, **changes: Any) -> Plan:
    stages = list(PLAN.stages)
    stages[index] = dataclasses.replace(stages[index], **changes)
    return dataclasses.replace(PLAN, stages=tuple(stages))


def with_source(index: int, source: int, **changes: Any) -> Plan:
    sources = list(PLAN.stages[index].sources)
    sources[source] = dataclasses.replace(sources[source], **changes)
    return with_stage(index, sources=tuple(sources))


def counted(seed: int, *phases: tuple[int, Sequence[int]]) -> tuple[MixtureSegment, ...]:
    """The mixture of phases (first row, bounds): what each source gave before is counted row by row."""
    made, taken = [], np.zeros(len(phases[0][1]), np.int64)
    for (first, bounds), end in zip(phases, [row for row, _ in phases[1:]] + [phases[-1][0]], strict=True):
        made.append(MixtureSegment(first, tuple(bounds), tuple(taken.tolist())))
        owners = mixture.source_of(np.arange(first, end), bounds, mixture.offset(seed))
        taken = taken + np.bincount(owners, minlength=taken.size)
    return tuple(made)


def segments(old: Stage, *phases: tuple[int, tuple[Fraction, ...]]) -> tuple[MixtureSegment, ...]:
    """The same from phases (first row, shares)."""
    return counted(old.seed, *((first, mixture.bounds(shares)) for first, shares in phases))


def phase_from(row: int, index: int = 1) -> Plan:
    old = PLAN.stages[index]
    return with_stage(index, mixture=segments(old, (0, HALVES), (row, (Fraction(1, 4), Fraction(3, 4)))))


def third_source_from(row: int) -> Plan:
    old = PLAN.stages[1]
    mix = segments(old, (0, (*HALVES, Fraction(0))), (row, (Fraction(1, 4), Fraction(1, 4), Fraction(1, 2))))
    return with_stage(1, sources=(*old.sources, BOOKS), mixture=mix)


def swapped() -> Plan:
    """The same shares of other intervals: a row in two comes from the other source."""
    return with_stage(1, sources=PLAN.stages[1].sources[::-1])


# Every edit, and the steps done from which on it contradicts the past (each stage has 10 steps).
EDITS: dict[str, tuple[Callable[[], Plan], int]] = {
    "model": (lambda: dataclasses.replace(PLAN, model={"hidden": 64, "layers": 2}), 0),
    "seed": (lambda: dataclasses.replace(PLAN, seed=2), 0),
    "tokenizer": (lambda: dataclasses.replace(PLAN, tokenizer={"path": "a.json", "sha256": "t"}), 0),
    "optimizer": (lambda: dataclasses.replace(PLAN, training={**PLAN.training, "optimizer": "adamw"}), 0),
    "rope base": (lambda: with_stage(1, rope_base=1e6), 11),
    "row length": (lambda: with_stage(1, seq_len=128), 11),
    "seed of the stage": (lambda: with_stage(1, seed=9), 11),
    "only renamed": (lambda: with_stage(1, name="other"), 99),
    "bias rate of the last stage": (lambda: with_stage(2, bias_rate=0.0), 21),
    "another step of the bias rate": (lambda: with_stage(1, bias_rate=Ramp(1e-3, 0.0, 6 * 128, 0)), 17),
    "a line of the MTP weight, back to a number": (lambda: with_stage(1, mtp_weight=0.4), 14),
    "the line goes elsewhere": (lambda: with_stage(1, mtp_weight=Ramp(0.4, 0.2, 256, 512)), 14),
    "the line begins later": (lambda: with_stage(1, mtp_weight=Ramp(0.4, 0.0, 384, 512)), 14),
    "the line stops halfway": (lambda: with_stage(1, mtp_weight=Ramp(0.4, 0.2, 256, 256)), 16),
    "the line begins a token earlier": (lambda: with_stage(1, mtp_weight=Ramp(0.4, 0.0, 255, 513)), 13),
    "the step is written a token earlier": (lambda: with_stage(2, bias_rate=Ramp(1e-3, 0.0, 257, 0)), 99),
    "sources swapped": (swapped, 11),
    "a phase from the first row on": (lambda: phase_from(0), 11),
    "a phase from row 12 on": (lambda: phase_from(12), 17),
    "a source that comes in row 12": (lambda: third_source_from(12), 17),
    "shards of a source": (lambda: with_source(1, 0, folder="shards/other"), 11),
    "rows of a source": (lambda: with_source(1, 1, rows=41), 11),
    "where the source goes on": (lambda: with_source(1, 1, first_rank=7), 11),
    "rows held out": (lambda: with_source(1, 1, held_out=2), 11),
    "loss masks": (lambda: with_stage(1, learn="all"), 11),
    "order of a source": (lambda: with_source(1, 1, seed=7), 11),
    "batch from step 6": (lambda: with_stage(1, batch=(BatchSegment(0, 2), BatchSegment(6, 8))), 17),
    "batch from step 2": (lambda: with_stage(1, batch=(BatchSegment(0, 2), BatchSegment(2, 4))), 13),
    "shorter": (lambda: with_stage(1, steps=5), 16),
    "longer": (lambda: with_stage(1, steps=20), 21),
    "stage removed": (lambda: dataclasses.replace(PLAN, stages=PLAN.stages[:2]), 21),
    "open again": (lambda: with_stage(1, sources=(), mixture=()), 11),
}
# Not told while they are future: the first follows from the stages before, the second has the same shares.
SILENT = {"where the source goes on", "sources swapped"}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_accepted_until_it_touches_what_is_learned(edit: str) -> None:
    make, contradicts_from = EDITS[edit]
    for done in range(1, 31):
        changes = compare(PLAN, make(), done)
        assert bool(changes.past) == (done >= contradicts_from), (done, changes)
        assert changes.past or changes.future or edit in SILENT, done


def test_the_refusal_names_value_place_and_remedy() -> None:
    edited = dataclasses.replace(phase_from(0), stages=(with_stage(0, seq_len=48).stages[0], *phase_from(0).stages[1:]))
    with pytest.raises(PlanChanged) as caught:
        check(PLAN, edited, 14, where="out/checkpoints/step-00000014")
    assert str(caught.value) == (
        "the plan changes what is already learned: 14 steps are done, with the plan in out/checkpoints/step-00000014.\n"
        "    stages[0].seq_len: 32 -> 48\n"
        "    stages[1].mix from row 0: code/all 50.0 % -> 75.0 %, web/all 50.0 % -> 25.0 % "
        "(2 of the 8 learned rows come from another source)\n"
        "Put these values back, move the edit to a stage or phase that has not begun, or train into an empty folder."
    )


def test_an_edited_schedule_names_the_first_step_that_it_changes() -> None:
    """Stage two has 128 tokens per step; its weight is 0.4 for two steps and 0.3 in step 3."""
    edited = with_stage(1, mtp_weight=Ramp(0.4, 0.0, 256, 384))
    told = "stages[1].mtp_weight: 0.4 to 0 after 256 over 512 -> 0.4 to 0 after 256 over 384"
    assert compare(PLAN, edited, 13) == ([], [told])
    assert compare(PLAN, edited, 14) == ([f"{told} (step 3 of the stage is learned: 0.3 -> 0.266667)"], [])
    number = with_stage(1, mtp_weight=0.2)
    assert compare(PLAN, number, 14).past == [
        "stages[1].mtp_weight: 0.4 to 0 after 256 over 512 -> 0.2 (step 0 of the stage is learned: 0.4 -> 0.2)"
    ]
    assert compare(PLAN, with_stage(0, mtp_weight=0.2), 14).past == ["stages[0].mtp_weight: 0.3 -> 0.2"]


TENTHS = st.integers(0, 10).map(lambda tenths: tenths / 10)
AMOUNTS = st.integers(0, 900) | st.integers(0, 14).map(lambda steps: 64 * steps)  # also where steps begin
SETTINGS = TENTHS | st.builds(Ramp, TENTHS, TENTHS, AMOUNTS, AMOUNTS)


@given(SETTINGS, SETTINGS, st.integers(0, 12))
@example(Ramp(0.3, 0.1, 128, 320), 0.3, 12)
@example(0.3, Ramp(0.3, 0.1, 128, 320), 12)
@example(0.3, Ramp(0.3, 0.30000000000000004, 0, 900), 10)
def test_a_schedule_is_refused_exactly_when_a_learned_step_had_another_value(
    before: float | Ramp, after: float | Ramp, done: int
) -> None:
    """Against a loop over the learned steps."""
    old, new = with_stage(0, mtp_weight=before), with_stage(0, mtp_weight=after)
    one = old.stages[0]
    learned = range(min(done, one.steps))
    differ = [step for step in learned if one.value_at(before, step) != one.value_at(after, step)]
    changes = compare(old, new, done)
    assert (bool(changes.past), bool(changes.future)) == (bool(differ), before != after and not differ)
    if differ and isinstance(before, Ramp):  # the message says which
        assert f"(step {differ[0]} of the stage is learned: " in changes.past[0]


def test_edits_of_the_future_are_told() -> None:
    edited = dataclasses.replace(
        third_source_from(12),
        training={**PLAN.training, "lr": {"peak": 2e-3, "end": 1e-4}},
    )
    edited = dataclasses.replace(
        edited, stages=(*edited.stages[:2], with_source(2, 0, rows=95, first_rank=14).stages[2])
    )
    assert check(PLAN, edited, 12, where="x") == [
        "training.lr.peak: 0.001 -> 0.002",
        "stages[1].mix from row 12: books/all 0 % -> 50.0 %, code/all 50.0 % -> 25.0 %, web/all 50.0 % -> 25.0 %",
        "stages[2].sources.web/all.rows: 90 -> 95",
    ]


def test_how_often_to_validate_may_change_at_any_time() -> None:
    """What is held out may not, once its source is drawn from; a stage that has not begun may still hold out more."""
    often = dataclasses.replace(PLAN, training={**PLAN.training, "validation_steps": 5})
    assert compare(PLAN, often, 30) == ([], ["training.validation_steps: None -> 5"])
    sources = tuple(dataclasses.replace(source, held_out=1) for source in PLAN.stages[1].sources)
    told = [f"stages[1].sources.{name}/all.held_out: 0 -> 1" for name in ("web", "code")]
    assert compare(PLAN, with_stage(1, sources=sources), 10) == ([], told)
    assert compare(PLAN, with_stage(1, sources=sources), 14) == (told, [])
    with pytest.raises(PlanChanged, match=r"web/all\.held_out: 0 -> 1"):
        check(PLAN, with_stage(1, sources=sources), 14, where="plan.json")


def test_a_long_ramp_is_told_in_a_few_lines() -> None:
    ramp = [(row, (Fraction(row + 1, 30), Fraction(29 - row, 30))) for row in range(14, 28)]
    told = check(PLAN, with_stage(1, mixture=segments(PLAN.stages[1], (0, HALVES), *ramp)), 12, where="x")
    assert told == [
        "stages[1].mix from row 15 to 15: code/all 50.0 % -> 46.7 %, web/all 50.0 % -> 53.3 %",
        "stages[1].mix from row 16 to 16: code/all 50.0 % -> 43.3 %, web/all 50.0 % -> 56.7 %",
        "stages[1].mix from row 17 to 17: code/all 50.0 % -> 40.0 %, web/all 50.0 % -> 60.0 %",
        "stages[1].mix from row 18: 10 more ranges differ",
    ]


def test_other_batches_are_told_where_they_begin() -> None:
    edited = with_stage(1, batch=(BatchSegment(0, 2), BatchSegment(2, 4), BatchSegment(4, 4)))
    assert compare(PLAN, edited, 15).past == ["stages[1].batch from step 2 to 5: 2 -> 4 rows"]


def test_what_decides_nothing_is_no_edit() -> None:
    edited = dataclasses.replace(
        with_source(1, 0, rows_planned=1, tokens_planned=2),
        name="q",
        version="2",
        lock="",
        manifest="n",
        tokenizer={"path": "b.json", "sha256": "s"},
    )
    assert compare(PLAN, edited, 30) == ([], [])


def test_a_stage_that_a_build_closes_is_no_edit() -> None:
    live = dataclasses.replace(with_stage(2, sources=(), mixture=()), lock="")
    assert compare(live, PLAN, 15) == ([], [])
    grown = dataclasses.replace(PLAN, stages=(*PLAN.stages, stage("four")))
    assert compare(PLAN, grown, 30) == ([], ["stages[3].name: None -> 'four'"])


def test_the_same_mixture_written_otherwise_is_no_edit() -> None:
    old = PLAN.stages[1]
    idle = (Fraction(0), *HALVES)
    mix = segments(old, (0, idle), (5, idle), (20, idle))
    assert compare(PLAN, with_stage(1, sources=(BOOKS, *old.sources), mixture=mix), 15) == ([], [])


def test_counts_that_do_not_add_up_are_refused() -> None:
    mix = segments(PLAN.stages[1], (0, HALVES), (4, HALVES))
    wrong = with_stage(1, mixture=(mix[0], dataclasses.replace(mix[1], taken=(4, 0))))
    assert compare(PLAN, wrong, 12).past == []
    assert compare(PLAN, wrong, 14).past == [
        "stages[1].mix from row 4: other rows of code/all, web/all: `taken`, which follows from the rows before, is another"
    ]


# The oracle: what every learned row is, drawn one by one

LENGTH = 60  # rows of a stage, one per step
NAMES = ("a", "b", "c")
Phases = list[tuple[int, list[int]]]


def rows_of(stage: Stage, count: int) -> list[tuple[Any, ...]]:
    """What decides each of the first rows: its source, what orders that source, and its rank there."""
    drawn: list[tuple[Any, ...]] = []
    for segment, end in zip(stage.mixture, [each.first_row for each in stage.mixture[1:]] + [LENGTH], strict=True):
        taken = list(segment.taken)
        for index in mixture.source_of(np.arange(segment.first_row, end), segment.bounds, mixture.offset(stage.seed)):
            source = stage.sources[index]
            order = (source.folder, source.rows, source.num_shards, source.seed, source.first_rank)
            drawn.append((source.name, *order, taken[index]))
            taken[index] += 1
    return drawn[:count]


@st.composite
def bounds_of(draw: st.DrawFn, count: int) -> list[int]:
    weights = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count).filter(any))
    return mixture.bounds([Fraction(weight, sum(weights)) for weight in weights])


@st.composite
def phases_of(draw: st.DrawFn, count: int) -> Phases:
    borders = sorted({0, *draw(st.lists(st.integers(1, LENGTH - 1), max_size=3))})
    return [(first, draw(bounds_of(count))) for first in borders]


def other_order(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    return draw(st.permutations(sources)), phases


def other_source(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    index = draw(st.integers(0, len(sources) - 1))
    edits: list[dict[str, Any]] = [
        {"folder": "x"},
        {"rows": 21},
        {"num_shards": 2},
        {"seed": 0},
        {"first_rank": 1},
        {"name": "d"},
    ]
    edited = dataclasses.replace(sources[index], **draw(st.sampled_from(edits)))
    return [*sources[:index], edited, *sources[index + 1 :]], phases


def other_phases_later(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    border = draw(st.integers(0, LENGTH - 1))
    later = [phase for phase in draw(phases_of(len(sources))) if phase[0] > border]
    return sources, [phase for phase in phases if phase[0] <= border] + later


def bound_nudged(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    """By less than the distance of two positions, or more: often no row notices."""
    which, inner = draw(st.integers(0, len(phases) - 1)), draw(st.integers(0, len(sources) - 1))
    first, bounds = phases[which]
    delta = draw(st.integers(-mixture.TURN // 32, mixture.TURN // 32))
    nudged = sorted([*bounds[:inner], min(max(bounds[inner] + delta, 0), mixture.TURN), *bounds[inner + 1 :]])
    nudged[-1] = mixture.TURN
    return sources, [*phases[:which], (first, nudged), *phases[which + 1 :]]


def phase_split(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    which = draw(st.integers(0, len(phases) - 1))
    end = phases[which + 1][0] if which + 1 < len(phases) else LENGTH
    border = draw(st.integers(phases[which][0], end - 1))
    return sources, phases if border == phases[which][0] else sorted([*phases, (border, phases[which][1])])


def source_added(draw: st.DrawFn, sources: list[Source], phases: Phases) -> tuple[list[Source], Phases]:
    """In front, without a share before a drawn phase."""
    first = draw(st.integers(0, len(phases)))
    grown = [(row, [bounds[0] // 2 if index >= first else 0, *bounds]) for index, (row, bounds) in enumerate(phases)]
    return [make_source("new", 20), *sources], grown


KINDS = (other_order, other_source, other_phases_later, bound_nudged, phase_split, source_added)


@st.composite
def edited_stages(draw: st.DrawFn) -> tuple[Stage, Stage]:
    """A stage and an edit of it, or two; sometimes with a count that does not add up."""
    sources = [make_source(name, 20) for name in NAMES[: draw(st.integers(1, 3))]]
    phases, seed = draw(phases_of(len(sources))), draw(st.integers(0, 2**63))
    plain = make_stage(
        sources, [Fraction(1, len(sources))] * len(sources), steps=LENGTH, batch=[BatchSegment(0, 1)], seed=seed
    )
    old = dataclasses.replace(plain, mixture=counted(seed, *phases))
    for kind in draw(st.lists(st.sampled_from(KINDS), max_size=2)):
        sources, phases = kind(draw, sources, phases)
    mix = list(counted(seed, *phases))
    if draw(st.integers(0, 4)) == 0:
        wrong, index = draw(st.integers(0, len(mix) - 1)), draw(st.integers(0, len(sources) - 1))
        taken = tuple(count + (each == index) for each, count in enumerate(mix[wrong].taken))
        mix[wrong] = dataclasses.replace(mix[wrong], taken=taken)
    return old, dataclasses.replace(old, sources=tuple(sources), mixture=tuple(mix))


@settings(deadline=None, max_examples=250)
@given(edited_stages(), st.lists(st.integers(1, LENGTH), min_size=1, max_size=3))
def test_an_edit_is_refused_exactly_when_a_learned_row_would_be_another(
    pair: tuple[Stage, Stage], dones: list[int]
) -> None:
    old, new = (dataclasses.replace(PLAN, stages=(each,)) for each in pair)
    for done in dones:
        assert bool(compare(old, new, done).past) == (rows_of(old.stages[0], done) != rows_of(new.stages[0], done))


@settings(deadline=None, max_examples=100)
@given(edited_stages())
def test_what_is_not_begun_may_be_edited_and_what_is_unedited_is_silent(pair: tuple[Stage, Stage]) -> None:
    old, new = (dataclasses.replace(PLAN, stages=(PLAN.stages[0], each)) for each in pair)
    assert compare(old, new, 10).past == []
    assert compare(old, old, 10 + LENGTH) == ([], [])
