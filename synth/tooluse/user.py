"""A person with wishes, as a state machine over slots: tells some of what it knows, more when asked, and agrees only to what it wants.

A simulated user is a known source of false verdicts: up to 30 % of the failed retail traces of tau-bench were its errors, and one that says
goodbye with its yes ends the conversation before anything is done (sierra-research/tau2-bench #392, #182). Here a yes never ends anything:
a wish ends with a message of the assistant that asks nothing, and the person says nothing that is not among the facts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from synth.draw import Draw
from synth.tooluse.environment import Facts, Slot, Wish
from synth.tooluse.rules import is_said
from synth.tooluse.tools import leaves

_CONFIRM = re.compile(
    r"\b(?:shall i|should i|go ahead|confirm|is that (?:right|correct|ok)|do you agree|proceed|okay with)\b", re.I
)
_SLOT = re.compile(r"\{(\w+)\}")
_NAMES_ITSELF = re.compile(
    r"\[[^\]]*\{name\}[^\]]*\] "
)  # at the beginning of what is asked: `[I'm {name}.|This is {name}.] `
_QUESTION = re.compile(r"(?:^|[.:] |, (?:so )?)(?:can|could) (?:I|you)\b[^?]*\.$", re.I)
GREETINGS = "[|Hi! |Hello. |Hi there, |Good morning. |Hey, |Good afternoon. |Hello there. |Dear team, ]"
NEXT = "[Thanks! One more thing:|Great, thank you. Also,|Perfect. Something else:|Good. And another thing:|Thank you! While I'm here:] "
AFTER_NO = (
    "[I see. Something else then:|All right. Then another question:|That's a pity. But there is one more thing:|Okay, "
    "I understand. Also,] "
)
YES = (
    "[Yes, please.|Yes, go ahead.|Yes, that's right.|Sure, go ahead.|Yes, do it.|That's correct, yes.|Yes please, that is "
    "what I want.|Go ahead, yes.]"
)
DOUBT = "[No, that is not what I asked for.|No, wait.|No, please read again.] {ask}"
INSIST = (
    "[Can't you make an exception?|Really? Is there no way?|But it matters a lot to me. Please?|Come on, just this once?|"
    "Is there nothing you can do?]"
)
ALL = "[I don't know more than that.|That's all I have.|I'm afraid that is everything I know.|More I can't tell you.]"
MAX_WORDS_PER_TELL = 2  # slots told at once when several are asked for


class User:
    """Speaks through `opens` and `reply`."""

    def __init__(self, wishes: Sequence[Wish], slots: Mapping[str, Slot], draw: Draw) -> None:
        self._wishes, self._slots, self._draw = wishes, slots, draw
        self._number = -1
        self._insisted = False
        self._spoken = 0
        self._said: set[tuple[str, Any]] = set()

    @property
    def wish(self) -> Wish:
        return self._wishes[self._number]

    @property
    def told(self) -> set[str]:
        """The slots of the wish at hand whose values were said, now or earlier."""
        return {slot for slot, value in self.wish.facts.items() if (slot, value) in self._said}

    def opens(self) -> str:
        """The first message about the next wish."""
        self._number += 1
        self._insisted = False
        ask = self.wish.ask
        if "name" in self.told:
            ask = _NAMES_ITSELF.sub("", ask, count=1)
        self._said |= {(slot, self.wish.facts[slot]) for slot in _SLOT.findall(ask)}
        opening = GREETINGS
        if self._number:
            opening = AFTER_NO if self._wishes[self._number - 1].kind == "refusal" else NEXT
        said = [_joined(self._say(opening), _asked(self._say(ask)), self.wish.facts)]
        for slot in self._untold():
            if self._draw.chance(40, "tells", self._number, slot):
                said.append(self._tell([slot]))
        return " ".join(_sentence(part) for part in said)

    def reply(self, text: str) -> str | None:
        """What is said to a message of the assistant; None when nothing is left to say."""
        self._spoken += 1
        asks = "?" in text
        if asks and _CONFIRM.search(text):
            return self._say(YES) if self._agrees(text) else self._say(DOUBT, ask=_asked(self._say(self.wish.ask)))
        if asks:
            wanted = [slot for slot in self.wish.facts if slot in self._slots and self._is_asked(slot, text)]
            wanted = [slot for slot in wanted if slot not in self.told] or wanted or self._untold()
            if not wanted:
                return self._say(ALL)
            return _sentence(
                self._tell(wanted[: 1 + self._draw.below(MAX_WORDS_PER_TELL, "tells at once", self._spoken)])
            )
        if self.wish.kind == "refusal" and not self._insisted and self._draw.chance(40, "insists", self._number):
            self._insisted = True
            return self._say(INSIST)
        return self.opens() if self._number + 1 < len(self._wishes) else None

    def _untold(self) -> list[str]:
        return [slot for slot in self.wish.facts if slot in self._slots and slot not in self.told]

    def _is_asked(self, slot: str, text: str) -> bool:
        return any(re.search(rf"\b{re.escape(word)}\b", text, re.I) for word in self._slots[slot].words)

    def _agrees(self, text: str) -> bool:
        """Whether a proposal names every fact that the actions of the wish rest on, and nothing was asked for that must not be."""
        wanted = leaves([dict(call.arguments) for call in self.wish.gold])
        facts = [(name, fact) for name, fact in self.wish.facts.items() if fact in wanted]
        return self.wish.kind == "write" and all(is_said(name, fact, text) for name, fact in facts)

    def _tell(self, slots: Sequence[str]) -> str:
        self._said |= {(slot, self.wish.facts[slot]) for slot in slots}
        return ", ".join(self._say(self._slots[slot].tell, slot) for slot in slots) + "."

    def _say(self, template: str, *what: str, **slots: str) -> str:
        return self._draw.say(template, {**self.wish.facts, **slots}, self._number, self._spoken, template, *what)


def _joined(opening: str, ask: str, facts: Facts) -> str:
    """An opening and what follows it: after a comma in lower case, unless it is an `I` or begins with a fact."""
    first = ask.split(" ")[0]
    is_fact = any(str(fact).startswith(first) for fact in facts.values())
    if opening.endswith(", ") and re.fullmatch(r"(?!I$)[A-Z][a-z]*", first) and not is_fact:
        return opening + ask[0].lower() + ask[1:]
    return opening + ask


def _asked(text: str) -> str:
    """With a question mark, where it asks whether somebody can."""
    return text[:-1] + "?" if _QUESTION.search(text) else text


def _sentence(text: str) -> str:
    """With a capital letter, where it begins with a letter."""
    return text[:1].upper() + text[1:]
