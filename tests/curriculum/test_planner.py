"""Plans are exact: rows, steps, shares, and what every stage goes on with."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.document import ManifestError
from curriculum.manifest import Manifest, Validation
from curriculum.plan import Plan, Ramp
from curriculum.planner import make_plan
from curriculum.stages import Packing
from tests.curricula import RANKED, make_curriculum, make_lock, shard_set, stage_text

CONCAT = Packing("concat", 256, False)
FIT = Packing("best_fit", 256, False)
LOCK = make_lock(shard_set(CONCAT, "web", 3000), shard_set(CONCAT, "code", 2000), shard_set(CONCAT, "books", 500))


def test_rows_steps_and_shares_are_exact(tmp_path: Path) -> None:
    plan, warnings = make_plan(make_curriculum(tmp_path, stage_text()), LOCK)
    stage = plan.stages[0]
    assert (stage.steps, stage.rows, stage.tokens) == (488, 3904, 999_424)
    assert [source.name for source in stage.sources] == ["web/all", "code/all"]
    assert sum(source.rows_planned for source in stage.sources) == stage.rows
    assert abs(stage.sources[0].rows_planned - 0.7 * stage.rows) <= 3
    assert sum(source.tokens_planned for source in stage.sources) == stage.tokens
    assert [(source.folder, source.rows, source.num_shards, source.first_rank) for source in stage.sources] == [
        ("shards/web/all/concat-256", 3000, 2, 0),
        ("shards/code/all/concat-256", 2000, 2, 0),
    ]
    assert len(stage.mixture) == 1
    assert stage.mixture[0].bounds[-1] == 2**64
    assert not warnings


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    mix = "[{over: 300k, shares: {web: 1}}, {ramp_to: {code: 1}}]"
    plan, _ = make_plan(make_curriculum(tmp_path, stage_text(mix=mix, epochs="{books: 0.5}")), LOCK)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).digest() == plan.digest()


def test_a_schedule_stands_in_the_plan(tmp_path: Path) -> None:
    text = stage_text(bias_rate="{from: 0.001, to: 0, after: 500k}", mtp_weight="{from: 0.3, to: 0.1, over: 1M}")
    plan, _ = make_plan(make_curriculum(tmp_path, text), LOCK)
    (stage,) = plan.stages
    assert (stage.bias_rate, stage.mtp_weight) == (Ramp(0.001, 0.0, 500_000, 0), Ramp(0.3, 0.1, 0, 1_000_000))
    assert Plan.from_json(plan.to_json()) == plan
    rates = [stage.value_at(stage.bias_rate, step) for step in range(stage.steps)]
    assert rates == [0.001] * 245 + [0.0] * 243  # step 244 begins after 499,712 tokens
    last = stage.value_at(stage.mtp_weight, stage.steps - 1)
    assert last == pytest.approx(0.1 + 0.2 * (1 - 997_376 / 1e6), rel=1e-12)


def test_a_schedule_that_no_step_sees_moving_is_refused(tmp_path: Path) -> None:
    """The last step begins after 997,376 tokens: half a step before the stage's end is too late."""
    for schedule in ("after: 997_377", "after: 997_376, over: 1000"):
        text = stage_text(mtp_weight=f"{{from: 0.3, to: 0.1, {schedule}}}")
        with pytest.raises(ManifestError) as caught:
            make_plan(make_curriculum(tmp_path, text), LOCK)
        message = str(caught.value)
        begins = "is 0.3 in every step: the last one begins after 997376 tokens, the schedule after 99737"
        assert f"m.yaml:7  stages[0].mtp_weight: {begins}" in message
        assert "\n    Write `after` of less than 997376, or 0.3 alone." in message
    for schedule in ("after: 997_376", "after: 997_375, over: 1000"):
        make_plan(make_curriculum(tmp_path, stage_text(mtp_weight=f"{{from: 0.3, to: 0.1, {schedule}}}")), LOCK)
    single = stage_text(tokens=2048, bias_rate="{from: 0.001, to: 0, over: 2048}")
    with pytest.raises(ManifestError, match=r"begins after 0 tokens, the schedule after 0\.\n    Write 0.001 alone\."):
        make_plan(make_curriculum(tmp_path, single), LOCK)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_curriculum(tmp_path_factory.mktemp("manifest"), stage_text())


