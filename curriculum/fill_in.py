"""The key `fim` of a corpus: part of its documents is rearranged for fill-in-the-middle while they are tokenised (datapipe/fim.py).

    fim: {rate: 0.5, spm: 0.5}         in the corpus's file, beside kind, source and steps; `fim: {}` is the same
    fim: {tokens: {prefix: <fim_prefix>, suffix: <fim_suffix>, middle: <fim_middle>}}     for a tokenizer with other names

All stages share a corpus's tokens. `best_fit` cuts what is longer than a row, so no document that would be is rearranged, its markers
counted: such a stage cuts no rearranged document. `concat` cuts wherever a row ends, and how many it cut is counted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curriculum.document import Where
from curriculum.fields import Fields
from curriculum.stages import StageSpec
from datapipe.fim import Fim
from datapipe.tokenize import FILL_IN_TOKENS, RENDERED_KINDS

FIM: Where = ("fim",)
MARKERS = ("prefix", "suffix", "middle")


def load_fim(fields: Fields, kind: str, *, is_imported: bool) -> Fim | None:
    """What the file of a corpus says under `fim`; mistakes are remembered in its document."""
    document = fields.document
    if FIM[0] not in document.data:
        return None
    if is_imported:
        document.problem(FIM, "rearranges text, and this corpus comes as tokens.", "Remove it, or read the text.")
    if kind in RENDERED_KINDS:
        document.problem(
            FIM,
            f"documents of kind {kind!r} are dialogues, learned turn by turn.",
            "Remove it, or give it to a corpus of kind code.",
        )
    if not isinstance(fields.get(FIM), Mapping):
        said = "is empty." if fields.get(FIM) is None else f"is {fields.get(FIM)!r}, not a mapping."
        document.problem(FIM, said, "Write `fim: {}` for half of the documents, or `fim: {rate: 0.3, spm: 0.5}`.")
        return None
    fields.keys(FIM, Fim._fields)
    default = Fim()
    return Fim(_share(fields, "rate", default.rate), _share(fields, "spm", default.spm), _tokens(fields))


def _share(fields: Fields, name: str, default: float) -> float:
    share = fields.number((*FIM, name), default)
    if not 0 <= share <= 1:
        fields.document.problem((*FIM, name), f"{share:g} is no share.", f"Write 0 to 1, such as {default}.")
        return default
    return share


def _tokens(fields: Fields) -> tuple[str, str, str]:
    """Names of the markers; whether the tokenizer has them is seen when it is there."""
    where = (*FIM, "tokens")
    if fields.get(where) is None:
        return FILL_IN_TOKENS
    known_problems = len(fields.document.problems)
    fields.keys(where, MARKERS, required=MARKERS)
    if len(fields.document.problems) > known_problems:
        return FILL_IN_TOKENS
    prefix, suffix, middle = (fields.get((*where, name)) for name in MARKERS)
    if (
        not all(isinstance(name, str) and name for name in (prefix, suffix, middle))
        or len({prefix, suffix, middle}) < 3
    ):
        fields.document.problem(
            where,
            f"{prefix!r}, {suffix!r}, {middle!r} are not three different names.",
            "Write the tokens as the tokenizer spells them.",
        )
        return FILL_IN_TOKENS
    return prefix, suffix, middle


def longest(stages: Sequence[StageSpec], corpus: str) -> int | None:
    """Tokens that a rearranged document of the corpus may have, markers and end of text included: a row of the shortest `best_fit`
    stage that has the corpus. None where there is no such stage."""
    rows = [stage.seq_len for stage in stages if corpus in stage.corpora and stage.packing(corpus).method == "best_fit"]
    return min(rows, default=None)


class Cuts(NamedTuple):
    """Rearranged documents in the rows of a shard set, those that fill its gaps included."""

    source: str  # "code/high"
    packing: str
    documents: int  # all
    rearranged: int
    cut: int  # of these


def cuts(lock: Mapping[str, Any]) -> list[Cuts]:
    """Of every shard set with rearranged documents."""
    return [
        Cuts(
            source=f"{entry['corpus']}/{entry['bucket']}",
            packing=f"{entry['packing']['method']} {entry['packing']['seq_len']}",
            documents=entry["documents"],
            rearranged=entry["fim"]["documents"],
            cut=entry["fim"]["cut_documents"],
        )
        for entry in lock["shards"]
        if "fim" in entry
    ]
