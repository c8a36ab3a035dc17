"""The rounds of recall: what a corpus counted becomes rows, a table and a note."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from curriculum.report import write_report
from curriculum.report.data import StepCount, read_lock
from curriculum.report.notes import notes
from curriculum.report.recall import RecallRound, recall

SEED = {"corpus": "math_seed", "documents": 339, "unreadable": 0}
ENDED = "round 3 yielded less than 0.02: this round does nothing"


def halves(*positives: int) -> list[dict[str, Any]]:
    told = {"positives": 50, "negatives": 50, "auc": 0.9731}
    return [{"examples": {"positives": count, "negatives": 300}, "held_out": told} for count in positives]


ABOUT: list[dict[str, Any]] = [
    {"round": 1, "halves": halves(339, 339), "cut": 0.5076, "by_rank": 740, "by_folder": 0, "chars": 1_300_000},
    {
        "round": 2,
        "recalled_before": {"1": 740},
        "chars_before": 1_300_000,
        "halves": halves(785, 807),
        "cut": 0.63,
        "by_rank": 229,
        "by_folder": 9,
        "chars": 650_000,
        "new_sites": 3,
        "new_folders": 12,
        "such_as": ["docs.example/<b>1.17</b>", "docs.example/\u202e1.18"],
    },
    {
        "round": 3,
        "recalled_before": {"1": 740, "2": 238},
        "chars_before": 1_950_000,
        "halves": halves(838, 856),
        "cut": 0.7,
        "by_rank": 2,
        "by_folder": 0,
        "chars": 1_000,
    },
    {"round": 4, "recalled_before": {"1": 740, "2": 238, "3": 2}, "yield_before": 0.002, "ended": ENDED},
]
NONE = {"new_sites": 0, "new_folders": 0, "such_as": []}
ABOUT = [{"reference": SEED, "min_yield": 0.02, **(NONE if "halves" in each else {}), **each} for each in ABOUT]


def step(about: dict[str, Any], name: str = "recall.round") -> dict[str, Any]:
    counts = {"documents_in": 1_486, "documents_out": 1_486, "chars_in": 6_000_000, "chars_out": 6_000_000}
    return {"corpus": "math", "step": name, "key": "0" * 64, "kind": "corpus", **counts, "reasons": {}, "about": about}


def rounds(about: list[dict[str, Any]]) -> tuple[RecallRound, ...]:
    fields = StepCount.__dataclass_fields__
    steps = [StepCount(**{"paths": {}, **{k: v for k, v in step(each).items() if k in fields}}) for each in about]
    found = recall(steps)
    assert found is not None
    assert (found.seed, found.seed_documents) == ("math_seed", 339)
    return found.rounds


def test_a_round_is_what_was_counted() -> None:
    first, second, third, fourth = rounds(ABOUT)
    assert [each.new for each in (first, second, third, fourth)] == [740, 238, 2, 0]
    assert [each.recalled for each in (first, second, third, fourth)] == [740, 978, 980, 980]
    assert [each.share for each in (first, second, third)] == [1, 238 / 978, 2 / 980]
    assert [each.growth for each in (first, second, third)] == [None, 0.5, 1_000 / 1_950_000]
    assert (second.positives, second.aucs) == ((785, 807), (0.9731, 0.9731))
    assert (second.cut, second.new_sites, second.new_folders) == (0.63, 3, 12)
    assert second.such_as == ("docs.example/<b>1.17</b>", "docs.example/\ufffd1.18")
    assert [each.ran for each in (first, second, third, fourth)] == [True, True, True, False]
    assert fourth.share is None


def outcomes(about: list[dict[str, Any]]) -> list[str]:
    return [each.outcome for each in rounds(about)]


def test_what_came_after_a_round_and_why() -> None:
    assert outcomes(ABOUT) == ["next round", "next round", "stop: below 2.0%", ENDED]
    assert outcomes(ABOUT[:3]) == ["next round", "next round", "last round: below 2.0%"]
    assert outcomes(ABOUT[:2]) == ["next round", "last round: not below 2.0%"]
    strict = [ABOUT[0], {**ABOUT[1], "min_yield": 0.5}]
    assert outcomes(strict) == ["next round", "last round: below 50%"]
    whole = "every page has been recalled: this round does nothing"
    assert outcomes([ABOUT[0], {"reference": SEED, "round": 2, "min_yield": 0.02, "ended": whole}]) == [
        "stop: nothing is left",
        whole,
    ]


def test_what_an_older_build_did_not_count_is_left_open() -> None:
    new = ("min_yield", "chars", "chars_before", "new_sites", "new_folders")
    old = [{name: value for name, value in each.items() if name not in new} for each in ABOUT]
    assert outcomes(old) == ["next round", "next round", "stop", ENDED]
    assert outcomes(old[:2]) == ["next round", "last round"]
    assert [(each.chars, each.growth, each.new_folders) for each in rounds(old)] == [(None, None, None)] * 4
    unmeasured = [{**ABOUT[0], "halves": [{**half, "held_out": "not measured"} for half in halves(20, 20)]}]
    assert rounds(unmeasured)[0].aucs == ()


def test_a_corpus_without_rounds_has_none() -> None:
    assert recall([]) is None


@pytest.fixture
def recalled(build: Callable[..., Path], tmp_path: Path) -> Callable[[int], Path]:
    """A build whose math has been through so many of the rounds."""

    def make(count: int) -> Path:
        root = build(tmp_path / str(count), steps=0, plan=False, rejects=False)
        data = json.loads((root / "lock.json").read_text())
        math = data["corpora"]["math"]
        picky = {**step({}, "filter.recalled"), "documents_out": 10, "reasons": {"recall.not_found": 1_476}}
        math["steps"][3:3] = [*map(step, ABOUT[:count]), picky]
        (root / "lock.json").write_text(json.dumps(data))
        return root

    return make


def test_the_table_of_rounds(recalled: Callable[[int], Path]) -> None:
    page = html.document_fromstring(Path(write_report(str(recalled(4)))).read_text())
    (region,) = page.xpath("//*[@aria-label='math: rounds of recall']")
    caption = " ".join(region.xpath("string(.//caption)").split())
    assert caption == "Rounds of recall, from 339 documents of math_seed"
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in region.xpath(".//tr")]
    assert rows == [
        ["Round", "Positives", "Pages seen", "By rank", "In whole folders", "New pages", "New characters", "Growth", "Yield", "Then"],
        ["1", "339, 339", "1.49k", "740", "0", "740", "1.3M", "–", "100%", "next round"],
        ["2", "785, 807", "1.49k", "229", "9 in 12", "238", "650k", "50%", "24%", "next round"],
        ["3", "838, 856", "1.49k", "2", "0", "2", "1k", "<0.1%", "0.2%", "stop: below 2.0%"],
        ["4", ENDED],
    ]  # fmt: skip
    tips = region.xpath(".//tbody/tr[2]//abbr/@title")
    assert tips == [
        "held-out pages are told apart with an AUC of 0.973 and 0.973",
        "score of 0.63 or more",
        "≈ 167k tokens, as the whole corpus has them",
    ]
    (folders,) = page.xpath("//details[summary[starts-with(., 'Folders')]]//tr")
    cells = [" ".join(cell.text_content().split()) for cell in folders]
    assert cells == ["round 2", "12 folders of 3 sites", "docs.example/<b>1.17</b>, docs.example/\ufffd1.18, …"]
    told = page.xpath("//details[@class='facts'][starts-with(summary, 'What')]//caption/text()")
    assert "recall.round" not in told
    assert not page.xpath("//*[@aria-label='web: rounds of recall']")


def test_a_last_round_that_still_finds_much_is_worth_a_look(recalled: Callable[[int], Path]) -> None:
    def told(count: int) -> list[str]:
        return [each.text for each in notes(read_lock(str(recalled(count))), None, None, []) if each.where == "math"]

    assert told(2) == ["its last round of recall, 2, still found 24% of all: another one would find more."]
    assert told(3) == told(4) == []  # and that little of a crawl is about a subject is no surprise
