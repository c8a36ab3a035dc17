"""Rephrased rows are made again from their quotations; what was exchanged, moved or added is found out."""

import json
from typing import Any

import pytest

from synth.rephrase.pieces import from_json, spoken
from tests.synth.checker.proving import Stored, edited, in_task, library, task_of, wrong
from tests.synth.checker.worlds import MANUALS, PROSE

DOCUMENTS = library(MANUALS)
STYLES = ("knowledge_list", "outline", "table", "prose", "cloze", "diverse_qa")


@pytest.fixture
def rows(rephrase_rows: list[Stored]) -> list[Stored]:
    return rephrase_rows


def of_style(rows: list[Stored], style: str) -> list[Stored]:
    return [row for row in rows if task_of(row)["style"] == style]


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert {task_of(row)["style"] for row in rows} == set(STYLES)
    assert {row["origin"]: found for row in rows if (found := wrong(row, DOCUMENTS))} == {}


def rebuilt(row: Stored, change: Any) -> Stored:
    """The row with other pieces, and the text that they give: what only the checks of its style can tell."""

    def edit(meta: dict[str, Any]) -> None:
        change(meta["task"]["pieces"])

    made = edited(row, edit)
    texts = [DOCUMENTS[parent].text for parent in parents(row)]
    return {**made, "text": spoken(from_json(task_of(made)["pieces"]), texts)}


def parents(row: Stored) -> list[tuple[str, str]]:
    return [(id, sha) for id, sha in json.loads(row["meta"])["parents"]]


def quotes(row: Stored) -> list[int]:
    return [
        place for place, piece in enumerate(task_of(row)["pieces"]) if isinstance(piece, list) and piece[3] != "raw"
    ]


def swap(one: int, other: int) -> Any:
    def change(pieces: list[Any]) -> None:
        pieces[one], pieces[other] = pieces[other], pieces[one]

    return change


@pytest.mark.parametrize("style", ["knowledge_list", "table", "outline"])
def test_what_is_said_of_another_thing_disagrees(rows: list[Stored], style: str) -> None:
    """The last thing that is said, exchanged with every other quotation: somewhere it is not said of that."""
    for row in of_style(rows, style):
        places = quotes(row)
        found = [wrong(rebuilt(row, swap(place, places[-1])), DOCUMENTS) for place in places[:-1]]
        assert any("is not said of" in one or "stands before" in one for one in found), row["text"]


def test_cells_of_another_row_or_column_disagree(rows: list[Stored]) -> None:
    for row in of_style(rows, "prose"):
        places = quotes(row)
        assert wrong(rebuilt(row, swap(places[1], places[-1])), DOCUMENTS) != ""
        assert "not" in wrong(in_task(row, lambda task: task.update(rows=9)), DOCUMENTS)


def test_two_cells_of_one_row_that_were_exchanged_disagree(rows: list[Stored]) -> None:
    row = of_style(rows, "prose")[0]
    pieces, text = task_of(row)["pieces"], DOCUMENTS[parents(row)[0]].text
    area, depth = (
        next(place for place in quotes(row) if _cut(text, pieces[place]) == cell) for cell in ("46.6 km²", "81 m")
    )
    assert "does not stand below" in wrong(rebuilt(row, swap(area, depth)), DOCUMENTS)


def test_a_wrong_statement_that_is_right_disagrees(rows: list[Stored]) -> None:
    """The wrong words of a question that is to be denied, exchanged with the right ones of its answer."""
    row, number = next(
        (row, n)
        for row in of_style(rows, "diverse_qa")
        for n, pair in enumerate(task_of(row)["questions"])
        if pair["kind"] == "false"
    )
    pair, pieces = task_of(row)["questions"][number], task_of(row)["pieces"]
    texts = [DOCUMENTS[parent].text for parent in parents(row)]
    shown = {place: " ".join(_cut(texts[pieces[place][0]], pieces[place]).split()) for place in quotes(row)}
    wrong_ones = [place for place, said in shown.items() if said in pair["question"] and said not in pair["answer"]]
    right_ones = [place for place, said in shown.items() if said in pair["answer"] and said not in pair["question"]]
    (false, *_), (true, *_) = wrong_ones, right_ones

    def tell_the_truth(told: list[Any]) -> None:
        told[false] = told[true]

    made = rebuilt(row, tell_the_truth)
    question = pair["question"].replace(shown[false], shown[true])
    honest = in_task(made, lambda task: task["questions"][number].update(question=question))
    assert "is said of it, too" in wrong(honest, DOCUMENTS)


