"""Who made what a stage learns: the generators and authors of its corpora, and bounds of their shares.

A corpus is made by its generator and by those of the corpora that this one reads, however long ago. Its author is the teacher's model
where the manifest names a `teacher`, the `author` it names, `scripted` for what a program words, and none but those of its sources for what
only puts documents together. A corpus counts in full to each: of one that gathers web pages and search rows all tokens are of
`search`. So a share is an upper bound, and one that is kept to is kept to.

A bound holds over every stair of a stage, in the tokens that its rows really have, those of documents that fill gaps of other rows
included. Beside it, the golden-ratio sequence strays by a few rows (`curriculum.mixture`).
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from curriculum.corpus import Corpus
from curriculum.document import Document
from curriculum.fields import did_you_mean
from curriculum.schedule import StageMix, Stair, stairs
from synth.generators import GENERATORS, IN_WORDS_OF_SOURCES
from synth.rows import SCRIPTED


class Makers(NamedTuple):
    """Of one corpus."""

    generator: frozenset[str] = frozenset()
    author: frozenset[str] = frozenset()


def makers(corpora: Mapping[str, Corpus]) -> dict[str, Makers]:
    """Of every corpus. Those that a generator reads stand in `corpora`, and no corpus needs itself."""
    found: dict[str, Makers] = {}

    def visit(name: str) -> Makers:
        if name not in found:
            corpus = corpora[name]
            sources = [visit(other) for other in corpus.generated_from if other in corpora]
            generator, author = (
                ({corpus.source["generator"]}, _authors(corpus)) if corpus.generated_from else (set(), set())
            )
            found[name] = Makers(
                frozenset(generator).union(*(source.generator for source in sources)),
                frozenset(author).union(*(source.author for source in sources)),
            )
        return found[name]

    for name in corpora:
        visit(name)
    return found


def _authors(corpus: Corpus) -> set[str]:
    """Whose words a generator adds to those that it reads."""
    if teacher := corpus.source.get("teacher"):
        return {str(teacher.get("model")) if isinstance(teacher, Mapping) else str(teacher)}
    if author := corpus.source.get("author"):
        return {str(author)}
    return set() if corpus.source["generator"] in IN_WORDS_OF_SOURCES else {SCRIPTED}


def shares(tokens: Mapping[str, Fraction | int], made: Mapping[str, Makers], key: str) -> dict[str, Fraction]:
    """The share of the tokens (by corpus) of every generator or author, by name."""
    total = sum(tokens.values())
    names = sorted({name for corpus in tokens for name in getattr(made[corpus], key)})
    of = {name: sum(count for corpus, count in tokens.items() if name in getattr(made[corpus], key)) for name in names}
    return {name: Fraction(count, total) if total else Fraction(0) for name, count in of.items()}


def check_shares(document: Document, index: int, mix: StageMix, made: Mapping[str, Makers]) -> None:
    """A problem for every bound of a stage that is passed somewhere, with the corpora that pass it and what to type."""
    for key, bounds in mix.spec.max_share.items():
        known = (
            set(GENERATORS)
            if key == "generator"
            else {SCRIPTED, *(name for each in made.values() for name in each.author)}
        )
        for name, bound in bounds.items():
            where = ("stages", index, "max_share", key, name)
            if name not in known:
                document.problem(
                    where, f"no corpus of this manifest has the {key} {name!r}.", did_you_mean(name, known)
                )
            elif passed := _first_over(mix, made, key, name, Fraction(str(bound))):
                document.problem(where, *passed)


def _first_over(
    mix: StageMix, made: Mapping[str, Makers], key: str, name: str, bound: Fraction
) -> tuple[str, str] | None:
    """Where the share of a generator or author is largest, and over its bound: what is wrong, and what to do."""
    worst, share, tokens = max(
        ((stair, shares(tokens, made, key).get(name, Fraction(0)), tokens) for stair, tokens in _stairs(mix)),
        key=lambda each: each[1],
    )
    if share <= bound:
        return None
    total = sum(tokens.values())
    parts = {corpus: count / total for corpus, count in tokens.items() if name in getattr(made[corpus], key) and count}
    largest = max(parts, key=lambda corpus: parts[corpus])
    said = ", ".join(f"{corpus} {_percent(part)}" for corpus, part in parts.items())
    place = f" from token {worst.first_row * mix.spec.seq_len} on" if len(list(_stairs(mix))) > 1 else ""
    left = bound - (share - parts[largest])
    lower = (
        f"Lower {largest} to {_percent(left)} of the tokens"
        if left > 0
        else f"Take {largest} out, and lower the others"
    )
    return (
        f"allows {_percent(bound)}, and the stage has {_percent(share)}{place}: {said}.",
        f"{lower}, or raise the bound to {float(-(-share * 1000 // 1) / 1000):g}.",
    )


def _percent(share: Fraction) -> str:
    return f"{100 * float(share):.3g} %"


def _stairs(mix: StageMix) -> Iterator[tuple[Stair, dict[str, Fraction]]]:
    """Every part of a stage over which shares hold, with the tokens of each corpus in a row of it on average."""
    for stair in stairs(mix.spec, mix.rows):
        rows = dict(mix.row_shares(stair.shares).rows)
        rows |= {name: Fraction(sum(counted), mix.rows) for name, counted in mix.counted.items()}
        tokens = {name: Fraction(0) for name in mix.spec.corpora}
        for host, share in rows.items():
            for corpus, held in mix.holdings[host].content.items():
                tokens[corpus] += share * held
        yield stair, tokens
