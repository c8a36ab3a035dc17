"""Bounds of generators and authors: who made a corpus, and that a bound holds at every point of a stage."""

import io
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curriculum.document import ManifestError
from curriculum.made_by import Makers, makers, shares
from curriculum.manifest import Manifest, load_manifest
from curriculum.planner import make_plan
from curriculum.show import show_document, show_plan
from curriculum.stages import Packing
from tests.curricula import make_lock, shard_set, stage_text

HEAD = """\
name: m
version: "1"
seed: 7
model: models/tiny.yaml
corpora: {web: web.yaml, qa: qa.yaml, both: both.yaml, told: told.yaml, chat: chat.yaml, books: books.yaml}
stages:
"""
CORPORA = {
    "web": 'kind: web\nsource: {reader: warc, paths: ["w/*"]}\n',
    "qa": "kind: reasoning\nsource: {generator: qa, from: [web]}\n",
    "both": "kind: web\nsource: {generator: gather, from: [web, qa]}\n",
    "told": "kind: agent\nsource: {generator: messages, from: [web], author: glm-4.5}\n",
    "chat": "kind: qa\nsource: {generator: chat, from: [both]}\n",
    "books": "kind: book\nsource: {generator: book, from: [web]}\n",
}
CONCAT, FIT = Packing("concat", 256, False), Packing("best_fit", 256, False, ("web", "qa"), ("qa",))


def curriculum(folder: Path, stages: str) -> Manifest:
    for name, text in CORPORA.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "m.yaml").write_text(HEAD + stages)
    return load_manifest(str(folder / "m.yaml"))


def refused(manifest: Manifest, lock: dict[str, Any] | None = None) -> str:
    with pytest.raises(ManifestError) as caught:
        make_plan(manifest, lock)
    return str(caught.value)


