"""A task from a state, and a scripted conversation of it: who writes in, with which wishes, and how it goes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.draw import Draw
from synth.render import Call
from synth.tooluse import agent
from synth.tooluse.environment import Environment, Wish
from synth.tooluse.judge import Task, fulfilled
from synth.tooluse.planner import plan
from synth.tooluse.session import OUTAGES, Session
from synth.tooluse.state import State
from synth.tooluse.tools import Tool, execute
from synth.tooluse.user import User

MAX_ACTIONS = 8
MAX_TRIES = 12  # of drawing a wish that the state has a case for
MAX_DISTRACTORS = 6
FAULT_PERCENT, MISTAKE_PERCENT = 18, 15


def pose(environment: Environment, start: State, draw: Draw, max_wishes: int) -> Task | None:
    """One to `max_wishes` wishes of one person, each possible in the state that the ones before leave. None where nothing was found.

    The reads are found by `synth.tooluse.planner`, from what the person knows and what the wish before has shown.
    """
    me = environment.person(start, draw)
    state = start.copy()
    made: list[Call] = []
    shown: list[Any] = []
    wishes: list[Wish] = []
    plans = []
    order = draw.shuffled(environment.wishes, "wishes") * 2
    for number, make in enumerate(order[:MAX_TRIES]):
        wish = make(state, _Again(draw, number), me)
        if wish is None or any(wish.name == other.name for other in wishes):
            continue
        wanted = [*(call for call in wish.look if call not in made), *wish.gold]
        reads = plan(state, environment.by_name, {**wish.facts, "shown": shown}, wanted, wish.needs)
        if reads is None or len(made) + len(reads) + len(wish.gold) > MAX_ACTIONS:
            continue
        after = state.copy()
        results = [execute(after, environment.by_name, call).value for call in (*reads, *wish.gold)]
        if not all(fulfilled(other, start, after) for other in (*wishes, wish)):
            continue  # it would undo what was wanted before, or what it wants is there
        state = after
        wishes.append(wish)
        plans.append((*reads, *wish.gold))
        made += plans[-1]
        shown += results
        if len(wishes) == 1 + draw.below(max_wishes, "how many"):
            break
    return Task(environment, start, tuple(wishes), tuple(plans)) if wishes else None


class Stage(NamedTuple):
    """What a conversation has to work with: the tools that are listed, and the faults that are injected."""

    tools: Sequence[Tool]
    faults: Mapping[int, str]


def stage(task: Task, others: Sequence[Tool], draw: Draw) -> Stage:
    """`others` are tools of other environments, some of which are listed; one of the calls fails in some conversations."""
    mine = {tool.name for tool in task.environment.tools}
    foreign = draw.shuffled([tool for tool in others if tool.name not in mine], "distractors")
    distractors = {tool.name: tool for tool in foreign[: draw.below(MAX_DISTRACTORS + 1, "how many distractors")]}
    listed = draw.shuffled([*task.environment.tools, *distractors.values()], "listed")
    if not task.gold or not draw.chance(FAULT_PERCENT, "fault"):
        return Stage(listed, {})
    return Stage(listed, {draw.below(len(task.gold), "faulty call"): draw.pick(OUTAGES, "outage")})


def converse(task: Task, others: Sequence[Tool], draw: Draw) -> tuple[Session, Mapping[int, str]]:
    """A scripted conversation, and the faults that were injected."""
    listed, faults = stage(task, others, draw)
    session = Session(task.environment, task.start.copy(), listed, faults)
    user = User(task.wishes, task.environment.slots, draw)
    manner = agent.Manner(
        draw.chance(60, "parallel"), draw.chance(MISTAKE_PERCENT, "mistake"), draw.chance(50, "at once")
    )
    agent.converse(session, user, task.wishes, task.plans, manner, draw)
    return session, faults


class _Again(Draw):
    """The draw of one wish, so that two wishes of a task do not draw alike."""

    def __init__(self, draw: Draw, number: int) -> None:
        super().__init__(draw._seed, draw._name, "wish", number)
