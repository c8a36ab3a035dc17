"""The generator: the same rows in whatever parts the documents come, all provable from what they store, and nothing lost."""

import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash

from curation.steps import load
from datapipe.schema import DROP, LOSS_SPANS, documents
from synth.generators import GENERATORS
from synth.render import parse
from synth.tooluse.calls import CALLS
from synth.tooluse.environments import ENVIRONMENTS
from synth.tooluse.generator import TOOLS, check, emit, reduce
from synth.tooluse.state import State
from tests.synth.tooluse.worlds import FILES, PAGES

DOCS = documents(
    [
        *({"origin": f"https://trees.example/{page.title[:3]}", "text": page.text, "kind": "web", "license": "CC-BY-4.0",
           "meta": json.dumps({"title": page.title})} for page in PAGES),
        *({"origin": f"trees@1.0:{file.path}", "text": file.text, "kind": "code", "license": "MIT"} for file in FILES),
    ]
)  # fmt: skip
WORLDS = {"worlds": 3}


@pytest.fixture(scope="module")
def made() -> pa.Table:
    return reduce(emit(DOCS, **WORLDS), tasks=20)


@pytest.fixture(scope="module")
def kept(made: pa.Table) -> list[dict]:
    return [row | {"about": json.loads(row["meta"])} for row in made.filter(pc.is_null(made[DROP])).to_pylist()]


def test_it_is_in_the_table() -> None:
    assert load(GENERATORS["tools"]) is TOOLS
    assert load(GENERATORS["calls"]) is CALLS


def test_any_order_and_parts_give_the_same_rows(made: pa.Table) -> None:
    parts = [DOCS.slice(0, 3), DOCS.slice(3, 9), DOCS.slice(12)]
    rows = pa.concat_tables([emit(part, **WORLDS) for part in reversed(parts)])
    assert reduce(rows, tasks=20).equals(made)
    first = pc.equal(rows["key"], rows["key"][0])
    alone = [reduce(rows.filter(mask), tasks=20) for mask in (first, pc.invert(first))]
    assert pa.concat_tables(alone).sort_by("id").equals(made)


def test_few_documents_are_sent_however_many_there_are() -> None:
    titles = [json.dumps({"title": f"Page {n} of all"}) for n in range(500)]
    pages = (
        {"origin": f"https://many.example/{n}", "text": f"A page, {n}.", "kind": "web", "meta": title}
        for n, title in enumerate(titles)
    )
    many = documents(pages)
    assert emit(many, worlds=2, max_documents=8).num_rows == 16
    whole, parts = (
        emit(many, worlds=2, max_documents=8),
        [emit(many.slice(n, 100), worlds=2, max_documents=8) for n in (0, 100, 200, 300, 400)],
    )
    parted = reduce(pa.concat_tables(parts), tasks=9, max_documents=8)
    assert reduce(whole, tasks=9, max_documents=8).equals(parted)
    shown = [json.loads(meta)["task"]["environment"] for meta in parted["meta"].to_pylist()]
    assert "library" in shown


def test_a_larger_number_only_adds_rows(made: pa.Table) -> None:
    rows = emit(DOCS, **WORLDS)
    few, more = (reduce(rows, tasks=20, accept=number) for number in (5, 20))
    ids = [set(table.filter(pc.is_null(table[DROP]))["id"].to_pylist()) for table in (few, more, made)]
    assert [len(ids[0]), len(ids[1])] == [5, 20]
    assert ids[0] < ids[1] < ids[2]


def test_every_environment_and_kind_occurs(kept: list[dict]) -> None:
    tasks = [row["about"]["task"] for row in kept]
    assert {task["environment"] for task in tasks} == set(ENVIRONMENTS)
    kinds = {wish["kind"] for task in tasks for wish in task["wishes"]}
    assert kinds == {"write", "question", "refusal", "handoff"}
    assert any(task["faults"] for task in tasks)
    assert any(task["unlearned"] for task in tasks)
    assert {1, 5} <= {sum(len(wish["plan"]) for wish in task["wishes"]) for task in tasks}
    assert any(len(turn.calls) > 1 for row in kept for turn in parse(row["text"]))


def test_a_row_is_proved_again_by_other_means(kept: list[dict]) -> None:
    """From what is stored and the tools alone, with another validator, another loop and the hash as it is documented."""
    for row in kept:
        task = row["about"]["task"]
        environment = ENVIRONMENTS[task["environment"]]
        state = State(environment.schema, task["start"])
        assert hash_of(state) == task["start_hash"]
        goals = [goal for wish in task["wishes"] if wish["kind"] in ("write", "handoff") for goal in wish["goal"]]
        assert not goals or any(not holds(state, goal) for goal in goals)
        for call in (call for wish in task["wishes"] for call in wish["plan"]):
            tool = environment.by_name[call["name"]]
            jsonschema.validate(call["arguments"], tool.parameters)
            tool.function(state, **call["arguments"])
        assert hash_of(state) == task["final_hash"]
        assert all(holds(state, goal) for wish in task["wishes"] for goal in wish["goal"])
        assert all(verdict["passed"] for verdict in row["about"]["verdicts"].values())


def hash_of(state: State) -> str:
    text = json.dumps(state.dump(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode())


def holds(state: State, goal: dict) -> bool:
    return [list(row) for row in state.rows(goal["sql"], *goal["args"])] == goal["rows"]


def test_rows_say_where_their_data_come_from(kept: list[dict]) -> None:
    for row in kept:
        environment, parents = row["about"]["task"]["environment"], row["about"]["parents"]
        assert row["license"] == {"library": "CC-BY-4.0", "files": "MIT", "issues": "MIT"}.get(environment, "CC0-1.0")
        assert bool(parents) == (environment in ("library", "files", "issues"))


def test_what_is_shown_and_not_learned(kept: list[dict]) -> None:
    """Of a mistake nothing lies in a loss span."""
    seen = 0
    for row in kept:
        spans = [(span["start"], span["length"]) for span in row[LOSS_SPANS]]
        turns = parse(row["text"], loss_spans=spans)
        numbers = [turn.learn for turn in turns for _ in turn.calls]
        unlearned = row["about"]["task"]["unlearned"]
        assert not any(numbers[number] for number in unlearned if number < len(numbers))
        seen += any(number < len(numbers) for number in unlearned) and any(numbers)
    assert seen


def test_parameters_that_leave_nothing() -> None:
    with pytest.raises(ValueError, match="worlds is 0"):
        check(worlds=0)
    with pytest.raises(ValueError, match="max_documents 3"):
        check(max_documents=3)


@pytest.mark.data
def test_a_real_shop(shared_data: Path) -> None:
    """Tasks on the data of tau-bench's retail environment; half of the rows with it are enough to see every kind."""
    folder = shared_data / "tooluse" / "tau-bench" / "tau_bench" / "envs" / "retail" / "data"
    table = reduce(emit(DOCS, worlds=1), tasks=60, shop=str(folder), shop_license="MIT")
    about = [json.loads(meta) for meta in table.filter(pc.is_null(table[DROP]))["meta"].to_pylist()]
    shops = [entry["task"] for entry in about if entry["task"]["environment"] == "retail"]
    assert len(shops) > 8
    assert all(task["start"]["orders"][0][0].startswith("#W") for task in shops)
    assert len({wish["name"] for task in shops for wish in task["wishes"]}) > 4
