"""Is a question with its answer fit to be learned? A table of checks, each a named reason and a predicate on the candidate.

No model is asked. The checks bind a row to its source (the answer is a span, the subject stands there), keep it decidable (nothing that
points outside the quoted words, no output that another run would not print), and keep it worth asking. Whether a question has one answer
only is decided over the whole corpus, in `synth.closed_world`. Which checks a row passed is stored with it.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from synth.arithmetic import evaluate_session
from synth.evidence import API, EXAMPLE, PROSE, Fact, FactKind, answer, fold, normalised
from synth.examples import CONVENTIONS, source_of, undefined_names, unstable

_GENERIC_WORDS = """
this that these those it its there here the they them he she we you i his her their our your my none true false
what which who when where why how if one another each both such some any all other every most many few several no not
in on at for with by as from optional however also but and or so then thus new second first good better common typical similar
special simple following example note warning item way problem value reason result number list case thing use solution consequence
option key keys argument arguments returns default see name type object objects instance string function method class copy set test
tests changes change windows linux macos
"""
_GENERIC = frozenset(_GENERIC_WORDS.split())
_POINTER = re.compile(
    r"\b(?:this|these|those|above|below|following|previous|earlier|latter|former|such|here|reasons?|section|chapter|example|"
    r"page|figure|table \d|see also|deprecated|TODO|FIXME|XXX)\b",
    re.I,
)
_MARKUP = re.compile(r"\]\(|https?:|www\.|\||<[a-z/!]|#\d|::|\\|\{\{|@\w|[0-9a-f]{16,}|\) --|\) ->|\[\d+\]_?|\.\. ")
_CHANGE = re.compile(
    r"(?:added?|fix(?:ed|es)?|remov\w+|bump\w*|updat\w+|chang\w+|renam\w+|improv\w+|make|support|bug|now|use[sd]?|allow\w*)\b",
    re.I,
)
_BOILERPLATE = re.compile(
    r"licen[cs]e|copyright|contact|security|support|contribut|acknowledg|credit|install|author|donat|sponsor|help|status|requirement|"
    r"usage|link|changelog|what's new|added|fixed|changed|removed|bug|release|version|documentation|table of contents|index|"
    r"\d+\.\d+|^\d+$",
    re.I,
)
_FUNCTION_WORD = re.compile(r"\b(?:an?|the|of|to|in|on|for|with|by|is|are|and|or|that|which|can|from|as)\b")
_COMMON_WORDS = """
a an the of to in on for with by as from and or is are be was it its that which this will can if else not no true false none
value values parameter parameters argument arguments object objects instance given specified use used return returns returned
type string int float bool optional default function method class
"""
_COMMON = frozenset(_COMMON_WORDS.split())


class Candidate(NamedTuple):
    text: str  # of the source document
    fact: Fact
    title: str  # of the source, "" when it has none
    question: str
    answer: str


class Check(NamedTuple):
    reason: str  # of dropping: synth.<reason>
    kinds: tuple[FactKind, ...]
    fails: Callable[[Candidate], bool]


def verdicts(candidate: Candidate) -> tuple[str | None, tuple[str, ...]]:
    """(the reason of the first check that fails or None, the names of the checks passed before it)."""
    passed: list[str] = []
    for check in CHECKS:
        if candidate.fact.kind in check.kinds:
            if check.fails(candidate):
                return f"synth.{check.reason}", tuple(passed)
            passed.append(check.reason)
    return None, tuple(passed)


def _not_a_span(c: Candidate) -> bool:
    return c.answer != answer(c.text, c.fact) or not c.answer.strip()


def _subject_absent(c: Candidate) -> bool:
    """A subject in prose stands in the evidence; the name of a function anywhere in the source."""
    if c.fact.kind in API:
        return c.fact.subject.partition("(")[0].rpartition(".")[2] not in c.text
    start = 0 if c.fact.kind == "section" else c.fact.evidence_start
    return fold(c.fact.subject) not in fold(c.text[start : c.fact.end])


def _generic_subject(c: Candidate) -> bool:
    words = c.fact.subject.casefold().split()
    if c.fact.kind == "section":
        return bool(_BOILERPLATE.search(c.fact.subject))
    return (
        not words
        or words[0].strip("`*") in _GENERIC
        or words[-1] in _GENERIC
        or sum(map(str.isalpha, c.fact.subject)) < 2
    )


def _answer_in_question(c: Candidate) -> bool:
    """In prose the words of the answer; in a session a line that is already the answer, or prints it."""
    if c.fact.kind == "example":
        return c.answer in c.question.split("\n") or f">>> {c.answer}" in c.question.split("\n")
    return normalised(c.answer) in normalised(c.question)


def _points_elsewhere(c: Candidate) -> bool:
    return bool(_POINTER.search(c.answer))


def _unclean(c: Candidate) -> bool:
    """Links, references, tables, or quotes and brackets that do not close: the answer was cut out of its layout."""
    unbalanced = (
        any(c.answer.count(a) != c.answer.count(b) for a, b in ("()", "[]", "{}", "“”")) or c.answer.count('"') % 2
    )
    return bool(_MARKUP.search(c.answer) or unbalanced or c.answer.count("`") % 2)


def _incomplete(c: Candidate) -> bool:
    """Not a sentence or phrase of its own: announces a list, or begins inside one."""
    return c.answer[-1] in ":,;(-" or not re.match(r"[\w`'\"“(*\[]", c.answer) or c.answer.startswith(("* ", "- "))


def _uninformative(c: Candidate) -> bool:
    """Fewer than three words that are neither in the question nor common."""
    asked = set(re.findall(r"\w+", c.question.casefold()))
    said = set(re.findall(r"\w+", c.answer.casefold()))
    return len(said - asked - _COMMON) < (2 if c.fact.kind in ("returns", "raises") else 3)


def _not_prose(c: Candidate) -> bool:
    """No full sentence or phrase with function words: a table row, a command, a name."""
    return len(_FUNCTION_WORD.findall(c.answer)) < 2 or c.answer[-1] not in ".!?)"


def _change_note(c: Candidate) -> bool:
    return bool(_CHANGE.match(c.answer) or _CHANGE.match(c.fact.subject))


def _undefined_name(c: Candidate) -> bool:
    """The session does not parse, or uses names that neither it nor its file defines."""
    names = undefined_names(source_of(c.fact.detail))
    return names is None or any(
        not re.search(rf"^(?:def|class) {name}\b", c.text, re.M) for name in names - CONVENTIONS.keys()
    )


def _recompute_mismatch(c: Candidate) -> bool:
    """The session is literal and computing it gives something else."""
    result = evaluate_session(source_of(c.fact.detail).split("\n"))
    return result is not None and repr(result[0]) != c.answer


CHECKS: tuple[Check, ...] = (
    Check("not_a_span", PROSE + API + EXAMPLE, _not_a_span),
    Check("untitled", PROSE + API + EXAMPLE, lambda c: not (c.title or c.fact.scope)),
    Check("generic_subject", PROSE, _generic_subject),
    Check("subject_absent", PROSE + API, _subject_absent),
    Check("answer_in_question", PROSE + API + EXAMPLE, _answer_in_question),
    Check("points_elsewhere", PROSE, _points_elsewhere),
    Check("points_elsewhere", API, lambda c: bool(re.search(r"\b(?:above|below|see|following)\b", c.answer, re.I))),
    Check("unclean", PROSE + API, _unclean),
    Check("incomplete", PROSE + API, _incomplete),
    Check("not_prose", ("term", "section"), _not_prose),
    Check("change_note", ("term",), _change_note),
    Check("uninformative", PROSE + API, _uninformative),
    Check("unstable_output", EXAMPLE, lambda c: unstable(c.answer, c.fact.detail)),
    Check("undefined_name", EXAMPLE, _undefined_name),
    Check("recompute_mismatch", EXAMPLE, _recompute_mismatch),
)
