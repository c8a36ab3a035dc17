"""The generator as the engine calls it, and a second reader of its rows that shares no code with it."""

import html
import json
import tarfile
import textwrap
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash

from curation.extraction import extract
from datapipe.schema import DOCUMENT
from synth.evidence import fold
from synth.reasoning.generator import check, emit, reduce
from synth.render import parse
from tests.synth.reasoning.asking import FakeCrew, answer
from tests.synth.reasoning.test_code import FILE, TEST
from tests.synth.reasoning.test_formulas import PAGE as FORMULAS
from tests.synth.reasoning.test_page_questions import PAGE as QUESTIONS
from tests.synth.reasoning.test_tables import SPEEDS


def document(origin: str, text: str, kind: str, license: str | None = "MIT") -> dict[str, Any]:
    meta = json.dumps({"title": "Pools of workers"})
    row = {
        "id": xxhash.xxh3_128_hexdigest(origin.encode()),
        "text": text,
        "origin": origin,
        "kind": kind,
        "lang": "en",
        "license": license,
    }
    return dict.fromkeys(DOCUMENT.names) | row | {"corpus": "c", "meta": meta}


def docs(rows: Sequence[dict[str, Any]] | None = None) -> pa.Table:
    rows = rows or [
        document("a@1:tools.py", FILE, "code", "BSD-3-Clause"),
        document("a@1:test_tools.py", TEST, "code"),
        document("https://x.example/faq", QUESTIONS, "web"),
        document("https://x.example/speed", f"Speed\n\n{SPEEDS}\nThat is all.", "web", "CC-BY-4.0"),
        document("https://x.example/formulas", FORMULAS, "math", None),
    ]
    return pa.Table.from_pylist(list(rows), schema=DOCUMENT)


def good(table: pa.Table) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["drop_reason"] is None]


def kinds(table: pa.Table) -> Counter[str]:
    return Counter(json.loads(row["meta"])["task"]["kind"] for row in good(table))


def test_every_kind_is_made_and_every_row_reads_back() -> None:
    made = reduce(emit(docs()))
    found = kinds(made)
    assert set(found) == {"code_result", "code_input", "calculation", "table", "question"}
    for row in good(made):
        user, assistant = parse(row["text"])
        meta = json.loads(row["meta"])
        assert assistant.text.startswith("Answer: ")
        assert assistant.think or meta["task"]["kind"] == "calculation"
        assert row["kind"] == "reasoning"
        assert meta["author"] == "scripted"
        assert all(verdict["passed"] for verdict in meta["verdicts"].values())
        assert len(row["loss_spans"]) == 1
        assert user.text
    assert made["id"].to_pylist() == sorted(made["id"].to_pylist())
    assert len(set(made["id"].to_pylist())) == made.num_rows


def test_parents_and_licences_are_those_of_the_source() -> None:
    for row in good(reduce(emit(docs()))):
        meta = json.loads(row["meta"])
        task = meta["task"]
        if task["kind"] == "calculation" and task["family"] != "formula":
            assert meta["parents"] == []
        else:
            assert len(meta["parents"]) == 1
        if task["kind"].startswith("code"):
            assert row["license"] == "BSD-3-Clause"
            assert meta["parents"][0][1] == xxhash.xxh3_128_hexdigest(FILE.encode())
        if task["kind"] == "table":
            assert row["license"] == "CC-BY-4.0"


def test_the_same_rows_for_any_order_and_any_cut() -> None:
    whole = docs()
    parts = [whole.slice(place, 1) for place in (3, 0, 4, 2, 1)]
    one = reduce(emit(whole))
    other = reduce(pa.concat_tables([emit(part) for part in parts]))
    assert one.equals(other)


def test_a_larger_number_only_adds_rows() -> None:
    candidates = emit(docs(), calculations_per_document=6)
    sizes, before = [], set[str]()
    for accept in (1, 4, 9, 20):
        made = reduce(candidates, accept=accept)
        ids = set(made["id"].to_pylist())
        assert before <= ids
        sizes.append(len(good(made)))
        before = ids
    assert sizes == [1, 4, 9, 20]


