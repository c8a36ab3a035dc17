import math
from pathlib import Path

import pytest

from curriculum.report.data import read_lock, read_plan
from curriculum.report.metrics import read_run
from curriculum.report.mixture import mixture, repeats, worth


@pytest.mark.parametrize(
    ("epochs", "value"), [(0.5, 1.0), (1, 1.0), (3.2, 0.953), (4, 0.931), (8, 0.828), (16, 0.661), (math.inf, 0.0)]
)
def test_worth_of_repeated_tokens_follows_the_published_law(epochs: float, value: float) -> None:
    assert worth(epochs) == pytest.approx(value, abs=5e-4)


def test_planned_built_and_consumed_add_up(full_build: Path) -> None:
    root = str(full_build)
    plan, run, lock = read_plan(root), read_run(root), read_lock(root)
    assert plan is not None
    assert run is not None
    mixes = mixture(plan, run, lock)
    for mix, stage in zip(mixes, plan.stages, strict=True):
        assert mix.planned == stage.tokens
        assert mix.built == sum(source.rows_built for source in stage.sources) * stage.seq_len
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
    assert high.by_stage == tuple(source.epochs if source else None for source in planned)
    assert high.total == sum(source.epochs for source in planned if source)
    assert high.so_far == pytest.approx(sum(source.epochs for source in planned[:3] if source))
    assert [name for name, row in rows.items() if row.many] == ["math/high"]
