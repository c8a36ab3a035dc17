"""What a corpus holds is read from the lock by packing, or stands in from declared sizes."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.document import ManifestError
from curriculum.holdings import held, held_out_rows
from curriculum.manifest import Validation
from curriculum.stages import Packing
from tests.curricula import RANKED, make_curriculum, make_lock, shard_set, stage_text

CONCAT = Packing("concat", 256, False)
FIT = Packing("best_fit", 256, False)


def test_buckets_count_as_often_as_they_are_asked_for(tmp_path: Path) -> None:
    """`high` three times and `low` once: a row of the corpus is two to one of `high`, and holds tokens accordingly."""
    manifest = make_curriculum(tmp_path, stage_text(mix="{web: 1}"), web=RANKED)
    lock = make_lock(
        shard_set(CONCAT, "web", 100, bucket="low", per_row=200),
        shard_set(CONCAT, "web", 200, bucket="high", per_row=170),
        shard_set(CONCAT, "web", 900, bucket="none"),
        shard_set(FIT, "web", 900, bucket="low"),
    )
    web = held(manifest, manifest.stages[0], lock)["web"]
    assert [(bucket.source, bucket.rows) for bucket in web.buckets] == [("web/high", 200), ("web/low", 100)]
    assert web.one_pass == 700
    assert web.bucket_shares == (Fraction(6, 7), Fraction(1, 7))
    assert web.own_tokens == Fraction(6 * 170 + 200, 7)


def test_documents_of_others_count_for_them(tmp_path: Path) -> None:
    manifest = make_curriculum(tmp_path, stage_text(pack="best_fit", fill="[web]"))
    packing = manifest.stages[0].packing
    code = shard_set(packing("code"), "code", 300, per_row=200, web=20)
    holdings = held(manifest, manifest.stages[0], make_lock(shard_set(packing("web"), "web", 0), code))
    assert list(holdings) == ["web", "code"]
    assert holdings["code"].content == {"code": 200, "web": 20}
    assert (holdings["web"].one_pass, holdings["web"].own_tokens) == (0, 0)


def test_declared_tokens_are_cut_as_ranking_will_cut_them(tmp_path: Path) -> None:
    manifest = make_curriculum(tmp_path, stage_text(), web=RANKED + "declared_tokens: 1024k\n")
    holdings = held(manifest, manifest.stages[0], None)
    assert [(bucket.name, bucket.rows) for bucket in holdings["web"].buckets] == [("high", 1000), ("low", 2000)]
    assert holdings["web"].own_tokens == 256
    assert (holdings["web"].known, holdings["code"].known) == (True, False)


@pytest.mark.parametrize(
    ("tokens", "rows", "num_shards", "expected"),
    [
        (0, 1000, 1, 0),
        (1, 1000, 1, 1),
        (256, 1000, 1, 1),
        (257, 1000, 1, 2),
        (10**9, 1000, 1, 50),  # one in twenty
        (10**9, 1019, 1, 50),
        (10**9, 1000, 100, 9),  # shards of ten rows: one is left
        (10**9, 1000, 1000, 0),
        (10**9, 19, 1, 0),
        (10**9, 20, 1, 1),
        (10**9, 0, 0, 0),
    ],
)
def test_rows_that_are_held_out(tmp_path: Path, tokens: int, rows: int, num_shards: int, expected: int) -> None:
    manifest = dataclasses.replace(make_curriculum(tmp_path, stage_text()), validation=Validation(tokens, 9))
    assert held_out_rows(manifest, rows, num_shards, 256) == expected


def test_an_epoch_is_of_the_rows_that_are_not_held_out(tmp_path: Path) -> None:
    """As often as asked for, in the shares that follow; what is in a row is counted over all of them."""
    manifest = make_curriculum(tmp_path, stage_text(mix="{web: 1}"), web=RANKED)
    manifest = dataclasses.replace(manifest, validation=Validation(2560, 9))
    lock = make_lock(
        shard_set(CONCAT, "web", 100, bucket="low", per_row=200), shard_set(CONCAT, "web", 200, bucket="high")
    )
    web = held(manifest, manifest.stages[0], lock)["web"]
    assert [(bucket.source, bucket.trainable) for bucket in web.buckets] == [("web/high", 190), ("web/low", 95)]
    assert web.one_pass == 3 * 190 + 95
    assert web.bucket_shares == (Fraction(6, 7), Fraction(1, 7))
    assert web.own_tokens == Fraction(6 * 256 + 200, 7)


@pytest.mark.parametrize("shards", [[], [shard_set(CONCAT, "web", 0)], [shard_set(FIT, "web", 9)]])
def test_shards_that_are_not_there_are_missed(tmp_path: Path, shards: list[dict[str, object]]) -> None:
    manifest = make_curriculum(tmp_path, stage_text(mix="{web: 1}"))
    with pytest.raises(
        ManifestError, match=r"no shards of `web` as stage one wants them \(concat 256\)\. Run `tokenloom build` again"
    ):
        held(manifest, manifest.stages[0], make_lock(*shards))
