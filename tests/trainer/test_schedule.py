import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.plan import BatchSegment, Plan, Stage
from trainer.schedule import learning_rate, settings, total_tokens

GLM45 = {"peak": 2.5e-4, "end": 2.5e-5, "warmup_tokens": 0}


@pytest.mark.parametrize(
    ("tokens", "rate"), [(15e12, 8.66e-5), (22e12, 2.626e-5), (22.5e12, 2.537e-5), (23.1e12, 2.5e-5)]
)
def test_cosine_of_glm45(tokens: float, rate: float) -> None:
    assert learning_rate(int(tokens), int(23.1e12), GLM45) == pytest.approx(rate, rel=1e-3)


def test_warmup_starts_above_zero_and_ends_at_the_peak() -> None:
    lr = {"peak": 1.0, "end": 0.1, "warmup_tokens": 100}
    assert learning_rate(25, 1000, lr) == 0.25
    assert learning_rate(100, 1000, lr) == 1.0
    assert learning_rate(1000, 1000, lr) == pytest.approx(0.1)


@given(
    total=st.integers(1, 10**13),
    share=st.floats(0, 1),
    later=st.floats(0, 1),
    warmup=st.integers(0, 10**13),
)
def test_rate_stays_between_its_ends_and_falls_after_the_warmup(
    total: int, share: float, later: float, warmup: int
) -> None:
    lr = {"peak": 1e-3, "end": 1e-5, "warmup_tokens": warmup}
    first = max(1, int(total * share))
    second = first + int((total - first) * later)
    assert 0 < learning_rate(first, total, lr) <= 1e-3
    if first >= warmup:
        assert learning_rate(first, total, lr) >= learning_rate(second, total, lr) >= 1e-5 * (1 - 1e-12)


def test_settings_switch_at_the_border_and_count_tokens_through() -> None:
    def stage(name: str, steps: int, seq_len: int, batch: tuple[BatchSegment, ...], base: float, rate: float) -> Stage:
        return Stage(name, seq_len, "concat", steps, batch, (), (), base, rate, 0.3, 1)

    first = stage("a", 3, 16, (BatchSegment(0, 2), BatchSegment(2, 4)), 1e4, 1e-3)
    second = stage("b", 2, 64, (BatchSegment(0, 1),), 1e6, 0.0)
    plan = Plan("p", "1", 0, "m", "l", {}, {}, {"lr": {"peak": 1.0, "end": 0.0, "warmup_tokens": 0}}, (first, second))
    steps = [settings(plan, step) for step in range(plan.steps)]
    assert [now.tokens for now in steps] == [32, 64, 128, 192, 256]
    assert [now.rows for now in steps] == [2, 2, 4, 1, 1]
    assert [(now.seq_len, now.rope_base, now.bias_rate) for now in steps[2:4]] == [(16, 1e4, 1e-3), (64, 1e6, 0.0)]
    assert [(now.stage, now.stage_step) for now in steps] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert steps[-1].tokens == total_tokens(plan)
    assert steps[-1].lr == 0.0
    with pytest.raises(ValueError, match="5 steps"):
        settings(plan, 5)
