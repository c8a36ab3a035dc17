"""What holds of every row: each rule has a row that breaks it."""

import json
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from datapipe.schema import DOCUMENT
from synth.checker.checkers import CHECKERS, checked, is_drawn
from synth.checker.row import Documents
from synth.reasoning.generator import emit, reduce
from tests.synth.checker.proving import Stored, accepted, edited, library, task_of, wrong
from tests.synth.reasoning.test_generator import document
from tests.synth.reasoning.test_tables import SPEEDS

DOCS = pa.Table.from_pylist(
    [document("https://x.example/speed", f"Speed\n\n{SPEEDS}\nThat is all.", "web", "MIT OR Apache-2.0")],
    schema=DOCUMENT,
)


@pytest.fixture(scope="module")
def documents() -> Documents:
    return library(DOCS)


@pytest.fixture(scope="module")
def row() -> Stored:
    rows = accepted(reduce(emit(DOCS)))
    return next(row for row in rows if task_of(row)["kind"] == "table")


def test_a_row_as_it_was_made_agrees(row: Stored, documents: Documents) -> None:
    assert wrong(row, documents) == ""


def moved(row: Stored, **by: int) -> Stored:
    (span,) = row["loss_spans"]
    return {**row, "loss_spans": [{name: value + by.get(name, 0) for name, value in span.items()}]}


def set_meta(name: str, value: Any) -> Any:
    return lambda meta: meta.__setitem__(name, value)


def test_each_rule_has_a_row_that_breaks_it(row: Stored, documents: Documents) -> None:
    other = xxhash.xxh3_128_hexdigest(b"other")
    meta = json.loads(row["meta"])
    parent, sha = meta["parents"][0]
    broken = {
        "hash of the origin": {**row, "id": other},
        "is not of reasoning": edited(row, origin="synth/tools:1", id=xxhash.xxh3_128_hexdigest(b"synth/tools:1")),
        "verdict recomputed did not pass": edited(row, set_meta("verdicts", {"recomputed": {"passed": False}})),
        "has another text": edited(row, set_meta("parents", [[parent, other]])),
        "is not among the documents": edited(row, set_meta("parents", [[other, sha]])),
        "licence": {**row, "license": "MIT"},
        "licence None": {**row, "license": None},
        "loss spans": moved(row, start=1),
        "loss spans [": moved(row, start=-1, length=1),
        "what the assistant says": {**row, "loss_spans": None},
        "the teacher that was asked": edited(row, set_meta("teacher", {"model": "m", "prompt": ""})),
        "it cannot be read": {**row, "text": row["text"].replace("</think>", "")},
        "meta is no JSON": {**row, "meta": "{"},
    }
    for expected, stored in broken.items():
        assert expected in wrong(stored, documents), expected


def test_a_licence_is_that_of_all_parents(row: Stored, documents: Documents) -> None:
    second = document("https://x.example/other", "Other words.", "web", "(CC0-1.0)")
    both = library(pa.concat_tables([DOCS, pa.Table.from_pylist([second], schema=DOCUMENT)]))
    parents = [*json.loads(row["meta"])["parents"], [second["id"], xxhash.xxh3_128_hexdigest(b"Other words.")]]
    twice = edited(row, set_meta("parents", parents))
    assert "licence" in wrong(twice, both)
    assert wrong(twice | {"license": "CC0-1.0 AND (Apache-2.0 OR MIT)"}, both) == ""
    unknown = library(pa.concat_tables([DOCS, pa.Table.from_pylist([{**second, "license": None}], schema=DOCUMENT)]))
    assert wrong(twice | {"license": None}, unknown) == ""
    assert "licence" in wrong(twice | {"license": "MIT OR Apache-2.0"}, unknown)


def test_a_row_without_what_its_proof_needs_disagrees(row: Stored, documents: Documents) -> None:
    assert "lacks what its proof needs" in wrong(edited(row, set_meta("task", {"kind": "table"})), documents)
    assert "lacks what its proof needs" in wrong(edited(row, set_meta("task", {"kind": "sonnet"})), documents)


def test_a_generator_without_a_checker_is_not_checked(row: Stored, documents: Documents) -> None:
    assert "gather" not in CHECKERS
    assert checked(edited(row, set_meta("generator", "gather")), documents).disagreements is None


def test_a_larger_share_only_adds_rows() -> None:
    ids = [f"{number:032x}" for number in range(2_000)]
    drawn = [{id for id in ids if is_drawn(id, share, 7)} for share in (0.0, 0.1, 0.5, 1.0)]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3] == set(ids)
    assert 140 < len(drawn[1]) < 260
    assert drawn[1] != {id for id in ids if is_drawn(id, 0.1, 8)}


def test_one_page_in_two_corpora_is_two_documents(row: Stored) -> None:
    told = DOCS.to_pylist()[0]
    both = Documents(
        [*library(DOCS, "pages").values(), *library(pa.Table.from_pylist([{**told, "text": "x"}]), "web").values()]
    )
    assert len(both) == 2
    assert wrong(row, both) == ""
