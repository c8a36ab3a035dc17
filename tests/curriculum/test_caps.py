"""A repetition must be asked for; what is refused comes with numbers that are accepted."""

import re
from pathlib import Path
from typing import Any

import pytest

from curriculum.document import ManifestError
from curriculum.manifest import Manifest
from curriculum.planner import make_plan
from curriculum.stages import Packing
from tests.curricula import make_curriculum, make_lock, shard_set, stage_text

CONCAT = Packing("concat", 256, False)
FIT = Packing("best_fit", 256, False)
LOCK = make_lock(shard_set(CONCAT, "web", 9000), shard_set(CONCAT, "code", 600), shard_set(CONCAT, "books", 300))


def refused(manifest: Manifest, lock: dict[str, Any]) -> str:
    with pytest.raises(ManifestError) as caught:
        make_plan(manifest, lock)
    return str(caught.value)


def typed(message: str, before: str) -> str:
    """The number that a message says to type behind these words."""
    found = re.search(rf"{re.escape(before)} ([0-9.]+[0-9])", message)
    assert found, message
    return found[1]


def test_a_corpus_that_runs_out_is_refused_with_numbers_that_fit(tmp_path: Path) -> None:
    message = refused(make_curriculum(tmp_path, stage_text()), LOCK)
    assert (
        "m.yaml:7  stages[0].mix.code: the plan needs 300k tokens, `code` holds 154k: 1.96 epochs, max_epochs allows 1 (the default)."
        in message
    )
    assert "    Lower the share to 0.153, raise max_epochs.code to 2, or add 147k tokens." in message
    share = typed(message, "Lower the share to")
    make_plan(make_curriculum(tmp_path, stage_text(mix=f"{{web: {1 - float(share):.3f}, code: {share}}}")), LOCK)
    make_plan(make_curriculum(tmp_path, stage_text(max_epochs="{code: 2}")), LOCK)
    more = make_lock(*LOCK["shards"][:1], shard_set(CONCAT, "code", 600 + 147_000 // 256 + 1))
    make_plan(make_curriculum(tmp_path, stage_text()), more)


def test_a_cap_that_is_given_is_told(tmp_path: Path) -> None:
    message = refused(make_curriculum(tmp_path, stage_text(max_epochs="{code: 1.5}")), LOCK)
    assert "1.96 epochs, max_epochs allows 1.5.\n    Lower the share to 0.23, raise max_epochs.code to 2," in message


def test_what_earlier_stages_took_counts(tmp_path: Path) -> None:
    mix = "{{web: {web}, code: {code}}}"
    first = stage_text("first", 500_000, mix.format(web=0.8, code=0.2))
    message = refused(
        make_curriculum(tmp_path, first + stage_text("second", 500_000, mix.format(web=0.8, code=0.2))), LOCK
    )
    assert "m.yaml:8  stages[1].mix.code: the plan needs" in message
    assert re.search(
        r"needs (99.9k|100k|101k) tokens behind (99.9k|100k|101k) in first, `code` holds 154k: 1.31 epochs", message
    )
    share = float(typed(message, "Lower the share to"))
    assert share == pytest.approx((600 - 391) / 1952, abs=0.003)
    second = stage_text("second", 500_000, mix.format(web=f"{1 - share:.3f}", code=share))
    make_plan(make_curriculum(tmp_path, first + second), LOCK)
    packed = make_lock(*LOCK["shards"], shard_set(FIT, "web", 9000), shard_set(FIT, "code", 600))
    other = stage_text("second", 500_000, mix.format(web=0.8, code=0.2), pack="best_fit")
    make_plan(make_curriculum(tmp_path, first + other), packed)


def test_a_corpus_that_is_used_up_is_taken_out(tmp_path: Path) -> None:
    first = stage_text("first", 600 * 256, "{code: 1}", batch_tokens=256)
    message = refused(make_curriculum(tmp_path, first + stage_text("second", 100_000, "{web: 0.9, code: 0.1}")), LOCK)
    assert "Take code out of the mix, raise max_epochs.code to 1.1, or add 9.99k tokens." in message


def test_a_stage_of_one_corpus_can_only_be_shorter(tmp_path: Path) -> None:
    message = refused(make_curriculum(tmp_path, stage_text(mix="{code: 1}")), LOCK)
    tokens = typed(message, "Shorten the stage to")
    assert tokens == str(600 * 256)
    make_plan(make_curriculum(tmp_path, stage_text(tokens=tokens, mix="{code: 1}")), LOCK)


def test_a_stage_with_corpora_given_by_epochs_keeps_their_rows(tmp_path: Path) -> None:
    text = stage_text(mix="{code: 1}", epochs="{books: 1}")
    tokens = typed(refused(make_curriculum(tmp_path, text), LOCK), "Shorten the stage to")
    assert tokens == str((600 + 300) * 256)
    make_plan(make_curriculum(tmp_path, stage_text(tokens=tokens, mix="{code: 1}", epochs="{books: 1}")), LOCK)


def test_a_small_share_keeps_two_digits(tmp_path: Path) -> None:
    mix = "{{web: {:.5f}, code: {}}}"
    many = stage_text(tokens="1B", mix=mix.format(0.9995, 0.0005), max_epochs="{web: 1000}")
    share = typed(refused(make_curriculum(tmp_path, many), LOCK), "Lower the share to")
    assert share == "0.00015"
    fewer = stage_text(tokens="1B", mix=mix.format(1 - float(share), share), max_epochs="{web: 1000}")
    make_plan(make_curriculum(tmp_path, fewer), LOCK)


def test_all_shares_of_phases_are_lowered(tmp_path: Path) -> None:
    mix = "[{{over: 300k, shares: {{web: {}, code: {}}}}}, {{ramp_to: {{web: {}, code: {}}}}}]"
    message = refused(make_curriculum(tmp_path, stage_text(mix=mix.format(0.9, 0.1, 0.4, 0.6))), LOCK)
    found = re.search(r"Lower the share to ([0-9.]+), then ([0-9.]+), raise", message)
    assert found, message
    one, other = map(float, found.groups())
    assert other == pytest.approx(6 * one, rel=0.05)
    lowered = mix.format(f"{1 - one:.3f}", one, f"{1 - other:.3f}", other)
    plan, _ = make_plan(make_curriculum(tmp_path, stage_text(mix=lowered)), LOCK)
    assert plan.stages[0].sources[1].rows_planned > 0.95 * 600


def test_a_few_rows_more_than_an_epoch_are_no_repetition(tmp_path: Path) -> None:
    """The mixture gives a source some rows beside its share; a share that is exactly an epoch must pass."""
    text = stage_text(tokens=1000 * 256, batch_tokens=256, mix="{web: 0.5, code: 0.5}")
    for rows, fits in ((500, True), (497, True), (490, False)):
        lock = make_lock(shard_set(CONCAT, "web", 3000), shard_set(CONCAT, "code", rows))
        if fits:
            make_plan(make_curriculum(tmp_path, text), lock)
        else:
            assert "1.02 epochs" in refused(make_curriculum(tmp_path, text), lock)


def test_epochs_beyond_what_is_left_are_refused(tmp_path: Path) -> None:
    first = stage_text("first", 102_400, "{web: 0.5, books: 0.5}")
    second = stage_text("second", mix="{web: 1}", epochs="{books: 1}")
    message = refused(make_curriculum(tmp_path, first + second), LOCK)
    assert "m.yaml:8  stages[1].epochs.books: the plan needs 76.8k tokens behind 51" in message
    assert "`books` holds 76.8k: 1.67 epochs, max_epochs allows 1 (the default)" in message
    for change in ({"epochs": f"{{books: {typed(message, 'Lower epochs.books to')}}}"}, {"max_epochs": "{books: 1.7}"}):
        text = stage_text("second", mix="{web: 1}", **{"epochs": "{books: 1}", **change})
        make_plan(make_curriculum(tmp_path, first + text), LOCK)


def test_epochs_that_are_asked_for_are_given(tmp_path: Path) -> None:
    plan, _ = make_plan(make_curriculum(tmp_path, stage_text(mix="{web: 1}", epochs="{books: 3}")), LOCK)
    assert plan.stages[0].sources[1].rows_planned == 900


def test_epochs_that_leave_the_mix_nothing_are_refused(tmp_path: Path) -> None:
    message = refused(
        make_curriculum(tmp_path, stage_text(tokens=100_352, mix="{web: 1}", epochs="{books: 1.5}")), LOCK
    )
    assert "stages[0].epochs: these corpora need 450 rows, the stage has 392: nothing is left for `mix`." in message
    assert "Raise tokens above 115200, or lower epochs.books to 1.3." in message
    make_plan(make_curriculum(tmp_path, stage_text(tokens=100_352, mix="{web: 1}", epochs="{books: 1.3}")), LOCK)


FILL = {"pack": "best_fit", "fill": "[web]", "max_epochs": "{web: 99, code: 99}"}


def filled(tmp_path: Path, mix: str, web_rows: int = 100, gap: int = 32) -> tuple[Manifest, dict[str, Any]]:
    manifest = make_curriculum(tmp_path, stage_text(mix=mix, **FILL))
    packing = manifest.stages[0].packing
    code = shard_set(packing("code"), "code", 4000, per_row=224, web=gap)
    return manifest, make_lock(code, shard_set(packing("web"), "web", web_rows))


def test_fillers_beyond_a_share_are_refused(tmp_path: Path) -> None:
    message = refused(*filled(tmp_path, "{web: 0.05, code: 0.95}"))
    assert (
        "m.yaml:7  stages[0].mix.web: documents of `web` that fill gaps make 13.6 % of the tokens, its share is 0.05."
        in message
    )
    share = typed(message, "Raise the share to")
    assert share == "0.125"
    make_plan(*filled(tmp_path, f"{{web: {share}, code: {1 - float(share)}}}"))


def test_a_filling_corpus_without_rows_of_its_own_cannot_have_more(tmp_path: Path) -> None:
    message = refused(*filled(tmp_path, "{web: 0.3, code: 0.7}", web_rows=0))
    assert "fill gaps make 10 % of the tokens, its share is 0.3, and it has no rows of its own." in message
    share = typed(message, "Lower the share to")
    plan, _ = make_plan(*filled(tmp_path, f"{{web: {share}, code: {1 - float(share)}}}", web_rows=0))
    assert plan.stages[0].sources[0].tokens_planned == 32 * plan.stages[0].rows


def test_a_filling_corpus_must_not_be_used_up_by_filling(tmp_path: Path) -> None:
    """A phase in which only a corpus without rows has a share has no rows at all."""
    message = refused(
        *filled(tmp_path, "[{over: 500k, shares: {code: 0.875, web: 0.125}}, {shares: {web: 1}}]", web_rows=0)
    )
    assert (
        "stages[0].mix[1].web: documents of `web` that fill gaps make 0 % of the tokens, its share is 1, and it has no rows"
        in message
    )


def test_what_repeats_often_is_a_warning(tmp_path: Path) -> None:
    small = make_lock(shard_set(CONCAT, "web", 3000), shard_set(CONCAT, "code", 60))
    warnings = make_plan(make_curriculum(tmp_path, stage_text(max_epochs="{code: 20}")), small)[1]
    assert warnings == ["stage one: code is seen 19.5 times; repeats beyond 4 teach little"]
