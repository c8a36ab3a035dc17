"""A process of a run on the stand-in for a GPU. Started by test_device.py (see forked.py).

argv: a folder for what is found, and below it one folder per run with plan.json, shards and site.toml.
A run is trained to its third step, and from its checkpoint to the end. Its losses are in metrics.jsonl; waits.json says
how often and where the host of rank 0 waited for the device in the last step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from tests.trainer import stand_in
from trainer import mcore_compat

DEVICE = stand_in.install()
mcore_compat.install()

from trainer import attention, layout, loop, run  # noqa: E402


def main() -> None:
    layout.choose_device = lambda: DEVICE
    attention._flash = attention._per_run  # torch's variable-length attention has a kernel for CUDA alone
    dist.init_process_group(stand_in.BACKENDS)
    last = waits_of_the_last_step()
    for site in sorted(Path(sys.argv[1]).glob("*/site.toml")):
        root = str(site.parent)
        run.train(root, site=str(site), stop_after=3)
        run.train(root, site=str(site))
        if dist.get_rank() == 0:
            (site.parent / "waits.json").write_text(json.dumps(last))
    dist.destroy_process_group()


def waits_of_the_last_step() -> dict[str, int]:
    """Where `Trainer.step` waited, how often; anew with every step."""
    step, last = loop.Trainer.step, dict[str, int]()

    def counted(*args: Any) -> dict[str, Any]:
        stand_in.waits.clear()
        line = step(*args)
        last.clear()
        last.update(stand_in.waits)
        return line

    loop.Trainer.step = counted  # type: ignore[method-assign, assignment]
    return last


if __name__ == "__main__":
    main()
