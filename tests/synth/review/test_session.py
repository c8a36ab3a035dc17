"""What the page can do, without the page: live counts, decisions, edits that are verified again, facts and questions made of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth.review.exchange import FORMATS, Decision, ExchangeError, exported, imported
from synth.review.log import Log
from synth.review.opened import ReviewError, opened
from synth.review.reviewed import check, emit, reduce
from synth.review.server import Refused
from synth.review.session import Session
from synth.search.task import Task


@pytest.fixture
def session(questions: pa.Table, pages: pa.Table, tmp_path: Path) -> Iterator[Session]:
    with opened([questions], [pages], Log(tmp_path / "reviews.jsonl"), "ada") as made:
        yield made


def again(session: Session, reviewer: str) -> Session:
    """The session of another reviewer with the same log."""
    return Session(
        session.items.values(), session.world, session.log, reviewer, verify=session.verify, find=session.find
    )


def vague_clue(session: Session) -> tuple[str, int, dict[str, Any]]:
    """An item and a clue of it that can be told more vaguely than it is."""
    for name in session.order:
        view = session.item(name)
        for number, clue in enumerate(view["clues"]):
            if clue["object"] is None and clue["level"] is not None and len(clue["words"]) > clue["level"] + 1:
                return name, number, view
    raise AssertionError("no clue can be vaguer")


def test_items_are_shown_with_one_answer_and_their_evidence(session: Session) -> None:
    for name in session.order:
        view = session.item(name)
        assert view["num_answers"] == 1
        assert all(verdict["passed"] for verdict in view["verdicts"].values())
        spans = [(page, span) for page in view["pages"] for span in page["spans"]]
        assert {span[2] for _, span in spans} >= set(range(len(view["clues"])))
        assert view["turns"][0]["role"] == "user"


def test_a_clue_left_out_gives_more_answers(session: Session) -> None:
    """Every clue of a generated question is needed."""
    name = session.order[0]
    view = session.item(name)
    for number in range(len(view["clues"])):
        levels: list[int | None] = list(view["draft"]["levels"])
        levels[number] = None
        changed = session.draft({"item": name, "levels": levels})
        assert changed["num_answers"] > 1
        assert changed["clues"][number]["level"] is None


def test_levels_change_the_words_and_the_count(session: Session) -> None:
    name, number, view = vague_clue(session)
    levels = list(view["draft"]["levels"])
    levels[number] = len(view["clues"][number]["words"]) - 1
    vague = session.draft({"item": name, "levels": levels})
    levels[number] = 0
    exact = session.draft({"item": name, "levels": levels})
    assert vague["question"] != exact["question"]
    assert exact["num_answers"] <= vague["num_answers"]
    with pytest.raises(ValueError, match="this clue has"):
        session.draft(
            {"item": name, "levels": [99 if place == number else level for place, level in enumerate(levels)]}
        )
    with pytest.raises(ValueError, match="levels for"):
        session.draft({"item": name, "levels": []})


def test_decisions_are_kept_and_undone(session: Session) -> None:
    one, two = session.order[:2]
    assert session.decide({"item": one}, "accept") == {"kept": "accept"}
    with pytest.raises(Refused, match="say why"):
        session.decide({"item": two}, "reject")
    session.decide({"item": two}, "reject", "unclear")
    kept = {entry["name"]: entry["decision"] for entry in session.state()["queue"]}
    assert (kept[one], kept[two]) == ("accept", "reject")
    assert session.undo() == {"item": two, "action": "reject"}
    assert {entry["name"]: entry["decision"] for entry in session.state()["queue"]}[two] is None
    session.undo()
    with pytest.raises(Refused, match="nothing to take back"):
        session.undo()


def test_an_edit_is_verified_again_before_it_is_kept(session: Session) -> None:
    name = session.order[0]
    item = session.items[name]
    telling = f"{item.task.question} (It is {item.task.answer}.)"
    refused = session.decide({"item": name, "question": telling}, "accept")
    assert refused["kept"] is None
    assert not refused["verdicts"]["leak"]["passed"]
    assert not session.log.path.exists()
    kept = session.decide({"item": name, "question": f"Please: {item.task.question}"}, "accept")
    assert kept["kept"] == "edit"
    [entry] = session.log.entries()
    assert entry.row is not None
    task = Task.from_json(json.loads(entry.row["meta"])["task"])
    assert task.question == f"Please: {item.task.question}"
    assert task.question in entry.row["text"]


def test_an_edit_with_two_answers_is_not_kept(session: Session) -> None:
    name = session.order[0]
    levels = [None, *session.item(name)["draft"]["levels"][1:]]
    answer = session.decide({"item": name, "levels": levels}, "accept")
    assert answer["kept"] is None
    assert not answer["verdicts"]["unique_closed_world"]["passed"]


def test_items_for_two_readers_do_not_show_what_the_other_decided(session: Session) -> None:
    session.double = {session.order[0]}
    other = again(session, "bob")
    other.double = session.double
    for name in session.order[:2]:
        session.decide({"item": name}, "accept")
    queue = {entry["name"]: entry for entry in other.state()["queue"]}
    assert queue[session.order[0]]["decision"] is None  # to be read again, unseen
    assert session.order[1] not in queue  # read by ada, and that is enough
    other.decide({"item": session.order[0]}, "reject", "unclear")
    assert other.state()["summary"]["agreement"] == [{"reviewers": ["ada", "bob"], "items": 1, "kappa": 0.0}]


def collected(session: Session, page: str, words: str, relation: str) -> int:
    text = session.page(page)["text"]
    facts = session.fact(page, text.index(words), len(words), relation)["facts"]
    return facts[-1]["number"]


def test_facts_that_a_person_selects_become_a_question(session: Session) -> None:
    world = session.world
    light = next(page for page in world.pages.values() if page.title == "Light Bababa")
    keeper = collected(session, light.id, light.text.partition("**Keeper**: ")[2].partition("\n")[0], "guarded by")
    coast = collected(session, light.id, "Amber coast", "stands on")
    height = collected(session, light.id, light.text.partition("**Height**: ")[2].partition("\n")[0], "as high as")
    view = session.draft({"facts": [keeper, coast], "answer": height})
    assert view["num_answers"] == 1
    assert view["answer"] == "11 m"
    assert [clue["object"] for clue in view["clues"]] == [None, 1]  # the coast is a page
    assert "guarded by" in view["question"]
    with pytest.raises(Refused, match="as a clue"):
        session.draft({"facts": [], "answer": height})
    session.undo()
    with pytest.raises(Refused, match="taken back"):
        session.draft({"facts": [keeper, coast], "answer": height})


@pytest.mark.parametrize(
    ("start", "length", "relation"), [(-1, 5, "x"), (0, 0, "x"), (0, 10**9, "x"), (0, 5, ""), (0, 5, "x" * 61)]
)
def test_facts_need_words_and_a_relation(session: Session, start: int, length: int, relation: str) -> None:
    with pytest.raises(Refused):
        session.fact(next(iter(session.world.pages)), start, length, relation)


def test_pages_are_found(session: Session) -> None:
    assert session.pages("Light Bababa")[0]["title"] == "Light Bababa"
    assert len(session.pages("")) == len(session.world.pages)


def test_a_review_needs_questions_and_their_pages(questions: pa.Table, pages: pa.Table, tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    with pytest.raises(ReviewError, match="no search question"), opened([pages], [pages], log, "ada"):
        pass
    with pytest.raises(ReviewError, match="not among the pages"), opened([questions], [pages.slice(0, 3)], log, "ada"):
        pass


# The corpus that comes of it


def reasons(made: pa.Table) -> dict[str, str | None]:
    return {
        origin.rpartition(":")[2]: reason
        for origin, reason in zip(made["origin"].to_pylist(), made["drop_reason"].to_pylist(), strict=True)
    }


def test_decisions_make_a_corpus(session: Session, questions: pa.Table) -> None:
    accepted, rejected, unsure, edited, unread = session.order[:5]
    session.decide({"item": accepted}, "accept")
    session.decide({"item": rejected}, "reject", "unclear")
    session.decide({"item": unsure}, "unsure")
    session.decide({"item": edited, "question": f"Please: {session.items[edited].task.question}"}, "accept")
    log = str(session.log.path)
    made = reduce(emit(questions), log=log)
    assert reasons(made)[accepted] is None
    assert reasons(made)[rejected] == "review.rejected.unclear"
    assert reasons(made)[unsure] == "review.unsure"
    assert reasons(made)[unread] is None
    assert reasons(reduce(emit(questions), log=log, unread="drop"))[unread] == "review.unread"
    assert edited not in reasons(made)
    kept = [row for row in made.to_pylist() if "Please: " in row["text"]]
    assert [json.loads(row["meta"])["review"]["action"] for row in kept] == ["edit"]
    shuffled = questions.take(list(range(questions.num_rows))[::-1])
    assert reduce(emit(shuffled), log=log).equals(made)


def test_questions_that_no_model_answered_wait_for_a_person(session: Session, questions: pa.Table) -> None:
    rows = questions.to_pylist()
    meta = json.loads(rows[0]["meta"])
    meta["task"]["review"] = True
    rows[0]["meta"] = json.dumps(meta)
    flagged = pa.Table.from_pylist(rows, schema=questions.schema)
    session.log.add("ada", "another", "unsure")
    name = rows[0]["origin"].rpartition(":")[2]
    assert reasons(reduce(emit(flagged), log=str(session.log.path)))[name] == "review.unread"
    session.decide({"item": name}, "accept")
    assert reasons(reduce(emit(flagged), log=str(session.log.path)))[name] is None


def test_parameters_of_the_corpus_are_checked() -> None:
    with pytest.raises(ValueError, match="keep or drop"):
        check(log="x", unread="maybe")
    with pytest.raises(ValueError, match="log is missing"):
        check()


# Other tools


def answered(records: list[dict[str, Any]], form: str, decision: str, reason: str = "", edited: str = "") -> bytes:
    """The first record as the tool gives it back."""
    said = {"decision": decision, "reason": reason, "edited": edited}
    said = {name: value for name, value in said.items() if value}
    if form == "argilla":
        given = {name: [{"user_id": "u1", "value": value, "status": "submitted"}] for name, value in said.items()}
        return json.dumps([records[0] | {"responses": given}, *records[1:]]).encode()
    kinds = {"decision": "choices", "reason": "choices", "edited": "text"}
    result = [{"from_name": name, "to_name": "answer", "value": {kinds[name]: [value]}} for name, value in said.items()]
    done = records[0] | {"id": 1, "annotations": [{"completed_by": {"id": 7, "email": "u1"}, "result": result}]}
    return json.dumps([done, *({**record, "annotations": []} for record in records[1:])]).encode()


@pytest.mark.parametrize("form", FORMATS)
def test_the_queue_goes_out_and_decisions_come_back(session: Session, form: str) -> None:
    records = exported((session.items[name] for name in session.order), session.world.pages, form)
    name = session.order[0]
    shown = records[0]["fields"] if form == "argilla" else records[0]["data"]
    assert shown["question"] == session.items[name].task.question
    assert session.items[name].task.answer in shown["evidence"]
    assert imported(answered(records, form, "reject", "unclear"), form) == [
        Decision(name, "u1", "reject", "unclear", "")
    ]
    words = f"Please: {session.items[name].task.question}"
    assert session.take(imported(answered(records, form, "accept", edited=words), form)) == {"edit": 1}
    assert session.take([Decision(name, "u2", "accept", "", f"Is it {session.items[name].task.answer}?")]) == {
        "not verified": 1
    }
    assert session.take([Decision("nobody", "u2", "accept", "", "")]) == {"of unknown questions": 1}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("data", "said"),
    [(b"{", "not JSON"), (b"{}", "a list of records"), (b"[1]", "record 0"), (b"[" * 100_000, "not JSON")],
)
def test_files_of_another_form_are_refused(form: str, data: bytes, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        imported(data, form)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("decision", "reason"), [("maybe", ""), ("reject", ""), ("reject", "ugly")])
def test_unknown_decisions_are_refused(session: Session, form: str, decision: str, reason: str) -> None:
    records = exported((session.items[name] for name in session.order), session.world.pages, form)
    with pytest.raises(ExchangeError, match="accept, unsure, or reject"):
        imported(answered(records, form, decision, reason), form)


def test_an_item_of_another_kind_is_one_that_is_not_known(session: Session) -> None:
    result = [{"from_name": "decision", "value": {"choices": ["accept"]}}]
    record = {"data": {"item": {"a": 1}}, "annotations": [{"completed_by": 1, "result": result}]}
    assert session.take(imported(json.dumps([record]).encode(), "label-studio")) == {"of unknown questions": 1}
