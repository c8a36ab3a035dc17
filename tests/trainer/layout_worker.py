"""A process of a parallel run: learns a plan under one layout after the other. Started by test_parallel.py under torchrun.

argv: folder with plan.json and shards, folder for what was found, layouts as JSON (a list of mappings for `Parallel`).
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import mcore_compat

mcore_compat.install()

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from curriculum.feed import Batch, Feed  # noqa: E402
from curriculum.parallel import Parallel  # noqa: E402
from curriculum.plan import Plan  # noqa: E402
from trainer.documents import documents, micro_batches  # noqa: E402
from trainer.layout import Layout, joined  # noqa: E402
from trainer.loop import Trainer  # noqa: E402
from trainer.schedule import settings  # noqa: E402

if TYPE_CHECKING:
    from trainer.model import Losses

MICRO_TOKENS = 64  # two rows of the short stage, one of the long: several micro-batches per step


def main() -> None:
    root, out, layouts = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    plan = Plan.from_json((root / "plan.json").read_text())
    dist.init_process_group("gloo")
    for number, sizes in enumerate(layouts):
        recompute = sizes.pop("recompute", False)
        with joined(1, Parallel(**sizes)) as layout:
            trainer = Trainer(plan, layout, micro_tokens=MICRO_TOKENS, recompute=recompute)
            found = {"isolation": isolation(trainer, root) if layout.parallel.pipeline == 1 else None}
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


def isolation(trainer: Trainer, root: Path) -> dict[str, int]:
    """How many tokens' losses move, bit for bit, when one document of a batch has other tokens: in it, and elsewhere."""
    batch = Feed(trainer.plan, str(root)).batch(0, 0, mtp_depths=1)
    before, documents_T = losses(trainer, batch)
    lengths = batch.cu_seqlens[1:] - batch.cu_seqlens[:-1]
    piece = int(lengths.argmax())
    begin, end = batch.cu_seqlens[piece : piece + 2]
    flat = batch.tokens.reshape(-1)
    flat[begin:end] = (flat[begin:end] + 7) % trainer.plan.model["vocab_size"]
    after, _ = losses(trainer, batch)
    batch.tokens[:] = 0  # the tokens of a fresh batch are the caller's
    moved_T = (before != after).any(dim=0)
    inside_T = documents_T == piece
    counts = torch.stack([(moved_T & inside_T).sum(), (moved_T & ~inside_T).sum()])
    inside, outside = trainer.layout.sum(counts).tolist()
    return {"inside": inside, "outside": outside}


@torch.no_grad()
def losses(trainer: Trainer, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(losses [K, T] of this rank's tokens, the piece of the batch that each belongs to)."""
    layout: Layout = trainer.layout
    marked = Batch(batch.tokens, batch.labels, batch.mtp_labels, batch.cu_seqlens, batch.source_ids * 0)
    marked.source_ids[:] = range(len(marked.source_ids))
    (packed,) = micro_batches(marked, max_tokens=batch.tokens.size, layout=layout)
    about = documents(packed, rope_base=1e4, rotary_dim=8, layout=layout)
    found: Losses = trainer.model(
        torch.from_numpy(packed.tokens_T)[None],
        torch.from_numpy(packed.positions_T)[None],
        None,
        labels=torch.from_numpy(packed.labels_KT),
        loss_mask=torch.from_numpy(packed.weights_KT),
        packed_seq_params=about,
    )
    return torch.stack(found.tokens_KT), torch.from_numpy(packed.sources_T)


if __name__ == "__main__":
    main()