def _cut(text: str, piece: list[Any]) -> str:
    return text[piece[1] : piece[1] + piece[2]]


def test_gaps_with_other_words_disagree(rows: list[Stored]) -> None:
    for row in of_style(rows, "cloze"):
        moved = in_task(row, lambda task: task["gaps"][0].__setitem__(0, task["gaps"][0][0] + 1))
        assert "the gaps are not" in wrong(moved, DOCUMENTS)
        places = quotes(row)
        texts = DOCUMENTS[parents(row)[0]].text
        if (
            texts[slice(*_ends(task_of(row)["pieces"][places[-1]]))]
            != texts[slice(*_ends(task_of(row)["pieces"][places[-2]]))]
        ):
            assert "does not fill the gaps" in wrong(rebuilt(row, swap(places[-1], places[-2])), DOCUMENTS)


def _ends(piece: list[Any]) -> tuple[int, int]:
    return piece[1], piece[1] + piece[2]


def test_wrong_answers_to_questions_disagree(rows: list[Stored]) -> None:
    seen = set()
    for row in of_style(rows, "diverse_qa"):
        for number, pair in enumerate(task_of(row)["questions"]):
            seen.add(pair["kind"])
            changed = in_task(row, lambda task: task["questions"][number].update(answer="Nothing of it."))  # noqa: B023
            assert "does not stand in the text" in wrong(changed, DOCUMENTS)
            if pair["kind"] == "true":
                claimed = in_task(row, lambda task: task["questions"][number].update(kind="false"))  # noqa: B023
                assert wrong(claimed, DOCUMENTS) != ""
            if pair["kind"] == "choice":
                options = [line for line in pair["question"].split("\n")[1:] if line != pair["answer"]]
                text = row["text"].replace(f"\n{pair['answer']}", f"\n{options[0]}")
                assert wrong({**row, "text": text}, DOCUMENTS) != ""
                chosen = in_task(row, lambda task: task["questions"][number].update(answer=options[0]))  # noqa: B023
                assert wrong(chosen, DOCUMENTS) != ""
    assert {"open", "reverse", "choice", "true", "false", "gap"} == seen


def test_numbers_and_spans_of_our_own_disagree(rows: list[Stored]) -> None:
    row = of_style(rows, "knowledge_list")[0]
    assert "own words have a number" in wrong(rebuilt(row, lambda pieces: pieces.append(" in 1994")), DOCUMENTS)
    assert "do not give the text" in wrong({**row, "text": row["text"] + "."}, DOCUMENTS)
    assert "outside of the passage" in wrong(in_task(row, lambda task: task.update(passage=[0, 5])), DOCUMENTS)
    far = in_task(row, lambda task: task["pieces"].__setitem__(quotes(row)[0], [0, 10**6, 3, "line"]))
    assert "outside of its document" in wrong(far, DOCUMENTS)
    fewer = in_task(row, lambda task: task.update(facts=1))
    assert "items, not 1" in wrong(fewer, DOCUMENTS)


def test_a_number_in_a_paraphrase_that_was_changed_disagrees(taught_rows: list[Stored]) -> None:
    documents_, made = library(PROSE), taught_rows
    assert {row["origin"]: found for row in made if (found := wrong(row, documents_))} == {}
    free = next(row for row in made if "pairs" not in task_of(row))
    assert "has no number 41" in wrong({**free, "text": free["text"].replace("40", "41")}, documents_)
    kept = in_task(free, lambda task: task["parts"][0].update(rewritten=False))
    assert "was to be kept" in wrong(kept, documents_)
    paired = next(row for row in made if "pairs" in task_of(row))
    other = in_task(paired, lambda task: task["pairs"][0].__setitem__(1, "In 1234."))
    assert "is not in the text" in wrong(other, documents_)
    assert "has no number 1234" in wrong(other, documents_)
    assert "does not stand before" in wrong({**paired, "text": "?" + paired["text"][1:]}, documents_)
