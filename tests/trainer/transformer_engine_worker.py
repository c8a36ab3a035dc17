"""A process of a run where megatron sees TransformerEngine: the stand-in of this folder. Started by test_transformer_engine.py
(see forked.py).

argv: folder with plan.json and shards, file for what was found. The plan is learned with documents on either rank, and cut
over both; the latter with torch's attention too.
"""

import json
import sys
from pathlib import Path

import torch.distributed as dist
from transformer_engine import pytorch as stand_in

from curriculum.parallel import Parallel
from curriculum.plan import Plan
from kernels import Choice
from tests.trainer.layout_worker import MICRO_TOKENS, learn
from trainer import model
from trainer.layout import joined
from trainer.loop import Trainer
from trainer.transformer_engine import PackedAttention

RUNS = (
    ("data", Parallel(), "transformer_engine"),
    ("context", Parallel(context=2), "torch"),
    ("context", Parallel(context=2), "transformer_engine"),
)


def main() -> None:
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    plan, choose, found = Plan.from_json((root / "plan.json").read_text()), model.choose, {}
    dist.init_process_group("gloo")
    for name, parallel, way in RUNS:
        is_ours = way == "transformer_engine"
        model.choose = chosen if is_ours else choose  # which takes it on a GPU alone
        stand_in.calls.clear()
        with joined(1, parallel) as layout:
            trainer = Trainer(plan, layout, micro_tokens=MICRO_TOKENS, recompute=is_ours)
            found[f"{name} {way}"] = {
                "lines": learn(trainer, root),
                "weights": sorted(trainer.model.state_dict()),
                "masks": sorted({call["mask"] for call in stand_in.calls}),
            }
    modules = [module for name, module in sys.modules.items() if name.startswith("megatron.core.")]
    found["have_te"] = [getattr(module, "HAVE_TE", None) for module in modules]
    if dist.get_rank() == 0:
        out.write_text(json.dumps(found))
    dist.destroy_process_group()


def chosen(*_: object, **__: object) -> tuple[PackedAttention, Choice]:
    return PackedAttention(), Choice("attention", "transformer_engine", "for a test")


if __name__ == "__main__":
    main()
