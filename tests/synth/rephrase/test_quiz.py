from collections import Counter
from typing import Any

from synth.rephrase import quiz
from synth.rephrase.pieces import Quote, spoken
from tests.synth.rephrase.pages import MANUAL, passage, source, voices

OTHER = source(
    "drawer.open(name)\n-----------------\n\nOpens the drawer of that name and waits until nobody else holds it.\n\n\n"
    "drawer.paint(colour)\n-----------------\n\nPaints the front of the drawer after the old coat was taken off.\n",
    id="b" * 32,
)


def pool() -> quiz.Pool:
    here, there = passage(), passage(OTHER.text, id="b" * 32)
    return quiz.pool_of(
        {here.source.id: (here.source, here.facts), there.source.id: (there.source, there.facts)}, seed=0
    )


def rows() -> list[tuple[Any, list[str]]]:
    made = [quiz.diverse_qa(passage(), voice, pool()) for voice in voices(60)]
    return [(draft, [MANUAL, *(each.text for each in draft.documents)]) for draft in made if draft]


def test_the_passage_stands_before_questions_of_all_kinds() -> None:
    kinds: Counter[str] = Counter()
    for draft, texts in rows():
        text = spoken(draft.pieces, texts)
        assert text.startswith(MANUAL.strip())
        questions = draft.details["questions"]
        assert all(each["question"] in text and each["answer"] in text for each in questions)
        assert draft.verdicts["closed_world"]["passed"]
        kinds.update(each["kind"] for each in questions)
    assert set(kinds) == set(quiz.KINDS)
    assert min(kinds.values()) > 10


def test_right_answers_are_right_and_wrong_ones_wrong() -> None:
    facts = [told.words(MANUAL) for told in passage().facts]
    for draft, _ in rows():
        for each in draft.details["questions"]:
            asked = each["question"]
            about = [fact for fact in facts if fact[0] in asked and (not fact[1] or f"`{fact[1]}`" in asked)]
            said = [answer.rstrip(".") for _, _, answer in about]
            if each["kind"] == "true":
                assert any(
                    answer in each["question"] or answer[0].lower() + answer[1:] in each["question"] for answer in said
                )
            if each["kind"] == "false":
                assert each["answer"].startswith(("False", "No"))
                assert not any(answer in each["question"] for answer in said)
            if each["kind"] == "choice":
                chosen = next(line for line in each["question"].split("\n") if line == each["answer"])
                assert any(answer in chosen for answer in said)
            if each["kind"] == "reverse":
                assert each["answer"] not in each["question"]


def test_a_wrong_answer_of_another_document_names_it() -> None:
    foreign = [draft for draft, _ in rows() if draft.documents]
    assert foreign
    for draft in foreign:
        assert draft.documents == (OTHER,)
        assert any(isinstance(piece, Quote) and piece.document == 1 for piece in draft.made)


def test_answers_that_are_alike_are_not_wrong_ones() -> None:
    assert not quiz._differs("the number of values", "the number of all values")
    assert not quiz._differs("yes", "a sentence that is far longer than the other one")
    assert quiz._differs("how many days it may stay", "the name of the drawer it is in")


def test_a_question_that_gives_its_answer_away_is_not_asked() -> None:
    assert quiz._says("Calls get() and waits", "get(key)")
    assert not quiz._says("Forgets and waits", "get(key)")


def test_what_the_closed_world_finds() -> None:
    here = passage()
    draft = quiz._asked(here, voices(1)[0], pool(), 3)
    assert quiz._closed_world(here, draft, [MANUAL])["passed"]
    assert quiz._closed_world(here, [draft[0], draft[0]], [MANUAL])["repeated"] == 1
    true = quiz.Wrong(here.source, draft[0].told.answer, draft[0].told.words(MANUAL)[2])
    assert not quiz._closed_world(here, [draft[0]._replace(wrong=(true,))], [MANUAL])["passed"]
    assert not quiz._closed_world(here._replace(begin=500), draft, [MANUAL])["passed"]


def test_what_two_are_described_by_is_not_asked_backwards() -> None:
    twice = MANUAL.replace(
        "Deletes all values that nobody asked for in a given number of days.",
        "Writes a value under a key and forgets the older one.",
    )
    asked = [each for voice in voices(60) for each in quiz._asked(passage(twice), voice, {}, 8)]
    about = {each.kind for each in asked if each.told.words(twice)[2].startswith("Writes a value")}
    assert about >= {"open", "true"}
    assert not about & {"reverse", "gap"}


def test_one_fact_is_no_quiz() -> None:
    assert quiz.diverse_qa(passage()._replace(facts=passage().facts[:1]), voices(1)[0], {}) is None