@given(
    first=st.integers(1, 300),
    last=st.integers(1, 300),
    over=st.integers(0, 3_000_000),
    more=st.integers(0, 10_000_000),
)
def test_a_batch_ramp_ends_within_half_a_step_of_where_it_should(
    manifest: Manifest, first: int, last: int, over: int, more: int
) -> None:
    tokens = over + 600 * 256 + more
    spec = dataclasses.replace(
        manifest.stages[0], batch_from=first * 256, batch_to=last * 256, batch_over=over, tokens=tokens
    )
    stage = make_plan(dataclasses.replace(manifest, stages=(spec,)), None)[0].stages[0]
    assert stage.tokens <= spec.tokens < stage.tokens + spec.batch_to
    sizes = [segment.rows for segment in stage.batch]
    assert sizes == sorted(set(sizes), reverse=first > last)
    assert stage.batch[0].first_step == 0
    assert sizes[-1] == last
    if first != last:
        reached = stage.rows_before(stage.batch[-1].first_step)
        assert abs(reached - over / 256) <= max(first, last) / 2


def test_a_batch_ramp_is_a_staircase(tmp_path: Path) -> None:
    ramp = stage_text(batch_tokens="{from: 1024, to: 4096, over: 400_000}")
    stage = make_plan(make_curriculum(tmp_path, ramp), LOCK)[0].stages[0]
    sizes = [stage.batch_rows(step) for step in range(stage.steps)]
    assert (sizes[0], sizes[-1], sum(sizes)) == (4, 16, stage.rows)
    assert sorted(set(sizes)) == list(range(4, 17))
    assert sizes == sorted(sizes)


def test_a_stage_shorter_than_a_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"m.yaml:7 .*too few: one step takes 2048(.|\n)*Raise tokens to at least 2048"
    ):
        make_plan(make_curriculum(tmp_path, stage_text(tokens=1000)), LOCK)


def test_stages_follow_each_other(tmp_path: Path) -> None:
    """Stages that agree on a packing go on in the same shards, in the same order; the mixture is drawn anew."""
    other = stage_text("three", 256_000, "{web: 0.5, code: 0.5}", pack="best_fit")
    text = stage_text(tokens=256_000) + stage_text("two", 256_000, "{web: 0.5, books: 0.5}") + other
    lock = make_lock(*LOCK["shards"], shard_set(FIT, "web", 3000), shard_set(FIT, "code", 3000))
    plan, _ = make_plan(make_curriculum(tmp_path, text), lock)
    one, two, three = plan.stages
    assert one.seed != two.seed
    assert two.sources[0].first_rank == one.sources[0].rows_planned
    assert two.sources[0].seed == one.sources[0].seed != one.sources[1].seed
    assert two.sources[1].first_rank == three.sources[0].first_rank == 0
    assert three.sources[0].seed != one.sources[0].seed


def test_buckets_share_a_corpus_by_epochs_times_rows(tmp_path: Path) -> None:
    made = make_curriculum(tmp_path, stage_text(mix="{web: 1}", max_epochs="{web: 2}"), web=RANKED)
    lock = make_lock(shard_set(CONCAT, "web", 1000, bucket="high"), shard_set(CONCAT, "web", 3000, bucket="low"))
    high, low = make_plan(made, lock)[0].stages[0].sources
    assert high.epochs == pytest.approx(3 * low.epochs, rel=0.01)


