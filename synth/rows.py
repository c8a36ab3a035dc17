"""A synthetic row as a document: a conversation (or a plain text), what of it is learned, and where it came from.

Every generator makes its rows here, so every row says the same about itself in `meta`:

    generator, version, seed    what made it: the same three give the same row again
    parents                     the documents it was made from: [[id, xxh3-128 of the text], ...]; the licence is that of all
    author                      who wrote the assistant's words: `scripted`, the name of a model; null where the parents' authors did
    teacher                     null, or {model, prompt}: the model that was asked and the hash of what it was asked with
    task                        what a checker needs to prove the row again without its generator
    verdicts                    {name: {passed, ...numbers}}: the checks that were made, in their order; the last one is `round_trip`
    template, direct            of a conversation: how its text was rendered (`synth.render`)
    turn                        [n, N]: the n-th of N rows that one conversation was split into

A candidate that fails a check is a row too: its `drop_reason` is `synth.` and the name of the first check it failed. Every conversation
is checked by `round_trip`: parsing its text gives its turns again.

Cost: 0.23 ms per row of 2,500 characters, of which rendering and the round trip take 0.1.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS, LOSS_SPANS_TYPE, document_id
from datapipe.tokenize import RENDERED_KINDS
from synth.generators import GENERATORS
from synth.joined import license_of_all, text_sha
from synth.render import (
    DEFAULT,
    Rendered,
    RenderError,
    Turn,
    arranged,
    has_hidden_thoughts,
    only_shown,
    parse,
    render,
    split,
)

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
        return cls(id, text_sha(text), license)


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
        license: str | None = None,
    ) -> dict[str, Any]:
        """A row from a conversation; `name` tells it from all others of its generator. `direct`: as `synth.render` has it.

        context  so many turns at the beginning are only shown
        license  of a row without parents

        The turns are put into the form of the template first (`synth.render.arranged`). A verdict that did not pass makes it a rejected
        row. ValueError for a conversation of which the template would erase thoughts: `rows` makes several of it.
        """
        turns = _shown(turns, context)
        if has_hidden_thoughts(turns):
            raise ValueError(
                f"{name}: the template would erase the thoughts before the last user turn; make its `rows`"
            )
        return self._conversation(name, turns, direct, kind, parents, task, verdicts, license)

    def rows(
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
        license: str | None = None,
    ) -> list[dict[str, Any]]:
        """Like `row`, for a conversation with several user turns: one row, or one per user turn (`synth.render.split`), named NAME-1 on."""
        parts = split(_shown(turns, context))
        if len(parts) == 1 and not has_hidden_thoughts(turns):
            return [self._conversation(name, parts[0], direct, kind, parents, task, verdicts, license)]
        return [
            self._conversation(
                f"{name}-{n}", part, direct, kind, parents, task, verdicts, license, turn=[n, len(parts)]
            )
            for n, part in enumerate(parts, 1)
        ]

    def document(
        self,
        name: str,
        text: str,
        *,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
        lang: str | None = "en",
        license: str | None = None,
    ) -> dict[str, Any]:
        """A row that is no conversation: a text that is learned whole. ValueError for a kind whose markup would count as turns.

        A verdict that did not pass makes it a rejected row.
        """
        if kind in RENDERED_KINDS:
            raise ValueError(
                f"a plain text cannot be of kind {kind!r}, whose markup is read as turns: give it that of its source"
            )
        return self._document(name, text, kind, parents, task, verdicts, license) | {"lang": lang}

    def reject(
        self,
        name: str,
        text: str,
        *,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
        license: str | None = None,
    ) -> dict[str, Any]:
        """A candidate that never became a conversation; `text` shows it to whoever reads the rejects."""
        return self._document(name, text, kind, parents, task, verdicts, license)

    def _conversation(
        self,
        name: str,
        turns: Sequence[Turn],
        direct: bool,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
        license: str | None,
        **more: Any,
    ) -> dict[str, Any]:
        rendered, verdict = checked(turns, direct=direct)
        how = {"template": DEFAULT, "direct": direct, **more}
        row = self._document(
            name, rendered.text, kind, parents, task, {**verdicts, "round_trip": verdict}, license, **how
        )
        spans = [{"start": start, "length": length} for start, length in rendered.loss_spans]
        return row | {LOSS_SPANS: spans}

    def _document(
        self,
        name: str,
        text: str,
        kind: str,
        parents: Sequence[Parent],
        task: Mapping[str, Any],
        verdicts: Verdicts,
        license: str | None,
        **more: Any,
    ) -> dict[str, Any]:
        origin = f"synth/{self.generator}:{name}"
        provenance = self.provenance([[parent.id, parent.sha] for parent in parents], verdicts)
        failed = next((check for check, verdict in verdicts.items() if not verdict["passed"]), None)
        return {
            "id": document_id(origin),
            "text": _storable(text),
            "origin": origin,
            "corpus": "synth",
            "kind": kind,
            "lang": "en",
            "license": license_of_all(parent.license for parent in parents) if parents else license,
            "raw": None,
            "meta": _storable(json.dumps({**provenance, "task": task, **more}, ensure_ascii=False, sort_keys=True)),
            DROP: f"synth.{failed}" if failed else None,
            LOSS_SPANS: None,
        }

    def provenance(self, parents: Sequence[Sequence[str]], verdicts: Verdicts) -> dict[str, Any]:
        """What every row of every generator says in `meta`; `parents` as [[id, xxh3-128 of the text], ...]."""
        return {
            "generator": self.generator,
            "version": GENERATORS[self.generator].version,
            "seed": self.seed,
            "parents": parents,
            "author": self.author,
            "teacher": self.teacher,
            "verdicts": verdicts,
        }


def checked(turns: Sequence[Turn], *, direct: bool) -> tuple[Rendered, dict[str, Any]]:
    """The rendered conversation, and the verdict whether it can be read back. What cannot be rendered comes as the turns in words."""
    try:
        rendered = render(turns, direct=direct)
        same = parse(rendered.text) == tuple(dataclasses.replace(turn, learn=True) for turn in turns)
        rendered.text.encode()
    except RenderError as error:
        return Rendered("\n\n".join(map(str, turns)), ()), {"passed": False, "why": str(error)}
    except UnicodeEncodeError as error:
        return rendered, {"passed": False, "why": f"{error.object[error.start : error.end]!r} is no character"}
    return rendered, {"passed": same}


def _shown(turns: Sequence[Turn], context: int) -> tuple[Turn, ...]:
    return arranged((*only_shown(turns[:context]), *turns[context:]))


def _storable(text: str) -> str:
    """`text` without halves of surrogate pairs, which Arrow cannot hold; a teacher's JSON may spell them."""
    return text.encode("utf-8", "replace").decode()


def documents(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as the table that a generator's `reduce` returns: sorted by id."""
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=ROWS)
