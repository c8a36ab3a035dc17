"""The row contract: provenance on every row, a round trip that is really made, rejects with a reason."""

import json
from typing import Any

import pytest

from datapipe.schema import DROP, LOSS_SPANS
from synth.render import Call, Turn, in_template, parse
from synth.rows import Made, Parent, documents

MADE = Made("qa", 7, author="glm", teacher={"model": "glm", "prompt": "ab"})
PARENTS = (Parent.of("1", "one", "MIT"), Parent.of("2", "two", "BSD-3-Clause"))
TALK = [Turn("user", "Q"), Turn("assistant", " A\n", "t")]
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"n": {"type": "number"}}}}


def row(turns: list[Turn], **changes: Any) -> dict[str, Any]:
    given = {"kind": "qa", "parents": PARENTS, "task": {"x": 1}, "verdicts": {"unique": {"passed": True, "answers": 1}}}
    return MADE.row("one", turns, **{**given, **changes})


def test_a_row_says_where_it_came_from() -> None:
    made = row(TALK)
    meta = json.loads(made["meta"])
    assert meta.pop("version") >= 2
    assert meta == {
        "generator": "qa",
        "seed": 7,
        "parents": [["1", PARENTS[0].sha], ["2", PARENTS[1].sha]],
        "author": "glm",
        "teacher": {"model": "glm", "prompt": "ab"},
        "task": {"x": 1},
        "verdicts": {"unique": {"passed": True, "answers": 1}, "round_trip": {"passed": True}},
        "template": "glm-4.5",
        "direct": False,
    }
    assert (made["license"], made["origin"], made[DROP]) == ("BSD-3-Clause AND MIT", "synth/qa:one", None)
    assert parse(made["text"])[1] == Turn("assistant", "A", "t")
    assert documents([made])[LOSS_SPANS].to_pylist() == [made[LOSS_SPANS]]


def test_the_licence_of_a_row_without_parents_is_said() -> None:
    assert row(TALK, parents=(), license="CC0-1.0")["license"] == "CC0-1.0"
    assert row(TALK, parents=())["license"] is None
    assert row(TALK, parents=(*PARENTS, Parent.of("3", "x", None)), license="CC0-1.0")["license"] is None


def test_the_first_check_that_failed_is_the_reason() -> None:
    verdicts = {"a": {"passed": True}, "b": {"passed": False}, "c": {"passed": False}}
    assert row(TALK, verdicts=verdicts)[DROP] == "synth.b"
    text = MADE.reject("r", "shown", kind="qa", parents=PARENTS, task={}, verdicts=verdicts)
    assert (text[DROP], text["text"], text[LOSS_SPANS]) == ("synth.b", "shown", None)
    whole = MADE.document("d", "plain", kind="web", parents=PARENTS, task={}, verdicts={"a": {"passed": True}})
    assert (whole[DROP], whole["kind"], whole[LOSS_SPANS]) == (None, "web", None)


@pytest.mark.parametrize(
    "value",
    [(1, 2), float("nan"), {1: 2}, "5"],
    ids=["a tuple comes back as a list", "not a number", "a key that is no string", "not of the tool's type"],
)
def test_what_does_not_come_back_is_rejected(value: Any) -> None:
    turns = [Turn("system", tools=(TOOL,)), Turn("user", "Q"), Turn("assistant", calls=(Call("f", {"n": value}),))]
    made = row(turns)
    assert made[DROP] == "synth.round_trip"
    assert json.loads(made["meta"])["verdicts"]["round_trip"]["passed"] is False
    assert documents([made]).num_rows == 1


def test_half_a_character_is_rejected_and_stops_nothing() -> None:
    made = row([Turn("user", "\ud800"), Turn("assistant", "A")], task={"q": "\ud800"})
    assert made[DROP] == "synth.round_trip"
    assert documents([made])["text"].to_pylist()[0].count("?") == 1


def test_thoughts_that_would_be_erased_make_several_rows() -> None:
    turns = [*TALK, Turn("user", "R"), Turn("assistant", "B", "u")]
    with pytest.raises(ValueError, match="one: the template would erase"):
        row(turns)
    given: dict[str, Any] = {"kind": "qa", "parents": PARENTS, "task": {}, "verdicts": {}}
    made = MADE.rows("one", turns, **given)
    assert [each["origin"] for each in made] == ["synth/qa:one-1", "synth/qa:one-2"]
    assert [json.loads(each["meta"])["turn"] for each in made] == [[1, 2], [2, 2]]
    assert [len(each[LOSS_SPANS]) for each in made] == [1, 1]
    [whole] = MADE.rows("one", [Turn("user", "Q"), Turn("assistant", "A"), *turns[2:]], **given)
    assert (whole["origin"], "turn" in json.loads(whole["meta"])) == ("synth/qa:one", False)
    [direct] = MADE.rows("one", [Turn("user", "Q"), Turn("assistant", "A")] * 2, **given, direct=True)
    assert direct["text"].count("/nothink") == 2


def test_the_context_is_only_shown() -> None:
    turns = [Turn("user", "Q"), Turn("assistant", "A"), Turn("user", "R"), Turn("assistant", "B")]
    assert len(row(turns)[LOSS_SPANS]) == 2
    assert len(row(turns, context=3)[LOSS_SPANS]) == 1


def test_rows_in_another_version_of_the_template() -> None:
    wrong = Turn("assistant", "no", learn=False)
    turns = [Turn("user", "Q"), wrong, Turn("user", "R"), Turn("assistant", "A", "t")]
    direct = MADE.row(
        "d", [Turn("user", "Q"), Turn("assistant", "A")], kind="qa", parents=[], task={}, verdicts={}, direct=True
    )
    plain = MADE.document("p", "text", kind="web", parents=[], task={}, verdicts={})
    rejected = row([Turn("tool", "x")])
    docs = documents([{**row(turns), "id": "a"}, {**direct, "id": "b"}, {**plain, "id": "c"}, {**rejected, "id": "d"}])
    assert in_template(docs, "glm-4.5") is docs
    newer = in_template(docs, "glm-4.7").to_pylist()
    assert newer[0]["text"] == "[gMASK]<sop><|user|>Q<|assistant|></think>no<|user|>R<|assistant|><think>t</think>A"
    assert [newer[0]["text"][span["start"] :] for span in newer[0][LOSS_SPANS]] == ["t</think>A"]
    assert newer[1]["text"] == "[gMASK]<sop><|user|>Q<|assistant|></think>A"
    assert [json.loads(each["meta"]).get("template") for each in newer] == ["glm-4.7", "glm-4.7", None, "glm-4.5"]
    assert [each["text"] for each in newer[2:]] == docs["text"].to_pylist()[2:]
    with pytest.raises(ValueError, match="begins with"):
        in_template(documents([{**row(turns), "text": "x"}]), "glm-4.7")