def test_corpora_given_by_epochs_are_learned_exactly(tmp_path: Path) -> None:
    """Half an epoch of `web` is 1.5 of its best bucket; the shares of the mix are of the rest."""
    lock = make_lock(
        shard_set(CONCAT, "web", 101, bucket="high"),
        shard_set(CONCAT, "web", 303, bucket="low"),
        shard_set(CONCAT, "code", 4000),
        shard_set(CONCAT, "books", 4000),
    )
    mix = "{code: 0.75, books: 0.25}"
    plan, _ = make_plan(make_curriculum(tmp_path, stage_text(mix=mix, epochs="{web: 0.5}"), web=RANKED), lock)
    rows = {source.name: source.rows_planned for source in plan.stages[0].sources}
    assert (rows["web/high"], rows["web/low"]) == (152, 152)
    rest = plan.stages[0].rows - 304
    assert rows["code/all"] == pytest.approx(0.75 * rest, abs=1)


def test_padding_and_fillers_are_counted(tmp_path: Path) -> None:
    """Half of the tokens are web's, most of them in rows of code; the rows of code are three quarters full."""
    text = stage_text(mix="{web: 0.5, code: 0.5}", pack="best_fit", fill="[web]")
    made = make_curriculum(tmp_path, text)
    packing = made.stages[0].packing
    lock = make_lock(
        shard_set(packing("code"), "code", 4000, per_row=128, web=64), shard_set(packing("web"), "web", 2000)
    )
    stage = make_plan(made, lock)[0].stages[0]
    web, code = stage.sources
    assert web.tokens_planned == pytest.approx(code.tokens_planned, rel=0.005)
    assert web.rows_planned == pytest.approx(stage.rows / 5, abs=4)
    assert code.tokens_planned == 128 * code.rows_planned
    assert web.tokens_planned == 256 * web.rows_planned + 64 * code.rows_planned


def test_a_bucket_may_have_given_all_its_documents_away(tmp_path: Path) -> None:
    text = stage_text(mix="{web: 0.4, code: 0.6}", pack="best_fit", fill="[web]")
    made = make_curriculum(tmp_path, text, web=RANKED)
    packing = made.stages[0].packing
    code = shard_set(packing("code"), "code", 4000, per_row=192)
    code["tokens_by_source"]["web/low"] = 4000 * 32
    lock = make_lock(
        code, shard_set(packing("web"), "web", 1000, bucket="high"), shard_set(packing("web"), "web", 0, bucket="low")
    )
    high, low, _ = make_plan(made, lock)[0].stages[0].sources
    assert (low.rows, low.rows_planned) == (0, 0)
    assert low.tokens_planned > 0
    tokens = (high.tokens_planned + low.tokens_planned) / sum(
        s.tokens_planned for s in make_plan(made, lock)[0].stages[0].sources
    )
    assert tokens == pytest.approx(0.4, abs=0.001)


def test_later_stages_stay_open_while_a_build_is_running(tmp_path: Path) -> None:
    """Closed stages, and the steps of open ones, are those of the finished plan."""
    made = make_curriculum(tmp_path, stage_text(tokens=256_000) + stage_text("two", 128_000, "{books: 1}"))
    finished, _ = make_plan(made, LOCK)
    running, _ = make_plan(made, make_lock(*LOCK["shards"][:2]), num_stages=1)
    assert running.stages[0] == finished.stages[0]
    assert running.stages[1].is_open
    assert dataclasses.replace(finished.stages[1], sources=(), mixture=()) == running.stages[1]
    assert running.is_live


def test_a_lock_without_the_shards_of_a_stage_is_refused(tmp_path: Path) -> None:
    together = stage_text(pack="best_fit", together="[code]")
    lock = make_lock(shard_set(FIT, "web", 3000), shard_set(FIT, "code", 3000))
    with pytest.raises(
        ManifestError, match=r"no shards of `code` as stage one wants them .*related documents together"
    ):
        make_plan(make_curriculum(tmp_path, together), lock)


def test_declared_sizes_stand_in_for_a_lock(tmp_path: Path) -> None:
    declared = dict.fromkeys(("web", "code"), "declared_tokens: 150k\n")
    plan, warnings = make_plan(make_curriculum(tmp_path, stage_text(max_epochs="{web: 9, code: 9}"), **declared), None)
    assert [(source.rows, source.num_shards, source.folder) for source in plan.stages[0].sources] == [(586, 0, "")] * 2
    assert warnings == ["stage one: web is seen 4.7 times; repeats beyond 4 teach little"]


