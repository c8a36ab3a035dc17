import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.plan import BatchSegment, Plan, Ramp, Stage
from trainer.schedule import changes, learning_rate, settings, total_tokens

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


def scheduled(*stages: tuple[str, float | Ramp, float | Ramp]) -> Plan:
    """Stages of 10 steps of 32 tokens, from (name, bias rate, MTP weight); the second half of the first has 64 per step."""
    batches = ((BatchSegment(0, 2), BatchSegment(5, 4)), (BatchSegment(0, 2),))
    made = [
        Stage(name, 16, "concat", 10, batches[index > 0], (), (), 1e4, rate, weight, 1)
        for index, (name, rate, weight) in enumerate(stages)
    ]
    return Plan("p", "1", 0, "m", "l", {}, {}, {"lr": {"peak": 1.0, "end": 0.0, "warmup_tokens": 0}}, tuple(made))


def test_bias_rate_and_mtp_weight_follow_their_schedules_in_tokens_of_the_stage() -> None:
    plan = scheduled(("a", Ramp(1e-3, 0.0, 200, 0), Ramp(0.3, 0.1, 64, 160)), ("b", 0.0, Ramp(0.1, 0.2, 0, 320)))
    now = [settings(plan, step) for step in range(plan.steps)]
    begins = [0, *(each.tokens for each in now[:9])]
    assert begins == [0, 32, 64, 96, 128, 160, 224, 288, 352, 416]
    assert [each.bias_rate for each in now] == [1e-3] * 6 + [0.0] * 14
    assert [each.mtp_weight for each in now[:10]] == [0.3, 0.3, 0.3, 0.26, 0.22, 0.18, 0.1, 0.1, 0.1, 0.1]
    assert [each.mtp_weight for each in now[10:]] == [0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19]


def test_a_schedule_is_told_where_it_begins_to_move_and_where_it_has_arrived() -> None:
    """Not in the steps between: a line of 350,000 steps is two lines of the log."""
    plan = scheduled(
        ("a", Ramp(1e-3, 0.0, 200, 0), Ramp(0.3, 0.1, 64, 160)),
        ("b", 0.0, Ramp(0.1, 0.2, 0, 320)),
        ("c", Ramp(0.0, 1e-3, 1, 31), 0.2),
    )
    told = {step: lines for step in range(plan.steps) if (lines := changes(plan, step))}
    assert told == {
        3: ["mtp_weight: leaves 0.3 for 0.1, a line over 160 tokens (its schedule in stage 'a')"],
        5: ["rows: 2 -> 4 (the batch ramp of stage 'a')"],
        6: [
            "bias_rate: 0.001 -> 0 (its schedule in stage 'a')",
            "mtp_weight: has arrived at 0.1 (its schedule in stage 'a')",
        ],
        10: ["stage 'b' begins: 'a' has had its 480 tokens", "rows: 4 -> 2"],
        11: ["mtp_weight: leaves 0.1 for 0.2, a line over 320 tokens (its schedule in stage 'b')"],
        20: ["stage 'c' begins: 'b' has had its 320 tokens", "mtp_weight: 0.19 -> 0.2"],
        21: ["bias_rate: 0 -> 0.001 (its schedule in stage 'c')"],
    }


def test_a_stage_switch_goes_from_the_last_value_to_the_first() -> None:
    plan = scheduled(("a", Ramp(1e-3, 0.0, 200, 0), 0.3), ("b", Ramp(2e-3, 0.0, 0, 320), Ramp(0.1, 0.0, 64, 0)))
    assert changes(plan, 10)[2:] == ["bias_rate: 0 -> 0.002", "mtp_weight: 0.3 -> 0.1"]
