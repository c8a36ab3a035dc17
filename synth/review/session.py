"""What the review page can do: show items, make their clues vaguer or exact, keep decisions, collect facts and make questions of them.

The page holds a draft, the server holds nothing but what was read at the start and the log. A draft is `{item}` or `{facts, answer}` (a
question composed of collected facts), with a level per clue (0: as the page says it, higher: vaguer, null: left out) and, where the
reviewer wrote one, a question. Every change is answered with the number of answers that the closed world then has. An edited or new
question is kept only if it passes every verifier again, the search agent among them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth.draw import Draw
from synth.evidence import keyed
from synth.render import parse
from synth.review import agreement
from synth.review.log import DECISIONS, REASONS, Entry, Log, decisions, standing
from synth.review.server import Refused
from synth.search import phrases
from synth.search.generalise import lattice
from synth.search.task import Clue, Condition, Fact, Page, Query, Span, Task
from synth.search.wording import worded
from synth.search.world import World

if TYPE_CHECKING:
    from synth.review.exchange import Decision

DOUBLE_SHARE = 0.1  # of the items are read by a second reviewer
MAX_SHOWN_ANSWERS = 5
MAX_FOUND = 20
REVIEWED_BY_HAND = "reviewer"  # how a collected fact was found


class Item(NamedTuple):
    """A row of the corpus that is reviewed."""

    row: Mapping[str, Any]  # the document
    meta: Mapping[str, Any]
    task: Task

    @property
    def is_flagged(self) -> bool:
        return bool(self.meta["task"].get("review"))

    @property
    def generator(self) -> str:
        return f"{self.meta['generator']} {self.meta['version']}"


class Session:
    """The functions of the page for one reviewer.

    verify(task, world) -> document row: the generator's own verifiers on a task; rejected rows carry a drop reason
    find(query) -> ids of pages, best first
    """

    def __init__(
        self,
        items: Iterable[Item],
        world: World,
        log: Log,
        reviewer: str,
        *,
        verify: Callable[[Task, World], Mapping[str, Any]],
        find: Callable[[str], Sequence[str]],
    ) -> None:
        self.items = {item.task.name: item for item in items}
        self.log, self.reviewer, self.verify, self.find = log, reviewer, verify, find
        self._built: tuple[tuple[int, ...], World] = (), world
        self.world = world  # without what people collected
        draws = {name: keyed(0, name, "review") for name in self.items}
        flagged = [name for name, item in self.items.items() if item.is_flagged]
        self.order = agreement.queue(self.items, flagged, draws)
        self.double = {name for name, draw in draws.items() if draw % 1000 < DOUBLE_SHARE * 1000}

    def functions(self) -> dict[str, Callable[..., Any]]:
        named = (
            self.state,
            self.item,
            self.draft,
            self.decide,
            self.undo,
            self.page,
            self.pages,
            self.fact,
            self.verdicts,
        )
        return {function.__name__: function for function in named}

    # What the page shows

    def state(self) -> dict[str, Any]:
        """The queue with what this reviewer decided, the facts collected so far, and how the review stands."""
        entries = self.log.entries()
        decided = decisions(entries)
        mine = {name: by[self.reviewer].action for name, by in decided.items() if self.reviewer in by}
        versions = {name: item.generator for name, item in self.items.items()}
        return {
            "reviewer": self.reviewer,
            "reasons": REASONS,
            "queue": [
                {"name": name, "question": self.items[name].task.question, "flagged": self.items[name].is_flagged}
                | {"decision": mine.get(name), "double": name in self.double}
                for name in self.order
                if name in mine or name in self.double or name not in decided
            ],
            "facts": [self._fact_shown(entry) for entry in self._facts(entries).values()],
            "summary": agreement.summary(decided, versions),
        }

    def item(self, name: str) -> dict[str, Any]:
        """An item as it is in the corpus, or as this reviewer left it."""
        item = self._item(name)
        view = self._view({"item": name}, item.task)
        return view | {"verdicts": item.meta["verdicts"], "turns": _turns(item.row["text"]), "flagged": item.is_flagged}

    def draft(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """The draft with its question and the answers that it has now."""
        return self._view(draft, self._task(draft))

    def verdicts(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """What the verifiers say of a draft. Takes seconds: the agent searches."""
        row = self.verify(self._task(draft), self._world())
        return {"passed": row["drop_reason"] is None, "verdicts": _meta(row)["verdicts"]}

    def page(self, id: str) -> dict[str, Any]:
        """A page with what was found in it."""
        world = self._world()
        if id not in world.pages:
            raise Refused("this page is not in the corpus")
        page = world.pages[id]
        facts = [fact for fact in world.facts if fact.span.page == id]
        return {
            "id": id,
            "title": page.title,
            "url": page.url,
            "text": page.text,
            "facts": [[fact.span.start, fact.span.length, fact.relation] for fact in facts],
        }

    def pages(self, query: str) -> list[dict[str, str]]:
        """Pages that a search finds; all pages by title without one."""
        world = self._world()
        found = (
            self.find(query)[:MAX_FOUND] if query.strip() else sorted(world.pages, key=lambda id: world.pages[id].title)
        )
        return [{"id": id, "title": world.pages[id].title} for id in found]

    # What it changes

    def decide(self, draft: Mapping[str, Any], action: str, reason: str = "") -> dict[str, Any]:
        """Keeps a decision. A draft that differs from its item is verified before it is kept, as `edit`, or `new` when it was composed."""
        if action not in DECISIONS or action in ("edit", "new"):
            raise ValueError(f"action is {action!r}: accept, reject or unsure")
        if action == "reject" and reason not in REASONS:
            raise Refused(f"say why: one of {', '.join(REASONS)}")
        task = self._task(draft)
        if action == "accept" and ("facts" in draft or task != self._item(draft["item"]).task):
            return self._keep_edited(draft, task)
        if "facts" in draft:
            raise Refused("a new question is accepted or left")
        self.log.add(self.reviewer, draft["item"], action, reason=reason, seen=task.name)
        return {"kept": action}

    def undo(self) -> dict[str, Any]:
        """Takes back the last decision or fact of this reviewer."""
        mine = [entry for entry in standing(self.log.entries()) if entry.reviewer == self.reviewer]
        if not mine:
            raise Refused("there is nothing to take back")
        self.log.add(self.reviewer, mine[-1].item, "undo", undoes=mine[-1].number)
        return {"item": mine[-1].item, "action": mine[-1].action}

    def fact(self, page: str, start: int, length: int, relation: str) -> dict[str, Any]:
        """Collects a fact: the words that a page has at a place, and what they are of it. Words of a link are the page it leads to."""
        world, relation = self._world(), " ".join(relation.split()).casefold()
        if page not in world.pages or not 0 <= start < start + length <= len(world.pages[page].text):
            raise Refused("select words of the page")
        if not 1 <= len(relation) <= 60:
            raise Refused("say in at most 60 characters what the words are of the page: author, based on, released")
        span = Span(page, start, length)
        linked = next((fact.object for fact in world.facts if fact.is_page and _overlap(fact.span, span)), None)
        value = linked or " ".join(world.pages[page].text[start : start + length].split())
        told = {"relation": relation, "object": value, "is_page": linked is not None, "start": start, "length": length}
        self.log.add(self.reviewer, page, "fact", fact=told)
        return {"facts": [self._fact_shown(entry) for entry in self._facts(self.log.entries()).values()]}

    def take(self, given: Iterable["Decision"]) -> Counter[str]:
        """Keeps decisions that were made elsewhere; counts what became of them. Other words are verified, and fail as `not verified`."""
        counts: Counter[str] = Counter()
        for decision in given:
            if decision.item not in self.items:
                counts["of unknown questions"] += 1
                continue
            task, action, row = self.items[decision.item].task, decision.action, None
            words = decision.question.strip()
            if action == "accept" and words and words != task.question:
                task, action = task._replace(question=words), "edit"
                row = dict(self.verify(task, self._world()))
                if row["drop_reason"] is not None:
                    counts["not verified"] += 1
                    continue
            more = {"row": row} if row else {}
            self.log.add(decision.reviewer, decision.item, action, reason=decision.reason, seen=task.name, **more)
            counts[action] += 1
        return counts

    # How

    def _keep_edited(self, draft: Mapping[str, Any], task: Task) -> dict[str, Any]:
        row = dict(self.verify(task, self._world()))
        verdicts = _meta(row)["verdicts"]
        if row["drop_reason"] is not None:
            return {"kept": None, "verdicts": verdicts}
        action, name = ("new", task.name) if "facts" in draft else ("edit", draft["item"])
        self.log.add(self.reviewer, name, action, row=row, seen=task.name)
        return {"kept": action, "verdicts": verdicts}

    def _item(self, name: str) -> Item:
        if name not in self.items:
            raise Refused(f"no item {name} is in this corpus")
        return self.items[name]

    def _world(self) -> World:
        """The pages with the facts that people collected."""
        collected = self._facts(self.log.entries())
        if tuple(collected) != self._built[0]:
            self._built = tuple(collected), self.world.with_facts(map(self._fact_of, collected.values()))
        return self._built[1]

    def _facts(self, entries: Iterable[Entry]) -> dict[int, Entry]:
        return {entry.number: entry for entry in standing(entries) if entry.action == "fact"}

    def _fact_of(self, entry: Entry) -> Fact:
        told = entry.fact or {}
        span = Span(entry.item, told["start"], told["length"])
        return Fact(entry.item, told["relation"], told["object"], told["is_page"], span, REVIEWED_BY_HAND)

    def _fact_shown(self, entry: Entry) -> dict[str, Any]:
        fact, pages = self._fact_of(entry), self.world.pages
        value = pages[fact.object].title if fact.is_page and fact.object in pages else fact.object
        title = pages[fact.subject].title if fact.subject in pages else fact.subject
        return {"number": entry.number, "page": fact.subject, "title": title, "relation": fact.relation, "value": value}

    def _task(self, draft: Mapping[str, Any]) -> Task:
        """The task that a draft stands for."""
        world = self._world()
        task = self._composed(draft, world) if "facts" in draft else self._item(draft["item"]).task
        levels = draft.get("levels")
        if levels is not None:
            if len(levels) != len(task.query.clues):
                raise ValueError(f"{len(levels)} levels for {len(task.query.clues)} clues")
            clues = [_at_level(clue, level, world) for clue, level in zip(task.query.clues, levels, strict=True)]
            changed = task.query._replace(clues=tuple(clue for clue in clues if clue is not None))
            if changed != task.query:
                task = _reworded(task._replace(query=changed), world)
        own = str(draft.get("question") or "").strip()
        return task._replace(question=own) if own else task

    def _composed(self, draft: Mapping[str, Any], world: World) -> Task:
        """A question of collected facts: one gives the answer, the others are its clues."""
        known = self._facts(self.log.entries())
        numbers = [*draft["facts"], draft["answer"]]
        if missing := [number for number in numbers if number not in known]:
            raise Refused(f"fact {missing[0]} was taken back")
        facts = [self._fact_of(known[number]) for number in draft["facts"] if number != draft["answer"]]
        asked = self._fact_of(known[draft["answer"]])
        if not facts:
            raise Refused("choose the fact that is asked for, and at least one other as a clue")
        pages = list(dict.fromkeys([asked.subject, *(id for fact in facts for id in _pages_of(fact))]))
        clues = tuple(
            Clue(
                pages.index(fact.subject),
                fact.relation,
                pages.index(fact.object) if fact.is_page else Condition("equals", (fact.object,)),
                fact.object,
                (fact.span,),
            )
            for fact in facts
        )
        answer = world.pages[asked.object].title if asked.is_page else asked.object
        task = Task(Query(len(pages), clues, 0, asked.relation), tuple(pages), "", answer, (asked.span,))
        return _reworded(task, world)

    def _view(self, draft: Mapping[str, Any], task: Task) -> dict[str, Any]:
        world = self._world()
        before = self._composed(draft, world) if "facts" in draft else self._item(draft["item"]).task
        answers = sorted(world.answers(task.query))
        levels = draft.get("levels") or [_level_of(clue, world) for clue in before.query.clues]
        return {
            "draft": {**draft, "levels": levels},
            "question": task.question,
            "answer": task.answer,
            "asked": task.query.asked,
            "target": task.query.target,
            "num_answers": len(answers),
            "answers": answers[:MAX_SHOWN_ANSWERS],
            "clues": [self._clue(clue, level, world) for clue, level in zip(before.query.clues, levels, strict=True)],
            "pages": [_page(world.pages.get(id), id, before, number) for number, id in enumerate(task.pages)],
        }

    def _clue(self, clue: Clue, level: int | None, world: World) -> dict[str, Any]:
        shown = {"subject": clue.subject, "relation": clue.relation, "level": level, "value": clue.value}
        if isinstance(clue.object, int):
            title = world.pages[clue.value].title if clue.value in world.pages else clue.value
            return shown | {"object": clue.object, "value": title, "words": [f"variable {clue.object}"]}
        return shown | {
            "object": None,
            "words": [phrases.meets(each, lambda options: options[0]) for each in _lattice(clue, world)],
        }


def _lattice(clue: Clue, world: World) -> list[Condition]:
    """The conditions that a clue may have, exact first. One that the generator chose and the lattice lacks comes last."""
    assert isinstance(clue.object, Condition)
    conditions = lattice(clue.value, clue.relation, world)
    return conditions if clue.object in conditions else [*conditions, clue.object]


def _level_of(clue: Clue, world: World) -> int:
    return 0 if isinstance(clue.object, int) else _lattice(clue, world).index(clue.object)


def _at_level(clue: Clue, level: int | None, world: World) -> Clue | None:
    """The clue as vague as `level` says; None where it is left out."""
    if level is None or isinstance(clue.object, int):
        return clue if level is not None else None
    conditions = _lattice(clue, world)
    if not 0 <= level < len(conditions):
        raise ValueError(f"level is {level}, but this clue has {len(conditions)}")
    return clue._replace(object=conditions[level])


def _reworded(task: Task, world: World) -> Task:
    return task._replace(question=worded(world, task.query, task.answer, Draw(0, task.answer, 0)).question)


def _pages_of(fact: Fact) -> tuple[str, ...]:
    return (fact.subject, fact.object) if fact.is_page else (fact.subject,)


def _overlap(one: Span, other: Span) -> bool:
    return one.page == other.page and one.start < other.start + other.length and other.start < one.start + one.length


def _page(page: Page | None, id: str, task: Task, variable: int) -> dict[str, Any]:
    """A page of the instance with the spans that the question rests on: [start, length, clue], the answer as clue -1."""
    if page is None:
        return {"id": id, "variable": variable, "title": "not in this corpus", "url": "", "text": "", "spans": []}
    spans = [
        [span.start, span.length, number]
        for number, clue in enumerate(task.query.clues)
        for span in clue.spans
        if span.page == id
    ]
    spans += [[span.start, span.length, -1] for span in task.answer_spans if span.page == id]
    return {
        "id": id,
        "variable": variable,
        "title": page.title,
        "url": page.url,
        "text": page.text,
        "spans": sorted(spans),
    }


def _turns(text: str) -> list[dict[str, Any]]:
    """The conversation of a row for display."""
    return [
        {"role": turn.role, "text": turn.text, "think": turn.think, "responses": list(turn.responses)}
        | {"calls": [[call.name, dict(call.arguments)] for call in turn.calls]}
        for turn in parse(text)
        if turn.role != "system"
    ]


def _meta(row: Mapping[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(row["meta"])
    return meta
