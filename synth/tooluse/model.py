"""A model as the assistant, and, where it is asked to, as the person: the same session, the same judge, several tries.

Of the tries that are right (the state that the gold calls give, no rule broken, the answer said), the one with fewest calls is kept
(DeepDive, arXiv 2509.10446, keeps the shortest of eight). A model as the person is given the facts of one wish at a time and what it
has to say is checked like the scripted one's: a number or an address that is not among the facts fails the row.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from synth.export.messages import chat_messages
from synth.teacher import Request, Teacher
from synth.tooluse.environment import Wish
from synth.tooluse.judge import Task, conversation_verdicts
from synth.tooluse.session import Session
from synth.tooluse.tools import Tool
from synth.tooluse.user import User

MAX_TURNS = 30  # of the assistant
MAX_TOKENS = 2_048
TEMPERATURE = 0.8
DONE = "DONE"
PERSON = """You are a person who writes to a service desk. You want: {ask}
What you know: {facts}
Write your next message, in one or two sentences. Say nothing that is not above, and tell details only when you are asked for them.
Agree to what the assistant proposes only when it is what you want. When the assistant has told you that it is done, or that it cannot be
done, answer with the single word {done}."""


class Person(Protocol):
    """Who writes in: `opens` the next wish, `replies` to a message, with None when nothing is left to say."""

    async def opens(self) -> str | None: ...
    async def replies(self, text: str) -> str | None: ...


class ScriptedPerson:
    def __init__(self, user: User) -> None:
        self._user = user

    async def opens(self) -> str | None:
        return self._user.opens()

    async def replies(self, text: str) -> str | None:
        return self._user.reply(text)


class ModelPerson:
    """One wish after the other; the first message about each is the scripted one's wording, so that nothing is wanted but the wish."""

    def __init__(self, user: User, wishes: Sequence[Wish], teacher: Teacher, sample: int) -> None:
        self._user, self._wishes, self._teacher, self._sample = user, list(wishes), teacher, sample
        self._messages: list[dict[str, str]] = []

    async def opens(self) -> str | None:
        if not self._wishes:
            return None
        wish, opening = self._wishes.pop(0), self._user.opens()
        facts = json.dumps(dict(wish.facts), ensure_ascii=False)
        asked = PERSON.format(ask=opening, facts=facts, done=DONE)
        self._messages = [{"role": "system", "content": asked}, {"role": "assistant", "content": opening}]
        return opening

    async def replies(self, text: str) -> str | None:
        self._messages.append({"role": "user", "content": text})
        answer = await self._teacher.ask(Request(tuple(self._messages), 256, TEMPERATURE, sample=self._sample))
        if not answer.is_whole or not answer.text.strip():
            return None
        if answer.text.strip().strip(".!") == DONE:
            return await self.opens()
        self._messages.append({"role": "assistant", "content": answer.text.strip()})
        return answer.text.strip()


async def attempt(
    task: Task, tools: Sequence[Tool], faults: Mapping[int, str], person: Person, teacher: Teacher, sample: int
) -> Session | None:
    """One conversation of the model with the person; None where it gets no whole answer, or does not come to an end."""
    session = Session(task.environment, task.start.copy(), tools, faults)
    heard = await person.opens()
    while heard is not None:
        session.user(heard)
        said = await _act(session, teacher, sample)
        if said is None:
            return None
        heard = await person.replies(said)
    return session


async def _act(session: Session, teacher: Teacher, sample: int) -> str | None:
    """Calls until the model says something without one; what it said, or None."""
    while sum(turn.role == "assistant" for turn in session.turns) < MAX_TURNS:
        request = Request(chat_messages(session.turns), MAX_TOKENS, TEMPERATURE, session.turns[0].tools, sample=sample)
        answer = await teacher.ask(request)
        if not answer.is_whole or not (answer.calls or answer.text.strip()):
            return None
        if not answer.calls:
            session.say(answer.text.strip(), answer.reasoning.strip())
            return answer.text
        session.call(answer.calls, text=answer.text.strip(), think=answer.reasoning.strip())
    return None


def best(
    task: Task, tries: Sequence[Session | None], faults: Mapping[int, str]
) -> tuple[Session | None, dict[str, Any]]:
    """The right try with fewest calls, of equals the first, and the verdict that counts them."""
    right = []
    for session in tries:
        if session is not None:
            verdicts = conversation_verdicts(task, session.turns, faults)
            if all(verdict["passed"] for verdict in verdicts.values()):
                right.append(session)
    found = min(right, key=lambda session: session.num_calls, default=None)
    return found, {"passed": bool(right), "tries": len(tries), "right": len(right)}
