"""The scripted assistant: goes through a plan, asks for what it was not told, says what it will do before it does it, and tries again.

It speaks with the same person as a model would (`synth.tooluse.user`) and knows only what it was told: before a call whose arguments were
not said yet, it asks. Its thoughts are made from the state of the conversation: which argument of which later call a read is for, what a
result showed, what failed. Some calls go wrong on purpose, with an id that has two digits swapped: these turns are not learned, the
correction after them is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Done, Wish
from synth.tooluse.planner import known
from synth.tooluse.session import Session
from synth.tooluse.tools import Result, execute, leaves
from synth.tooluse.user import User

ASK = (
    "[Could you tell me {what}?|I need {what} for that. Could you give me that?|Sure. What is {what}?|May I have {what}, "
    "please?|Gladly. Can you tell me {what}?|To look into this I need {what}. Can you tell me?]"
)
PROPOSE = "[I will|I am going to|I would] {will}. [Shall I go ahead?|Do you confirm?|Is that right?|Shall I proceed?|Is that correct?]"
NEEDS = (
    "[{tool} shows {name}, which {later} takes.|For {later} I need {name}; {tool} has it.|I don't have {name} yet. {tool} can "
    "show it, and {later} needs it.|"
    "{later} wants {name}, so first {tool}.|First {tool}: it leads to {name}.]"
)
CHECKS = (
    "[I look with {tool} before I do anything.|{tool} tells how things stand.|Before going on, {tool} has to confirm the details.|"
    "I check with {tool} first.|The policy wants this looked up: {tool}.|What does {tool} say about {value}?|"
    "I look up {value} first, with {tool}.|Let me see what {tool} shows for {value}.|I don't trust my memory on {value}: {tool}.|"
    "Next comes {tool}, with {value}.]"
)
AFTER = (
    "[{tool} answered {shown}.|The result is {shown}: it is done.|No error from {tool}, and {shown}.|{tool} went through.|"
    "{shown}, says {tool}. That is what was wanted.|Done, as {shown} shows.]"
)
ACTS = (
    "[They agreed, so {tool} now.|That was a yes: {tool}.|Everything is clear; I call {tool}.|All that {tool} takes is "
    "known now.|Now {tool} can be called.]"
)
MISSING = (
    "[They have not said {what}, and I should not guess.|I don't know {what} yet, so I ask.|Still to be said: {what}.|"
    "Without {what} I cannot go on.]"
)
AGAIN = (
    "[The call failed through no fault of its own, and nothing was changed. Once more.|“{error}” That passes; I try "
    "again.|Nothing was changed by the failed call, so repeating it is safe.]"
)
WRONG = (
    "[I mistyped {name}: it is {right}, not {wrong}.|{wrong} was my mistake; {name} is {right}.|No such {name}, because I "
    "swapped two characters. It is {right}.]"
)
FIRM = (
    "[I understand, but I cannot make an exception.|I'm sorry, I have to follow the rules here.|I wish I could, but this "
    "rule has no exceptions.|I know that is disappointing, and still I must not do it.]"
)
FIRM_THOUGHT = (
    "[Insisting does not change the policy.|The rule stays the rule.|Nothing new was said that would change my answer.]"
)


class Manner(NamedTuple):
    """How a conversation goes, apart from what is wanted."""

    parallel: bool  # independent calls in one turn
    mistakes: bool  # one wrong call that is corrected
    at_once: bool  # asks for everything that is missing, not for one thing after the other


def converse(
    session: Session, user: User, wishes: Sequence[Wish], plans: Sequence[Sequence[Call]], manner: Manner, draw: Draw
) -> None:
    """The whole conversation, into `session`. It ends with the assistant's message, after which the person has nothing more to say."""
    _Script(session, user, manner, draw).run(wishes, plans)


