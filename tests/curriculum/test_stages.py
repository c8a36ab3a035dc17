"""Stages that agree on a packing share shards; what decides the rows of a corpus is in its packing, and nothing else."""

import dataclasses
from typing import Any

from curriculum.stages import MixPhase, Packing, StageSpec

SPEC = StageSpec(
    name="s",
    tokens=1000,
    seq_len=100,
    pack="best_fit",
    batch_from=100,
    batch_to=100,
    batch_over=0,
    mix=(MixPhase(500, {"web": 0.5, "code": 0.5}), MixPhase(500, {"code": 0.5, "repos": 0.5}, ramp=True)),
    epochs={"books": 2.0},
    max_epochs={"web": 4.0},
    fill=(),
    together=(),
    rope_base=1e4,
    bias_rate=0.001,
    mtp_weight=0.3,
)


def changed(**changes: Any) -> StageSpec:
    return dataclasses.replace(SPEC, **changes)


def test_corpora_stand_in_order_of_appearance() -> None:
    assert SPEC.shared == ("web", "code", "repos")
    assert SPEC.corpora == ("web", "code", "repos", "books")


def test_without_fillers_a_corpus_is_packed_alone() -> None:
    """So stages of other corpora, shares and lengths in tokens share its shards."""
    spec = changed(together=("repos",))
    assert spec.packing("web") == Packing("best_fit", 100, related=False)
    assert spec.packing("repos") == Packing("best_fit", 100, related=True)
    other = changed(mix=(MixPhase(10, {"web": 1.0}),), epochs={}, tokens=10, together=("web",))
    assert other.packing("code") == SPEC.packing("code")
    assert other.packing("web") != SPEC.packing("web")


def test_with_fillers_all_corpora_are_packed_in_one_go() -> None:
    """Those that fill come last. Who shares rows with relatives decides which gaps are left, for all of them."""
    spec = changed(fill=("repos", "web"))
    joint = ("code", "books", "web", "repos")
    assert spec.packing("code") == Packing("best_fit", 100, False, joint, ("web", "repos"))
    assert spec.packing("web") == spec.packing("code")
    related = changed(fill=("web", "repos"), together=("books",))
    assert related.packing("books").related
    assert related.packing("code") != spec.packing("code")


def test_the_lock_holds_lists() -> None:
    data = changed(fill=("web",)).packing("code").to_json()
    assert data["joint"] == ["code", "repos", "books", "web"]
    assert Packing(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    ) == changed(fill=("web",)).packing("code")


def test_a_corpus_may_be_seen_once_unless_more_was_asked_for() -> None:
    assert [SPEC.epoch_cap(name) for name in SPEC.corpora] == [4, 1, 1, 2]
    assert changed(epochs={"books": 0.5}).epoch_cap("books") == 1
    assert changed(max_epochs={"books": 3.0}).epoch_cap("books") == 3
