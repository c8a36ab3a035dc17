"""Search questions are asked again; a row in which a fact, a clue, a span or a result was changed is found out."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.checker import conditions
from synth.checker.facts import IN_SENTENCES, Fact, Library
from synth.checker.ranking import Ranking
from synth.checker.row import Document, Documents
from synth.checker.windows import shown_by
from synth.checker.world import World
from synth.search import generalise, values
from synth.search.engine import Engine
from synth.search.mine import mine
from synth.search.pages import pages_of
from synth.search.task import Clue, Condition, Query
from synth.search.tools import find, open_page, search
from synth.search.world import World as Theirs
from tests.synth.checker.proving import Stored, edited, in_task, library, said, task_of, wrong
from tests.synth.checker.worlds import SHIPS
from tests.synth.search.bridges import bridges
from tests.synth.search.shipping import documents_of, ships

DOCUMENTS = library(SHIPS)


@pytest.fixture
def rows(search_rows: list[Stored]) -> list[Stored]:
    return search_rows


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert len(rows) >= 5
    assert [wrong(row, DOCUMENTS) for row in rows] == [""] * len(rows)


def test_every_part_of_a_question_counts(rows: list[Stored]) -> None:
    def twice(task: Any) -> None:
        task["clues"].append(dict(next(clue for clue in task["clues"] if isinstance(clue["object"], list))))

    # where sentences state a clue, whether it is needed is not decided
    row = next(one for one in rows if "is not needed" in wrong(in_task(one, twice), DOCUMENTS))
    page = task_of(row)["pages"][0]
    number = next(n for n, clue in enumerate(task_of(row)["clues"]) if isinstance(clue["object"], list))
    links = [n for n, clue in enumerate(task_of(row)["clues"]) if isinstance(clue["object"], int)]

    def clue(change: Any, which: int = number) -> Stored:
        return in_task(row, lambda task: change(task["clues"][which]))

    other = next(one for one in SHIPS["id"].to_pylist() if one not in task_of(row)["pages"])
    broken = {
        "does not say it": in_task(row, lambda task: task["answer_spans"][0].__setitem__(2, 1)),
        "has the answers": in_task(row, lambda task: task.update(answer="Nobody")),
        "the row answers": in_task(row, lambda task: task.update(answer="Nobody")),
        "no page states": clue(lambda one: one.update(value="a value of nothing")),
        "is not [": clue(lambda one: one.update(value="")),
        "does not lead to": clue(lambda one: one["spans"].__setitem__(0, [page, 0, 3]), links[0]),
        "is not the page of its variable": clue(lambda one: one.update(value=other), links[0]),
        "has no evidence": clue(lambda one: one.update(spans=[])),
        "the answer has no evidence": in_task(row, lambda task: task.update(answer_spans=[])),
        "is not needed": in_task(row, twice),
        "does not ask the question": in_task(row, lambda task: task.update(question="Which one?")),
        "no world of": in_task(row, lambda task: task.update(pages_in_world=35)),
        "the question says": in_task(row, lambda task: task.update(question=f"{task['question']} {task['answer']}")),
        "calls, not": in_task(row, lambda task: task["difficulty"].update(calls=1)),
        "more than": in_task(row, lambda task: task.update(max_calls=1)),
    }
    for expected, stored in broken.items():
        assert expected in wrong(stored, DOCUMENTS), expected


def test_fewer_clues_leave_more_answers(rows: list[Stored]) -> None:
    for row in rows:
        for number in range(len(task_of(row)["clues"])):
            fewer = in_task(row, lambda task: task["clues"].pop(number))  # noqa: B023
            assert "has the answers" in wrong(fewer, DOCUMENTS)


def test_the_question_has_to_say_what_is_searched_for(rows: list[Stored]) -> None:
    hows = ("equals", "mentions", "year")
    row, number = next(
        (row, n) for row in rows for n, clue in enumerate(task_of(row)["clues"])
        if isinstance(clue["object"], list) and clue["object"][0] in hows
    )  # fmt: skip
    word = task_of(row)["clues"][number]["object"][1]
    unsaid = said(row, word, "x" * len(word)) if word in row["text"] else row
    assert "the question does not say" in wrong(unsaid, DOCUMENTS)


def test_results_that_were_forged_disagree(rows: list[Stored]) -> None:
    row = rows[0]
    opened = next(line for line in row["text"].split("\n") if line.startswith("1: # "))
    assert "shows" in wrong(said(row, opened, opened[:-1] + "?"), DOCUMENTS)
    assert "is no page" in wrong(said(row, "1. ", "9. ", 1), DOCUMENTS)
    passage = next(
        line
        for line in row["text"].split("Results 1 to")[1].split("\n")
        if " barque " in line or " mariner " in line or " hulls " in line
    )
    assert "which does not stand on" in wrong(said(row, passage, passage[:20] + "Xyz" + passage[23:]), DOCUMENTS)


def test_what_is_shown_has_to_be_a_parent(rows: list[Stored]) -> None:
    row = rows[0]
    extra = next(n for n, (id, _) in enumerate(json.loads(row["meta"])["parents"]) if id not in task_of(row)["pages"])
    assert "is shown and no parent" in wrong(edited(row, lambda meta: meta["parents"].pop(extra)), DOCUMENTS)
    first = task_of(row)["pages"][0]
    less = edited(row, lambda meta: meta.update(parents=[one for one in meta["parents"] if one[0] != first]))
    assert "of the question is no parent" in wrong(less, DOCUMENTS)


def test_a_world_in_which_another_page_says_the_same_disagrees(rows: list[Stored]) -> None:
    """A ship of another name, of which all the same is told; a question in which other pages name the ship is not touched by it."""
    row = next(
        row
        for row in rows
        if task_of(row)["asked"] not in IN_SENTENCES
        and all(clue["object"] != task_of(row)["target"] for clue in task_of(row)["clues"])
    )
    task = task_of(row)
    twin = next(page for page in ships() if page.id == task["pages"][task["target"]])
    text = twin.text.replace(twin.title, "Second Name")
    url, meta = "https://ships.example/ship/second", '{"title": "Second Name"}'
    crowded = Documents([*DOCUMENTS.values(), Document("f" * 32, text, url, "web", twin.license, meta, "pages")])
    found = wrong(in_task(row, lambda task: task.update(pages_in_world=37)), crowded)
    assert "has the answers" in found


def test_facts_are_those_of_the_generator() -> None:
    """Two miners, one set of facts."""
    for pages in (ships(), bridges()):
        mine_again = Library(library(documents_of(pages)).values())
        theirs = Theirs(pages)
        told = {Fact(*fact[:4]) for page in pages_of(documents_of(pages)) for fact in mine(page, theirs.find)}
        assert mine_again.facts() == told
        assert {page.id: page.title for page in mine_again.pages.values()} == {
            page.id: page.title for page in theirs.pages.values()
        }


ODD = """# Tools

