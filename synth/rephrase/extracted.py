"""Rows without a teacher: what a passage states, said in another form in its own words.

    knowledge_list  outline  table     facts as a list, nested by subject, as a Markdown table
    prose                              a Markdown table in sentences
    diverse_qa  cloze                  the passage, and questions or gaps with their solution behind it

`task` of a row, beside `style` and `mode: extractive`:

    passage     [start, length] in the text of the first parent
    pieces      whose concatenation is the row's text: a string as it is, or [parent, start, length, view], those characters of a parent's
                text, folded (`line`), for a sentence (`clause`), for a table (`cell`), out of a table (`bare_cell`) or as they are (`raw`);
                see `synth.rephrase.pieces`
    facts, rows, columns    counts of what is listed
    gaps        [start, length] of each in the first parent
    questions   kind, question, answer, and the kind of the fact, of each

Verdicts: `spans` (the text is made again from its pieces as stored), those of the maker (`closed_world`, `gaps`), and the guards that do
not hold by construction: length, marks, code, language. 250 rows per CPU second.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.candidates import Source
from synth.evidence import keyed
from synth.rephrase import blanks, guards, lists, quiz, tables
from synth.rephrase.drafts import Draft, Passage
from synth.rephrase.guards import CHARS_PER_TOKEN, Limits
from synth.rephrase.passages import passages
from synth.rephrase.phrases import OWN_WORDS, Voice
from synth.rephrase.pieces import Piece, Quote, as_json, from_json, shown, sources_of, spoken
from synth.rephrase.told import inside, told_facts
from synth.rows import Made, Parent

PASSAGE_TOKENS = 700
STYLES: dict[str, Limits] = {  # of what is made, without the passage behind which it stands
    "knowledge_list": Limits((0.02, 1.5), 25),
    "outline": Limits((0.02, 1.5), 25),
    "table": Limits((0.02, 1.5), 25),
    "prose": Limits((0.02, 2.5), 25),
    "diverse_qa": Limits((0.02, 2.0), 20),
    "cloze": Limits((0.002, 0.5), 3),
}


class Candidate(NamedTuple):
    style: str
    passage: Passage

    @property
    def name(self) -> str:
        return f"{self.passage.source.id}:{self.style}:{self.passage.begin}"


def rows(
    made: Made, sources: Sequence[Source], parents: Mapping[str, Parent], styles: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Rows in the styles of each document (`styles`, like `parents` by its id).

    Styles take turns as long as they have rows; inside a style, passages come in the order of a keyed draw.
    """
    facts = {source.id: (source, told_facts(source, seed=made.seed)) for source in sources}
    by_style: dict[str, list[tuple[int, str, Candidate]]] = {style: [] for style in STYLES}
    for source, told in facts.values():
        for begin, end in passages(source.text, int(PASSAGE_TOKENS * CHARS_PER_TOKEN)):
            passage = Passage(source, begin, end, inside(told, begin, end))
            for style in styles[source.id]:
                candidate = Candidate(style, passage)
                by_style[style].append((keyed(made.seed, candidate.name, "order"), candidate.name, candidate))
    pool = quiz.pool_of(facts, seed=made.seed) if by_style["diverse_qa"] else {}
    drawn = [[each for *_, each in sorted(found, key=lambda entry: entry[:2])] for found in by_style.values()]
    turns = [(made_row for each in found if (made_row := row(made, each, pool, parents))) for found in drawn]
    for turn in itertools.zip_longest(*turns):
        yield from (each for each in turn if each is not None)


def row(made: Made, candidate: Candidate, pool: quiz.Pool, parents: Mapping[str, Parent]) -> dict[str, Any] | None:
    """The row of a candidate, or None where its passage gives nothing for its style. `parents`: documents by id."""
    passage = candidate.passage
    voice = Voice(made.seed, candidate.name)
    draft = _draft(candidate, voice, pool)
    if draft is None:
        return None
    sources = [passage.source, *draft.documents]
    texts = [source.text for source in sources]
    text = spoken(draft.pieces, texts)
    task = {
        "style": candidate.style,
        "mode": "extractive",
        "passage": [passage.begin, passage.end - passage.begin],
        "pieces": as_json(draft.pieces),
        **draft.details,
    }
    return made.document(
        candidate.name,
        text,
        kind=passage.source.kind,
        lang="en",
        parents=[parents[source.id] for source in sources],
        task=task,
        verdicts=_verdicts(candidate, draft, text, json.loads(json.dumps(task["pieces"])), texts),
    )


def _draft(candidate: Candidate, voice: Voice, pool: quiz.Pool) -> Draft | None:
    if candidate.style == "diverse_qa":
        return quiz.diverse_qa(candidate.passage, voice, pool)
    if candidate.style == "cloze":
        return blanks.cloze(candidate.passage, voice)
    if candidate.style == "prose":
        return tables.prose(candidate.passage, voice)
    return lists.LIST_MAKERS[candidate.style](candidate.passage, voice)


def _verdicts(
    candidate: Candidate, draft: Draft, text: str, stored: list[Any], texts: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    passage, limits = candidate.passage, STYLES[candidate.style]
    pieces = from_json(stored)
    spans = sources_of(pieces, texts)
    said = spoken(draft.made, texts)
    told = "\n".join([passage.text, *_foreign(draft.made, texts)])
    return {
        "spans": {**spans, "passed": spans["passed"] and spoken(pieces, texts) == text},
        **draft.verdicts,
        "length": guards.length(passage.text, said, limits),
        **guards.marks_kept(told, said, 0.0, also=passage.title, words=OWN_WORDS),
        "code": guards.compiles(told, said),
        "language": guards.same_language(passage.text, said),
    }


def _foreign(pieces: Sequence[Piece], texts: Sequence[str]) -> Iterator[str]:
    """What is quoted from other documents."""
    yield from (shown(piece, texts) for piece in pieces if isinstance(piece, Quote) and piece.document)
