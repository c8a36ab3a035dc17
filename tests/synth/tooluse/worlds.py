"""Worlds and tasks for tests: sources for every environment, and what `dialogue` makes of them by seed."""

from functools import lru_cache

from synth.draw import Draw
from synth.rows import Parent
from synth.tooluse import dialogue
from synth.tooluse.environment import Source
from synth.tooluse.environments import ENVIRONMENTS
from synth.tooluse.judge import Task
from synth.tooluse.session import Session
from synth.tooluse.state import State

TOPICS = ["Alder", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper"]
PAGES = [
    Source(
        Parent.of(f"page{n}", topic, "CC0-1.0"), f"page{n}", "", f"{topic} trees - A site",
        f"{topic} grows in many a place, and its wood is used for {topic.lower()} boards of all kinds.",
    )
    for n, topic in enumerate(TOPICS)
]  # fmt: skip
FILES = [
    Source(
        Parent.of(f"file{n}", topic, "MIT"), "trees@1.0", f"trees/{topic.lower()}.py", "",
        f'"""About {topic}."""\n\nMAX_{topic.upper()} = {n + 3}\n\n\ndef grow_{topic.lower()}(years):\n    return years * {n}\n',
    )
    for n, topic in enumerate(TOPICS)
]  # fmt: skip
LICENSE = Source(Parent.of("license", "MIT", "MIT"), "trees@1.0", "LICENSE", "", "Permission is granted.\n")
SOURCES = (*PAGES, *FILES, LICENSE)


@lru_cache(maxsize=512)
def posed(name: str, number: int, max_wishes: int = 3) -> tuple[Task, Draw]:
    """A task of the environment of this name, and its draw."""
    environment, draw = ENVIRONMENTS[name], Draw(5, name, number)
    world = environment.populate(draw, SOURCES)
    assert world is not None
    task = dialogue.pose(environment, State(environment.schema, world.tables), draw, max_wishes)
    assert task is not None
    return task, draw


def find(name: str, wish: str) -> tuple[Task, Draw]:
    """The first task of an environment that has a wish of this name or kind, as its only one."""
    for number in range(200):
        task, draw = posed(name, number, 1)
        if wish in (task.wishes[0].name, task.wishes[0].kind):
            return task, draw
    raise AssertionError(f"no task of {name} has the wish {wish}")


def conversed(task: Task, draw: Draw) -> tuple[Session, dict[int, str]]:
    session, faults = dialogue.converse(task, (), draw)
    return session, dict(faults)
