"""What a search question consists of: pages, facts with their evidence, and a query that has one answer in a closed world.

The question is only the wording of a `Query`. Variables stand for pages; a clue says something of one variable: a fact that links it
to another variable, or a value that meets a condition. How vague a condition is, is the obfuscation: the year 1994, the 1990s, the 20th
century. (Formalisation before wording: WebShaper, arXiv 2507.15061.)
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import xxhash

TITLE = "title"  # of a page, as a relation that clues may use; not among its facts


class Page(NamedTuple):
    """A document as the search engine shows it: Markdown with links, tables as `| cell | cell |`."""

    id: str  # of the document
    url: str
    title: str
    text: str
    license: str | None
    canonical: str = ""  # another address, by which the page asks to be known


class Span(NamedTuple):
    """Characters of a page's text."""

    page: str  # id
    start: int
    length: int


class Fact(NamedTuple):
    """Something a page states."""

    subject: str  # id of the page that it is about
    relation: str  # in words: `license`, `depends on`, `maintainer`
    object: str  # a value as written there, or the id of a page
    is_page: bool
    span: Span  # what states it; contains the value, or the words of the link
    how: str  # the extractor: infobox, table, definition, link


class Condition(NamedTuple):
    """A test that values pass: `equals`, or a generalisation of it (`synth.search.generalise`)."""

    how: str
    args: tuple[str, ...]


class Clue(NamedTuple):
    """`subject` has `relation` to another variable, or to a value that meets a condition."""

    subject: int  # a variable
    relation: str
    object: int | Condition
    value: str  # what it is in truth, in the instance that the question was made from: a value, or the id of a page
    spans: tuple[Span, ...]  # where that is stated


class Query(NamedTuple):
    """What is asked: the value of `asked` of the variable `target`, or its title where `asked` is empty."""

    num_variables: int
    clues: tuple[Clue, ...]
    target: int
    asked: str


class Task(NamedTuple):
    """A question with all that a checker needs to prove it again."""

    query: Query
    pages: tuple[str, ...]  # by variable: the instance that it was made from
    question: str
    answer: str
    answer_spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        """32 hex digits that tell it from every other task."""
        told = json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True)
        return xxhash.xxh3_128_hexdigest(told.encode("utf-8", "surrogatepass"))

    def as_json(self) -> dict[str, Any]:
        clues = [
            {
                "subject": clue.subject,
                "relation": clue.relation,
                "object": clue.object if isinstance(clue.object, int) else [clue.object.how, *clue.object.args],
                "value": clue.value,
                "spans": [list(span) for span in clue.spans],
            }
            for clue in self.query.clues
        ]
        return {
            "variables": self.query.num_variables,
            "clues": clues,
            "target": self.query.target,
            "asked": self.query.asked,
            "pages": list(self.pages),
            "question": self.question,
            "answer": self.answer,
            "answer_spans": [list(span) for span in self.answer_spans],
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Task":
        """The inverse of `as_json`. KeyError, TypeError or ValueError for anything else."""
        clues = tuple(
            Clue(
                clue["subject"],
                clue["relation"],
                clue["object"]
                if isinstance(clue["object"], int)
                else Condition(clue["object"][0], tuple(clue["object"][1:])),
                clue["value"],
                tuple(Span(*span) for span in clue["spans"]),
            )
            for clue in given["clues"]
        )
        query = Query(given["variables"], clues, given["target"], given["asked"])
        spans = tuple(Span(*span) for span in given["answer_spans"])
        return cls(query, tuple(given["pages"]), given["question"], given["answer"], spans)