def test_a_plan_without_any_size_shows_shares(tmp_path: Path) -> None:
    plan, warnings = make_plan(make_curriculum(tmp_path, stage_text()), None)
    assert [source.rows for source in plan.stages[0].sources] == [0, 0]
    assert plan.stages[0].sources[0].tokens_planned == pytest.approx(700_000, rel=0.001)
    assert not warnings


def test_epochs_of_an_unknown_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"m.yaml:7 .*epochs.books: the size of `books` is not known") as caught:
        make_plan(make_curriculum(tmp_path, stage_text(epochs="{books: 1}")), None)
    assert "Write declared_tokens into the file of `books`, or give --out with a finished build." in str(caught.value)


def test_a_plan_counts_the_rows_that_it_does_not_hold_out(tmp_path: Path) -> None:
    """Stages that share shards hold the same rows out; the second begins where the first ended, in the order of the other rows."""
    text = stage_text(tokens=256_000) + stage_text("two", 256_000, "{web: 0.9, books: 0.1}", learn="all")
    made = make_curriculum(tmp_path, text)
    plain, _ = make_plan(made, LOCK)
    plan, warnings = make_plan(dataclasses.replace(made, validation=Validation(4000, 7)), LOCK)
    one, two = plan.stages
    assert [source.held_out for source in one.sources + two.sources] == [16] * 4
    assert [source.trainable_rows for source in one.sources] == [2984, 1984]
    assert one.sources[0].epochs == one.sources[0].rows_planned / 2984
    assert two.sources[0].first_rank == one.sources[0].rows_planned
    assert (one.validation_rows, plan.training["validation_steps"]) == (32, 7)
    assert (plain.stages[0].validation_rows, plain.training["validation_steps"]) == (0, 0)
    assert (one.learn, two.learn) == ("spans", "all")
    assert not warnings
    assert Plan.from_json(plan.to_json()) == plan


def test_what_is_held_out_counts_for_caps_and_epochs(tmp_path: Path) -> None:
    """Of 400 rows of code, 20 are for validation; one epoch is 380, and 390 are too many."""
    lock = make_lock(shard_set(CONCAT, "web", 4000), shard_set(CONCAT, "code", 400))
    by_epochs = make_curriculum(tmp_path, stage_text(mix="{web: 1}", epochs="{code: 1}"))
    code = make_plan(dataclasses.replace(by_epochs, validation=Validation(10**6, 1)), lock)[0].stages[0].sources[1]
    assert (code.rows_planned, code.rows, code.held_out, code.epochs) == (380, 400, 20, 1.0)
    by_share = make_curriculum(tmp_path, stage_text(mix="{web: 0.9, code: 0.1}"))
    make_plan(by_share, lock)
    with pytest.raises(ManifestError, match=r"mix.code: the plan needs .* `code` holds 97\.3k: 1\.03 epochs"):
        make_plan(dataclasses.replace(by_share, validation=Validation(10**6, 1)), lock)


def test_a_source_too_small_to_hold_rows_out_is_told_once(tmp_path: Path) -> None:
    text = stage_text(tokens=4096, mix="{web: 0.9, code: 0.1}") + stage_text("two", 4096, "{web: 0.9, code: 0.1}")
    made = dataclasses.replace(make_curriculum(tmp_path, text), validation=Validation(256, 1))
    lock = make_lock(shard_set(CONCAT, "web", 3000), shard_set(CONCAT, "code", 19))
    plan, warnings = make_plan(made, lock)
    assert [source.held_out for source in plan.stages[0].sources] == [1, 0]
    assert warnings == [
        "code/all (concat 256): none of its 19 rows are held out for validation: at most one in 20 may be, and the first shard keeps one"
    ]
    assert not make_plan(made, None)[1]
