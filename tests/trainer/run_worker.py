"""A process of a parallel run that trains one plan after the other. Started by test_run_ranks.py (see forked.py).

argv: folder for what is found, tasks as JSON: a list of [what goes wrong, root]. A rank writes what became of a task to
<number>-<rank>.json. Where a folder `root`-1 is there, rank 1 trains in that, as if the storage were not shared. A site.toml
in the folder is obeyed.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import mcore_compat

mcore_compat.install()

import torch.distributed as dist  # noqa: E402

from curriculum import feed  # noqa: E402
from curriculum.feed import SiteError  # noqa: E402
from datapipe.shards import ShardError  # noqa: E402
from trainer import learn, model  # noqa: E402
from trainer.run import train  # noqa: E402

RANK = int(os.environ["RANK"])


def main() -> None:
    out, tasks = Path(sys.argv[1]), json.loads(sys.argv[2])
    dist.init_process_group("gloo")
    for number, (what, root) in enumerate(tasks):
        other = Path(f"{root}-1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feed, "WINDOW_TOKENS", 1)
            WRONG[what](patch)
            found = outcome(str(other) if RANK == 1 and other.exists() else root, patch)
        (out / f"{number}-{RANK}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def outcome(root: str, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How a run ends on this rank, and how often the rank looked up documents."""
    looked_up: list[int] = []
    documents = learn.Run._documents
    patch.setattr(learn.Run, "_documents", lambda *arguments: (looked_up.append(1), documents(*arguments))[1])
    try:
        site = Path(root, "site.toml")
        done = train(root, site=str(site) if site.exists() else None)
    except Exception as error:  # noqa: BLE001, every one is a finding
        cause = type(error.__cause__).__name__
        return {"raised": type(error).__name__, "text": str(error), "cause": cause, "looked up": len(looked_up)}
    return {"raised": None, "first step": done["first_step"], "looked up": len(looked_up)}


def nothing(patch: pytest.MonkeyPatch) -> None:
    pass


def damaged_shard(patch: pytest.MonkeyPatch) -> None:
    """Rank 1 cannot read its share of step 2."""
    if RANK == 1:
        patch.setattr(feed.Feed, "batch", refusing(feed.Feed.batch, lambda stage, step: (stage, step) == (0, 2)))


def damaged_validation(patch: pytest.MonkeyPatch) -> None:
    if RANK == 1:
        patch.setattr(feed.Feed, "validation", refusing(feed.Feed.validation, lambda stage: True))


def no_way(patch: pytest.MonkeyPatch) -> None:
    """Rank 1 cannot compute attention as it is asked to."""

    def refuse(*_: Any, **__: Any) -> None:
        raise SiteError("no way to compute attention here")

    if RANK == 1:
        patch.setattr(model, "choose", refuse)


def refusing(read: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    def refuse(self: feed.Feed, *arguments: int, **share: Any) -> Any:
        if when(*arguments):
            raise ShardError("a shard is damaged")
        return read(self, *arguments, **share)

    return refuse


WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "nothing": nothing,
    "damaged shard": damaged_shard,
    "damaged validation": damaged_validation,
    "no way": no_way,
}

if __name__ == "__main__":
    main()
