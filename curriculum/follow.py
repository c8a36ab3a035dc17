"""Following a build that is still running: its plan grows, its shards are sealed one after the other.

A shard is sealed when its mark `<shard>.json` is there, which is written after its two files are whole. The plan of a finished build has
a lock, and then nothing is waited for: what is missing is an error. Polling costs one look at one file, on S3 one request, and only
while something is not there yet.
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
        name = self.plan.stages[index].name
        done = self.plan.first_step(index)
        self._wait(f"stage {name!r}", lambda: not self.plan.stages[index].is_open or not self._is_open(index, done))
        return self.plan.stages[index]

    def is_sealed(self, path: str) -> bool:
        """Whether the shard is whole, or its build has ended."""
        if self.plan.is_live and path not in self._sealed:
            if not store.exists(store.join(self.root, path + ".json")):
                return False
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
        path = store.join(self.root, PLAN)
        plan = Plan.from_json(store.read_bytes(path).decode())
        plan_changes.check(self.plan, plan, done, where="this process")
        self.plan = plan
        return plan

    def _is_open(self, index: int, done: int) -> bool:
        return self.refresh(done).stages[index].is_open

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
