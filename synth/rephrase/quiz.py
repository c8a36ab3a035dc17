"""Questions on a passage, with short answers, behind it: the form of Nemotron-CC's diverse QA, made by program.

Six kinds take turns: open, backwards (from what is said to what it is said of), true or false (right, and wrong with what another fact
says), one of four, and gaps. Every answer is a quotation of the passage, a letter, or yes and no. What is wrong comes from a fact of
the same kind, first of the same document, else of another one: then that document is a parent of the row. A wrong answer must differ enough
from the right one, and may not be said of the same thing anywhere in the passage.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from synth.candidates import Source
from synth.evidence import FactKind, keyed, normalised
from synth.rephrase.answers import num_pairs
from synth.rephrase.drafts import Draft, Passage, question, statement
from synth.rephrase.guards import CHARS_PER_TOKEN
from synth.rephrase.phrases import BLANK, CHOICE, GAP, NO, OPEN, OPTIONS, PAIRS, REVERSE, TRUE_OR_FALSE, YES, Voice
from synth.rephrase.pieces import Piece, Quote, filled, spoken
from synth.rephrase.told import Told, once

LEAST_PAIRS, MAX_PAIRS = 2, 12
NUM_OPTIONS = 4
MAX_ALIKE = 0.5  # share of common words of a right and a wrong answer
MAX_TRIED = 64  # wrong answers that are looked at
KINDS = ("open", "reverse", "choice", "true", "false", "gap")


class Wrong(NamedTuple):
    """What another fact says: the text of its document, where it stands there, and how it reads."""

    source: Source
    answer: Quote  # document 0 is `source`
    words: str


Pool = Mapping[FactKind, Sequence[Wrong]]


class Asked(NamedTuple):
    kind: str
    question: list[Piece]
    answer: list[Piece]
    told: Told
    wrong: tuple[Wrong, ...] = ()


def diverse_qa(passage: Passage, voice: Voice, pool: Pool) -> Draft | None:
    """The passage and a drawn number of questions behind it."""
    text = passage.source.text
    if len(passage.facts) < LEAST_PAIRS:
        return None
    limit = num_pairs(
        int(passage.quote.length / CHARS_PER_TOKEN), seed=voice.seed, document=passage.source.id, start=passage.begin
    )
    asked = _asked(passage, voice, pool, min(MAX_PAIRS, max(LEAST_PAIRS, limit)))
    if len(asked) < LEAST_PAIRS:
        return None
    others = {wrong.answer.document: wrong.source for each in asked for wrong in each.wrong if wrong.answer.document}
    documents = tuple(source for _, source in sorted(others.items(), key=lambda entry: entry[0]))
    made: list[Piece] = [voice.head("pairs", "")] if voice.number(2, "headed") else []
    before, between, after = voice.draw(PAIRS, "form")
    for each in asked:
        made += [before, *each.question, "\n", between, *each.answer, after]
    made = made[:-1]
    texts = [text, *(source.text for source in documents)]
    records = [
        {
            "kind": each.kind,
            "question": spoken(each.question, texts),
            "answer": spoken(each.answer, texts),
            "fact": each.told.kind,
        }
        for each in asked
    ]
    verdicts = {"closed_world": _closed_world(passage, asked, texts)}
    return Draft([passage.quote, "\n\n", *made], made, {"questions": records}, verdicts, documents)


def _asked(passage: Passage, voice: Voice, pool: Pool, limit: int) -> list[Asked]:
    """Facts in a drawn order, each asked about once, in the kind whose turn it is or the next that works."""
    order = sorted(passage.facts, key=lambda told: (voice.number(1 << 60, "fact", told.answer.start), told))
    first = voice.number(len(KINDS), "first")
    documents: list[Source] = []
    unique = set(once(passage.facts, passage.source.text))
    found: list[Asked] = []
    for told in order:
        for turn in range(len(KINDS)):
            kind = KINDS[(first + len(found) + turn) % len(KINDS)]
            if kind in ("reverse", "gap") and told not in unique:
                continue
            wrong = _wrong(passage, told, pool, voice) if kind in ("choice", "false") else ()
            each = _MAKERS[kind](passage, told, voice, _numbered(wrong, passage, documents))
            if each:
                for used in each.wrong:
                    if used.source.id not in {passage.source.id, *(source.id for source in documents)}:
                        documents.append(used.source)
                found.append(each._replace(kind=kind))
                break
        if len(found) == limit:
            break
    return found


def _numbered(wrong: Sequence[Wrong], passage: Passage, documents: Sequence[Source]) -> tuple[Wrong, ...]:
    """With the number that each one's document will have in the row."""
    numbers = {source.id: number for number, source in enumerate([passage.source, *documents])}
    placed = []
    for each in wrong:
        number = numbers.setdefault(each.source.id, len(numbers))
        placed.append(each._replace(answer=each.answer._replace(document=number)))
    return tuple(placed)


