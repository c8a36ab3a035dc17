"""Packed rows for Megatron-LM as it is: one .bin/.idx pair per source, one document of exactly seq_len tokens per row.

GPTDataset lays documents end to end and cuts after every seq_len tokens, so with `--seq-length` = seq_len each of its samples is one
packed row, through any number of epochs and its own shuffles. Rows keep the order of the shards, those held out for validation are left
out; padding is what it is there, eos. Beside the pairs lies blend.json: per stage the arguments for Megatron, and in words what it
cannot know (NOTES).

Sources with the same shards share a pair, named after the folder of the shards, whose name is a hash of what made them: a finished pair
of the right size is never written again, one that was interrupted begins anew. Not covered: writing one pair with several processes;
pairs above 80 GB in S3. Costs: 120 million tokens per CPU second, checksums included, int32 on a local disk; 70 MB of memory.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from curriculum.plan import PLAN, Plan, Source, Stage
from datapipe import store
from datapipe.megatron_file import MegatronFile, MegatronFileError, idx_path, megatron_output, token_dtype
from datapipe.shards import ShardReader

BLEND = "blend.json"
CHUNK_TOKENS = 1 << 20
NOTES = (
    "One run of Megatron learns one stage. Shares and batch sizes that change inside a stage it does not know: weights are the rows of the "
    "whole stage.",
    "Megatron draws and shuffles the rows itself: their order is not that of tokenloom's feed, and where stages share a pair, each of them "
    "begins with its first epoch again.",
    "Documents and padding end in eos: --eod-mask-loss keeps padding, and the first token of a document as the label of the one before, "
    "out of the loss. Its tokenizer must have this eos as eod, and a pad that is another token: GPTDataset turns pads into token 0.",
    "The label of the last position of a row is the first token of another row unless the row ends in eos: one label in seq_len is wrong.",
    "Attention crosses the documents of a row. --reset-attention-mask makes a dense seq_len x seq_len mask per sample (0.03 million tokens "
    "per second at 4,096), which TransformerEngine ignores; boundaries that Megatron takes from the .idx are those of rows.",
    "Loss spans (in chats only the assistant's tokens are learned) are lost: every token but eos is learned. Fillers count as the source "
    "of the row they lie in.",
    "Megatron reads local disks best: copy pairs from an object store first, and correct the paths.",
)


class ExportError(Exception):
    """There is nothing to export under this name, or not yet."""


def export_megatron(
    root: str,
    out: str,
    *,
    stage: str | None = None,
    on_shard: Callable[[str, int, int], None] = lambda path, done, total: None,
) -> dict[str, Any]:
    """Write the rows of a stage (all stages by default) of the build at `root` to `out`, both local or S3; returns what blend.json says.

    `on_shard(path, done, total)` is called when a shard is done. Raises ExportError for a stage that is not there or not built, what
    `datapipe.shards` raises for a shard it cannot read, and ValueError for a token outside the vocabulary.
    """
    plan = Plan.from_json(store.read_bytes(store.join(root, PLAN)).decode())
    stages = _chosen(plan, stage)
    pairs = {source.folder: (source, stage.seq_len) for stage in stages for source in _planned(stage)}
    done, total = 0, sum(source.num_shards for source, _ in pairs.values())
    for source, seq_len in pairs.values():
        for path in _write_pair(root, _prefix(out, source), source, seq_len, plan.tokenizer["vocab_size"]):
            done += 1
            on_shard(path, done, total)
    blend = _blend(plan, stages, out)
    store.write_bytes(store.join(out, BLEND), (json.dumps(blend, indent=1) + "\n").encode())
    return blend


def _chosen(plan: Plan, name: str | None) -> list[Stage]:
    stages = [stage for stage in plan.stages if name in (None, stage.name)]
    if not stages:
        known = ", ".join(stage.name for stage in plan.stages)
        raise ExportError(f"the plan has no stage {name!r}; it has {known}")
    if unknown := [stage.name for stage in stages if stage.is_open]:
        raise ExportError(
            f"stage {unknown[0]!r} is not laid out yet: wait for `tokenloom build`, or export another one with --stage"
        )
    return stages


def _planned(stage: Stage) -> list[Source]:
    """The sources that rows of the stage come from."""
    return [source for source in stage.sources if source.rows_planned]


def _prefix(out: str, source: Source) -> str:
    """`out/web/high/concat-4096-<key>` for the shards in shards/web/high/concat-4096-<key>."""
    return store.join(out, source.folder.removeprefix("shards/"))


def _write_pair(root: str, prefix: str, source: Source, seq_len: int, vocab_size: int) -> Iterator[str]:
    """Write the pair unless it is there; gives the path of every shard when it is done."""
    if _is_finished(prefix, source.trainable_rows, seq_len, vocab_size):
        yield from (shard.path for shard in source.shards)
        return
    with megatron_output(prefix, vocab_size=vocab_size) as output:
        for index, shard in enumerate(source.shards):
            reader = ShardReader(store.join(root, shard.path))
            reader.expect(shard.rows, seq_len)
            step = max(1, CHUNK_TOKENS // seq_len)
            for first in range(0 if index else source.held_out, shard.rows, step):
                rows = np.arange(first, min(first + step, shard.rows))
                output.add(reader.read(rows).ravel(), np.full(rows.size, seq_len))
            yield shard.path


def _is_finished(prefix: str, rows: int, seq_len: int, vocab_size: int) -> bool:
    """Whether the pair is there with these rows: the .idx appears last, and the last row lies in the .bin."""
    if not store.exists(idx_path(prefix)):
        return False
    try:
        with MegatronFile(prefix) as pair:
            dtype = token_dtype(vocab_size)
            return (pair.documents, pair.dtype, pair.bin_bytes) == (rows, dtype, rows * seq_len * dtype.itemsize)
    except (MegatronFileError, store.StoreError):
        return False  # half of it is gone or damaged


def _blend(plan: Plan, stages: list[Stage], out: str) -> dict[str, Any]:
    return {
        "plan": {"name": plan.name, "version": plan.version, "sha256": plan.digest()},
        "tokenizer": plan.tokenizer,
        "dtype": token_dtype(plan.tokenizer["vocab_size"]).name,
        "stages": [_stage_arguments(stage, out) for stage in stages],
        "notes": list(NOTES),
    }


def _stage_arguments(stage: Stage, out: str) -> dict[str, Any]:
    """A stage in Megatron's words. Weights are planned rows."""
    sources = _planned(stage)
    return {
        "name": stage.name,
        "data_path": " ".join(f"{source.rows_planned} {_prefix(out, source)}" for source in sources),
        "arguments": f"--seq-length {stage.seq_len} --train-samples {stage.rows} --split 100,0,0 --eod-mask-loss",
        "batch": [{"first_step": segment.first_step, "rows": segment.rows} for segment in stage.batch],
        "sources": [
            {
                "name": source.name,
                "prefix": _prefix(out, source),
                "rows": source.trainable_rows,
                "rows_planned": source.rows_planned,
                "tokens_planned": source.tokens_planned,
            }
            for source in sources
        ],
    }
