"""A fact: something a document states, with the characters that state it. Everything synthetic is made from facts and checked against them.

An answer is never written by us: it is a span of the source, shown with its line breaks folded (prose) or its indentation taken off
(output of an example). `answer` is that view, so any reader can check a stored row against the document it names.
"""

import dataclasses
import re
from typing import Any, Literal

import xxhash

FactKind = Literal["definition", "term", "section", "summary", "returns", "raises", "parameter", "example"]
PROSE: tuple[FactKind, ...] = ("definition", "term", "section")
API: tuple[FactKind, ...] = ("summary", "returns", "raises", "parameter")
EXAMPLE: tuple[FactKind, ...] = ("example",)


@dataclasses.dataclass(frozen=True, order=True)
class Fact:
    """One statement. Spans are in characters of the document's text; the evidence contains the answer."""

    start: int
    length: int  # of the answer
    kind: FactKind
    subject: str  # what is asked about, in the words of the source; of an example, the expression
    detail: (
        str  # definition: "is a zone" (after "What"); raises, parameter: its name; example: the whole session; else ""
    )
    evidence_start: int
    evidence_length: int
    scope: str = ""  # the entry of a manual that it stands in

    @property
    def end(self) -> int:
        return self.start + self.length


def fold(text: str) -> str:
    """`text` with every run of whitespace as one space, trimmed."""
    return " ".join(text.split())


def answer(text: str, fact: Fact) -> str:
    """What the fact answers: its span in the document `text`, folded, or dedented if it is the output of an example."""
    span = text[fact.start : fact.end]
    if fact.kind != "example":
        return fold(span)
    indent = len(text[text.rfind("\n", 0, fact.start) + 1 : fact.start])
    first, *others = span.split("\n")
    return "\n".join([first, *(line[indent:] for line in others)])


def evidence(text: str, fact: Fact) -> str:
    """The folded passage that states the fact."""
    return fold(text[fact.evidence_start : fact.evidence_start + fact.evidence_length])


def normalised(text: str) -> str:
    """The form in which questions and answers are compared: case, spacing and final punctuation do not count."""
    return re.sub(r"[\s.!?;:]+$", "", fold(text).casefold())


def keyed(seed: int, document: str, *rest: Any) -> int:
    """64 random bits that depend on nothing but the seed, the document's id and what is being decided."""
    return xxhash.xxh3_64_intdigest(
        "\0".join([document, *map(str, rest)]).encode("utf-8", "surrogatepass"), seed=seed & (2**64 - 1)
    )
