"""Following a build that is still running: its plan grows, its shards are sealed one after the other.

A shard is sealed when its mark `<shard>.json` is there, which is written after its two files are whole. The plan of a finished build has
a lock, and then nothing is waited for: what is missing is an error. Polling costs one look at one file, on S3 two requests, and only
while something is not there yet.

While a plan is followed it may only grow: whoever learns from it has its steps, batches and schedules already. What a build that was
started again with an edited manifest changes is judged when the run is started again (`plan_changes.check`).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from curriculum import plan_changes
from curriculum.plan import PLAN, Plan, Stage
from datapipe import store
from datapipe.shards import ShardError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
TELL_SECONDS = 30.0
SEALED_KEPT = 1 << 16  # names of shards known to be sealed, some 100 bytes each


class BuildStalled(ShardError):
    """A running build did not deliver in time; the message says what is missing."""


class Interrupted(Exception):
    """Whoever wanted the batch does not want it any more."""


class Follower:
    """The plan of the build below `root` as it becomes known, and its sealed shards."""

    def __init__(self, plan: Plan, root: str, patience: float) -> None:
        self.plan, self.root, self.patience = plan, root, patience
        self.seconds = 0.0  # waited for the build so far
        self._sealed: set[str] = set()
        self._interrupt = threading.Event()

    def closed_stage(self, index: int) -> Stage:
        """Stage `index`, waited for until the build knows what it learns from."""
        self._wait(f"stage {self.plan.stages[index].name!r}", lambda: self._is_closed(index))
        return self.plan.stages[index]

    def is_sealed(self, path: str) -> bool:
        """Whether the shard is whole, or its build has ended."""
        if self.plan.is_live and path not in self._sealed:
            if not store.exists(store.join(self.root, path + ".json")):
                return False
            if len(self._sealed) >= SEALED_KEPT:
                self._sealed.clear()
            self._sealed.add(path)
        return True

    def wait_until_sealed(self, path: str) -> None:
        self._wait(f"shard {path}", lambda: self.is_sealed(path))

    @contextlib.contextmanager
    def interrupted(self) -> Iterator[None]:
        """While this lasts, waiting ends with `Interrupted`."""
        self._interrupt.set()
        try:
            yield
        finally:
            self._interrupt.clear()

    def refresh(self, done: int) -> Plan:
        """Read the plan of the build again; raises PlanChanged when it contradicts the first `done` steps of the one known."""
        plan = self._read()
        plan_changes.check(self.plan, plan, done, where="this process")
        self.plan = plan
        return plan

    def _read(self) -> Plan:
        return Plan.from_json(store.read_bytes(store.join(self.root, PLAN)).decode())

    def _is_closed(self, index: int) -> bool:
        """Whether stage `index` is laid out; the plan that says so is taken when it differs in nothing else."""
        if not self.plan.stages[index].is_open:
            return True
        plan = self._read()
        if index < len(plan.stages) and plan.stages[index].is_open:
            return False  # of a build that was started again, even stages before it may be open for a while
        changes = plan_changes.compare(self.plan, plan, self.plan.steps)
        if edits := [*changes.past, *changes.future]:
            listed = "\n    ".join(edits)
            raise plan_changes.PlanChanged(
                f"the build in {self.root} was started again with another plan, while it was followed:\n    {listed}\n"
                "Start the training again: from its checkpoint on, edits of what is not learned yet are accepted."
            )
        self.plan = plan
        return True

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        if is_there():
            return
        started = told = time.monotonic()
        while not is_there():
            if self._interrupt.wait(POLL_SECONDS):
                raise Interrupted(what)
            now = time.monotonic()
            if now - told > TELL_SECONDS:
                told = now
                log.warning("waiting for %s of the build in %s, %.0f s so far", what, self.root, now - started)
            if now - started > self.patience:
                raise BuildStalled(
                    f"{what} is not there after {now - started:.0f} s of waiting for the build in {self.root}: "
                    "is `tokenloom build` still running? start it again, it goes on where it stopped; then resume the training"
                )
        self.seconds += time.monotonic() - started
