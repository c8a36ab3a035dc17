"""Conversations about a passage: a system turn shows it, a user asks about it and asks on, an assistant answers in its words.

Questions and answers are those of `synth.qa` (without examples, whose output would stand beside them), and are checked again in the words
in which a conversation asks: a question about what the one before was about says "it", one about the same document does not name it.

Half of the conversations are direct: empty thoughts stand in every answer and are not learned, because who asks without thinking writes
them (the chat template with `enable_thinking` false). In the other half the last answer is thought about, and only that answer is learned:
the template of GLM-4.5 erases thoughts before the last user turn, and answers shown without theirs would teach not to think.
"""

from itertools import pairwise

import pyarrow as pa

from synth.candidates import Question, Source, kept_row, questions, sources, table
from synth.closed_world import settle
from synth.evidence import API, Fact, FactKind, fold, keyed, normalised
from synth.generators import Generator
from synth.long_context import inside, windows
from synth.render import Turn
from synth.rows import Made
from synth.verify import Candidate, verdicts
from synth.wording import filled, named_source

SYSTEM = (
    "You answer questions about this part of {title}. Keep to what it says.\n\n{passage}",
    "The user asks about {title}, of which this is a part. Answer with what stands here.\n\n{passage}",
    "Here is a part of {title}. Whoever asks wants to know what it says.\n\n{passage}",
)
# The next question about the same document, entry or file.
NEXT: dict[FactKind, tuple[str, ...]] = {
    "definition": ("What {detail}?", "And what {detail}?"),
    "term": ("How is `{subject}` described?", "And what does it say about `{subject}`?"),
    "section": ('How does the section "{subject}" begin?', 'And what comes first under "{subject}"?'),
    "summary": ("What is `{subject}` for?", "And how is `{subject}` described?"),
    "returns": ("What does `{subject}` return?", "And what is the return value of `{subject}`?"),
    "raises": ("When does `{subject}` raise `{detail}`?", "And when does `{subject}` raise `{detail}`?"),
    "parameter": ("What is the parameter `{detail}` of `{subject}`?", "And the argument `{detail}` of `{subject}`?"),
}
# The next question about the same function or class.
ABOUT_IT: dict[FactKind, tuple[str, ...]] = {
    "summary": ("What is it for?", "And how is it described?"),
    "returns": ("What does it return?", "And what is its return value?"),
    "raises": ("When does it raise `{detail}`?", "And when does it raise `{detail}`?"),
    "parameter": ("What is its parameter `{detail}`?", "And its argument `{detail}`?"),
}


def emit(
    docs: pa.Table,
    *,
    seed: int = 0,
    max_per_document: int = 4,
    min_chars: int = 500,
    max_scan_chars: int = 1_000_000,
    max_context_chars: int = 1_200,
    min_questions: int = 2,
    max_questions: int = 4,
) -> pa.Table:
    """Candidates of one partition: per document at most `max_per_document` windows, the ones with most questions that pass."""
    rows, made = [], Made("chat", seed)
    for source in sources(docs, min_chars=min_chars, max_scan_chars=max_scan_chars):
        asked = [q for q in questions(source, seed=seed) if q.fact.kind != "example" and q.reason is None]
        plain = _unambiguous(asked)
        found = []
        for window in windows(source.text, max_context_chars):
            told = [q for q in inside(plain, *window) if _is_told(source.text, window, q)]
            talk = _in_conversation(source, _connected(told, max_questions), seed)
            if len(talk) >= min_questions:
                found.append((window, talk))
        for window, talk in sorted(found, key=lambda entry: (-len(entry[1]), entry[0]))[:max_per_document]:
            thinks = bool(keyed(seed, source.id, "think", window[0]) % 2)
            turns = conversation(source, window, talk, thinks=thinks, seed=seed)
            details = {"window": [window[0], window[1] - window[0]], "mode": "thinking" if thinks else "direct"}
            rows.append(kept_row(made, "qa", source, window[0], talk, turns, direct=not thinks, **details))
    return table(rows)


def conversation(
    source: Source, window: tuple[int, int], talk: list[Question], *, thinks: bool, seed: int
) -> list[Turn]:
    """System, then user and assistant in turns. With `thinks` the last answer has its thoughts and is what is learned."""
    system = SYSTEM[keyed(seed, source.id, "system", window[0]) % len(SYSTEM)]
    whole = source.title and len({q.fact.scope for q in talk}) > 1  # not about one entry only
    title = source.title if whole else named_source(talk[0].fact, source.title)
    passage = source.text[slice(*window)].strip()
    shown = [Turn("system", system.replace("{title}", title, 1).replace("{passage}", passage, 1))]
    for q in talk:
        thoughts = q.thoughts if thinks and q is talk[-1] else ""
        learn = not thinks or q is talk[-1]
        shown += [Turn("user", q.question), Turn("assistant", q.answer, think=thoughts, learn=learn)]
    return shown


def _unambiguous(asked: list[Question]) -> list[Question]:
    """Those that have one answer also where the question names neither document nor entry."""
    answers: dict[tuple[str, str, str], set[str]] = {}
    for q in asked:
        answers.setdefault(_subject(q.fact), set()).add(normalised(q.answer))
    return [q for q in asked if len(answers[_subject(q.fact)]) == 1]


def _subject(fact: Fact) -> tuple[str, str, str]:
    return fact.kind, normalised(fact.subject), fact.detail


def _is_told(text: str, window: tuple[int, int], q: Question) -> bool:
    """Whether the passage shows the answer and, before it, what it is about: the heading of an entry, the name of a function, a subject."""
    begin, end = window
    name = q.fact.subject.partition("(")[0].rpartition(".")[2] if q.fact.kind in API else q.fact.subject
    said = fold(text[begin : q.fact.start])
    return fold(q.answer) in fold(text[begin:end]) and fold(name) in said and q.fact.scope in said


def _connected(told: list[Question], limit: int) -> list[Question]:
    """The run of at most `limit` neighbours with most questions about what the one before was about; of equals the first."""
    runs = [told[begin : begin + limit] for begin in range(max(1, len(told) - limit + 1))]
    return max(runs, key=lambda run: sum(_same(*pair) for pair in pairwise(run)))


def _same(q: Question, after: Question) -> bool:
    """Whether two questions are about the same function or class."""
    return q.fact.kind in API and after.fact.kind in API and _named(q.fact) == _named(after.fact)


def _named(fact: Fact) -> tuple[str, str]:
    return fact.scope, fact.subject


def _in_conversation(source: Source, run: list[Question], seed: int) -> list[Question]:
    """The questions as they are asked one after the other. One that fails a check in its new words is left out."""
    talk: list[Question] = []
    for q in run:
        if talk and q.fact.scope == talk[-1].fact.scope:
            wordings = (ABOUT_IT if _same(talk[-1], q) else NEXT)[q.fact.kind]
            words = wordings[keyed(seed, source.id, "ask on", q.fact.start) % len(wordings)]
            q = q._replace(question=filled(words, q.fact, source.title))
        if verdicts(Candidate(source.text, q.fact, source.title, q.question, q.answer))[0] is None:
            talk.append(q)
    return talk


CHAT = Generator(emit, settle)
