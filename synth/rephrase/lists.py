"""Facts of a passage as a knowledge list, as an outline by subject, and as a table. One fact an item, each in quotations."""

from collections.abc import Callable
from itertools import groupby

from synth.evidence import FactKind
from synth.rephrase.drafts import Draft, Passage, statement
from synth.rephrase.phrases import BULLETS, OUTLINES, TABLE_NAMES, Voice
from synth.rephrase.pieces import Piece, Quote
from synth.rephrase.told import Told

LEAST_FACTS = 3
MAX_FACTS = 24
LEAST_NESTED = 2  # subjects in an outline

_NESTED: dict[FactKind, tuple[str, ...]] = {
    "returns": ("returns: ", "gives back: ", "value: ", "returned is: "),
    "raises": ("raises {}: ", "{} is raised: ", "fails with {}: "),
    "parameter": ("{}: ", "parameter {}: ", "argument {}: ", "takes {}: "),
    "summary": ("", "does: ", "use: ", "purpose: "),
    "definition": ("", "is: ", "means: "),
    "term": ("", "described as: "),
    "section": ("", "begins: "),
    "example": ("", "gives: ", "value: "),
}


def knowledge_list(passage: Passage, voice: Voice) -> Draft | None:
    """Every fact as a statement on a line."""
    facts = passage.facts[:MAX_FACTS]
    if len(facts) < LEAST_FACTS:
        return None
    bullet = voice.draw(BULLETS, "bullet")
    made: list[Piece] = [voice.head("list", passage.title)]
    for number, told in enumerate(facts, 1):
        place = number if voice.number(2, "mixed") else 0  # every item its own phrase, or all of a kind the same
        made += [bullet.replace("{n}", str(number)), *statement(told, passage.source.text, voice, place), "\n"]
    return Draft(made[:-1], made[:-1], {"facts": len(facts)})


def outline(passage: Passage, voice: Voice) -> Draft | None:
    """Subjects in their order, under each what is said of it."""
    text = passage.source.text
    groups = [list(group) for _, group in groupby(passage.facts[:MAX_FACTS], lambda told: told.words(text)[0])]
    nested = [group for group in groups if len(group) > 1]
    if len(groups) < LEAST_NESTED or not nested:
        return None
    outer, inner = voice.draw(OUTLINES, "bullets")
    made: list[Piece] = [voice.head("outline", passage.title)]
    for number, group in enumerate(groups, 1):
        made += [outer.replace("{n}", str(number)), group[0].subject, "**" if outer == "**" else "", "\n"]
        for told in group:
            made += [inner, *_nested(told, voice), told.answer, "\n"]
    return Draft(made[:-1], made[:-1], {"facts": sum(map(len, groups))})


def table(passage: Passage, voice: Voice) -> Draft | None:
    """The facts of the kind that has most of them, as a table of names and descriptions."""
    by_kind: dict[FactKind, list[Told]] = {}
    for told in passage.facts:
        by_kind.setdefault(told.kind, []).append(told)
    kind = max(sorted(by_kind), key=lambda kind: len(by_kind[kind]), default=None)
    if kind is None or len(by_kind[kind]) < LEAST_FACTS:
        return None
    facts = by_kind[kind][:MAX_FACTS]
    names = TABLE_NAMES[kind][voice.number(len(TABLE_NAMES[kind]), "names")]
    rule = voice.draw(("---", ":---", "------", "-"), "rule")
    made: list[Piece] = [voice.head("table", passage.title)]
    made.append("| " + " | ".join(names) + " |\n|" + "|".join(f" {rule} " for _ in names) + "|\n")
    for told in facts:
        quotes: list[Quote] = [told.subject, *([told.detail] if told.detail else []), told.answer]
        for quote in quotes:
            made += ["| ", quote._replace(view="cell"), " "]
        made.append("|\n")
    made[-1] = "|"
    return Draft(made, made, {"facts": len(facts), "columns": len(names)})


def _nested(told: Told, voice: Voice) -> list[Piece]:
    before, gap, after = voice.draw(_NESTED[told.kind], "nested", told.kind).partition("{}")
    if gap and told.detail:
        return [before, told.detail, after]
    return [before]


LIST_MAKERS: dict[str, Callable[[Passage, Voice], Draft | None]] = {
    "knowledge_list": knowledge_list,
    "outline": outline,
    "table": table,
}