def _open(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    phrase = voice.draw(OPEN[told.kind], "open", told.answer.start)
    return Asked("", question(phrase, told), [told.answer], told)


def _reverse(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    subject, detail, answer = told.words(passage.source.text)
    named = told.detail if told.kind in ("raises", "parameter") else told.subject
    if named is None or (_says(f"{subject} {answer}", detail) if named is told.detail else _says(answer, subject)):
        return None
    phrase = voice.draw(REVERSE[told.kind], "reverse", told.answer.start)
    return Asked("", question(phrase, told), [named], told)


def _gap(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    subject, _, answer = told.words(passage.source.text)
    if _says(answer, subject):
        return None
    said = statement(told, passage.source.text, voice, "gap", told.answer.start, gap=GAP)
    phrase = voice.draw(BLANK, "blank", told.answer.start)
    return Asked("", filled(phrase, {"statement": said}), [told.subject], told)


def _true(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    number = voice.number(len(TRUE_OR_FALSE), "true", told.answer.start)
    said = statement(told, passage.source.text, voice, "true", told.answer.start)
    return Asked("", filled(TRUE_OR_FALSE[number], {"statement": said}), [YES[number]], told)


def _false(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    if not wrong:
        return None
    number, text = voice.number(len(TRUE_OR_FALSE), "false", told.answer.start), passage.source.text
    place = ("false", told.answer.start)
    said = statement(told, text, voice, *place, answer=wrong[0].answer, answer_text=wrong[0].source.text)
    right = statement(told, text, voice, *place)
    return Asked(
        "",
        filled(TRUE_OR_FALSE[number], {"statement": said}),
        filled(NO[number], {"statement": right}),
        told,
        wrong[:1],
    )


def _choice(passage: Passage, told: Told, voice: Voice, wrong: tuple[Wrong, ...]) -> Asked | None:
    if len(wrong) < NUM_OPTIONS - 1:
        return None
    phrase = voice.draw(OPEN[told.kind], "open", told.answer.start)
    mark = voice.draw(OPTIONS, "options")
    others = [each.answer for each in wrong[: NUM_OPTIONS - 1]]
    right = voice.number(NUM_OPTIONS, "right", told.answer.start)
    choices = [*others[:right], told.answer, *others[right:]]
    listed: list[Piece] = []
    letters = "abcd" if mark.startswith("a") else "ABCD"
    for letter, choice in zip(letters, choices, strict=True):
        listed += ["\n" if listed else "", re.sub("[Aa]", letter, mark, count=1), choice]
    asked = filled(
        voice.draw(CHOICE, "choice", told.answer.start), {"question": question(phrase, told), "options": listed}
    )
    return Asked(
        "", asked, [re.sub("[Aa]", letters[right], mark, count=1), told.answer], told, wrong[: NUM_OPTIONS - 1]
    )


_MAKERS: Mapping[str, Callable[[Passage, Told, Voice, tuple[Wrong, ...]], Asked | None]] = {
    "open": _open,
    "reverse": _reverse,
    "gap": _gap,
    "true": _true,
    "false": _false,
    "choice": _choice,
}


def _wrong(passage: Passage, told: Told, pool: Pool, voice: Voice) -> list[Wrong]:
    """What is not said of the subject and differs enough from what is, and among itself: of this document first."""
    text = passage.source.text
    own = [
        Wrong(passage.source, other.answer, other.words(text)[2]) for other in passage.facts if other.kind == told.kind
    ]
    right = told.words(text)[2]
    found: list[Wrong] = []
    others = [wrong for wrong in pool.get(told.kind, ()) if wrong.source.id != passage.source.id]
    start = voice.number(max(1, len(others)), "wrong", told.answer.start)
    own.sort(
        key=lambda wrong: (voice.number(1 << 60, "own wrong", told.answer.start, wrong.answer.start), wrong.answer)
    )
    for wrong in [*own, *(others[start:] + others[:start])[:MAX_TRIED]]:
        if all(_differs(wrong.words, words) for words in [right, *(each.words for each in found)]):
            found.append(wrong)
        if len(found) == NUM_OPTIONS - 1:
            break
    return found


def _differs(wrong: str, right: str) -> bool:
    """Neither holds the other, few words are common, and length does not tell them apart."""
    a, b = normalised(wrong), normalised(right)
    words_a, words_b = set(re.findall(r"\w+", a)), set(re.findall(r"\w+", b))
    alike = len(words_a & words_b) / max(1, len(words_a | words_b))
    return a not in b and b not in a and alike < MAX_ALIKE and 0.4 <= len(a) / max(1, len(b)) <= 2.5


def _says(answer: str, name: str) -> bool:
    """Whether the answer gives the name away."""
    return re.search(rf"(?<!\w){re.escape(name.partition('(')[0])}(?!\w)", answer, re.I) is not None


def _closed_world(passage: Passage, asked: Sequence[Asked], texts: Sequence[str]) -> dict[str, Any]:
    """No question is asked twice, every right answer stands in the passage, and no wrong one is said there of the same thing."""
    questions = [normalised(spoken(each.question, texts)) for each in asked]
    wrong = 0
    for each in asked:
        told = each.told.words(texts[0])
        said = {
            normalised(other.words(texts[0])[2]) for other in passage.facts if other.words(texts[0])[:2] == told[:2]
        }
        wrong += sum(normalised(distractor.words) in said for distractor in each.wrong)
    inside = all(passage.begin <= each.told.begin and each.told.end <= passage.end for each in asked)
    repeated = len(questions) - len(set(questions))
    return {
        "passed": inside and not repeated and not wrong,
        "pairs": len(asked),
        "repeated": repeated,
        "true_distractors": wrong,
    }


def pool_of(
    facts: Mapping[str, tuple[Source, Sequence[Told]]], *, seed: int, size: int = 512
) -> dict[FactKind, list[Wrong]]:
    """Of every kind the `size` answers of the receiver with the smallest draws, in their order."""
    by_kind: dict[FactKind, list[tuple[int, str, Wrong]]] = {}
    for id, (source, told_facts) in facts.items():
        for told in told_facts:
            draw = keyed(seed, id, "pool", told.kind, told.answer.start)
            by_kind.setdefault(told.kind, []).append((draw, id, Wrong(source, told.answer, told.words(source.text)[2])))
    return {
        kind: [wrong for _, _, wrong in sorted(drawn, key=lambda entry: entry[:2])[:size]]
        for kind, drawn in by_kind.items()
    }
