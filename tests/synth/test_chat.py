"""The chat generator: conversations whose answers stand in the passage they show, and what of them is learned."""

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datapipe.schema import DROP, LOSS_SPANS, document_id, documents
from datapipe.tokenize import Tokenizer, train_bpe
from synth.chat import ABOUT_IT, CHAT, NEXT
from synth.evidence import fold
from synth.render import parse

TERMS = ("zone", "resolver", "registrar", "delegation", "record", "cache", "forwarder", "mirror")
NAMES = "Names\n\n" + "\n\n".join(
    f"A {term} is a part of the system that has the number {number} in the list of parts.\n\n"
    + "Lines of prose between the parts say nothing at all. " * 12
    for number, term in enumerate(TERMS)
)
MANUAL = """\
Heaps and how to use them

heaps.push(heap, item)
----------------------

Push an item onto the heap, and keep the smallest item first.

:param heap: the list that holds the items of the heap
:param item: what goes onto the heap, of any type that can be compared
:returns: the number of items that the heap holds afterwards
:raises TypeError: if the item cannot be compared with the others

heaps.pop(heap)
---------------

Take the smallest item off the heap, and keep the next one first.

:returns: the smallest item that the heap held until then
"""


def rows(*texts: str, **params: Any) -> list[dict[str, Any]]:
    docs = documents(
        [{"origin": f"books/names.jsonl#{k}", "text": text, "kind": "book"} for k, text in enumerate(texts)]
    )
    table = CHAT.reduce(CHAT.emit(docs, **{"min_chars": 100, **params}))
    return table.filter(pc.is_null(table[DROP])).to_pylist()


def by_mode(**params: Any) -> dict[str, dict[str, Any]]:
    """One conversation about the manual in each mode; the seed decides which."""
    found = {}
    for seed in range(20):
        for row in rows(MANUAL, seed=seed, **params):
            found.setdefault(json.loads(row["meta"])["mode"], row)
    assert set(found) == {"direct", "thinking"}
    return found


def learned(row: dict[str, Any]) -> list[str]:
    return [row["text"][span["start"] : span["start"] + span["length"]] for span in row[LOSS_SPANS]]


def test_every_answer_stands_in_the_passage_that_the_system_turn_shows() -> None:
    found = rows(NAMES, MANUAL)
    sources = {document_id(f"books/names.jsonl#{k}"): text for k, text in enumerate((NAMES, MANUAL))}
    assert {json.loads(row["meta"])["source"] for row in found} == {*sources}
    for row in found:
        system, *turns = parse(row["text"])
        meta = json.loads(row["meta"])
        begin, length = meta["window"]
        text = sources[meta["source"]]
        passage = text[begin : begin + length].strip()
        assert system.role == "system"
        assert system.text.endswith(passage)
        assert length <= 1_200
        assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert 2 <= len(turns) // 2 <= 4
        assert [(q["question"], q["answer"]) for q in meta["questions"]] == [
            (user.text, assistant.text) for user, assistant in zip(turns[::2], turns[1::2], strict=True)
        ]
        for asked in meta["questions"]:
            assert fold(text[asked["start"] : asked["start"] + asked["length"]]) == asked["answer"]
            assert asked["answer"] in fold(passage)
            assert "answer_in_question" in asked["checks"]


def test_a_question_about_the_same_function_says_it() -> None:
    """Nothing else does: the next function is named, and the first question names all."""
    (row,) = rows(MANUAL, max_questions=8)
    questions = [q["question"] for q in json.loads(row["meta"])["questions"]]
    names = [
        (q["fact"], "push" if q["start"] < MANUAL.index("heaps.pop") else "pop")
        for q in json.loads(row["meta"])["questions"]
    ]
    assert [name for _, name in names] == sorted((name for _, name in names), reverse=True)
    assert {name for _, name in names} == {"push", "pop"}
    assert "heaps.push(heap, item)" in questions[0]
    for (_, before), (kind, name), question in zip(names, names[1:], questions[1:], strict=False):
        patterns = [
            re.sub(r"\{\w+\}", r"\\w+", re.escape(words).replace(r"\{", "{").replace(r"\}", "}"))
            for words in ABOUT_IT[kind]
        ]
        says_it = any(re.fullmatch(pattern, question) for pattern in patterns)
        assert says_it == (before == name), question
        assert says_it or f"heaps.{name}(heap" in question


def test_direct_answers_are_learned_without_the_empty_thoughts() -> None:
    row = by_mode()["direct"]
    turns = parse(row["text"])
    answers = [turn.text for turn in turns if turn.role == "assistant"]
    assert {turn.think for turn in turns} == {""}
    assert learned(row) == [f"\n{answer}<|user|>" for answer in answers[:-1]] + [f"\n{answers[-1]}"]
    assert all(row["text"][: span["start"]].endswith("<|assistant|>\n<think></think>") for span in row[LOSS_SPANS])