def test_turns_say_how_many_of_each_kind() -> None:
    candidates = emit(docs(), calculations_per_document=20)
    made = kinds(reduce(candidates, turns={"calculation": 3, "table": 1}, accept=12))
    assert made == {"calculation": 9, "table": 3}
    assert set(kinds(reduce(emit(docs(), turns={"question": 1})))) == {"question"}


def test_a_seed_makes_other_rows() -> None:
    first, second = (reduce(emit(docs(), seed=seed), seed=seed) for seed in (0, 1))
    assert {row["text"] for row in good(first)} != {row["text"] for row in good(second)}


def test_equal_questions_are_asked_once() -> None:
    table = [document(f"https://x.example/{n}", f"Speed\n\n{SPEEDS}", "web") for n in range(3)]
    texts = [row["text"] for row in good(reduce(emit(docs(table), turns={"table": 1})))]
    assert len(set(texts)) == len(texts)


def test_with_a_teacher_its_right_solutions_are_the_rows() -> None:
    candidates = emit(docs(), turns={"calculation": 1, "question": 1}, calculations_per_document=4)
    proven = {
        parse(row["text"])[0].text: json.loads(row["meta"])["task"]["answer"]
        for row in good(reduce(candidates))
        if json.loads(row["meta"])["task"]["kind"] == "calculation"
    }
    crew = FakeCrew(lambda question, sample: answer(f"Answer: {proven.get(question, 'Euler')}" if sample % 2 else "?"))
    made = good(reduce(candidates, samples=4, teacher=crew))  # type: ignore[arg-type]
    authors = Counter((json.loads(row["meta"])["task"]["kind"], json.loads(row["meta"])["author"]) for row in made)
    assert authors["calculation", "fake-1"] == len(proven)
    assert authors["question", "scripted"] >= 3  # answered in prose by their page: nothing could judge another answer
    asked = {request.messages[-1]["content"] for request in crew.asked}
    assert any("five books" in question for question in asked)  # an exercise without a solution
    assert not any("close the pool" in question for question in asked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"turns": {"codes": 1}}, "there is no kind 'codes'; kinds are code, calculation, table, session, question"),
        ({"turns": {"code": 0}}, "gives no kind a turn"),
        ({"turns": {"code": -1, "table": 1}}, "whole numbers"),
        ({"samples": 0}, "samples: 0 is below 1; type 1 or more"),
        ({"accept": -2}, "accept: -2 is below 0"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**given)
    check()


def recomputed(row: dict[str, Any], texts: dict[str, str]) -> bool:
    """Whether the task proves the row, by means that share nothing with the generator's."""
    meta = json.loads(row["meta"])
    task, said = meta["task"], parse(row["text"])[1].text.removeprefix("Answer: ")
    match task["kind"]:
        case "code_result" | "code_input":
            names: dict[str, Any] = {}
            exec(task["source"], names)
            value = eval(task["call"], names)
            return repr(value) == task["value"] and said == (
                task["value"] if task["kind"] == "code_result" else task["call"]
            )
        case "table":
            text = texts[meta["parents"][0][0]]
            lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in task["table"].split("\n")]
            same = text[task["start"] :].startswith(task["table"]) and said == task["answer"]
            again = _asked_again(lines[0], lines[2:], task["query"], task["units"])
            return same and (again == said or (task["compare"] == "number" and Fraction(again) == Fraction(said)))
        case "question":
            text = texts[meta["parents"][0][0]]
            begin, length = task["answer_span"]
            return fold(text[begin : begin + length]) == said
    return said == task["answer"] and set(task["given"]) > set()