def shown_on(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_who_made_a_corpus(tmp_path: Path) -> None:
    made = makers(curriculum(tmp_path, stage_text(mix="{web: 1}")).corpora)
    assert made["web"] == Makers()
    assert made["qa"] == (frozenset({"qa"}), frozenset({"scripted"}))
    assert made["both"] == (frozenset({"gather", "qa"}), frozenset({"scripted"}))
    assert made["told"] == (frozenset({"messages"}), frozenset({"glm-4.5"}))
    assert made["chat"] == (frozenset({"chat", "gather", "qa"}), frozenset({"scripted"}))
    assert made["books"] == (frozenset({"book"}), frozenset()), "word for word those of its sources"
    found = shares({"web": 6, "qa": 1, "both": 1, "told": 2}, made, "generator")
    assert found == {"gather": Fraction(1, 10), "messages": Fraction(1, 5), "qa": Fraction(1, 5)}


def test_a_bound_that_is_passed_says_by_what_and_what_to_type(tmp_path: Path) -> None:
    mix = "{web: 0.5, qa: 0.3, chat: 0.1, told: 0.1}"
    passed = stage_text(mix=mix, max_share="{generator: {qa: 0.35}, author: {scripted: 0.4, glm-4.5: 0.05}}")
    message = refused(curriculum(tmp_path, passed))
    assert (
        "m.yaml:7  stages[0].max_share.generator.qa: allows 35 %, and the stage has 40 %: qa 30 %, chat 10 %.\n"
        "    Lower qa to 25 % of the tokens, or raise the bound to 0.4." in message
    )
    assert "max_share.author.glm-4.5: allows 5 %, and the stage has 10 %: told 10 %." in message
    assert "scripted" not in message
    kept = stage_text(mix=mix, max_share="{generator: {qa: 0.4}, author: {scripted: 0.4, glm-4.5: 0.1}}")
    make_plan(curriculum(tmp_path, kept), None)
    lowered = stage_text(mix="{web: 0.55, qa: 0.25, chat: 0.1, told: 0.1}", max_share="{generator: {qa: 0.35}}")
    make_plan(curriculum(tmp_path, lowered), None)


def test_a_bound_holds_at_every_point_of_a_ramp(tmp_path: Path) -> None:
    mix = "[{over: 500000, shares: {web: 0.9, qa: 0.1}}, {ramp_to: {web: 0.5, qa: 0.5}}]"
    message = refused(curriculum(tmp_path, stage_text(mix=mix, max_share="{generator: {qa: 0.3}}")))
    found = re.search(r"allows 30 %, and the stage has ([0-9.]+) % from token (\d+) on", message)
    assert found, message
    assert 48 < float(found[1]) <= 50
    assert int(found[2]) > 900_000
    phases = "[{over: 100000, shares: {web: 0.5, qa: 0.5}}, {shares: {web: 0.9, qa: 0.1}}]"
    message = refused(curriculum(tmp_path, stage_text(mix=phases, max_share="{generator: {qa: 0.3}}")))
    assert "the stage has 50 % from token 0 on: qa 50 %" in message


def test_corpora_by_epochs_count(tmp_path: Path) -> None:
    lock = make_lock(shard_set(CONCAT, "web", 9000), shard_set(CONCAT, "qa", 1000))
    stage = stage_text(mix="{web: 1}", epochs="{qa: 1}", max_share="{generator: {qa: 0.2}}")
    assert "allows 20 %, and the stage has 25.6 %: qa 25.6 %." in refused(curriculum(tmp_path, stage), lock)
    make_plan(curriculum(tmp_path, stage.replace("0.2}}", "0.26}}")), lock)


def test_documents_that_fill_gaps_count(tmp_path: Path) -> None:
    lock = make_lock(shard_set(FIT, "web", 9000, per_row=200, qa=50), shard_set(FIT, "qa", 0))
    mix = {"mix": "{web: 0.8, qa: 0.2}", "pack": "best_fit", "fill": "[qa]"}
    make_plan(curriculum(tmp_path, stage_text(**mix, max_share="{generator: {qa: 0.2}}")), lock)
    message = refused(curriculum(tmp_path, stage_text(**mix, max_share="{generator: {qa: 0.19}}")), lock)
    assert "allows 19 %, and the stage has 20 %: qa 20 %." in message


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ("{generator: {qaa: 0.5}}", "no corpus of this manifest has the generator 'qaa'.\n    Did you mean 'qa'?"),
        ("{author: {glm: 0.5}}", "no corpus of this manifest has the author 'glm'."),
        ("{generator: {qa: 2}}", "2 is no share.\n    Write 0 to 1"),
        ("{generator: {qa: -1}}", "-1 is no share"),
        ("{teacher: {qa: 0.1}}", "max_share"),
        ("{generator: [qa]}", "not a mapping"),
    ],
)
def test_bounds_that_are_none(tmp_path: Path, bounds: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        make_plan(curriculum(tmp_path, stage_text(mix="{web: 1}", max_share=bounds)), None)
    assert message in str(caught.value)


def test_a_bound_decides_nothing_but_whether(tmp_path: Path) -> None:
    plain = curriculum(tmp_path, stage_text(mix="{web: 0.9, qa: 0.1}")).fingerprint()
    assert (
        curriculum(tmp_path, stage_text(mix="{web: 0.9, qa: 0.1}", max_share="{generator: {qa: 0.5}}")).fingerprint()
        == plain
    )


def test_the_plan_shows_the_shares_beside_their_bounds(tmp_path: Path) -> None:
    stage = stage_text(mix="{web: 0.6, qa: 0.3, told: 0.1}", max_share="{generator: {qa: 0.35}}")
    manifest = curriculum(tmp_path, stage)
    console = Console(file=io.StringIO(), width=140)
    show_plan(console, manifest, make_plan(manifest, None)[0], measured=False)
    shown = [" ".join(line.split()) for line in shown_on(console).splitlines()]
    assert "one generator qa 30 % 35 %" in shown
    assert "one author glm-4.5 9.99 %" in shown or "one author glm-4.5 10 %" in shown


def test_a_document_shows_who_made_it() -> None:
    meta = {"generator": "qa", "version": 2, "author": "scripted", "parents": [["1", "2"]]}
    verdicts = {"leak": {"passed": True}, "unique": {"passed": False}}
    console = Console(file=io.StringIO(), width=140)
    found = {"meta": json.dumps({**meta, "verdicts": verdicts}), "pieces": [], "steps_done": 0}
    show_document(console, found)
    assert "made by  qa 2, words: scripted, from 1 documents; checks: leak, not unique" in shown_on(console)
    for other in (None, "{}", json.dumps({"generator": "x"})):
        console = Console(file=io.StringIO(), width=140)
        show_document(console, {**found, "meta": other})
        assert "made by" not in shown_on(console)
