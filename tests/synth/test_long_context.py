"""The long generator: a bounded part of the document, questions about it at the end, answers with quotations."""

import json

import pyarrow.compute as pc

from datapipe.schema import DROP, LOSS_SPANS, documents
from synth.long_context import LONG, windows
from synth.render import parse

TERMS = ("zone", "resolver", "registrar", "delegation", "record", "cache", "forwarder", "mirror")
TEXT = "Names\n\n" + "\n\n".join(
    f"A {term} is a part of the system that has the number {number} in the list of parts.\n\n"
    + f"{term} filler. " * 120
    for number, term in enumerate(TERMS)
)


def rows(**params: int) -> list[dict]:
    docs = documents([{"origin": "books/names.jsonl#1", "text": TEXT, "kind": "book"}])
    table = LONG.reduce(LONG.emit(docs, **params))
    return table.filter(pc.is_null(table[DROP])).to_pylist()


def test_windows_cover_the_text_at_line_ends() -> None:
    parts = list(windows(TEXT, 3000))
    assert "".join(TEXT[begin:end] for begin, end in parts) == TEXT
    assert all(end - begin <= 3000 for begin, end in parts)
    assert all(TEXT[end - 1] == "\n" for _, end in parts[:-1])
    assert list(windows("x" * 10, 4)) == [(0, 4), (4, 8), (8, 10)]


def test_every_answer_stands_in_the_context_above_it() -> None:
    found = rows(max_context_chars=8000, max_per_document=5)
    assert len(found) > 1
    for row in found:
        user, assistant = parse(row["text"])
        meta = json.loads(row["meta"])
        begin, length = meta["window"]
        assert user.text.startswith(TEXT[begin : begin + length].strip())
        assert length <= 8000
        assert [f"{n}. {q['answer']}" for n, q in enumerate(meta["questions"], 1)] == assistant.text.split("\n")
        for asked in meta["questions"]:
            assert begin <= asked["start"] < begin + length
            assert f"{asked['answer']}.”" in assistant.think
        [span] = row[LOSS_SPANS]
        assert row["text"][: span["start"]].endswith("<|assistant|>")


def test_bounds_on_questions_and_rows() -> None:
    assert len(json.loads(rows(max_questions=3)[0]["meta"])["questions"]) == 3
    assert len(rows(max_context_chars=5000, max_per_document=1)) == 1
    assert not rows(max_context_chars=2000, min_questions=3)
    assert not rows(min_chars=10**6)
