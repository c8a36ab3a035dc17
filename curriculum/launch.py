"""How the trainer is started: one process, torchrun on this machine, or one torchrun on each of many machines.

On one machine `curriculum.training` runs the command. On many nothing is started from here: `for_many` is what a person types
or gives to Slurm. Every process reads the same plan, and finds its place among the others in the environment that torchrun sets.
"""

import dataclasses
import os
import shlex
import sys
from pathlib import Path

from curriculum.inspect import load_plan
from curriculum.parallel import Parallel
from datapipe.site import Site, load_site

PORT = 29_500  # torchrun's own default


class LaunchError(Exception):
    """The layout of the site file cannot run this plan, or not on so many processes; the message says what to write."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """`arguments` are those of `trainer.run`; `processes` are per node."""

    arguments: tuple[str, ...]
    nodes: int = 1
    processes: int = 1
    grace_seconds: int = 300  # that torchrun and Slurm leave between SIGTERM and the end

    def command(self) -> list[str]:
        """What runs on this machine, with this Python."""
        if self.processes == 1:
            return [sys.executable, "-m", "trainer.run", *self.arguments]
        place = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
        return [
            sys.executable,
            "-m",
            "torch.distributed.run",
            *self._torchrun(),
            *place,
            "-m",
            "trainer.run",
            *self.arguments,
        ]

    def printed(self) -> str:
        """The command for this machine, or those for many."""
        return shlex.join(self.command()) if self.nodes == 1 else self.for_many()

    def for_many(self) -> str:
        """A script for Slurm, whose comments hold the command for machines without it."""
        here = [f"--nnodes {self.nodes}", *map(str, self._torchrun()), "--rdzv-backend c10d"]
        trainer = f"-m trainer.run {shlex.join(self.arguments)}"
        by_hand = f"torchrun {' '.join(here)} --rdzv-id tokenloom --rdzv-endpoint FIRST_NODE:{PORT} {trainer}"
        return SBATCH.format(
            nodes=self.nodes,
            processes=self.processes,
            seconds=self.grace_seconds,
            by_hand=by_hand,
            options=" ".join(here),
            port=PORT,
            trainer=trainer,
        )

    def _torchrun(self) -> tuple[str, ...]:
        return ("--nproc-per-node", str(self.processes), "--shutdown-timeout", str(self.grace_seconds))


SBATCH = """\
#!/bin/bash
# Without Slurm: the same command on each of the {nodes} machines, FIRST_NODE being the name of one of them:
#   {by_hand}
# With Slurm: tokenloom train OUT --print > train.sbatch && sbatch train.sbatch
# Where a machine's name means 127.0.0.1 to itself, export GLOO_SOCKET_IFNAME with the interface that others see.
#SBATCH --job-name=tokenloom
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={processes}
#SBATCH --exclusive
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@{seconds}

set -euo pipefail
MASTER=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)  # not head, which would break the pipe
srun --kill-on-bad-exit=1 torchrun {options} \\
    --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$MASTER:{port}" \\
    {trainer}
"""


def plan_launch(
    root: str,
    *,
    shards: str | None = None,
    site: str | None = None,
    threads: int | None = None,
    stop_after: int | None = None,
    weights: str | None = None,
    processes: int | None = None,
) -> Launch:
    """How to start the trainer on the plan in `root`; `processes` per node goes before the site file.

    Raises SiteError, and LaunchError where the site's layout cannot run the plan's model on so many processes.
    """
    site = site or os.environ.get("TOKENLOOM_SITE")  # other machines may not have the variable
    about = load_site(site)
    per_node = processes or about.processes_per_node
    if per_node is None and about.nodes > 1:
        raise LaunchError(
            f"{_named(site)}: [parallel] nodes = {about.nodes}, but not how many processes each runs\n"
            "    write processes_per_node = 8 (its GPUs), or give --processes 8"
        )
    per_node = per_node or max(1, gpus_here())
    _check(root, about, about.nodes * per_node, _named(site))
    # Nodes have folders in common, but not where a command was typed.
    where = str if about.nodes == 1 else _absolute
    arguments = ["--root", where(root)]
    arguments += ["--shards", where(shards)] if shards else []
    arguments += ["--site", where(site)] if site else []
    arguments += ["--threads", str(threads)] if threads else []
    arguments += ["--stop-after", str(stop_after)] if stop_after else []
    arguments += ["--weights", where(weights)] if weights else []
    return Launch(tuple(arguments), about.nodes, per_node, round(about.grace_seconds))


def gpus_here() -> int:
    """NVIDIA GPUs that processes of this machine may use, without the seconds that importing torch takes."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len([path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()])
    return there if visible is None else min(there, len([name for name in visible.split(",") if name.strip()]))


def _check(root: str, site: Site, world: int, named: str) -> None:
    sizes = Parallel.of_site(site)
    if sizes == Parallel():
        return  # nothing that could not fit; whether the ranks can share every batch the trainer checks
    if problems := sizes.problems(load_plan(root).model, world):
        told = "\n".join(f"{named}: [parallel] {problem}" for problem in problems)
        raise LaunchError(
            f"{told}\n    processes: nodes * processes_per_node = {world}; `tokenloom describe` tries layouts"
        )


def _named(site: str | None) -> str:
    return site or "no site file"


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).resolve())
