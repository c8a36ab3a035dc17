"""Tool use as documents: worlds are filled from the documents of other corpora, and every task of a world is a conversation or a reject.

`emit` deals documents to worlds: those of one repository into one, any other into several, each with its beginning. A world fills the
environments that its documents suffice for (`files` and `issues` from a repository, `library` from titled pages) and those that need none
(`retail`, `bank`, `rooms`: word lists and the seed). A row's parents are the documents that its start state shows; where there are none,
the data are this project's own, and the licence is CC0-1.0.

A conversation with thoughts becomes one row per user turn, as the chat template wants it (`synth.render.split`); 40 % are direct and stay
one row. `task` in `meta` is all that a checker needs, beside the tools and the schema of `synth.tooluse.environments`:

    environment, start, start_hash   its name; rows by table, values in the order of the schema's columns; hash of them (`State.hash`)
    tools                      the names of all tools that are listed, distractors included
    wishes                     in order: {kind, name, facts, plan, changes, goal, answer, needs, refused, rule}
        plan, changes          gold calls [{name, arguments}]; the last `changes` of them change the state
        goal                   [{sql, args, rows}]: each query gives these rows in the end; of `write` and `handoff`, not all at the start
        answer, needs          of a question: what the last message says; values, or [field, value], that results must have shown for it
        refused, rule          what must not be done when the wish comes up, and the name of the rule that forbids it; "": the tool does
    final_hash                 of the state after all plans, which is that after the conversation
    faults                     {n: text}: the n-th call of the conversation (from 0) fails with this error, whatever it is
    unlearned                  numbers of calls that are shown and not learned: they were mistakes
    turns                      of the whole conversation, of which the row may show a part

Costs 11 ms of CPU per task with all checks, and the rendering. Not covered: conversations in which a person changes its mind; what a
model would do differently from a script (give a `teacher`).
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.schema import DROP, code_place
from synth.draw import Draw
from synth.evidence import keyed
from synth.generators import Generator
from synth.render import Call, Turn
from synth.rows import Made, Parent, Verdicts, documents
from synth.teacher import Crew, Teacher
from synth.tooluse import dialogue, model
from synth.tooluse.environment import Environment, Source, Wish, World
from synth.tooluse.environments import ENVIRONMENTS, environments
from synth.tooluse.judge import Task, conversation_verdicts, task_verdicts
from synth.tooluse.session import Session
from synth.tooluse.state import State
from synth.tooluse.user import User

NAME = "tools"
FILE_CHARS, TEXT_CHARS = 2_000, 400  # of a document that are sent: as much as a world shows of it
WORLDS_PER_TEXT = 4  # a page may stand in several libraries; a repository is in one world
DIRECT_PERCENT = 40
SOURCES = pa.schema(
    [
        ("key", pa.uint64()),  # of the world
        ("world", pa.int64()),
        ("draw", pa.uint64()),  # the smallest of a world stay, by repository and then by file
        ("id", pa.string()),
        ("sha", pa.string()),
        ("license", pa.string()),
        ("group", pa.string()),
        ("path", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
    ]
)


def check(*, worlds: int = 60, tasks: int = 5, max_wishes: int = 3, max_documents: int = 24, tries: int = 4) -> None:
    """Raises ValueError for parameters that leave nothing."""
    for name, value in (("worlds", worlds), ("tasks", tasks), ("max_wishes", max_wishes), ("tries", tries)):
        if value < 1:
            raise ValueError(f"{name} is {value}, and at least 1 is needed: type 1 or more")
    if max_documents < 8:
        raise ValueError(f"max_documents {max_documents} is fewer than the 8 that a library needs: type 24")


def emit(docs: pa.Table, *, seed: int = 0, worlds: int = 60, max_documents: int = 24) -> pa.Table:
    """The beginnings of the documents that a world of this partition would take: at most `max_documents` files and as many others each."""
    columns = [docs[name].to_pylist() for name in ("id", "origin", "kind", "license", "meta")]
    taken: dict[tuple[int, bool], dict[int, tuple[int, int, int]]] = {}
    places: dict[int, tuple[str, str]] = {}
    for number, (id_, origin, kind, _, _) in enumerate(zip(*columns, strict=True)):
        place = code_place(origin) if kind == "code" else None
        group, path = (f"{place[0]}@{place[1]}", place[2]) if place else (id_, "")
        places[number] = (group, path)
        for copy in range(1 if place else WORLDS_PER_TEXT):
            world = keyed(seed, group, "world", copy) % worlds
            drawn = keyed(seed, group, "group"), keyed(seed, id_, "document"), number
            taken.setdefault((world, bool(place)), {})[number] = drawn
    rows = []
    for (world, _), candidates in taken.items():
        for of_group, of_document, number in sorted(candidates.values())[:max_documents]:
            text = docs["text"][number].as_py() or ""
            id_, _, _, license_, meta = (column[number] for column in columns)
            group, path = places[number]
            rows.append(
                {
                    "key": keyed(seed, str(world), "key"),
                    "world": world,
                    "draw": (of_group & ~0xFFFFFFFF) | (of_document >> 32),
                    "sha": Parent.of(id_, text, None).sha,
                    "id": id_,
                    "license": license_,
                    "group": group,
                    "path": path,
                    "title": str(json.loads(meta or "{}").get("title") or "")[:200],
                    "text": text[: FILE_CHARS if path else TEXT_CHARS],
                }
            )
    return pa.Table.from_pylist(rows, schema=SOURCES)


class Posed(NamedTuple):
    """A task with what is needed to make rows of it."""

    name: str
    task: Task
    world: World
    draw: Draw
    verdicts: Verdicts


def reduce(
    rows: pa.Table,
    *,
    seed: int = 0,
    tasks: int = 5,
    max_wishes: int = 3,
    max_documents: int = 24,
    accept: int = 0,
    teacher: Crew | None = None,
    tries: int = 4,
    model_person: bool = False,
    shop: str = "",
    shop_license: str = "",
) -> pa.Table:
    """`tasks` conversations of every world received, and the ones that failed a check. With a `teacher`, it is the assistant.

    tries: conversations with the teacher per task. model_person: the teacher plays the person too. shop: a folder of tau-bench's retail
    data (`synth.tooluse.environments.retail.shop`), under the licence `shop_license`.
    """
    worlds = _worlds(rows, max_documents)
    order = sorted(
        (keyed(seed, f"{world}-{number}", "order"), world, number) for world in worlds for number in range(tasks)
    )
    known = list(environments(shop, shop_license).values())
    posed = (_posed(seed, world, number, worlds[world], max_wishes, known) for _, world, number in order)
    if teacher is None:
        made = _scripted(seed, posed)
    else:
        made = _asked(seed, posed, teacher, tries, model_person, accept)
    found: list[dict[str, Any]] = []
    accepted = 0
    for row in made:
        found.append(row)
        accepted += row[DROP] is None
        if accept and accepted >= accept:
            break
    return documents(found)


def _worlds(rows: pa.Table, max_documents: int) -> dict[int, list[Source]]:
    """The sources of every world, the same ones in whatever parts they came."""
    received = sorted(rows.to_pylist(), key=lambda row: (row["world"], row["path"] == "", row["draw"], row["id"]))
    worlds: dict[int, list[Source]] = {}
    counts: dict[tuple[int, bool], int] = {}
    for row in received:
        which = row["world"], row["path"] == ""
        counts[which] = counts.get(which, 0) + 1
        sources = worlds.setdefault(row["world"], [])
        if counts[which] <= max_documents:
            parent = Parent(row["id"], row["sha"], row["license"])
            sources.append(Source(parent, row["group"], row["path"], row["title"], row["text"]))
    return worlds


def _posed(
    seed: int, world: int, number: int, sources: Sequence[Source], max_wishes: int, known: Sequence[Environment]
) -> Posed | None:
    """One task, in an environment that the sources suffice for."""
    name = f"{seed}-{world}-{number}"
    draw = Draw(seed, NAME, name)
    for environment in draw.shuffled(known, "environment"):
        filled = environment.populate(draw, sources)
        task = filled and dialogue.pose(environment, State(environment.schema, filled.tables), draw, max_wishes)
        if filled and task:
            return Posed(name, task, filled, draw, task_verdicts(task))
    return None


def _scripted(seed: int, posed: Iterator[Posed | None]) -> Iterator[dict[str, Any]]:
    for one in posed:
        if one is not None and all(verdict["passed"] for verdict in one.verdicts.values()):
            session, faults = dialogue.converse(one.task, _others(one.task.environment), one.draw)
            yield from _rows(Made(NAME, seed), one, session, faults, one.verdicts)
        elif one is not None:
            yield _reject(Made(NAME, seed), one, one.verdicts)


def _asked(
    seed: int, posed: Iterator[Posed | None], crew: Crew, tries: int, model_person: bool, accept: int
) -> Iterator[dict[str, Any]]:
    """Conversations of a model about the tasks that are sound, so many at a time as are wanted."""
    made = Made(
        NAME, seed, author=crew.model, teacher={"model": crew.model, "prompt": Parent.of("", model.PERSON, None).sha}
    )
    sound = [one for one in posed if one is not None and all(verdict["passed"] for verdict in one.verdicts.values())]
    at_once = accept or len(sound)
    for start in range(0, len(sound), max(1, at_once)):
        chosen = sound[start : start + at_once]
        plans = [dialogue.stage(one.task, _others(one.task.environment), one.draw) for one in chosen]
        work = [
            _trying(one, stage, sample, model_person)
            for one, stage in zip(chosen, plans, strict=True)
            for sample in range(tries)
        ]
        sessions = crew.run(work)
        for index, (one, stage) in enumerate(zip(chosen, plans, strict=True)):
            session, solved = model.best(one.task, sessions[index * tries : (index + 1) * tries], stage.faults)
            verdicts = {**one.verdicts, "solved": solved}
            if session is None:
                yield _reject(made, one, verdicts)
            else:
                yield from _rows(made, one, session, stage.faults, verdicts)


def _trying(one: Posed, stage: dialogue.Stage, sample: int, model_person: bool) -> Any:
    async def work(teacher: Teacher) -> Session | None:
        user = User(one.task.wishes, one.task.environment.slots, one.draw)
        person: model.Person = model.ScriptedPerson(user)
        if model_person:
            person = model.ModelPerson(user, one.task.wishes, teacher, sample)
        return await model.attempt(one.task, stage.tools, stage.faults, person, teacher, sample)

    return work


def _others(environment: Environment) -> list[Any]:
    return [tool for other in ENVIRONMENTS.values() if other.name != environment.name for tool in other.tools]


def _rows(
    made: Made, one: Posed, session: Session, faults: Mapping[int, str], verdicts: Verdicts
) -> list[dict[str, Any]]:
    direct = one.draw.chance(DIRECT_PERCENT, "direct")
    turns = [dataclasses.replace(turn, think="") for turn in session.turns] if direct else session.turns
    return made.rows(
        one.name,
        turns,
        kind="agent",
        parents=one.world.parents,
        task=_as_json(one.task, turns, faults),
        verdicts={**verdicts, **conversation_verdicts(one.task, turns, faults)},
        direct=direct,
        license=one.world.license,
    )


def _reject(made: Made, one: Posed, verdicts: Verdicts) -> dict[str, Any]:
    text = "\n".join([one.task.environment.name, *(f"{wish.kind} {wish.name}: {wish.ask}" for wish in one.task.wishes)])
    task = _as_json(one.task, (), {})
    return made.reject(
        one.name, text, kind="agent", parents=one.world.parents, task=task, verdicts=verdicts, license=one.world.license
    )


def _as_json(task: Task, turns: Sequence[Turn], faults: Mapping[int, str]) -> dict[str, Any]:
    """`task` as the docstring of this module has it."""
    calls = [turn.learn for turn in turns for _ in turn.calls]
    return {
        "environment": task.environment.name,
        "start": task.start.dump(),
        "start_hash": task.start.hash(),
        "tools": [tool["name"] for tool in turns[0].tools] if turns else [],
        "wishes": [_wish_as_json(wish, plan) for wish, plan in zip(task.wishes, task.plans, strict=True)],
        "final_hash": task.end().hash(),
        "faults": {str(number): text for number, text in sorted(faults.items())},
        "unlearned": [number for number, learn in enumerate(calls) if not learn],
        "turns": len(turns),
    }


def _wish_as_json(wish: Wish, plan: Sequence[Call]) -> dict[str, Any]:
    return {
        "kind": wish.kind,
        "name": wish.name,
        "facts": dict(wish.facts),
        "plan": [_call_as_json(call) for call in plan],
        "changes": len(wish.gold),
        "goal": [condition.as_json() for condition in wish.goal],
        "answer": wish.answer,
        "needs": [list(need) if isinstance(need, tuple) else need for need in wish.needs],
        "refused": _call_as_json(wish.refused) if wish.refused else None,
        "rule": wish.rule,
    }


def _call_as_json(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": dict(call.arguments)}


TOOLS = Generator(emit, reduce, check)
