"""A generator for tests: of every document a row, accepted when its number, or a teacher, says so."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyarrow as pa

from datapipe.schema import DOCUMENT, DROP
from synth.evidence import keyed
from synth.generators import Generator
from synth.teacher import Crew, Request, Teacher

SCHEMA = pa.schema([*DOCUMENT, (DROP, pa.string())])


def emit(docs: pa.Table, *, log: str = "") -> pa.Table:
    if log:
        with Path(log).open("a") as file:
            file.write("emit\n")
    ids, texts = docs["id"].to_pylist(), docs["text"].to_pylist()
    keys = pa.array([keyed(0, each) for each in ids], pa.uint64())
    return pa.table({"key": keys, "id": ids, "text": texts})


def reduce(rows: pa.Table, *, accept: int = 0, too_many: bool = False, teacher: Crew | None = None) -> pa.Table:
    """Tries the rows in the order of a draw."""
    candidates = sorted(
        zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True), key=lambda row: keyed(2, row[0])
    )
    made = []
    for identity, text, is_good in _judged(candidates, teacher, accept):
        if accept and not too_many and sum(row[DROP] is None for row in made) == accept:
            break
        row = dict.fromkeys(SCHEMA.names) | {
            "id": identity,
            "text": text,
            "origin": identity,
            "kind": "qa",
            "lang": "en",
        }
        made.append({**row, "meta": json.dumps({}), DROP: None if is_good else "synth.bad"})
    return pa.Table.from_pylist(sorted(made, key=lambda row: row["id"]), schema=SCHEMA)


def _judged(candidates: list[tuple[str, str]], teacher: Crew | None, accept: int) -> list[tuple[str, str, bool]]:
    if teacher is None:
        return [(identity, text, int(text.rpartition(" ")[2]) % 4 > 0) for identity, text in candidates]

    def about(identity: str, text: str) -> Callable[[Teacher], Awaitable[tuple[str, str, bool]]]:
        async def row(asked: Teacher) -> tuple[str, str, bool]:
            answer = await asked.ask(Request(({"role": "user", "content": text},), 5))
            return identity, text, answer.is_whole and answer.text == "yes"

        return row

    work = (about(identity, text) for identity, text in candidates)
    return teacher.run(work, accept=accept, is_accepted=lambda row: row[2])


ASKING = Generator(emit, reduce)
