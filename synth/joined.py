"""What a document made of several others says of itself: language, licence, and where every part of it came from."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xxhash

from datapipe.readers import licenses
from datapipe.schema import document_id
from synth.generators import GENERATORS

SEPARATOR = "\n\n"  # between the parts of a joined text


def joined_row(origin: str, rows: Sequence[Mapping[str, Any]], text: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """A document of origin `origin`, made of `rows` (at least one). `raw` is null: it lies in several places.

    The language is that of most characters, of equals the first by name. The licence is that of all parts together.
    """
    chars: Counter[str] = Counter()
    for row in rows:
        chars[row["lang"] or ""] += len(row["text"])
    lang = min(chars, key=lambda name: (-chars[name], name))
    return {
        "id": document_id(origin),
        "text": text,
        "origin": origin,
        "corpus": rows[0]["corpus"],
        "kind": rows[0]["kind"],
        "lang": lang or None,
        "license": license_of_all(row["license"] for row in rows),
        "raw": None,
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
    }


def text_sha(text: str) -> str:
    """xxh3-128 of a text, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def provenance(generator: str, parents: Iterable[Sequence[str]]) -> dict[str, Any]:
    """What `synth.rows` says of every row, for what only puts documents together: no draw, and nobody but their authors wrote it."""
    return {
        "generator": generator,
        "version": GENERATORS[generator].version,
        "seed": None,
        "parents": [list(parent) for parent in parents],
        "author": None,
        "teacher": None,
        "verdicts": {},
    }


def license_of_all(stated: Iterable[str | None]) -> str | None:
    """The licence of what is made of parts: all of theirs hold, `A AND B`; null as soon as one part's is unknown (null or empty)."""
    names = {term for name in stated for term in _terms(name or "")}
    return None if "" in names else licenses.join(sorted(names), " AND ")


def _terms(name: str) -> list[str]:
    """What holds together in an expression, without parentheses around it; one that is a choice stays whole."""
    if " OR " in re.sub(r"\([^()]*\)", "", name):
        return [name]
    return [term.removeprefix("(").removesuffix(")") for term in re.split(r" AND (?![^()]*\))", name)]
