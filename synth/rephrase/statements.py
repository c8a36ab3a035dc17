"""Does a rewritten sentence still say what its sentence in the source says? Found by aligning them; no model is asked.

A sentence whose words mostly stand together in one sentence of the source, or in two neighbours, is a rewrite of it. Then

    moved     it has no number or name that only other places of the source have
    rebound   a number or name stands beside the word beside which another stood: "3 pears" for "5 pears", "Bob wrote" for "Ann wrote",
              and, where most words are the same, "written by Bob", "Bob Lovelace"; what a form of "be" or "by" turns around
              is compared with its like
    negated   it denies where that one denies

A sentence that resembles none is not judged here: then the multisets of `marks` alone hold it. Not covered: opposites ("rises", "falls"),
swapped objects, quantifiers ("some", "all"), languages but English for the negations. A passage of 4,000 characters takes 8 ms.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synth.prose import paragraphs, sentences
from synth.rephrase.marks import FUNCTION_WORDS, loose_numbers, marks_of, number, plain, root, said_numbers

LEAST_SHARED = 0.6  # of the words of the rewritten sentence, to be a rewrite
LEAST_ALIKE = 0.5  # of the words of both, to be a rewrite of that sentence alone
LEAST_WORDS = 3
LEAST_JOINED = 1
REACH = 3  # words from a number or name to the one that it belongs to
MAX_SENTENCES = 400  # of either text

_TOKEN = re.compile(r"-?\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_BREAK = re.compile(r"[,;:()]")
BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "am"])
# What stands behind them belongs to something else than the mark before them.
_PARTS_WORDS = """
for in on at with from to into over under about as after before during and or but that which who when where if so
"""
_PARTS = frozenset(_PARTS_WORDS.split())
_DENIES = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|unable|impossible|hardly|rarely|fails?|failed|lacks?|"
    r"lacked|refuse[sd]?|prevents?|prevented|except|unless|invalid|unlike\w*|un(?:available|supported|known|defined|necessary|used|safe|"
    r"changed|specified)|non-?\w+)\b|n['’]t\b",
    re.I,
)


Bound = dict[tuple[str, str], frozenset[tuple[str, bool]]]


class Sentence(NamedTuple):
    text: str
    words: frozenset[str]  # stems of what is neither a number nor a function word
    numbers: frozenset[str]
    names: frozenset[str]
    loose: frozenset[str]  # numbers, and all words in the form of names: what it may be said to have
    bound: Bound


class Changed(NamedTuple):
    """A rewritten sentence that says something else."""

    how: str  # moved, rebound, negated
    said: str
    source: str


def changes(source: str, made: str, known: frozenset[str] = frozenset()) -> tuple[list[Changed], int]:
    """(what is said differently, how many sentences of `made` were found in the source). `known`: names, in lower case."""
    told = [_sentence(text, known) for text in split(source)]
    verbatim = {each.text for each in told}
    found: list[Changed] = []
    num_aligned = 0
    for text in split(made):
        sentence = _sentence(text, known)
        place = _aligned(sentence, told)
        if place is None and text not in verbatim:
            continue
        num_aligned += 1
        if place is None or text in verbatim:
            continue
        near = told[max(0, place[0] - 1) : place[1] + 1]
        found += _differences(sentence, told[slice(*place)], near, told)
    return found, num_aligned


def split(text: str) -> list[str]:
    """Sentences, and lines that are none: items of lists, headings, rows of tables."""
    return [text[begin:end] for begin, end in _spans(text)][:MAX_SENTENCES]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for begin, end in paragraphs(text, (0, len(text))):
        at = begin
        for start, stop in sentences(text, (begin, end)):
            yield start, stop
            at = stop
        if text[at:end].strip():
            yield at, end


def _sentence(text: str, known: frozenset[str]) -> Sentence:
    marks = marks_of(text, known)
    names = frozenset(map(root, marks.names))
    numbers = frozenset(said_numbers(marks))
    tokens = [(plain(match[0]), match) for match in _TOKEN.finditer(text)]
    loose = numbers | loose_numbers(text) | names | {root(token) for token, _ in tokens}
    words = {stem(token) for token, _ in tokens if _is_content(token, names)}
    return Sentence(text, frozenset(words), numbers, names, loose, _bound(text, tokens, names))


def _is_content(token: str, names: frozenset[str]) -> bool:
    is_mark = token[0].isdigit() or token[0] == "-" or root(token) in names
    return not is_mark and token not in FUNCTION_WORDS and token not in BE


def _bound(text: str, tokens: Sequence[tuple[str, re.Match[str]]], names: frozenset[str]) -> Bound:
    """What stands beside what, inside a phrase: (word, side) -> {(mark, turned)}; see `rebound` above.

    side: `behind` a mark the word stands, `before` it, or, of two names side by side, in one `run`. turned: a form of "be" stands between
    a mark and the word behind it, or "by" between a word and the mark behind it.
    """
    bound: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    mark, word = None, None  # last ones: (itself, tokens since, turned)
    at = 0
    for token, match in tokens:
        between = text[at : match.start()]
        at = match.end()
        if _BREAK.search(between):
            mark = None
            word = word if between.strip() == "," else None  # a list goes on
        if token in _PARTS:
            mark = None
        mark = mark and (mark[0], mark[1] + 1, mark[2] or token in BE)
        word = word and (word[0], word[1] + 1, word[2] or token == "by")
        if _is_content(token, names):
            if mark and mark[1] <= REACH:
                bound.setdefault((token, "behind"), set()).add((mark[0], mark[2]))
            mark, word = None, (token, 0, False)
        elif token not in FUNCTION_WORDS and token not in BE:
            value = root(token) if root(token) in names else number(token)
            if word:
                bound.setdefault((word[0], "before"), set()).add((value, word[2]))
            if mark and mark[1] == 1 and between == " " and value in names:
                bound.setdefault((value, "run"), set()).add((mark[0], False))
            mark = (value, 0, False)
    return {place: frozenset(marks) for place, marks in bound.items()}


def stem(word: str) -> str:
    """A crude stem: enough for "returns" and "returned" to meet."""
    for ending in ("ing", "edly", "ies", "ed", "es", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _aligned(sentence: Sentence, told: Sequence[Sentence]) -> tuple[int, int] | None:
    """[first, last) of the sentences of the source that it is a rewrite of: one, or two neighbours that hold clearly more of it."""
    if len(sentence.words) < LEAST_WORDS:
        return None
    best: tuple[float, int, float, bool, int, int] | None = None
    for first in range(len(told)):
        for last in (first + 1, first + 2):
            if last > len(told):
                break
            words = frozenset().union(*(each.words for each in told[first:last]))
            common = len(words & sentence.words)
            shared = common / len(sentence.words)
            if shared < LEAST_SHARED:
                continue
            same = sum(len((sentence.numbers | sentence.names) & each.loose) for each in told[first:last])
            alike = common / len(words | sentence.words)
            polar = last == first + 1 and _denies(told[first].text) == _denies(sentence.text)
            key = (shared - 0.2 * (last - first - 1), same, alike, polar, -first, -last)
            if best is None or key > best:
                best = key
    return None if best is None else (-best[4], -best[5])


def _differences(
    sentence: Sentence, told: Sequence[Sentence], near: Sequence[Sentence], everything: Sequence[Sentence]
) -> Iterator[Changed]:
    source = " ".join(each.text for each in told)
    here = frozenset().union(*(each.loose for each in near))
    rest = sentence.words - frozenset().union(*(each.words for each in told))
    joined = [
        each for each in everything if len(rest & each.words) >= LEAST_JOINED
    ]  # whose words went into the sentence, too
    here = here.union(*(each.loose for each in joined))
    strangers = (sentence.numbers | sentence.names) - here
    if strangers and any(strangers & each.loose for each in everything):
        yield Changed("moved", sentence.text, source)
        return
    close = len(told) == 1 and _alike(sentence, told[0])
    for place, marks in sentence.bound.items():
        if place[1] != "behind" and not close:
            continue
        known = frozenset().union(*(each.bound.get(place, frozenset()) for each in near))
        if any(
            {other for other, way in known if way == turned} and (mark, turned) not in known for mark, turned in marks
        ):
            yield Changed("rebound", sentence.text, source)
            return
    if close and _denies(sentence.text) != _denies(told[0].text):
        yield Changed("negated", sentence.text, source)


def _alike(a: Sentence, b: Sentence) -> bool:
    return len(a.words & b.words) >= LEAST_ALIKE * len(a.words | b.words)


def _denies(text: str) -> int:
    return len(_DENIES.findall(text)) % 2
