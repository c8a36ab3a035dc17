"""A synthetic row as a document: the conversation as text, what of it is learned, and where it came from.

Every generator makes its rows here, so every row says the same about itself in `meta`:

    generator, version, seed    what made it: the same three give the same row again
    parents                     the documents it was made from: [[id, xxh3-128 of the text], ...]; the licence is that of all
    author                      who wrote the assistant's words: `scripted`, or the name of a model
    teacher                     null, or {model, prompt}: the model that was asked and the hash of what it was asked with
    task                        what a checker needs to prove the row again without its generator
    verdicts                    {name: {passed, ...numbers}}: the checks that were made, in their order

A candidate that fails a check is a row too: its `drop_reason` is `synth.` and the name of the first check it failed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS, LOSS_SPANS_TYPE, document_id
from synth.generators import GENERATORS
from synth.joined import license_of_all
from synth.render import Turn, render

ROWS = pa.schema([*DOCUMENT, (DROP, pa.string()), (LOSS_SPANS, LOSS_SPANS_TYPE)])
SCRIPTED = "scripted"
Verdicts = Mapping[str, Mapping[str, Any]]  # name -> {"passed": bool, and the numbers it rests on}


class Parent(NamedTuple):
    """A document that a row was made from."""

    id: str
    sha: str  # xxh3-128 of its text, 32 hex digits
    license: str | None

    @classmethod
    def of(cls, id: str, text: str, license: str | None) -> "Parent":
        return cls(id, xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass")), license)


class Made(NamedTuple):
    """What a generator says of everything it makes in one call."""

    generator: str  # a name of GENERATORS
    seed: int
    author: str = SCRIPTED
    teacher: Mapping[str, Any] | None = None

    def row(
        self,
        name: str,
        turns: Sequence[Turn],
        *,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
        context: int = 0,
        direct: bool = False,
    ) -> dict[str, Any]:
        """A row from a conversation; `name` tells it from all others of its generator. `context`, `direct`: as `synth.render` has them.

        A verdict that did not pass makes it a rejected row.
        """
        rendered = render(turns, context=context, direct=direct)
        spans = [{"start": start, "length": length} for start, length in rendered.loss_spans]
        return self._document(name, rendered.text, kind, parents, task, verdicts) | {LOSS_SPANS: spans}

    def reject(
        self,
        name: str,
        text: str,
        *,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
    ) -> dict[str, Any]:
        """A candidate that never became a conversation; `text` shows it to whoever reads the rejects."""
        return self._document(name, text, kind, parents, task, verdicts)

    def _document(
        self,
        name: str,
        text: str,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
    ) -> dict[str, Any]:
        origin = f"synth/{self.generator}:{name}"
        meta = {
            "generator": self.generator,
            "version": GENERATORS[self.generator].version,
            "seed": self.seed,
            "parents": [[parent.id, parent.sha] for parent in parents],
            "author": self.author,
            "teacher": self.teacher,
            "task": task,
            "verdicts": verdicts,
        }
        failed = next((check for check, verdict in verdicts.items() if not verdict["passed"]), None)
        return {
            "id": document_id(origin),
            "text": text,
            "origin": origin,
            "corpus": "synth",
            "kind": kind,
            "lang": "en",
            "license": license_of_all(parent.license for parent in parents) if parents else None,
            "raw": None,
            "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
            DROP: f"synth.{failed}" if failed else None,
            LOSS_SPANS: None,
        }


def documents(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as the table that a generator's `reduce` returns: sorted by id."""
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=ROWS)
