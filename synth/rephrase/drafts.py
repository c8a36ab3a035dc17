"""What the makers of rows without a teacher share: the passage they are given, the draft they hand back, a fact as a sentence."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from synth.candidates import Source
from synth.rephrase.phrases import STATEMENTS, Voice
from synth.rephrase.pieces import Piece, Quote, clause, filled, shown
from synth.rephrase.told import Told

_IS_ENTRY = re.compile(r"\w\.\w|\(")


class Passage(NamedTuple):
    """A part of a document with the facts that lie in it."""

    source: Source
    begin: int
    end: int
    facts: list[Told]

    @property
    def text(self) -> str:
        return self.source.text[self.begin : self.end]

    @property
    def title(self) -> str:
        """Of the document; "" where that is the name of its first entry, and this passage is not about it."""
        title = self.source.title
        return "" if self.begin and _IS_ENTRY.search(title) else title

    @property
    def quote(self) -> Quote:
        """The passage as it stands, without the white space around it."""
        text = self.text
        start = self.begin + len(text) - len(text.lstrip())
        return Quote(0, start, len(text.strip()), "raw")


class Draft(NamedTuple):
    """A row before it is judged."""

    pieces: list[Piece]  # all of the text
    made: list[Piece]  # of it what is not the passage itself
    details: Mapping[str, Any] = {}  # for the task
    verdicts: Mapping[str, Mapping[str, Any]] = {}  # what only its maker can check
    documents: tuple[Source, ...] = ()  # that are quoted beside the passage's, numbered from 1


def statement(
    told: Told,
    text: str,
    voice: Voice,
    *place: object,
    answer: Quote | None = None,
    answer_text: str = "",
    gap: str = "",
) -> list[Piece]:
    """The fact as a sentence. `answer`: what another fact (in `answer_text`) says, in its place; `gap`: shown instead of the subject."""
    said, said_text = answer or told.answer, answer_text or text
    phrase = voice.draw(STATEMENTS[told.kind], "statement", told.kind, *place)
    if told.kind == "definition" and (answer or gap):
        phrase = "{subject} is {clause}" if _is_singular(told, text) else "{subject}: {answer}"
    if gap:
        phrase = phrase.replace("`{subject}`", "{subject}")
    quotes: dict[str, Piece] = {
        "subject": gap or told.subject,
        "answer": said,
        "clause": said._replace(view="clause"),
        "detail": told.detail or "",
        "evidence": told.evidence,
    }
    made = filled(phrase, quotes)
    last = (
        clause(said_text[said.start : said.end])
        if phrase.endswith("{clause}")
        else shown(said._replace(document=0), [said_text])
    )
    if phrase.endswith(("{clause}", "{answer}")) and last[-1] not in '.!?:)”"':
        made.append(".")
    return made


def question(phrase: str, told: Told) -> list[Piece]:
    """A question with the fact's quotations in it."""
    return filled(
        phrase,
        {
            "subject": told.subject,
            "answer": told.answer,
            "clause": told.answer._replace(view="clause"),
            "detail": told.detail or "",
        },
    )


def _is_singular(told: Told, text: str) -> bool:
    between = text[told.subject.end : told.answer.start].split()
    return bool(between) and between[-1] == "is"
