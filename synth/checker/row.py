"""What holds of every row, whoever made it: form, loss spans, verdicts, origin, parents and their licence.

Rules are those that `synth.rows` states of `meta`. A licence is compared as a set of its parts joined by AND, brackets aside.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from synth.checker.conversation import Malformed, Turn, learnable, read

CONVERSATIONS = frozenset({"qa", "agent", "reasoning"})


class Document(NamedTuple):
    """A document of the corpora that rows were made from."""

    id: str
    text: str
    origin: str
    kind: str
    license: str | None
    meta: str
    corpus: str = ""


Key = tuple[str, str]  # id and xxh3-128 of the text: two corpora may read one page in different ways


class Documents(dict[Key, Document]):
    """Documents by id and content, and what checkers made of them once for all rows."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._corpora: dict[str, dict[Key, Document]] = defaultdict(dict)
        for document in documents:
            key = document.id, content_hash(document.text)
            self[key] = self._corpora[document.corpus][key] = document
        self.ids = {id for id, _ in self}
        self._made: dict[Any, Any] = {}

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def origins(self, row: "Row") -> list[tuple[str, ...]]:
        """Names of corpora that a row may come from: each that holds all of its parents, and all that hold any, together."""
        holding = {name: sum(key in held for key in set(row.parents)) for name, held in sorted(self._corpora.items())}
        alone = [(name,) for name, count in holding.items() if count == len(set(row.parents))]
        return [*alone, tuple(name for name, count in holding.items() if count)]

    def of(self, corpora: Iterable[str]) -> Iterator[Document]:
        """The documents of these corpora."""
        return (document for name in corpora for document in self._corpora[name].values())


def content_hash(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


class Undecided(str):
    """The name of a verdict that this row's checker cannot prove again: given among the disagreements, and none."""


class Row(NamedTuple):
    """A stored row, read."""

    id: str
    text: str
    origin: str
    license: str | None
    kind: str
    spans: tuple[tuple[int, int], ...] | None
    meta: Mapping[str, Any]
    turns: tuple[Turn, ...]  # none of a plain text

    @property
    def task(self) -> Mapping[str, Any]:
        return self.meta.get("task") or {}

    @property
    def parents(self) -> list[Key]:
        return [(parent, sha) for parent, sha in self.meta["parents"]]

    @property
    def asked(self) -> str:
        """What users say, as one text."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "user")

    @property
    def answered(self) -> str:
        """What the assistant says last."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "assistant"), "")


def opened(stored: Mapping[str, Any]) -> Row:
    """A row of a document table. Malformed where its text or `meta` cannot be read."""
    try:
        meta = json.loads(stored["meta"])
    except ValueError as error:
        raise Malformed(f"meta is no JSON: {error}") from None
    spans = stored.get("loss_spans")
    turns: tuple[Turn, ...] = ()
    if stored["kind"] in CONVERSATIONS:
        turns = tuple(read(stored["text"], meta.get("template", "glm-4.5")))
    return Row(
        stored["id"],
        stored["text"],
        stored["origin"],
        stored["license"],
        stored["kind"],
        None if spans is None else tuple((span["start"], span["length"]) for span in spans),
        meta,
        turns,
    )


def common(row: Row, documents: Documents) -> Iterator[str]:
    """What is wrong with a row whatever it says."""
    yield from _origin(row)
    for name, verdict in (row.meta.get("verdicts") or {}).items():
        if verdict.get("passed") is not True:
            yield f"verdict {name} did not pass"
    yield from _parents(row, documents)
    if row.turns:
        yield from _loss(row)
    elif row.spans is not None:
        yield "a plain text has loss spans"


def _origin(row: Row) -> Iterator[str]:
    if row.id != xxhash.xxh3_128_hexdigest(row.origin.encode("utf-8", "surrogatepass")):
        yield "the id is not the hash of the origin"
    if not row.origin.startswith(f"synth/{row.meta['generator']}:"):
        yield f"the origin {row.origin!r} is not of {row.meta['generator']}"
    teacher = row.meta.get("teacher")
    if teacher is not None and row.meta.get("author") != teacher.get("model"):
        yield "the author is not the teacher that was asked"


def _parents(row: Row, documents: Documents) -> Iterator[str]:
    stated: list[str | None] = []
    for parent in row.parents:
        if parent not in documents:
            yield f"parent {parent[0]} {'has another text' if parent[0] in documents.ids else 'is not among the documents'}"
            return
        stated.append(documents[parent].license)
    if stated and _terms(row.license) != (
        None if any(not one for one in stated) else frozenset().union(*(_terms(one) or () for one in stated))
    ):
        yield f"licence {row.license!r}, but its parents have {sorted({str(one) for one in stated})}"


def _terms(license: str | None) -> frozenset[str] | None:
    """The parts of a licence that hold together; None for an unknown one."""
    if not license:
        return None
    parts, depth, begin = [], 0, 0
    for found in re.finditer(r"[()]|\bAND\b", license):
        if found[0] != "AND":
            depth += 1 if found[0] == "(" else -1
        elif depth == 0:
            parts.append(license[begin : found.start()])
            begin = found.end()
    inner = [part.strip() for part in [*parts, license[begin:]]]
    return frozenset(_bare(part) for part in inner)


def _bare(part: str) -> str:
    while part.startswith("(") and part.endswith(")"):
        part = part[1:-1].strip()
    return " OR ".join(sorted(part.split(" OR ")))


def _loss(row: Row) -> Iterator[str]:
    """Spans are whole turns of the assistant, in order; which may be left out, the row says."""
    may = learnable(row.turns, row.meta.get("template", "glm-4.5"), direct=bool(row.meta.get("direct")))
    wanted = [span for number, span in may.items() if number not in shown_only(row)]
    if list(row.spans or ()) != wanted:
        yield f"loss spans {list(row.spans or ())[:4]} are not {wanted[:4]}, what the assistant says to be learned"


def shown_only(row: Row) -> set[int]:
    """Numbers of the assistant's turns that are shown and not learned.

    A part of a conversation teaches what follows its last user turn; a chat with thoughts only its last answer; a call that was a mistake
    is never learned.
    """
    turns = row.turns
    last_user = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=-1)
    ours = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    if row.meta.get("turn") or row.meta.get("mode") == "thinking":
        return {number for number in ours if number < last_user} | _mistakes(row)
    return _mistakes(row)


def _mistakes(row: Row) -> set[int]:
    unlearned = set(row.task.get("unlearned") or ())
    found, count = set(), 0
    for number, turn in enumerate(row.turns):
        if unlearned & set(range(count, count + len(turn.calls))):
            found.add(number)
        count += len(turn.calls)
    return found