def test_of_a_conversation_with_thoughts_the_last_answer_is_learned() -> None:
    row = by_mode()["thinking"]
    turns = parse(row["text"])
    *others, last = [turn for turn in turns if turn.role == "assistant"]
    assert others
    assert {turn.think for turn in others} == {""}
    assert last.text.removesuffix(".") in last.think
    assert learned(row) == [f"\n<think>{last.think}</think>\n{last.text}"]


def test_the_end_of_the_last_answer_is_learned() -> None:
    row = by_mode()["direct"]
    tokenizer = Tokenizer(train_bpe([MANUAL], vocab_size=400))
    spans = [(span["start"], span["length"]) for span in row[LOSS_SPANS]]
    (encoded,) = tokenizer.encode_with_spans([row["text"]], [row["kind"]], [spans])
    assert encoded.loss_spans is not None
    texts = [
        tokenizer._model.decode(encoded.tokens[b : b + n].tolist(), skip_special_tokens=False)
        for b, n in encoded.loss_spans
    ]
    assert texts == [*learned(row)[:-1], learned(row)[-1] + "<|endoftext|>"]


PARTS = """\
heaps.push(heap, item)
----------------------

Push an item onto the heap, and keep the smallest item first.

A bucket is a list of the items that one caller has pushed onto the heap.

heaps.pop(heap)
---------------

Take the smallest item off the heap, and keep the next one first.

A shelf is a list of the items that one caller has taken off the heap.
"""


def asked_in(text: str, **params: Any) -> list[str]:
    return [q["question"] for row in rows(text, **params) for q in json.loads(row["meta"])["questions"]]


def test_a_question_about_another_entry_names_it() -> None:
    questions = asked_in(PARTS)
    assert any(re.fullmatch(r"(What|And what) is a bucket\?", question) for question in questions)
    (pop, shelf) = questions[2:]
    assert "heaps.pop(heap)" in pop
    assert re.fullmatch(r"(What|And what) is a shelf\?", shelf)
    (first, second) = asked_in(re.sub(r"Push an.*first\.|Take the.*first\.", "Heap.", PARTS))
    assert first.endswith("the documentation of `heaps.push`?") or first.startswith("According to")
    assert "`heaps.pop`" in second


def test_what_would_be_ambiguous_without_the_name_of_its_entry_is_not_asked() -> None:
    assert len(asked_in(PARTS)) == 4
    twice = PARTS.replace("A shelf", "A bucket")
    assert len(asked_in(twice)) == 2
    assert not any("bucket" in question for question in asked_in(twice))


def test_what_the_passage_does_not_name_is_not_asked() -> None:
    """The second passage begins behind the heading of its entry: whose parameters these are cannot be read there."""
    fields = MANUAL[MANUAL.index(":param heap") : MANUAL.index("heaps.pop")]
    long = "\n".join(["heaps.push(heap, item)", "-" * 22, "", *["Lines about nothing at all. " * 3] * 10, fields])
    assert len(asked_in(long)) > 2
    cut = len(long) - len(fields) - 40
    (question,) = asked_in(long, max_context_chars=cut, min_questions=1)
    assert "Lines about" in long[:cut]
    assert not re.search(r"parameter|argument|return|raise", question)


def test_bounds_on_conversations() -> None:
    assert len(json.loads(rows(MANUAL, max_questions=3)[0]["meta"])["questions"]) == 3
    assert not rows(MANUAL, min_questions=9)
    assert not rows(MANUAL, min_chars=10**6)
    assert len(rows(NAMES, max_per_document=1)) == 1
    assert len(rows(MANUAL, MANUAL)) == 1  # a copy asks the same and is a duplicate


def test_rows_do_not_depend_on_how_documents_are_partitioned() -> None:
    docs = documents([{"origin": f"b#{k}", "text": text, "kind": "book"} for k, text in enumerate((NAMES, MANUAL))])
    parts = [CHAT.emit(docs.slice(k, 1)) for k in (1, 0)]
    assert CHAT.reduce(pa.concat_tables(parts)).equals(CHAT.reduce(CHAT.emit(docs)))


def test_wordings_ask_for_what_there_is() -> None:
    """A follow-up never names its subject; the others name it, or begin with what the source says of it."""
    for wordings in ABOUT_IT.values():
        assert not any("{subject}" in words for words in wordings)
    for wordings in NEXT.values():
        assert all("{subject}" in words or "{detail}" in words for words in wordings)
