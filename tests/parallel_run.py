"""`pytest -n 2`: tests of one file run in one process, one after the other, and so do those of all files that share what is dear.

Without `-n` (one file, a debugger) nothing here does anything. What two processes have twice: collecting, 14 CPU seconds, and the
fixtures of a session that both ask for. Long groups begin first, that no process waits for the other at the end.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
# A file with the word belongs to the group: a run has one instance of Ray, one pair of parents of ranks, one interpreter of kernels.
GROUPS = {"ray_engine": "ray", "import forked": "ranks", "mark.interpreted": "interpreted"}
LONG = ("ranks", "ray", "tests/test_end_to_end.py")


@functools.cache
def group(path: str) -> str:
    """Name of the group of a test file, given from the root of the repository; its own path if it shares nothing."""
    text = (ROOT / path).read_text()
    return next((name for word, name in GROUPS.items() if word in text), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid.partition("::")[0])

    config.option.loadscopereorder = False  # in the order of the items: many short tests take less than a long one
    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        order = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: order.get(group(item.nodeid.partition("::")[0]), len(LONG)))
