"""The arithmetic of a plan against a loop over steps, schedules inside a stage, and a plan as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.plan import FORMAT, SCHEDULED, BatchSegment, Plan, PlanError, Ramp, Stage
from tests.plans import make_source

ramps = st.builds(
    Ramp,
    first=st.floats(0, 1e3),
    last=st.floats(0, 1e3),
    after=st.integers(0, 10**13),
    over=st.integers(0, 10**13),
)


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """Any staircase of batches; the last stairs may lie behind the end."""
    begins = sorted(draw(st.sets(st.integers(1, 30), max_size=4)))
    batch = tuple(BatchSegment(first, draw(st.integers(1, 9))) for first in (0, *begins))
    rate, weight = draw(st.just(1e-3) | ramps), draw(st.just(0.3) | ramps)
    return Stage("s", 16, "concat", draw(st.integers(1, 40)), batch, (), (), 1e4, rate, weight, 1)


@given(stages())
def test_rows_of_steps_are_those_of_a_loop(stage: Stage) -> None:
    rows = [[each.rows for each in stage.batch if each.first_step <= step][-1] for step in range(stage.steps)]
    assert [stage.batch_rows(step) for step in range(stage.steps)] == rows
    assert [stage.rows_before(step) for step in range(stage.steps + 1)] == [
        sum(rows[:n]) for n in range(stage.steps + 1)
    ]
    assert [stage.tokens_before(step) for step in range(stage.steps + 1)] == [
        16 * stage.rows_before(step) for step in range(stage.steps + 1)
    ]
    owners = [step for step, count in enumerate(rows) for _ in range(count)]
    assert [stage.step_of_row(row) for row in range(stage.rows)] == owners
    for step in range(stage.steps):
        alike = stage.steps_alike(step)
        assert step in alike
        assert {rows[each] for each in alike} == {rows[step]}
        assert alike.start in {each.first_step for each in stage.batch}
        assert alike.stop in {stage.steps, *(each.first_step for each in stage.batch)}


@given(stages(), stages())
def test_a_step_of_the_plan_is_one_of_a_stage(first: Stage, second: Stage) -> None:
    plan = Plan("p", "1", 1, "m", "l", {}, {}, {}, (first, second))
    places = [(0, step) for step in range(first.steps)] + [(1, step) for step in range(second.steps)]
    assert [plan.locate(step) for step in range(plan.steps)] == places
    assert [plan.first_step(stage) + step for stage, step in places] == list(range(plan.steps))
    assert plan.tokens_before(1, second.steps) == first.tokens + second.tokens
    assert Plan.from_json(plan.to_json()) == plan


@given(stages())
def test_what_is_not_there_is_named(stage: Stage) -> None:
    for wrong in (-1, stage.steps):
        for ask in (stage.batch_rows, stage.steps_alike):
            with pytest.raises(ValueError, match=rf"'s' has steps 0\.\.{stage.steps - 1}, not {wrong}"):
                ask(wrong)
    for wrong in (-1, stage.rows):
        with pytest.raises(ValueError, match=rf"'s' has rows 0\.\.{stage.rows - 1}, not {wrong}"):
            stage.step_of_row(wrong)
    with pytest.raises(ValueError, match=rf"has steps 0\.\.{stage.steps}, not {stage.steps + 1}"):
        stage.rows_before(stage.steps + 1)
    plan = Plan("p", "1", 1, "m", "l", {}, {}, {}, (stage,))
    with pytest.raises(ValueError, match=f"the plan has {stage.steps} steps"):
        plan.locate(stage.steps)


@given(st.integers(1, 1000).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, rows))))
def test_shards_of_a_source_hold_its_rows_one_after_the_other(size: tuple[int, int]) -> None:
    source = make_source("web", *size)
    sizes = [shard.rows for shard in source.shards]
    assert sum(sizes) == source.rows
    assert max(sizes) - min(sizes) <= 1
    assert [source.first_row(n) for n in range(source.num_shards)] == [sum(sizes[:n]) for n in range(source.num_shards)]


@given(ramps, st.lists(st.integers(0, 3 * 10**13), min_size=2, max_size=8))
def test_a_ramp_moves_once_from_one_value_to_the_other(ramp: Ramp, places: list[int]) -> None:
    end = ramp.after + ramp.over
    assert ramp.at(0) == (ramp.first if end else ramp.last)
    assert {ramp.at(ramp.after - 1), ramp.at(max(0, ramp.after - 1) // 2)} == {ramp.first} or not ramp.after
    assert ramp.at(ramp.after) == (ramp.first if ramp.over else ramp.last)
    assert {ramp.at(end), ramp.at(end + 1), ramp.at(10**15)} == {ramp.last}
    places = sorted({*places, *(ramp.after + ramp.over * part // 7 for part in range(8))})
    values = [ramp.at(tokens) for tokens in places]
    assert values == sorted(values, reverse=ramp.first > ramp.last)
    assert min(ramp.first, ramp.last) <= min(values) <= max(values) <= max(ramp.first, ramp.last)


def test_a_ramp_is_a_line() -> None:
    """GLM-4.5's numbers, as in its report, section 2.4, with a line of 500B tokens instead of its steps."""
    rate, weight = Ramp(0.001, 0.0, 15 * 10**12, 0), Ramp(0.3, 0.1, 15 * 10**12, 5 * 10**11)
    places = [0, 15 * 10**12 - 1, 15 * 10**12, 15 * 10**12 + 25 * 10**10, 16 * 10**12]
    assert [rate.at(tokens) for tokens in places] == [0.001, 0.001, 0.0, 0.0, 0.0]
    assert [weight.at(tokens) for tokens in places] == [0.3, 0.3, 0.3, 0.2, 0.1]
    assert [Ramp(0.0, 1.0, 2, 4).at(tokens) for tokens in range(8)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert (str(rate), str(weight)) == ("0.001 to 0 after 15T", "0.3 to 0.1 after 15T over 500B")
    assert str(Ramp(0.0, 0.25, 0, 16_385)) == "0 to 0.25 over 16385"


@given(
    whole=st.integers(0, 1000),
    step=st.integers(-3, 3),
    length=st.integers(1, 100),
    part=st.integers(1, 99),
    data=st.data(),
)
def test_a_line_that_stops_earlier_has_the_same_values_until_then(
    whole: int, step: int, length: int, part: int, data: st.DataObject
) -> None:
    """Also in the last bit: an edit that stops a line where it is, some way on, keeps what is learned."""
    first, part = (whole + 300) / 1000, min(part, length)
    long = Ramp(first, round(first + step * length / 1000, 3), 7, length)
    short = Ramp(first, round(first + step * part / 1000, 3), 7, part)
    tokens = data.draw(st.integers(0, 7 + part))
    assert long.at(tokens) == short.at(tokens)


def test_a_step_has_the_value_of_the_tokens_before_it() -> None:
    batch = (BatchSegment(0, 1), BatchSegment(2, 2))
    stage = Stage("s", 16, "concat", 6, batch, (), (), 1e4, Ramp(1e-3, 0.0, 64, 0), Ramp(0.4, 0.0, 16, 80), 1)
    assert [stage.tokens_before(step) for step in range(6)] == [0, 16, 32, 64, 96, 128]
    assert [stage.value_at(stage.bias_rate, step) for step in range(6)] == [1e-3, 1e-3, 1e-3, 0, 0, 0]
    assert [stage.value_at(stage.mtp_weight, step) for step in range(6)] == [0.4, 0.4, 0.32, 0.16, 0, 0]
    assert stage.value_at(0.3, 5) == 0.3


def test_what_does_not_move_is_a_number_in_the_file_and_reads_as_before() -> None:
    """Plans written before there were schedules hold numbers only: they are read, and their digest is still theirs."""
    stage = Stage("s", 16, "concat", 6, (BatchSegment(0, 1),), (), (), 1e4, 1e-3, Ramp(0.3, 0.1, 32, 16), 1)
    plan = Plan("p", "1", 1, "m", "l", {}, {}, {}, (stage,))
    data = json.loads(plan.to_json())
    assert data["format"] == 3
    found = {name: data["stages"][0][name] for name in SCHEDULED}
    assert found == {"bias_rate": 1e-3, "mtp_weight": {"first": 0.3, "last": 0.1, "after": 32, "over": 16}}
    read = Plan.from_json(plan.to_json())
    assert (read, read.digest(), read.stages[0].mtp_weight) == (plan, plan.digest(), Ramp(0.3, 0.1, 32, 16))
    with pytest.raises(PlanError, match=r"damaged.*run `tokenloom build` again"):
        Plan.from_json(plan.to_json().replace('"over": 16', '"ovr": 16'))


def test_the_digest_is_of_what_is_learned_and_other_formats_are_refused() -> None:
    plan = Plan("p", "1", 1, "m", "l", {}, {}, {}, ())
    live = Plan("p", "1", 1, "m", "", {}, {}, {}, ())
    assert (live.is_live, plan.is_live, live.digest()) == (True, False, plan.digest())
    text = plan.to_json().replace(f'"format": {FORMAT}', '"format": 1')
    with pytest.raises(PlanError, match="format 1, this version of tokenloom reads 3"):
        Plan.from_json(text)
