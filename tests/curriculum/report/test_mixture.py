from pathlib import Path

import pytest

from curriculum.plan import Plan
from curriculum.report.data import read_lock, read_plan
from curriculum.report.metrics import read_run
from curriculum.report.mixture import StageMix, mixture, repeats


def test_planned_built_and_consumed_add_up(full_build: Path) -> None:
    root = str(full_build)
    plan, run, lock = read_plan(root), read_run(root), read_lock(root)
    assert plan is not None
    assert run is not None
    mixes = mixture(plan, run, lock)
    assert lock is not None
    for mix, stage in zip(mixes, plan.stages, strict=True):
        assert mix.planned == sum(source.tokens_planned for source in stage.sources) < stage.tokens
        sets = [lock.shards_in[source.folder] for source in stage.sources]
        assert mix.built == sum(shards.tokens for shards in sets)
        assert sum(source.built_share for source in mix.sources if source.built_share) == pytest.approx(1)
        assert sum(source.planned_share for source in mix.sources) == pytest.approx(1)
        assert mix.consumed == (run.stages[stage.name].learned.total() if stage.name in run.stages else 0)
    assert [mix.progress for mix in mixes] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert [mix.started for mix in mixes] == [True, True, True, False, False]


def test_epochs_of_a_bucket_add_up_over_the_stages(full_build: Path) -> None:
    root = str(full_build)
    plan = read_plan(root)
    assert plan is not None
    rows = {row.source: row for row in repeats(mixture(plan, read_run(root), read_lock(root)), read_lock(root))}
    high = rows["math/high"]
    planned = [next((s for s in stage.sources if s.name == "math/high"), None) for stage in plan.stages]
    for epochs, source in zip(high.by_stage, planned, strict=True):
        assert epochs == (pytest.approx(source.epochs, rel=1e-3) if source else None)
    assert high.total == pytest.approx(sum(source.epochs for source in planned if source), rel=1e-3)
    assert high.so_far == pytest.approx(sum(source.epochs for source in planned[:3] if source), rel=1e-3)
    assert [name for name, row in rows.items() if row.many] == ["math/high"]


@pytest.fixture
def mixes(full_build: Path) -> dict[str, StageMix]:
    root = str(full_build)
    plan = read_plan(root)
    assert plan is not None
    return {mix.stage.name: mix for mix in mixture(plan, read_run(root), read_lock(root))}


def shares(mix: StageMix, kind: str) -> dict[str, float]:
    """By corpus."""
    found: dict[str, float] = {}
    for source in mix.sources:
        found[source.corpus] = found.get(source.corpus, 0) + getattr(source, f"{kind}_share")
    return found


def test_shares_that_change_are_given_for_both_ends_of_the_stage(mixes: dict[str, StageMix]) -> None:
    ramp = mixes["code_reasoning"]  # in 8 stairs, of which the ends lie a sixteenth inside
    assert [mix.changes for mix in mixes.values()] == [False, True, False, False, False]
    assert shares(ramp, "begin") == pytest.approx({"web": 0.575, "code": 0.2656, "math": 0.1594}, abs=2e-3)
    assert shares(ramp, "end") == pytest.approx({"web": 0.225, "code": 0.4844, "math": 0.2906}, abs=2e-3)
    assert shares(ramp, "planned") == pytest.approx({"web": 0.4, "code": 0.375, "math": 0.225}, abs=2e-3)
    steady = mixes["general"]
    assert shares(steady, "begin") == pytest.approx(shares(steady, "planned"), abs=2e-3)
    assert shares(steady, "begin") == shares(steady, "end")


def test_tokens_in_rows_of_others_count_to_their_own_source(mixes: dict[str, StageMix], full_build: Path) -> None:
    lock = read_lock(str(full_build))
    assert lock is not None
    mix = mixes["synthetic_reasoning"]
    sources = {source.name: source for source in mix.sources}
    lent = [
        source.rows_planned * lock.shards_in[source.folder].tokens_by_source["qa/all"] / source.rows
        for source in mix.stage.sources
        if source.corpus == "math"
    ]
    qa = sources["qa/all"]
    assert qa.filling == mix.filling == pytest.approx(sum(lent), abs=1)
    own = next(source for source in mix.stage.sources if source.name == "qa/all")
    assert qa.planned - qa.filling == pytest.approx(
        own.rows_planned * lock.shards_in[own.folder].tokens / own.rows, abs=1
    )
    assert qa.built == sum(s.tokens_by_source.get("qa/all", 0) for s in lock.shards if s.seq_len == 1024)
    assert qa.epochs == qa.planned / qa.built
    assert mixes["general"].filling == 0


def test_a_running_build_has_open_stages_and_nothing_that_only_the_lock_knows(live_plan: Plan) -> None:
    mixes = mixture(live_plan, None, None)
    assert [mix.stage.is_open for mix in mixes] == [False, False, False, True, True]
    assert [mix.sources for mix in mixes[3:]] == [(), ()]
    assert {mix.built for mix in mixes} == {None}
    assert shares(mixes[1], "begin") == pytest.approx({"web": 0.575, "code": 0.2656, "math": 0.1594}, abs=2e-3)
    rows = {row.source: row for row in repeats(mixes, None)}
    assert rows["books/high"].by_stage == (mixes[0].stage.sources[0].epochs, None, None, None, None)
