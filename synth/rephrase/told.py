"""Facts whose every part has its place in the document: what lists, tables and questions are made of.

`synth.facts` finds what a document states and where; here its subject and its detail get their characters, too. A fact that one of them
cannot be found for is left out: nothing is said that is not quoted. Two facts that would be shown under the same name are both left out,
because a reader could not tell them apart.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from synth.candidates import Question, Source, questions
from synth.evidence import API, FactKind, normalised
from synth.rephrase.pieces import Quote, shown

MAX_DISTANCE = 20_000  # characters from the name of a function to what is said of its parameters
MAX_NAME_CHARS = 80
_CUT = re.compile(
    r"(?:[,(]|\b(?:or|and|the|an?|of|to|in|with|for|by|e\.g|i\.e))[.:]?$", re.I
)  # the answer goes on elsewhere


class Told(NamedTuple):
    """A fact in quotations of document 0."""

    kind: FactKind
    subject: Quote
    answer: Quote
    detail: Quote | None  # name of a parameter or of an exception
    evidence: Quote

    @property
    def begin(self) -> int:
        return min(quote.start for quote in self._quotes())

    @property
    def end(self) -> int:
        return max(quote.end for quote in self._quotes())

    def _quotes(self) -> list[Quote]:
        return [quote for quote in (self.subject, self.answer, self.detail, self.evidence) if quote]

    def words(self, text: str) -> tuple[str, str, str]:
        """(subject, detail, answer) as they read."""
        detail = shown(self.detail, [text]) if self.detail else ""
        return shown(self.subject, [text]), detail, shown(self.answer, [text])


def told_facts(source: Source, *, seed: int) -> list[Told]:
    """The facts of the document that passed the checks of `synth.verify`, in the order of their answers."""
    located = [
        told
        for q in questions(source, seed=seed)
        if q.reason is None and (told := _located(source.text, q)) is not None
    ]
    names = Counter(_name(source.text, told) for told in located)
    return [told for told in located if names[_name(source.text, told)] == 1]


def inside(facts: Sequence[Told], begin: int, end: int) -> list[Told]:
    """The facts that lie in [begin, end) with all their parts."""
    return [told for told in facts if begin <= told.begin and told.end <= end]


def once(facts: Sequence[Told], text: str) -> list[Told]:
    """The facts whose answer no other of `facts` has: asked for by it, there is one thing it can be."""
    answers = Counter(normalised(told.words(text)[2]) for told in facts)
    return [told for told in facts if answers[normalised(told.words(text)[2])] == 1]


def _name(text: str, told: Told) -> tuple[str, str, str]:
    subject, detail, _ = told.words(text)
    return told.kind, normalised(subject), detail


def _located(text: str, q: Question) -> Told | None:
    fact = q.fact
    answer = Quote(0, fact.start, fact.length, "line")
    evidence = Quote(0, fact.evidence_start, fact.evidence_length, "line")
    subject = detail = None
    if fact.kind == "example":
        if fact.detail.count(">>>") > 1 or "\n" in q.answer or "`" in fact.subject + q.answer:
            return None  # its session says more than the line itself
        subject = _found(text, fact.subject, fact.evidence_start, fact.start)
    elif fact.kind in API:
        subject = _before(text, fact.subject, fact.evidence_start)
        if fact.detail:
            detail = _found(text, fact.detail, fact.evidence_start, fact.start)
            detail = detail or _found(text, fact.detail, fact.start, fact.evidence_start + fact.evidence_length)
    else:
        behind = max(0, fact.evidence_start - 300) if fact.kind == "section" else fact.evidence_start
        subject = _found(text, fact.subject, behind, fact.start)
    if subject is None or (fact.kind in ("raises", "parameter") and detail is None):
        return None
    if "`" in shown(subject, [text]) or _CUT.search(q.answer):
        return None
    return Told(fact.kind, subject, answer, detail, evidence)


def _before(text: str, call: str, begin: int) -> Quote | None:
    """The call, or else its name alone, where it stands last before the evidence."""
    name = call.partition("(")[0]
    least = max(0, begin - MAX_DISTANCE)
    for words in dict.fromkeys((call, name, name.rpartition(".")[2])):
        if len(words) <= MAX_NAME_CHARS and (quote := _last(text, words, least, begin)):
            return quote
    return None


def _last(text: str, words: str, begin: int, end: int) -> Quote | None:
    at = text.rfind(words, begin, end)
    while at >= 0 and not _is_word(text, at, at + len(words)):
        at = text.rfind(words, begin, at + len(words) - 1)
    return Quote(0, at, len(words), "line") if at >= 0 else None


def _found(text: str, words: str, begin: int, end: int) -> Quote | None:
    """The last place of `words` in [begin, end), whatever white space is between them."""
    if not words or len(words) > MAX_NAME_CHARS:
        return None
    if " " not in words:
        return _last(text, words, begin, end)
    pattern = r"\s+".join(map(re.escape, words.split()))
    places = [
        match
        for match in re.finditer(pattern, text[begin:end])
        if _is_word(text, begin + match.start(), begin + match.end())
    ]
    return Quote(0, begin + places[-1].start(), len(places[-1][0]), "line") if places else None


def _is_word(text: str, begin: int, end: int) -> bool:
    """Whether no letter goes on at either end."""
    before, after = text[begin - 1 : begin], text[end : end + 1]
    starts = not (before.isalnum() or before == "_") or not (text[begin].isalnum() or text[begin] == "_")
    ends = not (after.isalnum() or after == "_") or not (text[end - 1].isalnum() or text[end - 1] == "_")
    return starts and ends
