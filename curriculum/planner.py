"""From a manifest and what was measured to a plan: exact rows per source, steps, batch sizes, schedules.

Without a lock, declared corpus sizes stand in and the plan can be looked at, but not trained on. While a build is running, only the first
stages are closed; the tokens, steps and batches of the others follow from the manifest alone. Imports neither ray nor torch.
"""

import dataclasses
import json
from fractions import Fraction
from typing import Any

import xxhash

from curriculum.caps import check_epochs, check_fillers, check_rest
from curriculum.holdings import MOST_HELD_OUT, Bucket, Holding, held, in_words
from curriculum.made_by import check_shares, makers
from curriculum.manifest import Manifest
from curriculum.plan import SCHEDULED, BatchSegment, Plan, Ramp, Source, Stage
from curriculum.schedule import StageMix
from synth.render import DEFAULT

BATCH_STAIRS = 16  # a batch ramp is a staircase of so many equal shares of its tokens


def make_plan(
    manifest: Manifest, lock: dict[str, Any] | None, lock_sha256: str = "", *, num_stages: int | None = None
) -> tuple[Plan, list[str]]:
    """The plan and warnings for people. Raises ManifestError when the manifest asks for what the data cannot give.

    num_stages  only the first so many stages are closed, the build does not know yet what the others learn from
    """
    stages: list[Stage] = []
    warnings: list[str] = []
    for index in range(len(manifest.stages)):
        stage = _open_stage(manifest, index)
        if num_stages is None or index < num_stages:
            stage = _close(manifest, stage, stages, lock, warnings)
        stages.append(stage)
    manifest.documents[""].check()
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
        training={**manifest.training, "validation_steps": manifest.validation.every_steps, **_template(manifest)},
        stages=tuple(stages),
    )
    return plan, list(dict.fromkeys(warnings))


def _template(manifest: Manifest) -> dict[str, str]:
    """The chat template of an exported model, unless it is the usual one."""
    return {} if manifest.chat_template == DEFAULT else {"chat_template": manifest.chat_template}


def _open_stage(manifest: Manifest, index: int) -> Stage:
    """What the manifest alone says of a stage."""
    spec = manifest.stages[index]
    batch, steps = _batches(manifest, index)
    stage = Stage(
        name=spec.name,
        seq_len=spec.seq_len,
        pack=spec.pack,
        steps=steps,
        batch=batch,
        sources=(),
        mixture=(),
        rope_base=spec.rope_base,
        bias_rate=spec.bias_rate,
        mtp_weight=spec.mtp_weight,
        seed=_seed(manifest, spec.name),
        learn=spec.learn,
    )
    for name in SCHEDULED:
        _check_moves(manifest, index, stage, name)
    return stage


def _check_moves(manifest: Manifest, index: int, stage: Stage, name: str) -> None:
    """A schedule that no step of its stage sees moving is a mistake: steps are longer than the manifest's author thought."""
    setting, begins = getattr(stage, name), stage.tokens_before(stage.steps - 1)
    if isinstance(setting, Ramp) and setting.at(begins) == setting.first:
        manifest.documents[""].problem(
            ("stages", index, name),
            f"is {setting.first:.12g} in every step: the last one begins after {begins} tokens, the schedule after {setting.after}.",
            f"Write {f'`after` of less than {begins}, or ' if begins else ''}{setting.first:.12g} alone.",
        )


def _close(
    manifest: Manifest, stage: Stage, before: list[Stage], lock: dict[str, Any] | None, warnings: list[str]
) -> Stage:
    """The stage with its sources, behind the stages before it; mistakes go to the manifest's document."""
    index, document = len(before), manifest.documents[""]
    spec = manifest.stages[index]
    mix = StageMix(spec, stage.rows, held(manifest, spec, lock))
    for name in spec.epochs:
        if not mix.holdings[name].known:
            document.problem(
                ("stages", index, "epochs", name),
                f"the size of `{name}` is not known, so epochs of it cannot be counted.",
                f"Write declared_tokens into the file of `{name}`, or give --out with a finished build.",
            )
    check_rest(document, index, mix)
    document.check()
    check_fillers(document, index, mix)
    check_shares(document, index, mix, makers(manifest.corpora))
    document.check()
    segments, counts = mix.segments(stage.seed)
    buckets = [(holding, bucket) for holding in mix.holdings.values() for bucket in holding.buckets]
    sources = []
    for (holding, bucket), rows in zip(buckets, counts, strict=True):
        first_rank = sum(_drawn(manifest, before, holding, bucket.source).values())
        drawn = [(other, count) for (_, other), count in zip(buckets, counts, strict=True)]
        sources.append(_source(manifest, holding, bucket, first_rank, rows, _tokens(bucket.source, drawn)))
    for corpus, holding in mix.holdings.items():
        planned = sum(source.rows_planned for source in sources if source.corpus == corpus)
        warning = check_epochs(document, index, mix, corpus, planned, _drawn(manifest, before, holding))
        warnings += [warning] if warning else []
        warnings += _nothing_held_out(manifest, holding)
    return dataclasses.replace(stage, sources=tuple(sources), mixture=segments)


