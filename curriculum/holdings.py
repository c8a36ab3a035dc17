"""What a corpus holds in the packing of a stage: rows, and whose tokens lie in them; as measured (the lock), or as declared.

A row is not full: `best_fit` pads, and short documents of other corpora may fill its gaps. So a row of one corpus is worth another number
of tokens than a row of the next, and shares of tokens become shares of rows only through what is counted here. All exact fractions.

Rows that are held out for validation are decided here, from what the shards hold and not from the stage: stages that share shards hold the
same rows out. What a row holds is counted over all rows, held out or not; they are a random sample.
"""

import dataclasses
from fractions import Fraction
from functools import cached_property
from typing import Any

from curriculum.document import ManifestError
from curriculum.manifest import Manifest
from curriculum.stages import Packing, StageSpec

MOST_HELD_OUT = Fraction(1, 20)  # of the rows of a bucket


@dataclasses.dataclass(frozen=True)
class Bucket:
    """One bucket of a corpus: a source of the mixture."""

    source: str  # "web/high"
    name: str
    epochs: Fraction  # the up-sampling it asks for
    rows: Fraction  # whole when measured
    tokens: dict[str, Fraction]  # of every source that lies in these rows, its own included
    folder: str = ""
    num_shards: int = 0
    held_out: int = 0  # of the rows, for validation

    @property
    def trainable(self) -> Fraction:
        """The rows of one epoch."""
        return self.rows - self.held_out


@dataclasses.dataclass(frozen=True)
class Holding:
    """A corpus in one packing."""

    corpus: str
    packing: Packing
    buckets: tuple[Bucket, ...]
    known: bool = True  # False: neither measured nor declared; the rows are of no meaning, only their proportions

    @cached_property
    def one_pass(self) -> Fraction:
        """Rows of one epoch: every bucket as often as it asks for."""
        return sum((bucket.epochs * bucket.trainable for bucket in self.buckets), Fraction(0))

    @cached_property
    def bucket_shares(self) -> tuple[Fraction, ...]:
        """Of the rows that are drawn from the corpus."""
        return tuple(bucket.epochs * bucket.trainable / (self.one_pass or 1) for bucket in self.buckets)

    @cached_property
    def content(self) -> dict[str, Fraction]:
        """Tokens of every corpus in a row that is drawn from this one, on average."""
        found: dict[str, Fraction] = {}
        for bucket, share in zip(self.buckets, self.bucket_shares, strict=True):
            for source, tokens in bucket.tokens.items() if bucket.rows else ():
                corpus = source.rpartition("/")[0]
                found[corpus] = found.get(corpus, Fraction(0)) + share * tokens / bucket.rows
        return found

    @property
    def own_tokens(self) -> Fraction:
        """Its own tokens in one of its rows; 0 when all its documents fill the rows of others."""
        return self.content.get(self.corpus, Fraction(0))


def held(manifest: Manifest, spec: StageSpec, lock: dict[str, Any] | None) -> dict[str, Holding]:
    """What every corpus of a stage holds, in the order of the stage. Raises ManifestError when the lock does not have it."""
    if lock is None:
        return {name: _declared(manifest, spec, name) for name in spec.corpora}
    return {name: _measured(manifest, spec, name, lock) for name in spec.corpora}


def held_out_rows(manifest: Manifest, rows: int, num_shards: int, seq_len: int) -> int:
    """Rows of a bucket in one packing that are kept for validation: the first ones of its first shard, which keeps one at least."""
    wanted = -(-manifest.validation.tokens // seq_len)
    return max(0, min(wanted, int(MOST_HELD_OUT * rows), rows // max(1, num_shards) - 1))


def _measured(manifest: Manifest, spec: StageSpec, corpus: str, lock: dict[str, Any]) -> Holding:
    packing = spec.packing(corpus)
    entries = {
        entry["bucket"]: entry
        for entry in lock["shards"]
        if entry["corpus"] == corpus and entry["packing"] == packing.to_json()
    }
    buckets = [
        Bucket(
            source=f"{corpus}/{name}",
            name=name,
            epochs=Fraction(str(epochs)),
            rows=Fraction(entry["rows"]),
            tokens={source: Fraction(tokens) for source, tokens in entry["tokens_by_source"].items()},
            folder=entry["folder"],
            num_shards=entry["num_shards"],
            held_out=held_out_rows(manifest, entry["rows"], entry["num_shards"], spec.seq_len),
        )
        for name, epochs in manifest.corpora[corpus].bucket_epochs.items()
        if (entry := entries.get(name)) and (entry["rows"] or corpus in spec.fill)
    ]
    if not buckets or not (corpus in spec.fill or any(bucket.rows for bucket in buckets)):
        raise ManifestError(
            [
                f"lock.json: holds no shards of `{corpus}` as stage {spec.name} wants them ({in_words(packing)}). "
                "Run `tokenloom build` again."
            ]
        )
    return Holding(corpus, packing, tuple(buckets))


def in_words(packing: Packing) -> str:
    parts = [f"{packing.method} {packing.seq_len}"]
    parts += ["related documents together"] if packing.related else []
    parts += (
        [f"packed with {', '.join(packing.joint)}, gaps filled by {', '.join(packing.fill)}"] if packing.fill else []
    )
    return "; ".join(parts)


def _declared(manifest: Manifest, spec: StageSpec, corpus: str) -> Holding:
    """As if every row were full and every bucket had the share that ranking is asked to cut."""
    declared = manifest.corpora[corpus]
    buckets = []
    shares = declared.bucket_shares
    for name, epochs in declared.bucket_epochs.items():
        if not shares[name]:  # of documents found often, of which nothing is known without data
            continue
        tokens = (declared.declared_tokens or 1) * Fraction(str(shares[name]))
        source = f"{corpus}/{name}"
        rows = tokens / spec.seq_len
        held_out = held_out_rows(manifest, round(rows), 1, spec.seq_len)
        buckets.append(Bucket(source, name, Fraction(str(epochs)), rows, {source: tokens}, held_out=held_out))
    return Holding(corpus, spec.packing(corpus), tuple(buckets), known=declared.declared_tokens is not None)
