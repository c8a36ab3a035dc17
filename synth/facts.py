"""Extract facts with evidence from documents, without a model: prose, docstrings and interactive examples.

Which extractors run depends on the document: Python source is read by its docstrings, manuals by their entries, everything else as
prose. Each fact carries the exact characters that state it. Precision is bought with narrow patterns here and with the checks of
`synth.verify` afterwards. Cost: 10 million characters per second and core, 3 million with the checks and the wording. Not covered:
facts spread over several sentences, tables, languages but English.
"""

import dataclasses
import itertools

from synth.api import api_facts
from synth.docstrings import docstrings, listed_entries, manual_entries
from synth.evidence import Fact, keyed
from synth.examples import examples
from synth.prose import definitions, glossary, sections
from synth.wording import CODE_KINDS

PROSE_FILES = (".md", ".rst", ".txt")


def extract(text: str, *, kind: str, origin: str) -> list[Fact]:
    """The facts of a document in the order of their answers; of two facts whose answers overlap the one that begins first, then the
    one found by the more specific extractor."""
    if kind in CODE_KINDS and not origin.endswith(PROSE_FILES):
        found = _from_source(text)
    else:
        found = _from_prose(text)
    order = {fact: rank for rank, fact in reversed(list(enumerate(found)))}
    kept: list[Fact] = []
    for fact in sorted(order, key=lambda fact: (fact.start, order[fact])):
        if not kept or fact.start >= kept[-1].end:
            kept.append(fact)
    return kept


def select(facts: list[Fact], limit: int, *, seed: int, document: str) -> list[Fact]:
    """At most `limit` facts, in text order: the kinds take turns, and inside a kind chance (keyed) decides."""
    shuffled = sorted(facts, key=lambda fact: (keyed(seed, document, "select", fact.start), fact))
    by_kind = [[fact for fact in shuffled if fact.kind == kind] for kind in sorted({fact.kind for fact in facts})]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_kind))
    return sorted(itertools.islice((fact for fact in turns if fact is not None), limit))


def _from_source(text: str) -> list[Fact]:
    found: list[Fact] = []
    for docstring in docstrings(text):
        found += api_facts(text, docstring)
        found += examples(text, docstring.region, spaced=True)
        if not docstring.name:
            found += definitions(text, docstring.region)
    return found


def _from_prose(text: str) -> list[Fact]:
    """A manual is read entry by entry: an example or definition in one belongs to what the entry documents."""
    entries = manual_entries(text)
    opening = (0, entries[0].heading if entries else len(text))
    spaced = "\n\n" in text
    found = [fact for entry in listed_entries(text, opening) for fact in api_facts(text, entry)]
    for extractor in (definitions, glossary, sections):
        found += extractor(text, opening)
    found += examples(text, opening, spaced=spaced)
    for entry in entries:
        inside = (api_facts(text, entry), examples(text, entry.region, spaced=spaced), definitions(text, entry.region))
        found += (dataclasses.replace(fact, scope=entry.name) for fact in itertools.chain(*inside))
    return found