class _Script:
    def __init__(self, session: Session, user: User, manner: Manner, draw: Draw) -> None:
        self._session, self._user, self._manner, self._draw = session, user, manner, draw
        self._mistake_left = manner.mistakes

    def run(self, wishes: Sequence[Wish], plans: Sequence[Sequence[Call]]) -> None:
        heard: str | None = self._user.opens()
        for wish, plan in zip(wishes, plans, strict=True):
            assert heard is not None, "a person with a wish left says it"
            self._session.user(heard)
            reads = list(plan[: len(plan) - len(wish.gold)])
            self._make(reads, wish, plan)
            why = wish.thought
            if any("confirmed" in self._session.breaks(call) for call in wish.gold):
                self._ask_for(wish, wish.gold)
                self._exchange(self._say(PROPOSE, will=self._say(wish.will)), self._say(wish.thought))
                why = ""
            self._make(list(wish.gold), wish, plan, why=why)
            thought = self._after() if wish.gold else self._say(wish.thought)
            heard = self._close(self._say(wish.done, answer=wish.answer, **wish.facts), thought)
            while heard is not None and wish.kind == "refusal" and self._user.wish is wish:
                self._session.user(heard)
                heard = self._close(self._say(FIRM), self._say(FIRM_THOUGHT))

    def _close(self, text: str, thought: str) -> str | None:
        self._session.say(text, thought)
        return self._user.reply(text)

    def _exchange(self, text: str, thought: str) -> None:
        """A message that asks, and the answer to it."""
        reply = self._close(text, thought)
        assert reply is not None, "a question is answered"
        self._session.user(reply)

    def _make(self, calls: list[Call], wish: Wish, plan: Sequence[Call], why: str = "") -> None:
        while calls:
            self._ask_for(wish, calls if self._manner.at_once else calls[:1])
            together = [calls.pop(0)]
            while calls and self._manner.parallel and self._is_ready(calls[0], wish, together):
                together.append(calls.pop(0))
            self._call(together, self._say(why) if why else self._reason(together[0], plan))
            why = ""

    def _is_ready(self, call: Call, wish: Wish, together: Sequence[Call]) -> bool:
        """Whether a call can be made in the same turn as those before it: it takes nothing from them, and the policy does not mind."""
        tools = self._session.environment.by_name
        alike = tools[call.name].writes == tools[together[0].name].writes
        return (
            alike
            and not self._missing(wish, [call])
            and known(tools, call, self._seen(wish))
            and not self._session.breaks(call)
        )

    def _seen(self, wish: Wish) -> list[Any]:
        told = [value for slot, value in wish.facts.items() if slot not in self._missing_slots(wish)]
        return told + [
            leaf for e in self._session.past if isinstance(e, Done) and e.result.ok for leaf in leaves(e.result.value)
        ]

    def _missing_slots(self, wish: Wish) -> list[str]:
        return [slot for slot in wish.facts if slot in self._session.environment.slots and slot not in self._user.told]

    def _missing(self, wish: Wish, calls: Sequence[Call]) -> list[str]:
        """The slots that these calls rest on and that were not told yet."""
        used = leaves([dict(call.arguments) for call in calls])
        return [slot for slot in self._missing_slots(wish) if wish.facts[slot] in used]

    def _ask_for(self, wish: Wish, calls: Sequence[Call]) -> None:
        while missing := self._missing(wish, calls):
            slots = self._session.environment.slots
            what = " and ".join(slots[slot].ask for slot in missing)
            self._exchange(self._say(ASK, what=what), self._say(MISSING, what=what.replace("your ", "their ")))

    def _call(self, calls: list[Call], thought: str) -> None:
        wrong = (
            self._wrong(calls[0]) if self._mistake_left and len(calls) == 1 and not self._session.fails_next else None
        )
        if wrong is not None:
            self._mistake_left = False
            name, bad, right = wrong
            self._session.call([Call(calls[0].name, {**calls[0].arguments, name: bad})], think=thought, learn=False)
            thought = self._say(WRONG, name=name, right=right, wrong=bad)
        while calls:
            results = self._session.call(calls, think=thought)
            failed = [(call, result) for call, result in zip(calls, results, strict=True) if not result.ok]
            calls = [call for call, _ in failed]
            if failed:
                self._check_passing(failed[0][1])
                thought = self._say(AGAIN, error=failed[0][1].value["error"])

    def _check_passing(self, result: Result) -> None:
        """A gold action that fails for good is an error of the environment's author, never a row."""
        if "nothing was changed" not in result.value["error"]:
            raise AssertionError(f"environment {self._session.environment.name}: a gold action fails: {result.text}")

    def _wrong(self, call: Call) -> tuple[str, str, str] | None:
        """An argument with two neighbouring characters swapped, so that the tool finds nothing: its name, the wrong and the right value."""
        for name, right in call.arguments.items():
            if isinstance(right, str) and sum(letter.isdigit() for letter in right) >= 3:
                at = next(
                    (
                        i
                        for i in range(len(right) - 2, -1, -1)
                        if right[i] != right[i + 1] and right[i : i + 2].isdigit()
                    ),
                    None,
                )
                if at is not None:
                    bad = right[:at] + right[at + 1] + right[at] + right[at + 2 :]
                    trial = Call(call.name, {**call.arguments, name: bad})
                    result = execute(self._session.state.copy(), self._session.environment.by_name, trial)
                    if not result.ok and not self._session.breaks(trial):
                        return name, bad, right
        return None

    def _reason(self, call: Call, plan: Sequence[Call]) -> str:
        """What a call is for: the argument of a later one that only it shows, or the policy."""
        environment = self._session.environment
        if environment.by_name[call.name].writes:
            return self._say(ACTS, tool=call.name)
        shows = leaves(execute(self._session.state.copy(), environment.by_name, call).value)
        had = [leaf for entry in self._session.past if isinstance(entry, Done) for leaf in leaves(entry.result.value)]
        had += list(self._user.wish.facts.values())
        later = plan[plan.index(call) + 1 :] if call in plan else []
        for other in later:
            for name, value in other.arguments.items():
                if value in shows and value not in had:
                    return self._say(NEEDS, tool=call.name, name=name, later=other.name)
        value = next(iter(leaves(dict(call.arguments))), "") or "everything"
        return self._say(CHECKS, tool=call.name, value=value)

    def _after(self) -> str:
        """What the last call has shown."""
        last = next(entry for entry in reversed(self._session.past) if isinstance(entry, Done))
        name, value = list(last.result.value.items())[-1]
        return self._say(AFTER, tool=last.call.name, shown=f"{name.replace('_', ' ')} {str(value)[:60]}")

    def _say(self, template: str, **slots: Any) -> str:
        """A wording of its own at every place of the conversation."""
        return self._draw.say(template, slots or self._facts(), len(self._session.turns), template)

    def _facts(self) -> Mapping[str, Any]:
        return self._user.wish.facts
