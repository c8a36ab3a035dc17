"""From a manifest and what was measured to a plan: exact rows per source, steps, batch sizes, schedules.

Without a lock, declared corpus sizes stand in and the plan can be looked at, but not trained on. Imports neither ray nor torch.
"""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import xxhash

from curriculum import mixture
from curriculum.document import ManifestError
from curriculum.manifest import Manifest, StageSpec
from curriculum.plan import BatchSegment, Plan, Shard, Source, Stage
from curriculum.units import si

RAMP_STAIRS = 16  # a batch ramp is a staircase of so many equal shares of its tokens
WORTH_REPEATING = (
    4  # epochs; up to here repeated tokens are nearly as good as fresh ones (Muennighoff et al. 2023, arXiv 2305.16264)
)


@dataclasses.dataclass(frozen=True)
class Bucket:
    """Size of one bucket of a corpus at one packing, measured or declared."""

    name: str
    epochs: float  # the wanted relative exposure
    rows: float
    shards: tuple[Shard, ...] = ()


def make_plan(manifest: Manifest, lock: dict[str, Any] | None, lock_sha256: str = "") -> tuple[Plan, list[str]]:
    """The plan and warnings for people. Raises ManifestError when the manifest asks for what the data cannot give."""
    document, warnings = manifest.documents[""], []
    stages = []
    for index, spec in enumerate(manifest.stages):
        stage = _stage(manifest, index, lock)
        stages.append(stage)
        for corpus in spec.mix:
            epochs = corpus_epochs(stage, corpus, _size(manifest, corpus, spec, lock))
            limit = spec.max_epochs.get(corpus)
            if epochs is not None and limit is not None and epochs > limit:
                _refuse_epochs(manifest, index, corpus, epochs, limit)
            elif epochs is not None and epochs > WORTH_REPEATING:
                warnings.append(
                    f"stage {spec.name}: {corpus} is seen {epochs:.1f} times; repeats beyond {WORTH_REPEATING} teach little"
                )
    document.check()
    tokenizer = (
        lock["tokenizer"] if lock else {"path": "", "sha256": "", "vocab_size": manifest.model.vocab_size, "eos_id": 0}
    )
    plan = Plan(
        name=manifest.name,
        version=manifest.version,
        seed=manifest.seed,
        manifest=manifest.fingerprint(),
        lock=lock_sha256,
        tokenizer=tokenizer,
        model=dataclasses.asdict(manifest.model),
        training=manifest.training,
        stages=tuple(stages),
    )
    return plan, warnings


def corpus_epochs(stage: Stage, corpus: str, rows: float | None) -> float | None:
    """How often the rows of a corpus are seen in the stage on average; None when its size is unknown."""
    planned = sum(source.rows_planned for source in stage.sources if source.corpus == corpus)
    return planned / rows if rows else None


def _stage(manifest: Manifest, index: int, lock: dict[str, Any] | None) -> Stage:
    spec = manifest.stages[index]
    batch, steps = _batches(manifest, index)
    shares, drawn = [], []
    total = sum(Fraction(str(share)) for share in spec.mix.values())
    for corpus, share in spec.mix.items():
        buckets = _buckets(manifest, corpus, spec, lock)
        weights = [Fraction(bucket.epochs) * Fraction(bucket.rows) for bucket in buckets]
        for bucket, weight in zip(buckets, weights, strict=True):
            shares.append(Fraction(str(share)) / total * weight / sum(weights))
            drawn.append((corpus, bucket))
    seed = xxhash.xxh3_64_intdigest(f"{manifest.seed} {spec.name}".encode()) >> 1
    bounds = mixture.bounds(shares)
    empty = Stage(
        name=spec.name,
        seq_len=spec.seq_len,
        pack=spec.pack,
        steps=steps,
        batch=batch,
        sources=(),
        rope_base=spec.rope_base,
        bias_rate=spec.bias_rate,
        mtp_weight=spec.mtp_weight,
        seed=seed,
    )
    planned = mixture.rank_before(empty.rows, bounds, mixture.offset(seed))
    sources = tuple(
        Source(f"{corpus}/{bucket.name}", corpus, bucket.name, bound, bucket.shards, rows)
        for (corpus, bucket), bound, rows in zip(drawn, bounds, planned, strict=True)
    )
    return dataclasses.replace(empty, sources=sources)


def _batches(manifest: Manifest, index: int) -> tuple[tuple[BatchSegment, ...], int]:
    """The staircase of batch sizes, and the number of steps that come nearest to the wanted tokens without exceeding them."""
    spec, document = manifest.stages[index], manifest.documents[""]
    first, last = spec.batch_from // spec.seq_len, spec.batch_to // spec.seq_len
    rows = [first + (last - first) * stair // RAMP_STAIRS for stair in range(RAMP_STAIRS)] if first != last else []
    segments, step, left = [], 0, spec.tokens // spec.seq_len
    for stair_rows in rows:
        steps = max(1, round(spec.batch_over / RAMP_STAIRS / (stair_rows * spec.seq_len)))
        segments.append(BatchSegment(step, stair_rows))
        step, left = step + steps, left - steps * stair_rows
    segments.append(BatchSegment(step, last))
    if left < last:
        document.problem(
            ("stages", index, "tokens"),
            f"{si(spec.tokens)} tokens are less than one step of {si(spec.batch_to)}{' after the batch ramp' if rows else ''}.",
            f"Raise tokens to at least {spec.tokens + (last - left) * spec.seq_len}, or lower batch_tokens.",
        )
        document.check()
    return tuple(segments), step + left // last


def _buckets(manifest: Manifest, corpus: str, spec: StageSpec, lock: dict[str, Any] | None) -> list[Bucket]:
    epochs = manifest.corpora[corpus].bucket_epochs
    if lock is None:
        tokens = manifest.corpora[corpus].declared_tokens or 1
        shares = manifest.corpora[corpus].bucket_shares
        return [Bucket(name, epochs[name], tokens * shares[name] / spec.seq_len) for name in epochs]
    found = {
        entry["bucket"]: entry
        for entry in lock["shards"]
        if (entry["corpus"], entry["pack"], entry["seq_len"]) == (corpus, spec.pack, spec.seq_len)
    }
    if not found:
        raise ManifestError(
            [f"lock.json: holds no shards of `{corpus}` as {spec.pack} {spec.seq_len}. Run `tokenloom build` again."]
        )
    return [
        Bucket(name, epochs[name], entry["rows"], tuple(Shard(file["path"], file["rows"]) for file in entry["files"]))
        for name in epochs
        if (entry := found.get(name))
    ]


def _size(manifest: Manifest, corpus: str, spec: StageSpec, lock: dict[str, Any] | None) -> float | None:
    """Rows of a corpus at the packing of a stage; None when neither measured nor declared."""
    if lock is None and manifest.corpora[corpus].declared_tokens is None:
        return None
    return sum(bucket.rows for bucket in _buckets(manifest, corpus, spec, lock))


def _refuse_epochs(manifest: Manifest, index: int, corpus: str, epochs: float, limit: float) -> None:
    spec = manifest.stages[index]
    share = spec.mix[corpus]
    needed = share * spec.tokens
    manifest.documents[""].problem(
        ("stages", index, "mix", corpus),
        f"the plan needs {si(needed)} tokens, `{corpus}` holds {si(needed / epochs)}: {epochs:.1f} epochs, max_epochs allows {limit:g}.",
        f"Lower the share to {share * limit / epochs:.3f}, raise max_epochs.{corpus} to {math.ceil(epochs)}, or add a source.",
    )
