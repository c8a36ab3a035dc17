import json
from collections import Counter
from typing import Any

from synth.rephrase import extracted
from synth.rephrase.drafts import Draft
from synth.rephrase.pieces import Quote, from_json, spoken
from synth.rows import Made, Parent
from tests.synth.rephrase.pages import MANUAL, TABLE, passage, source

SOURCES = [source(), source(TABLE + "\n" + MANUAL.replace("shelf", "rack"), id="b" * 32, title="“rack”")]
PARENTS = {each.id: Parent.of(each.id, each.text, each.license) for each in SOURCES}
ALL = {each.id: list(extracted.STYLES) for each in SOURCES}


def made() -> list[dict[str, Any]]:
    return list(extracted.rows(Made("rephrase", 0), SOURCES, PARENTS, ALL))


def test_every_style_makes_rows_that_hold() -> None:
    rows = made()
    assert Counter(json.loads(row["meta"])["task"]["style"] for row in rows) == {
        "knowledge_list": 2,
        "outline": 2,
        "table": 2,
        "diverse_qa": 2,
        "cloze": 2,
        "prose": 1,
    }
    assert {row["drop_reason"] for row in rows} == {None}
    assert {row["kind"] for row in rows} == {"book"}
    assert all(row["loss_spans"] is None for row in rows)


def test_a_row_is_made_again_from_its_task_and_its_parents() -> None:
    texts = {each.id: each.text for each in SOURCES}
    for row in made():
        meta = json.loads(row["meta"])
        assert row["text"] == spoken(from_json(meta["task"]["pieces"]), [texts[id] for id, _ in meta["parents"]])
        assert meta["verdicts"]["spans"]["quoted"] > 0.3
        assert [parent[1] for parent in meta["parents"]] == [PARENTS[id].sha for id, _ in meta["parents"]]


def test_styles_take_turns() -> None:
    styles = [json.loads(row["meta"])["task"]["style"] for row in made()]
    assert len(set(styles[:6])) == 6


def _verdicts(draft: Draft, text: str, style: str = "knowledge_list") -> list[str]:
    candidate = extracted.Candidate(style, passage())
    stored = [list(piece) if isinstance(piece, Quote) else piece for piece in draft.pieces]
    found = extracted._verdicts(candidate, draft, text, stored, [MANUAL])
    return [name for name, verdict in found.items() if not verdict["passed"]]


def test_what_is_not_quoted_is_found() -> None:
    whole = Quote(0, 58, 300, "line")
    text = spoken([whole], [MANUAL])
    assert _verdicts(Draft([whole], [whole]), text) == []
    assert _verdicts(Draft([whole], [whole]), text + "!") == ["spans"]
    for own, guard in [
        (" Ask Quillfeather.", "names"),
        (" 77 of them.", "numbers"),
        (" See www.x.example.", "addresses"),
        (" On 1999-01-02.", "dates"),
    ]:
        pieces = [whole, own]
        assert guard in _verdicts(Draft(pieces, pieces), text + own)
    short: list[Any] = [Quote(0, 58, 20, "line")]
    assert "length" in _verdicts(Draft(short, short), spoken(short, [MANUAL]))
    broken = [whole, "\n\n```python\nf(\n```\n"]
    assert "code" in _verdicts(Draft(broken, broken), spoken(broken, [MANUAL]))
