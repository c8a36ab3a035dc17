"""A process of a parallel run: learns a plan under one layout after the other. Started by test_parallel.py (see forked.py).

argv: folder with plan.json and shards, folder for what was found, layouts as JSON (a list of mappings for `Parallel`).
"""

import json
import sys
from pathlib import Path
from typing import Any

from trainer import mcore_compat

mcore_compat.install()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from curriculum.feed import Batch, Feed  # noqa: E402
from curriculum.parallel import Parallel  # noqa: E402
from curriculum.plan import Plan  # noqa: E402
from trainer.documents import IGNORED, PADDING  # noqa: E402
from trainer.layout import joined  # noqa: E402
from trainer.loop import Trainer  # noqa: E402
from trainer.schedule import StepSettings, settings  # noqa: E402
from trainer.tally import Tally  # noqa: E402

MICRO_TOKENS = 64  # two rows of the short stage, one of the long: several micro-batches per step
CHANGES = 32  # documents that get other tokens, divided by the number of processes; under every layout others


def main() -> None:
    root, out, layouts = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    plan = Plan.from_json((root / "plan.json").read_text())
    dist.init_process_group("gloo")
    for number, sizes in enumerate(layouts):
        recompute = sizes.pop("recompute", False)
        with joined(1, Parallel(**sizes)) as layout:
            trainer = Trainer(plan, layout, micro_tokens=MICRO_TOKENS, recompute=recompute)
            found: dict[str, Any] = {"isolation": isolation(trainer, root, seed=number)}
            found["lines"] = learn(trainer, root)
            if layout.rank == 0:
                (out / f"{number}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def learn(trainer: Trainer, root: Path) -> list[dict[str, Any]]:
    """The lines of metrics of all steps."""
    layout, plan, lines = trainer.layout, trainer.plan, []
    stream = Feed(plan, str(root)).stream(0, rank=layout.data_rank, world=layout.data, mtp_depths=1)
    for stage, step, batch in stream:
        now = settings(plan, plan.first_step(stage) + step)
        lines.append(trainer.step(now, plan.stages[stage], batch))
    return lines


def isolation(trainer: Trainer, root: Path, seed: int) -> list[dict[str, Any]]:
    """One document after the other of a batch of every stage has other tokens: whose losses move, bit for bit?

    {"piece", "stage", "teaches": has it learned tokens, "moved": the pieces of the global batch with a token whose loss moves at any
    depth}. Labels stay: what moves is what layers computed.
    """
    plan, random, found = trainer.plan, np.random.default_rng(seed), []
    each = CHANGES // trainer.layout.world // len(plan.stages)
    for stage in range(len(plan.stages)):
        now = settings(plan, plan.first_step(stage))
        batch = Feed(plan, str(root)).batch(stage, 0, mtp_depths=1)
        flat, labels, borders = batch.tokens.reshape(-1), batch.labels.reshape(-1), batch.cu_seqlens
        pieces = np.flatnonzero(batch.source_ids != PADDING)
        before, owners_N = losses(trainer, now, batch)
        for piece in random.permutation(pieces)[:each].tolist():
            where = slice(borders[piece], borders[piece + 1])
            kept = flat[where].copy()
            flat[where] = (kept + random.integers(1, plan.model["vocab_size"], kept.size)) % plan.model["vocab_size"]
            after, _ = losses(trainer, now, batch)
            flat[where] = kept
            moved_N = (before != after).any(dim=0)
            moved_P = trainer.layout.sum(torch.bincount(owners_N[moved_N], minlength=len(batch.source_ids)))
            teaches = bool((labels[where] != IGNORED).any())
            moved = moved_P.nonzero().flatten().tolist()
            found.append({"piece": piece, "stage": stage, "teaches": teaches, "moved": moved})
    return found


@torch.no_grad()
def losses(trainer: Trainer, now: StepSettings, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(losses [K, N] of this rank's tokens of a global batch, the piece of the batch that each belongs to): all as in training, but
    for one micro-batch per rank. Ranks that tell no losses have none: all but the last pipeline stage, and the first of tensor ranks."""
    layout, (num_rows, seq_len), num_pieces = trainer.layout, batch.tokens.shape, len(batch.source_ids)
    rows = slice(*(part * num_rows // layout.data for part in (layout.data_rank, layout.data_rank + 1)))
    low, high = np.searchsorted(batch.cu_seqlens, [rows.start * seq_len, rows.stop * seq_len]).tolist()
    share = Batch(
        batch.tokens[rows],
        batch.labels[rows],
        batch.mtp_labels[:, rows],
        cu_seqlens=batch.cu_seqlens[low : high + 1] - rows.start * seq_len,
        source_ids=np.arange(low, high, dtype=np.int32),
    )
    trainer.micro_tokens = batch.tokens.size
    packs = trainer._packs(now, share)
    trainer.micro_tokens = MICRO_TOKENS
    tally = Tally.zeros(1 + len(batch.mtp_labels), num_pieces)
    trainer._run(now, packs, trainer._objective(now, packs), tally, learn=False)
    if not tally.noted:
        return torch.zeros(1, 0), torch.zeros(0, dtype=torch.int64)
    ((packed, losses_KT),) = tally.noted
    is_real_T = torch.from_numpy(packed.sources_T != PADDING)
    return losses_KT[:, is_real_T], torch.from_numpy(packed.sources_T)[is_real_T]


if __name__ == "__main__":
    main()
