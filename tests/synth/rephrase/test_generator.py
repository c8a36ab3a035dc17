import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from curation.steps import StepError, load
from datapipe.schema import DOCUMENT
from synth.generators import GENERATORS
from synth.rephrase import generator
from synth.rephrase.generator import check, emit, reduce
from tests.synth.rephrase.fakes import FakeCrew, rewriting
from tests.synth.rephrase.pages import MANUAL
from tests.synth.rephrase.test_taught import PROSE


def documents(count: int = 6, text: str = MANUAL, kind: str = "book") -> pa.Table:
    rows = [
        {
            "id": f"{n:032x}",
            "text": text.replace("shelf", f"shelf{n}").replace("Weller", f"Weller{chr(65 + n)}"),
            "origin": f"https://docs.example/{n}",
            "corpus": "web",
            "kind": kind,
            "lang": "en",
            "license": "MIT",
            "raw": None,
            "meta": "{}",
        }
        for n in range(count)
    ]
    table = pa.Table.from_pylist(rows, schema=DOCUMENT)
    return table.append_column("bucket", pa.array(["low" if n % 2 else "high" for n in range(count)], pa.string()))


def made_of(table: pa.Table, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reduce(table, **params).to_pylist()
    return rows


def styles_of(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.loads(row["meta"])["task"]["style"] for row in rows)


def test_the_table_names_it() -> None:
    assert load(GENERATORS["rephrase"]) is generator.REPHRASE


def test_documents_of_other_receivers_change_nothing_and_order_neither() -> None:
    sent = emit(documents())
    rows = made_of(sent)
    assert rows == made_of(sent.take(pa.array([5, 3, 1, 0, 2, 4])))
    assert rows == made_of(pa.concat_tables([emit(documents().slice(0, 2)), emit(documents().slice(2))]))
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert set(styles_of(rows)) == {"knowledge_list", "outline", "table", "diverse_qa", "cloze"}


def test_a_larger_number_only_adds_rows() -> None:
    sent = emit(documents())
    sets = [{row["id"] for row in made_of(sent, accept=count) if row["drop_reason"] is None} for count in (1, 5, 12, 0)]
    assert [len(ids) for ids in sets[:3]] == [1, 5, 12]
    assert sets[0] < sets[1] < sets[2] < sets[3]


def test_another_seed_draws_other_words() -> None:
    sent = emit(documents(1))
    assert {row["text"] for row in made_of(sent)}.isdisjoint(row["text"] for row in made_of(sent, seed=1))


def test_which_documents_are_sent() -> None:
    short, chat = documents(2, "Too short."), documents(2, kind="qa")
    assert emit(pa.concat_tables([short, chat])).num_rows == 0
    long = emit(documents(1), max_scan_chars=500)
    assert len(long["text"][0].as_py()) == 500
    assert long["sha"][0].as_py() == emit(documents(1))["sha"][0].as_py()


def test_quality_decides_the_styles() -> None:
    sent = emit(documents(), by="bucket", low=["low"])
    assert sent["is_low"].to_pylist() == [False, True] * 3
    assert styles_of(made_of(sent, styles=["table"], low_styles=["outline"])) == {"table": 3, "outline": 3}
    ranked = documents(3).append_column("rank", pa.array([3.0, 12.0, None]))
    assert emit(ranked, by="rank")["is_low"].to_pylist() == [True, False, False]
    with pytest.raises(StepError, match="no column 'quality': name one of"):
        emit(documents(), by="quality")


def test_with_a_teacher_low_quality_is_rewritten_and_the_rest_is_asked_about() -> None:
    crew = FakeCrew(rewriting)
    rows = made_of(emit(documents(4, PROSE), by="bucket", low=["low"], min_chars=100), teacher=crew)
    assert styles_of(rows) == {
        "wikipedia": 2,
        "diverse_qa": 2,
        "distill": 2,
        "extract_knowledge": 2,
        "knowledge_list": 2,
    }
    assert {json.loads(row["meta"])["author"] for row in rows} == {"fake-1"}


def test_no_more_is_asked_than_may_be_accepted() -> None:
    crew = FakeCrew(rewriting)
    rows = made_of(emit(documents(6, PROSE), min_chars=100), teacher=crew, styles=["extract_knowledge"], accept=2)
    assert (crew.waves, len(rows)) == ([2], 2)
    more = made_of(
        emit(documents(6, PROSE), min_chars=100), teacher=FakeCrew(rewriting), styles=["extract_knowledge"], accept=4
    )
    assert {row["id"] for row in rows} < {row["id"] for row in more}


def test_nothing_in_nothing_out() -> None:
    assert made_of(emit(documents(0))) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"styles": ["wiki"]}, "styles has 'wiki': with a teacher there are wikipedia, diverse_qa"),
        ({"low_styles": "table"}, r"low_styles is the text 'table', but it is a list: type \[table\]"),
        ({"low": ["low"]}, "type by: bucket"),
        ({"by": "bucket", "low": "low"}, r"type \[low\]"),
        ({"min_chars": 0}, "min_chars is 0, below 1"),
        ({"max_scan_chars": 10}, "max_scan_chars is 10, below 400"),
        ({"accept": -1}, "accept is -1"),
    ],
)
def test_mistakes_say_what_to_type(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check(**wrong)
    check()