def _nothing_held_out(manifest: Manifest, holding: Holding) -> list[str]:
    """A warning per bucket that has too few rows to hold any out for validation, though the manifest asks for it."""
    if not (manifest.validation.tokens and holding.known):
        return []
    return [
        f"{bucket.source} ({in_words(holding.packing)}): none of its {round(bucket.rows)} rows are held out for validation: "
        f"at most one in {1 / MOST_HELD_OUT} may be, and the first shard keeps one"
        for bucket in holding.buckets
        if bucket.rows and not bucket.held_out
    ]


def _drawn(manifest: Manifest, stages: list[Stage], holding: Holding, source: str | None = None) -> dict[str, int]:
    """Rows that earlier stages (by name) draw from the shards of a corpus, or of one source of it."""
    return {
        stage.name: sum(
            s.rows_planned for s in stage.sources if s.corpus == holding.corpus and source in (None, s.name)
        )
        for stage, spec in zip(stages, manifest.stages, strict=False)
        if holding.corpus in spec.corpora and spec.packing(holding.corpus) == holding.packing
    }


def _tokens(source: str, drawn: list[tuple[Bucket, int]]) -> int:
    """Tokens of a source in rows drawn from all buckets of a stage."""
    found = (rows * bucket.tokens.get(source, Fraction(0)) / bucket.rows for bucket, rows in drawn if bucket.rows)
    return round(sum(found, Fraction(0)))


def _source(
    manifest: Manifest, holding: Holding, bucket: Bucket, first_rank: int, rows_planned: int, tokens_planned: int
) -> Source:
    return Source(
        name=bucket.source,
        corpus=holding.corpus,
        bucket=bucket.name,
        folder=bucket.folder,
        rows=round(bucket.rows) if holding.known else 0,
        num_shards=bucket.num_shards,
        seed=_seed(manifest, bucket.source, json.dumps(holding.packing.to_json())),
        first_rank=first_rank,
        rows_planned=rows_planned,
        tokens_planned=tokens_planned,
        held_out=bucket.held_out if holding.known else 0,
    )


def _seed(manifest: Manifest, *names: str) -> int:
    return xxhash.xxh3_64_intdigest(" ".join((str(manifest.seed), *names)).encode()) >> 1


def _batches(manifest: Manifest, index: int) -> tuple[tuple[BatchSegment, ...], int]:
    """The staircase of batch sizes, and the number of steps that come nearest to the wanted tokens without exceeding them.

    Every stair ends within half a step of where it should, whatever the stairs before it did; one shorter than that is left out.
    """
    spec, document = manifest.stages[index], manifest.documents[""]
    first, last = spec.batch_from // spec.seq_len, spec.batch_to // spec.seq_len
    segments: list[BatchSegment] = []
    step = reached = 0  # steps, and their rows
    for stair in range(BATCH_STAIRS if first != last else 0):
        rows = first + int(Fraction((last - first) * stair, BATCH_STAIRS))
        end = Fraction(spec.batch_over * (stair + 1), BATCH_STAIRS * spec.seq_len)
        steps = max(0, round((end - reached) / rows))
        if steps and (not segments or segments[-1].rows != rows):
            segments.append(BatchSegment(step, rows))
        step, reached = step + steps, reached + steps * rows
    if not segments or segments[-1].rows != last:
        segments.append(BatchSegment(step, last))
    left = spec.tokens // spec.seq_len - reached
    if left < last:
        ramp = f"the batch ramp takes {reached * spec.seq_len} and then " if step else ""
        document.problem(
            ("stages", index, "tokens"),
            f"{spec.tokens} tokens are too few: {ramp}one step takes {spec.batch_to}.",
            f"Raise tokens to at least {(reached + last) * spec.seq_len}, or lower batch_tokens{'.over' if step else ''}.",
        )
        document.check()
    return tuple(segments), step + left // last
