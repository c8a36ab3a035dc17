"""Every verdict that is proven again has a row in which it is no longer true, and the checker says so: no verdict is proven by default.

`BROKEN` says for every generator and verdict how a row is spoilt (None where it does not apply to that row), and what has to be said of it.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from synth.checker.checkers import CHECKERS, PROVEN, checked
from synth.checker.row import Document, Documents
from synth.render import parse
from tests.synth.checker import worlds
from tests.synth.checker.proving import Stored, in_task, library, said, task_of, wrong
from tests.synth.software.test_sandbox import pytestmark as needs_sandbox

Spoilt = Stored | tuple[Stored, Documents] | None
Break = Callable[[Stored], Spoilt]
MOST = 3  # rows of a generator that are spoilt in each way

SEARCH, TOOLS, LISTS, PACKAGE, PROBLEMS, MANUALS, PROSE = map(
    library,
    (worlds.SHIPS, worlds.SOURCES, worlds.TOOL_LISTS, worlds.PACKAGE, worlds.PROBLEMS, worlds.MANUALS, worlds.PROSE),
)


def task(change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda row: in_task(row, change)


def clue(change: Callable[[dict[str, Any]], Any], *, of_target: bool = False) -> Break:
    """A change to the first clue on a value."""

    def spoil(row: Stored) -> Spoilt:
        told = task_of(row)
        at = [n for n, one in enumerate(told["clues"]) if isinstance(one["object"], list)]
        at = [n for n in at if not of_target or told["clues"][n]["subject"] == told["target"]]
        return in_task(row, lambda task: change(task["clues"][at[0]])) if at else None

    return spoil


def wish(kind: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    def spoil(row: Stored) -> Spoilt:
        wishes = task_of(row)["wishes"]
        at = [n for n, one in enumerate(wishes) if one["kind"] == kind]
        return in_task(row, lambda task: change(task["wishes"][at[0]])) if at else None

    return spoil


def broken_markup(row: Stored) -> Stored:
    return {**row, "text": row["text"].replace("</think>", "", 1)}


def more_pages(row: Stored, *pages: tuple[str, str]) -> tuple[Stored, Documents]:
    """The same question in a world with further pages, (title, text) each."""
    urls = [f"https://ships.example/more/{n}" for n in range(len(pages))]
    added = [
        Document(f"{n:032x}", f"# {title}\n\n{text}\n", urls[n], "web", None, f'{{"title": "{title}"}}', "pages")
        for n, (title, text) in enumerate(pages)
    ]
    crowded = Documents([*SEARCH.values(), *added])
    return in_task(row, lambda task: task.update(pages_in_world=task["pages_in_world"] + len(pages))), crowded


def a_usual_value(row: Stored) -> Spoilt:
    told = task_of(row)
    if not told["asked"]:
        return None
    pages = [(f"Hulk {n}", f"**{told['asked'].capitalize()}**: {told['answer']}") for n in range(60)]
    return more_pages(row, *pages)


def a_rival_in_prose(row: Stored) -> Spoilt:
    """A page with the values of the clues on the target, whose links state none of its relations: a reader may take it for the target."""
    told = task_of(row)
    clues = [one for one in told["clues"] if told["target"] in (one["subject"], one["object"])]
    if not told["asked"] or any(one["object"] == told["target"] for one in clues):
        return None
    by_id = {document.id: document for document in SEARCH.values()}
    links = [by_id[told["pages"][one["object"]]].origin for one in clues if isinstance(one["object"], int)]
    facts = [(one["relation"], one["value"]) for one in clues if isinstance(one["object"], list)]
    stated = "\n".join(f"**{name.capitalize()}**: {value}" for name, value in [*facts, (told["asked"], "999")])
    return more_pages(row, ("Hulk", f"{stated}\n\n{' and '.join(f'[a page]({url})' for url in links)}"))


def told_by_one_search(row: Stored) -> Spoilt:
    told = task_of(row)
    return more_pages(row, ("Hulk", f"{told['question']} It is {told['answer']}.")) if told["asked"] else None


def unfit_arguments(row: Stored) -> Spoilt:
    calls = task_of(row)["calls"]
    if not calls or not calls[0]["arguments"]:
        return None
    return in_task(row, lambda task: task["calls"][0].update(arguments={name: [5] for name in calls[0]["arguments"]}))


def twice_read(row: Stored) -> Spoilt:
    last = task_of(row)["wishes"][-1]
    if len(last["plan"]) <= last["changes"]:
        return None
    return in_task(row, lambda task: task["wishes"][-1]["plan"].insert(0, task["wishes"][-1]["plan"][0]))


def forged_response(row: Stored) -> Spoilt:
    responses = [one for turn in parse(row["text"]) for one in turn.responses if any(map(str.isdigit, one))]
    if not responses:
        return None
    digit = next(sign for sign in responses[0] if sign.isdigit())
    return said(row, responses[0], responses[0].replace(digit, str((int(digit) + 1) % 10), 1))


def learned_mistake(row: Stored) -> Spoilt:
    return in_task(row, lambda task: task.update(unlearned=[])) if task_of(row)["unlearned"] else None


def allowed_refusal(row: Stored) -> Spoilt:
    """What is refused is a read that the task makes itself."""
    wishes = task_of(row)["wishes"]
    at = [number for number, one in enumerate(wishes) if one["refused"]]
    calls = [call for one in wishes for call in one["plan"]]
    return in_task(row, lambda task: task["wishes"][at[0]].update(refused=calls[0])) if at and calls else None


def refused_yes(row: Stored) -> Spoilt:
    """Whoever was asked for a yes does not give it."""
    for turn in parse(row["text"]):
        if turn.role == "user" and re.fullmatch(r"(?:Yes|Yeah|Yep|Sure)\b[^\d?]{0,30}", turn.text):
            return said(row, turn.text, "No".ljust(len(turn.text), "."))
    return None


def silent_person(row: Stored) -> Spoilt:
    made = row
    for turn in parse(row["text"]):
        if turn.role == "user":
            made = said(made, turn.text, "x" * len(turn.text))
    return made


def strange_number(row: Stored) -> Spoilt:
    first = next(turn.text for turn in parse(row["text"]) if turn.role == "user")
    word = next((one for one in first.split() if len(one) >= 5 and one.isalpha()), None)
    return said(row, first, first.replace(word, "9" * len(word), 1)) if word else None


def with_issue(words: Callable[[dict[str, Any]], str]) -> Break:
    return lambda row: in_task(row, lambda task: task.update(problem_statement=task["problem_statement"] + words(task)))


def of_kind(name: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda row: in_task(row, change) if task_of(row)["kind"].startswith(name) else None


def last_word(row: Stored) -> Spoilt:
    last = row["text"].rpartition("Answer: ")[2]
    if task_of(row)["kind"] != "calculation":
        return None
    return {**row, "text": row["text"].removesuffix(last) + ("1" if last.strip("1") else "8") * len(last)}


def rewritten(change: Callable[[str], str]) -> Break:
    """What a model made of its only passage, changed."""

    def spoil(row: Stored) -> Spoilt:
        told = task_of(row)
        if told["mode"] != "taught" or told.get("pairs") or len(told["parts"]) != 1:
            return None
        text = change(row["text"])
        return in_task({**row, "text": text}, lambda task: task["parts"][0].update(made=[0, len(text)]))

    return spoil


def quoted(change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda row: in_task(row, change) if task_of(row)["mode"] != "taught" else None


def moved_gap(row: Stored) -> Spoilt:
    return in_task(row, lambda task: task["gaps"][0].__setitem__(0, 0)) if "gaps" in task_of(row) else None


BROKEN: dict[str, dict[str, tuple[Break, str]]] = {
    "search": {
        "unique_closed_world": (task(lambda task: task["clues"].pop(0)), "has the answers"),
        "clues_needed": (task(lambda task: task["clues"].append(dict(task["clues"][0]))), "is not needed"),
        "structure": (clue(lambda one: one.update(object=["equals", one["value"]]), of_target=True), "by a constant"),
        "leak": (task(lambda task: task.update(question=f"{task['question']} {task['answer']}")), "the question says"),
        "prior": (a_usual_value, "the most frequent value"),
        "evidence": (clue(lambda one: one["spans"][0].__setitem__(2, 1)), "does not say"),
        "unique_open": (a_rival_in_prose, "may be the one that is asked about, too"),
        "single_hop": (told_by_one_search, "gives the answer away"),
        "solvable": (task(lambda task: task.update(answer="Nobody")), "the row answers"),
        "difficulty": (task(lambda task: task["difficulty"].update(hops=9)), "its hops is"),
        "round_trip": (broken_markup, "cannot be read"),
    },
    "tools": {
        "schema": (wish("write", lambda one: one["plan"][-1]["arguments"].update(nonsense=1)), "the gold call of"),
        "runs": (wish("write", lambda one: one["plan"][-1].update(name="nothing")), "the gold call of"),
        "goal": (wish("write", lambda one: one["goal"][0]["rows"].append(["x"])), "does not hold in the end"),
        "each_action_needed": (twice_read, "can be left out"),
        "refusal_grounded": (allowed_refusal, "the refused call"),
        "replay": (forged_response, "the row shows"),
        "valid_calls": (learned_mistake, "is learned, and fails"),
        "policy": (refused_yes, "and wait for a yes"),
        "grounded": (silent_person, "nobody told"),
        "answered": (wish("question", lambda one: one.update(answer="1,009 of them")), "no message says"),
        "user_consistent": (strange_number, "which nobody told him"),
        "round_trip": (broken_markup, "cannot be read"),
    },
    "calls": {
        "schema": (unfit_arguments, "must be"),
        "determined": (task(lambda task: task["calls"][0]["arguments"].popitem() if task["calls"] else None), "says {"),
        "round_trip": (broken_markup, "cannot be read"),
    },
    "software": {
        "collects": (task(lambda task: task["PASS_TO_PASS"].append("tests/test_jars.py::test_none")), "does not pass"),
        "fails_before": (task(lambda task: task["FAIL_TO_PASS"].append(task["PASS_TO_PASS"].pop())), "does not fail"),
        "few_fail": (task(lambda task: task.update(PASS_TO_PASS=[])), "more than half"),
        "passes_after": (task(lambda task: task.update(patch="")), "does not pass with the patch"),
        "leak_free": (with_issue(lambda task: " See jars/core.py."), "the issue says 'core.py'"),
        "solved": (task(lambda task: task.update(answer_patch="")), "the edits are not the patch"),
        "round_trip": (broken_markup, "cannot be read"),
    },
    "reasoning": {
        "proven": (of_kind("calculation", lambda task: task.update(answer="1009")), "is not the answer of"),
        "steps_hold": (of_kind("calculation", lambda task: task["steps"].pop()), "steps, not"),
        "executed_twice": (of_kind("code", lambda task: task.update(value="'SHOUT'")), "does not give"),
        "recomputed": (of_kind("table", lambda task: task.update(answer="1009")), "gives"),
        "round_trip": (broken_markup, "cannot be read"),
    },
    "solved": {"solved": (last_word, "the row answers")},
    "rephrase": {
        "spans": (quoted(lambda task: task["pieces"].append(" More.")), "the pieces do not give the text"),
        "gaps": (moved_gap, "the gaps are not"),
    },
    "taught": {
        "numbers": (rewritten(lambda text: text.replace("40", "41")), "has no number 41"),
        "dates": (rewritten(lambda text: text.replace("12 March 1994", "March 1940")), "has no date"),
        "names": (rewritten(lambda text: text.replace("Lindqvist", "Ostergaard")), "has no name 'ostergaard'"),
        "addresses": (rewritten(lambda text: f"{text} See https://other.example/a."), "has no address"),
        "code": (rewritten(lambda text: f"{text}\n\n```python\nx = (\n```\n"), "has no code"),
        "length": (rewritten(lambda text: text * 4), "times as long"),
        "rewritten": (task(lambda task: task["parts"][0].update(rewritten=False)), "less than half"),
    },
}  # fmt: skip
CASES = [(name, verdict) for name, verdicts in BROKEN.items() for verdict in verdicts]
OF = {"solved": "reasoning", "taught": "rephrase"}  # rows with a teacher
HELD = {"search": SEARCH, "tools": TOOLS, "calls": LISTS, "software": PACKAGE, "reasoning": PROBLEMS, "solved": PROBLEMS,
        "rephrase": MANUALS, "taught": PROSE}  # fmt: skip


@pytest.mark.usefixtures("runs_are_remembered")
@pytest.mark.parametrize(
    ("name", "verdict"), [pytest.param(*case, marks=[needs_sandbox] if case[0] == "software" else []) for case in CASES]
)
def test_a_row_in_which_a_verdict_does_not_hold_is_noticed(
    name: str, verdict: str, request: pytest.FixtureRequest
) -> None:
    rows: list[Stored] = request.getfixturevalue(f"{name}_rows")
    spoil, expected = BROKEN[name][verdict]
    noticed = 0
    for row in rows:
        is_part = '"turn": [' in row["meta"]  # of a conversation: it need not have what is spoilt
        made = None if is_part else spoil(row)
        if made is not None and verdict in proven(row, HELD[name]):
            spoilt, documents = made if isinstance(made, tuple) else (made, HELD[name])
            assert expected in wrong(spoilt, documents), row["origin"]
            noticed += 1
            if noticed == MOST:
                break
    assert noticed, "no row has this verdict proven"


_PROVEN: dict[str, tuple[str, ...]] = {}


def proven(row: Stored, documents: Documents) -> tuple[str, ...]:
    """The verdicts that hold of a row as it was made."""
    if row["id"] not in _PROVEN:
        found = checked(row, documents)
        assert found.disagreements == ()
        _PROVEN[row["id"]] = found.proven
    return _PROVEN[row["id"]]


def test_every_verdict_that_is_proven_has_such_a_row() -> None:
    assert set(PROVEN) == set(CHECKERS)
    for generator in ("search", "tools", "calls", "software", "reasoning", "rephrase"):
        told = {verdict for name in BROKEN for verdict in BROKEN[name] if OF.get(name, name) == generator}
        assert PROVEN[generator] - told == ({"overlap", "round_trip"} if generator == "rephrase" else set())
