"""The generator: rows that prove themselves, the same for any order of pages, and more of them for a larger number."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from curation.steps import load
from datapipe.schema import LOSS_SPANS
from synth.evidence import normalised
from synth.generators import GENERATORS
from synth.render import parse
from synth.rows import Parent
from synth.search.agent import Trace, is_right
from synth.search.engine import Engine
from synth.search.generator import check, emit, reduce
from synth.search.library import Library
from synth.search.task import Page, Task
from synth.search.verified import Demands, verified
from synth.search.world import World
from tests.synth.search.shipping import SITE, documents_of, ships
from tests.synth.search.test_taught import FakeCrew, said

FEW = {"tries": 150, "min_calls": 2}


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return emit(documents_of(ships()))


@pytest.fixture(scope="module")
def made(rows: pa.Table) -> pa.Table:
    return reduce(rows, **FEW)


def kept(table: pa.Table) -> list[dict]:
    return [row | {"meta": json.loads(row["meta"])} for row in table.to_pylist() if row["drop_reason"] is None]


def test_a_page_is_sent_to_its_world(rows: pa.Table) -> None:
    assert rows.num_rows == 36
    assert len(set(rows["key"].to_pylist())) == 1
    no_page = Page("x", "file#3", "A title", "no page", None)
    elsewhere = Page("y", "https://other.example/a", "A title", "# A page\n\nof another host", None)
    by_host = emit(documents_of([*ships(), no_page, elsewhere]), world="host")
    assert by_host.num_rows == 37
    assert len(set(by_host["key"].to_pylist())) == 2
    assert set(by_host["world"].to_pylist()) == {"ships.example", "other.example"}


def test_rows_are_conversations_that_end_in_the_answer(made: pa.Table) -> None:
    found = kept(made)
    assert len(found) >= 5
    for row in found:
        task = Task.from_json(row["meta"]["task"])
        turns = parse(row["text"])
        assert row["kind"] == "agent"
        assert row["origin"] == f"synth/search:{task.name}"
        assert turns[1].text == task.question
        assert normalised(turns[-1].text) == normalised(task.answer)
        learned = "".join(row["text"][span["start"] : span["start"] + span["length"]] for span in row[LOSS_SPANS])
        assert turns[2].think in learned
        assert "Results 1 to" not in learned
        assert row["license"] == "CC-BY-4.0"
        assert all(verdict["passed"] for verdict in row["meta"]["verdicts"].values())
        assert {"unique_closed_world", "unique_open", "single_hop", "solvable", "difficulty"} <= set(
            row["meta"]["verdicts"]
        )
        assert row["meta"]["verdicts"]["unique_open"]["looked_at"] > 0
        assert row["meta"]["author"] == "scripted"
        assert row["meta"]["task"]["review"] is False
        assert row["meta"]["task"]["difficulty"]["calls"] == sum(len(turn.calls) for turn in turns)


def test_parents_are_what_the_row_shows(made: pa.Table) -> None:
    pages = {page.id: page for page in ships()}
    for row in kept(made):
        parents = {id for id, _ in row["meta"]["parents"]}
        assert [Parent.of(id, pages[id].text, None).sha for id, _ in row["meta"]["parents"]] == [
            sha for _, sha in row["meta"]["parents"]
        ]
        assert set(row["meta"]["task"]["pages"]) <= parents
        for turn in parse(row["text"]):
            for response in turn.responses:
                assert {page.id for page in pages.values() if f"\n{page.url}\n" in response} <= parents


def test_the_hash_is_that_of_the_whole_document() -> None:
    long = Page("a" * 32, f"{SITE}/long", "Long", "# Long\n\n" + "a line of some words\n" * 200, None)
    [row] = emit(documents_of([long]), max_page_chars=1_000).to_pylist()
    assert len(row["text"]) <= 1_000
    assert row["sha"] == Parent.of("", long.text, None).sha


def test_a_row_is_proved_again_from_its_task(made: pa.Table) -> None:
    world = World(ships())
    with Engine(world.pages.values()) as engine:
        for row in kept(made)[:5]:
            about = row["meta"]["task"]
            demands = Demands(about["seed"], about["hits"], FEW["min_calls"], about["max_calls"])
            again = verified(Task.from_json(about), Library(world), engine, demands=demands)
            told = dict(row["meta"]["verdicts"])
            assert told.pop("round_trip") == {"passed": True}
            assert again.verdicts == told
            assert again.trace is not None
            assert again.trace.turns == parse(row["text"])


def test_an_edited_question_goes_through_the_same_verdicts(made: pa.Table) -> None:
    world, row = World(ships()), kept(made)[0]
    task = Task.from_json(row["meta"]["task"])
    with Engine(world.pages.values()) as engine:
        wrong = verified(task._replace(answer="something else"), Library(world), engine)
        assert not wrong.passed
        assert wrong.trace is None
        assert next(name for name, verdict in wrong.verdicts.items() if not verdict["passed"]) == "unique_closed_world"
        assert "unique_open" not in wrong.verdicts
        leaky = verified(task._replace(question=f"{task.question} ({task.answer})"), Library(world), engine)
        assert not leaky.verdicts["leak"]["passed"]
        hasty = verified(task, Library(world), engine, demands=Demands(min_calls=2, max_calls=2))
        assert not hasty.verdicts["solvable"]["passed"]
        assert hasty.trace is not None


def test_questions_can_be_asked_for_by_their_hops(rows: pa.Table) -> None:
    far = reduce(rows, accept=2, min_calls=2, min_variables=3, min_hops=2, tries=600).to_pylist()
    kept = [json.loads(row["meta"])["task"]["difficulty"]["hops"] for row in far if row["drop_reason"] is None]
    assert len(kept) == 2
    assert min(kept) >= 2


def test_the_order_of_rows_changes_nothing(rows: pa.Table, made: pa.Table) -> None:
    shuffled = rows.take(pa.array(np.random.default_rng(3).permutation(rows.num_rows)))
    assert reduce(shuffled, **FEW).equals(made)


def test_a_larger_number_only_adds_rows(rows: pa.Table, made: pa.Table) -> None:
    few, more = (kept(reduce(rows, accept=number, **FEW)) for number in (2, 4))
    assert (len(few), len(more)) == (2, 4)
    ids = [{row["id"] for row in found} for found in (few, more, kept(made))]
    assert ids[0] < ids[1] < ids[2]


def test_another_seed_gives_other_rows(rows: pa.Table, made: pa.Table) -> None:
    other = {row["id"] for row in kept(reduce(rows, seed=1, **FEW))}
    assert other
    assert not other & {row["id"] for row in kept(made)}


def test_what_fails_is_a_row_with_its_reason(made: pa.Table) -> None:
    dropped = [row for row in made.to_pylist() if row["drop_reason"]]
    assert dropped
    for row in dropped:
        meta = json.loads(row["meta"])
        failed = [name for name, verdict in meta["verdicts"].items() if not verdict["passed"]]
        assert row["drop_reason"] == f"synth.{failed[0]}"
        assert row["text"] == meta["task"]["question"]


def test_worlds_are_searched_apart(made: pa.Table) -> None:
    elsewhere = [
        page._replace(
            id=page.id[::-1],
            url=page.url.replace("ships.", "more."),
            text=page.text.replace(SITE, "https://more.example"),
        )
        for page in ships(9)
    ]
    both = pa.concat_tables([documents_of(ships()), documents_of(elsewhere)])
    found = kept(reduce(emit(both, world="host"), **FEW))
    first = kept(reduce(emit(both, world="host"), accept=2, **FEW))
    assert [row["meta"]["task"]["world"] for row in first] == ["more.example"] * 2
    assert {row["meta"]["task"]["world"] for row in found} == {"more.example", "ships.example"}
    for row in found:
        assert row["meta"]["task"]["pages_in_world"] == 36
        assert ("more.example" in row["text"]) != ("ships.example" in row["text"])


def test_pages_of_no_use_make_no_rows() -> None:
    assert reduce(emit(documents_of([])), **FEW).num_rows == 0
    assert reduce(emit(documents_of(ships()[:1])), **FEW).num_rows == 0


def crew(right_with_tools: str, closed: str = "no idea"):
    """A teacher that knows the answers of the rows at hand, and is right when told to be: always, never, or at the first sample."""
    answers = {}

    def answer(request):
        question = request.messages[1]["content"]
        if not request.tools:
            return said("Answer: " + (answers[question] if closed == "known" else closed))
        is_right = right_with_tools == "always" or (right_with_tools == "once" and request.sample == 0)
        return said("Answer: " + (answers[question] if is_right else "nothing"))

    made = FakeCrew(answer)
    made.answers = answers
    return made


@pytest.mark.parametrize(
    ("right", "closed", "reason", "author", "review"),
    [
        ("once", "no idea", None, "tutor-1", False),
        ("never", "no idea", None, "scripted", True),
        ("always", "no idea", "synth.too_easy", None, None),
        ("once", "known", "synth.closed_book", None, None),
    ],
)
def test_a_teacher_judges_by_trying(rows: pa.Table, made: pa.Table, right, closed, reason, author, review) -> None:
    teacher = crew(right, closed)
    teacher.answers.update((row["meta"]["task"]["question"], row["meta"]["task"]["answer"]) for row in kept(made))
    taught = reduce(rows, teacher=teacher, samples=2, **FEW).to_pylist()
    ids = {row["id"] for row in kept(made)}
    for row in (row for row in taught if row["id"] in ids):
        meta = json.loads(row["meta"])
        assert row["drop_reason"] == reason
        if reason is None:
            assert meta["author"] == author
            assert meta["task"]["review"] is review
            assert (meta["teacher"] or {}).get("model") == (author if author != "scripted" else None)
            last = parse(row["text"])[-1]
            assert is_right(Trace((last,), "answered", ()), meta["task"]["answer"])
    assert {row["id"] for row in taught} == {row["id"] for row in made.to_pylist()}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"world": "site"}, "type all"),
        ({"obfuscation": 1.5}, "0 .*to 1"),
        ({"max_variables": 9}, "2 to 5"),
        ({"min_calls": 50}, "max_calls 40"),
        ({"min_hops": 5}, "between 1 and 4"),
        ({"min_hops": 2, "max_variables": 2}, "between 1 and 1"),
        ({"samples": 0}, "samples is 0"),
        ({"hits": 0}, "type 1 or more"),
        ({"tries": 0}, "tries is 0"),
        ({"accept": -1}, "accept is -1"),
        ({"max_page_chars": 10}, "1000 or more"),
    ],
)
def test_parameters_that_cannot_be_meant(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(**given)


def test_it_is_in_the_vocabulary() -> None:
    generator = load(GENERATORS["search"])
    assert SimpleNamespace(**generator._asdict()).reduce is reduce
    check()