def _asked_again(header: list[str], rows: list[list[str]], query: dict[str, Any], units: dict[str, str]) -> str:
    def number(row: list[str], name: str) -> Fraction:
        return Fraction(row[header.index(name)].replace(",", "").removesuffix(units[name]).strip())

    def meets(row: list[str]) -> bool:
        for name, sign, cell in query["where"]:
            is_number = name in units
            left, right = (number(row, name), Fraction(cell)) if is_number else (row[header.index(name)], cell)
            tests = {"=": left == right, "is not": left != right}
            tests |= {">": left > right, "<": left < right} if is_number else {}  # type: ignore[operator]
            if not tests[sign]:
                return False
        return True

    kept = [row for row in rows if meets(row)]
    kind, *rest = query["ask"]
    values = [row[header.index(rest[0])] for row in kept] if rest else []
    if kind == "cell":
        return values[0] if len(values) == 1 else ""
    if kind in ("count", "distinct"):
        return str(len(kept) if kind == "count" else len(set(values)))
    numbers = [number(row, rest[0]) for row in kept]
    if kind in ("sum", "mean", "span"):
        return str(
            {"sum": sum(numbers), "mean": sum(numbers) / len(numbers), "span": max(numbers) - min(numbers)}[kind]
        )
    by_key = {row[header.index(rest[1])]: number(row, rest[0]) for row in kept}
    if kind in ("less", "larger"):
        one, other = by_key[rest[2]], by_key[rest[3]]
        return str(one - other) if kind == "less" else (rest[2] if one > other else rest[3])
    order = sorted(by_key, key=lambda key: by_key[key], reverse=kind != "least")
    return order[rest[2] - 1 if kind == "rank" else 0]


def test_a_second_reader_proves_every_row() -> None:
    texts = {row["id"]: row["text"] for row in docs().to_pylist()}
    for row in good(reduce(emit(docs()))):
        assert recomputed(row, texts), row["text"]


def test_the_standard_library_gives_code_that_runs() -> None:
    texts = [
        (name, Path(module.__file__ or "").read_text()) for name, module in (("html", html), ("textwrap", textwrap))
    ]
    files = docs([document(f"python@3:{name}/{name}.py", text, "code", "PSF-2.0") for name, text in texts])
    made = good(reduce(emit(files, turns={"code": 1})))
    calls = [json.loads(row["meta"])["task"]["call"] for row in made]
    assert any(call.startswith("escape(") for call in calls)
    assert all(recomputed(row, {}) for row in made)


@pytest.mark.data
def test_real_pages_give_formulas_and_tables(shared_data: Path) -> None:
    pages = []
    with tarfile.open(shared_data / "mathhtml" / "mpmath.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file and member.name.endswith(".html"):
                pages.append(document(member.name, file.read().decode(), "math", "BSD-3-Clause"))
    extracted = extract.html(docs(pages))
    texts = {row["id"]: row["text"] for row in extracted.to_pylist()}
    made = good(reduce(emit(extracted.filter(pc.is_null(extracted["drop_reason"])), calculations_per_document=0)))
    assert any("$r=2M/5$" in row["text"] for row in made)
    assert any("| mpf | Real float |" in row["text"] for row in made)
    assert all(recomputed(row, texts) for row in made)


def test_what_two_sites_have_is_asked_once() -> None:
    text = f"Speed\n\n{SPEEDS}\nThat is all."
    pages = [document(f"https://{site}.example/speed", text, "web") for site in "xy"]
    for row, title in zip(pages, ("One", "Two"), strict=True):
        row["meta"] = json.dumps({"title": title})
    turns = {"table": 1}
    one, both = (
        {json.dumps(json.loads(row["meta"])["task"]["query"]): 1 for row in rows}
        for rows in (good(reduce(emit(docs(given), turns=turns), turns=turns)) for given in (pages[:1], pages))
    )
    made = good(reduce(emit(docs(pages), turns=turns), turns=turns))
    assert one.keys() <= both.keys()
    assert len(made) == len(both)
