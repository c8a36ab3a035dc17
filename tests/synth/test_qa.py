"""The qa generator: verified rows with spans that point into the source, one answer per question, the same for any order of rows."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.dedup.embed import column_of
from curation.steps import load
from datapipe.schema import DROP, LOSS_SPANS, document_id, documents, with_column
from synth import GENERATORS
from synth.evidence import Fact, answer
from synth.qa import emit
from synth.render import Turn, parse

PAGE = (
    """
# Zones

A zone is a region of the name space that one server answers for. This is a sentence without a subject of its own.

A resolver is a program that asks servers on behalf of others, and keeps what they say.

>>> from zones import load
>>> x = 3
>>> x ** 2 + 1
10

Filler so that the page is long enough to be read at all. """
    + "It goes on and on. " * 30
)


def page(name: str, text: str = PAGE) -> dict[str, str]:
    return {"origin": f"https://names.example/{name}", "text": text, "kind": "web", "license": "MIT"}


def generated(rows: list[dict[str, str]], name: str = "qa", **params: int) -> pa.Table:
    generator = load(GENERATORS[name])
    return generator.reduce(generator.emit(documents(rows), **params))


def kept(table: pa.Table) -> list[dict]:
    return table.filter(pc.is_null(table[DROP])).to_pylist()


def reasons(table: pa.Table) -> dict[str, int]:
    return {value["values"]: value["counts"] for value in pc.value_counts(table[DROP]).to_pylist() if value["values"]}


def test_rows_are_conversations_with_the_words_of_the_source() -> None:
    rows = kept(generated([page("zones.html")]))
    assert len(rows) == 3
    for row in rows:
        user, assistant = parse(row["text"])
        meta = json.loads(row["meta"])
        [asked] = meta["questions"]
        assert (user, assistant.text) == (Turn("user", asked["question"]), asked["answer"])
        assert PAGE[asked["start"] :][: asked["length"]] == asked["answer"]
        begin, length = asked["evidence"]
        assert begin <= asked["start"]
        assert asked["start"] + asked["length"] <= begin + length
        assert asked["checks"][-1] == "unambiguous"
        assert meta["source"] == document_id("https://names.example/zones.html")
        assert row["origin"] == f"synth/qa:{meta['source']}:{asked['start']}"
        assert row["id"] == document_id(row["origin"])
        assert (row["kind"], row["license"], row["lang"]) == ("reasoning", "MIT", "en")


def test_only_the_assistant_is_learned() -> None:
    for row in kept(generated([page("zones.html")])):
        [span] = row[LOSS_SPANS]
        begin = row["text"].index("<|assistant|>") + len("<|assistant|>")
        assert (span["start"], span["start"] + span["length"]) == (begin, len(row["text"]))


def test_an_answer_that_can_be_computed_is_computed_and_thought_in_steps() -> None:
    text = PAGE.replace(">>> from zones import load\n", "")
    [row] = [row for row in kept(generated([page("z", text)])) if "session" in row["text"].lower()]
    assert parse(row["text"])[1] == Turn("assistant", "10", think="Step by step:\n3 ** 2 = 9\n9 + 1 = 10")
    assert json.loads(row["meta"])["questions"][0]["recomputed"] is True


def test_generic_subjects_are_dropped_with_a_reason() -> None:
    text = PAGE + "\n\nThis is the first of many pages about names.\n\nAnother way is the use of a hosts file by hand."
    assert reasons(generated([page("zones.html", text)]))["synth.generic_subject"] == 3


def test_a_question_with_two_answers_is_dropped_everywhere() -> None:
    other = PAGE.replace(
        "a region of the name space that one server answers for", "an area between two borders of the map"
    )
    table = generated([page("a/zones.html"), page("b/zones.html", other)], max_per_document=8)
    assert reasons(table)["synth.ambiguous"] == 2
    assert not any("zone is" in row["text"] for row in kept(table))
    assert reasons(table)["synth.duplicate"] >= 1  # the resolver, asked twice with the same answer


def test_a_question_that_was_not_selected_still_makes_another_ambiguous() -> None:
    other = PAGE.replace(
        "a region of the name space that one server answers for", "an area between two borders of the map"
    )
    pages = [page("a/zones.html"), page("b/zones.html", other)]
    for seed in range(8):
        alone = [
            json.loads(row["meta"])["questions"][0]["answer"]
            for row in kept(generated(pages, max_per_document=1, seed=seed))
        ]
        assert not any(said.startswith(("a region", "an area")) for said in alone)


def test_partitions_and_order_do_not_matter() -> None:
    rows = [page(f"{n}/zones.html", PAGE.replace("a program", f"a program of type {n % 3}")) for n in range(12)]
    whole = generated(rows)
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        parts = [emit(documents(rows[begin : begin + 5])) for begin in range(0, len(rows), 5)]
        candidates = pa.concat_tables(parts)
        shuffled = candidates.take(random.Random(seed).sample(range(candidates.num_rows), candidates.num_rows))
        assert load(GENERATORS["qa"]).reduce(shuffled) == whole
    assert whole["id"].to_pylist() == sorted(whole["id"].to_pylist())


def test_equal_questions_share_a_key() -> None:
    table = emit(documents([page("a/zones.html"), page("b/zones.html")]))
    keys: dict[str, set[int]] = {}
    for question, key in zip(table["question"].to_pylist(), table["key"].to_pylist(), strict=True):
        keys.setdefault(question, set()).add(key)
    assert table.schema.field("key").type == pa.uint64()
    assert all(len(found) == 1 for found in keys.values())


@pytest.mark.parametrize("name", sorted(GENERATORS.keys() - {"reviewed", "pulls"}))  # which read a file, too
def test_nothing_in_nothing_out(name: str) -> None:
    generator = load(GENERATORS[name])
    one = with_column(documents([page("zones.html")]), "embedding", column_of(np.eye(1, 4)))
    one = with_column(one, "centroid", pa.array([0], pa.int32()))
    empty = generator.emit(one.slice(0, 0))
    assert empty.schema == generator.emit(one).schema
    assert generator.reduce(empty).num_rows == 0


def test_max_per_document_is_a_limit_per_document() -> None:
    for limit in (1, 2):
        assert len(kept(generated([page("zones.html")], max_per_document=limit))) == limit


def test_a_stored_span_gives_the_answer_back() -> None:
    text = PAGE.replace("one server answers for", "one server\n   answers for")
    rows = [json.loads(row["meta"])["questions"][0] for row in kept(generated([page("zones.html", text)]))]
    for asked in rows:
        fact = Fact(asked["start"], asked["length"], asked["fact"], "", "", *asked["evidence"])
        assert answer(text, fact) == asked["answer"]