A tool that does things, e.g. work. Second sentence.

**Author**: [Ann](https://x.example/ann); Bob **and** `Cy`
- **Rate**: 5 %

| Name | Made by | Year |
|---|---|---|
| [Ann](https://x.example/ann) | [Odd](https://x.example/odd) | 1999 |
| none | here | 2000 |

## Parts

- [Ann](https://x.example/ann/) is one
- see [Ann](https://x.example/ann) and more

It depends on the [Ann](http://x.example/ann/index.html#a).

**Late**: value
"""


def test_odd_pages_are_mined_alike() -> None:
    docs = pa.table({
        "id": ["a", "b"], "origin": ["https://x.example/odd", "https://x.example/ann"],
        "text": pa.array([ODD, "# Ann\n\n## Index\n\n- [Odd](https://x.example/odd)\n"], pa.large_string()),
        "license": pa.array([None, None], pa.string()), "meta": ['{"title": "Tools — Site"}', "{}"],
    })  # fmt: skip
    theirs = Theirs(pages_of(docs))
    told = {Fact(*fact[:4]) for page in theirs.pages.values() for fact in mine(page, theirs.find)}
    found = Library(library(docs).values()).facts()
    assert found == told
    assert Fact("a", "description", "A tool that does things, e.g. work.", False) in found
    assert len(found) >= 10


CLUES = [("builder", None), ("commands", None), ("ships built", None), ("links to", None), ("length", ("between", "30", "60", "m")),
         ("figurehead", ("mentions", "nymph")), ("launched", ("decade", "1870"))]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(CLUES), st.integers(0, 2)), min_size=1, max_size=6))
def test_answers_are_those_of_the_generator_with_circles_too(drawn: list[tuple[int, Any, int]]) -> None:
    clues = [
        Clue(one, relation, other if how is None else Condition(how[0], tuple(how[1:])), "", ())
        for one, (relation, how), other in drawn
    ]
    told = [
        {"subject": one, "relation": relation, "object": other if how is None else list(how)}
        for one, (relation, how), other in drawn
    ]
    assert OURS.answers(told, 3, 0, "") == THEIRS.answers(Query(3, tuple(clues), 0, ""))


OURS, THEIRS = World(Library(DOCUMENTS.values())), Theirs(ships())
TEXTS = ["2022-07-21", "21st July 2022", "July 21, 2022", "Sept. 2001", "1999", "1,234.5 kB", "~12 %", "-3", "A :: B :: C", "Ann de Moe",
         "https://a.example/b/c/", "about 5 kg", "0999", "2022-13-01", "32 May 1999", "ann moe", "", "1,23", "12 Foo 1990"]  # fmt: skip


@given(st.sampled_from(TEXTS) | st.text("12AB ,.-:é/", max_size=9))
def test_values_are_of_the_same_kind(text: str) -> None:
    assert conditions.date(text) == values.date(text)
    assert conditions.number(text) == values.number(text)
    assert conditions.path(text) == list(values.path(text))
    assert conditions.initials(text) == values.initials(text)


@given(
    st.sampled_from(TEXTS),
    st.sampled_from([("year", "2022"), ("month", "2022-07"), ("decade", "1990"), ("century", "21"), ("between", "1", "9", "kg"),
                     ("at_least", "5", ""), ("at_most", "20000000", "bytes"), ("under", "A"), ("initials", "A. M."), ("begins", "a"),
                     ("under", "a.example", "b", "c"), ("mentions", "july"), ("equals", "1999.")]),
)  # fmt: skip
def test_conditions_hold_of_the_same_values(value: str, condition: tuple[str, ...]) -> None:
    how, *args = condition
    assert conditions.meets(how, args, value) == generalise.holds(Condition(how, tuple(args)), value)


def test_conditions_at_their_edges() -> None:
    assert not conditions.meets("under", ["a.example", "b"], "https://a.example/b/")
    assert conditions.meets("under", ["a.example"], "https://a.example/b/")
    assert conditions.number("1.5 kB") == (Decimal(1500), "bytes")


@settings(max_examples=8, deadline=None)
@given(st.text("ab \nX|*", max_size=60), st.integers(1, 400))
def test_windows_are_those_of_the_tools(words: str, line: int) -> None:
    text = f"# Long\n\n{(words + ' ') * 40}\n{words}\nend"
    docs = pa.table({"id": ["a"], "origin": ["https://x.example/a"], "text": pa.array([text], pa.large_string()),
                     "license": ["MIT"], "meta": ['{"title": "Long"}']})  # fmt: skip
    pages = Library(library(docs).values())
    ranking = Ranking(pages.pages)
    with Engine(pages_of(docs)) as engine:
        for name, given_, result in (
            ("open", {"page": "https://x.example/a", "line": line}, open_page(engine, "https://x.example/a", line)),
            ("find", {"page": "a", "pattern": words[:3] or "e"}, find(engine, words[:3] or "e", "a")),
            ("search", {"query": "long end"}, search(engine, "long end")),
        ):
            assert shown_by(name, given_, result.text, pages, ranking).wrong == ()
