"""The arithmetic of a plan against a loop over steps, and a plan as JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.plan import FORMAT, BatchSegment, Plan, PlanError, Stage
from tests.plans import make_source


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """Any staircase of batches; the last stairs may lie behind the end."""
    begins = sorted(draw(st.sets(st.integers(1, 30), max_size=4)))
    batch = tuple(BatchSegment(first, draw(st.integers(1, 9))) for first in (0, *begins))
    return Stage("s", 16, "concat", draw(st.integers(1, 40)), batch, (), (), 1e4, 1e-3, 0.3, 1)


@given(stages())
def test_rows_of_steps_are_those_of_a_loop(stage: Stage) -> None:
    rows = [[each.rows for each in stage.batch if each.first_step <= step][-1] for step in range(stage.steps)]
    assert [stage.batch_rows(step) for step in range(stage.steps)] == rows
    assert [stage.rows_before(step) for step in range(stage.steps + 1)] == [
        sum(rows[:n]) for n in range(stage.steps + 1)
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


def test_the_digest_is_of_what_is_learned_and_other_formats_are_refused() -> None:
    plan = Plan("p", "1", 1, "m", "l", {}, {}, {}, ())
    live = Plan("p", "1", 1, "m", "", {}, {}, {}, ())
    assert (live.is_live, plan.is_live, live.digest()) == (True, False, plan.digest())
    text = plan.to_json().replace(f'"format": {FORMAT}', '"format": 1')
    with pytest.raises(PlanError, match="format 1, this version of tokenloom reads 3"):
        Plan.from_json(text)
