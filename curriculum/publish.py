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
        self._before = _plan_before(root)

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
            if not self._knows_more(plan):
                self.write(plan)

    def _knows_more(self, plan: Plan) -> bool:
        """Whether the plan of an earlier build of the same manifest says this and more: a build that is started again, or repeated,
        must not look as if it knew less in between."""
        before = self._before
        return bool(
            before
            and before.manifest == plan.manifest
            and before.stages[: self.num_stages] == plan.stages[: self.num_stages]
        )

    def write(self, plan: Plan) -> None:
        data = plan.to_json().encode()
        store.write_bytes(store.join(self.root, archived(plan.digest())), data)
        store.write_bytes(store.join(self.root, PLAN), data)


def _plan_before(root: str) -> Plan | None:
    """The plan that an earlier build left, whether it ended or was killed."""
    path = store.join(root, PLAN)
    if not store.exists(path):
        return None
    try:
        return Plan.from_json(store.read_bytes(path).decode())
    except PlanError:  # of another version of tokenloom
        return None
