"""The plan of a running build: written when the corpora of the first stage are laid out, and again when those of further stages are.

Every plan that is written is kept as `plans/<digest>.json` too: a checkpoint remembers only the digest of its plan, and the plan itself
says whether an edit behind it rewrites what was learned.
"""

from typing import Any

from curriculum.manifest import Manifest
from curriculum.plan import PLAN, Plan, PlanError, archived
from curriculum.planner import make_plan
from datapipe import store


class Publisher:
    """Writes the plan below `root` whenever more of it is known."""

    def __init__(self, manifest: Manifest, root: str) -> None:
        self.manifest, self.root = manifest, root
        self.entries: list[dict[str, Any]] = []
        self.num_stages = 0
        self._finished = _finished_plan(root)

    def add(self, tokenizer: dict[str, Any], entries: list[dict[str, Any]]) -> None:
        """These shard sets are laid out. Raises ManifestError when the plan is infeasible with what was measured."""
        self.entries += entries
        there = [(entry["corpus"], entry["packing"]) for entry in self.entries]
        closed = 0
        for stage in self.manifest.stages:
            if not all((name, stage.packing(name).to_json()) in there for name in stage.corpora):
                break
            closed += 1
        if closed > self.num_stages:
            self.num_stages = closed
            lock = {"tokenizer": tokenizer, "shards": self.entries}
            plan, _ = make_plan(self.manifest, lock, num_stages=closed)
            if self._finished is None or self._finished.stages[:closed] != plan.stages[:closed]:
                self.write(plan)

    def write(self, plan: Plan) -> None:
        data = plan.to_json().encode()
        store.write_bytes(store.join(self.root, archived(plan.digest())), data)
        store.write_bytes(store.join(self.root, PLAN), data)


def _finished_plan(root: str) -> Plan | None:
    """The plan of an earlier build that has ended: one that is built again must not look unfinished in between."""
    path = store.join(root, PLAN)
    if not store.exists(path):
        return None
    try:
        plan = Plan.from_json(store.read_bytes(path).decode())
    except PlanError:  # of another version of tokenloom
        return None
    return None if plan.is_live else plan
