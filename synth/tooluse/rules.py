"""Rules that several environments share: who is it, is it theirs, was it looked at, did they say yes."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from synth.tooluse.environment import Act, Done, Rule, Said
from synth.tooluse.state import State
from synth.tooluse.tools import leaves

_YES = re.compile(r"\b(?:yes|yeah|yep|sure|go ahead|please do|confirmed|correct|right|do it|fine by me)\b", re.I)
_NO = re.compile(r"\b(?:no|not|don't|wait|stop|wrong)\b", re.I)


def said_yes(text: str) -> bool:
    """Whether a message agrees: it has a word of agreement and none of doubt."""
    return bool(_YES.search(text)) and not _NO.search(text)


def named_leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves with the name of the field that they stand in."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from named_leaves(entry, key)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from named_leaves(entry, name)
    elif value is not None and not isinstance(value, bool):
        yield name, value


def shows(results: Any, need: Any) -> bool:
    """Whether a value, or a pair of field and value, is in JSON values."""
    return need in named_leaves(results) if isinstance(need, tuple) else need in leaves(results)


def dollars(cents: int) -> str:
    return f"${cents / 100:,.2f}"


def confirmed(names: Collection[str], before: str = "you change anything") -> Rule:
    """Before one of these tools: the assistant names every argument, and the person agrees in the message after it."""

    def broken(act: Act) -> bool:
        if act.call.name not in names:
            return False
        said = [entry for entry in act.past if isinstance(entry, Said)]
        if len(said) < 2 or (said[-2].role, said[-1].role) != ("assistant", "user") or not said_yes(said[-1].text):
            return True
        proposal = said[-2].text
        return not all(
            is_said(name, leaf, proposal) for name, value in act.call.arguments.items() for leaf in leaves(value)
        )

    return Rule(
        "confirmed",
        f"Before {before}, say exactly what you are about to do, with every detail, and wait for a yes.",
        broken,
    )


def in_words(name: str, value: Any) -> str:
    """A value of this name as people say it: cents in dollars."""
    return dollars(value) if name.endswith("_cents") else str(value)


def is_said(name: str, value: Any, text: str) -> bool:
    """Whether `text` has the value in words, as a word."""
    return re.search(rf"(?<!\w){re.escape(in_words(name, value))}(?!\w)", text) is not None


def identified(finders: Collection[str], open_tools: Collection[str], text: str) -> Rule:
    """No tool but `open_tools` before one of `finders` found the person."""

    def broken(act: Act) -> bool:
        if act.call.name in open_tools or act.call.name in finders:
            return False
        return not any(isinstance(entry, Done) and entry.call.name in finders and entry.result.ok for entry in act.past)

    return Rule("identified", text, broken)


def own_only(finders: Collection[str], key: str, owner: Callable[[State, Any], set[Any]], text: str) -> Rule:
    """`owner` gives the persons (by `key`) whose data a call touches: none but the one found first."""

    def broken(act: Act) -> bool:
        touched = owner(act.state, act.call)
        found = [
            e.result.value[key] for e in act.past if isinstance(e, Done) and e.call.name in finders and e.result.ok
        ]
        return bool(touched) and bool(found) and touched != {found[0]}

    return Rule("own_data", text, broken)


def looked_at(reader: str, key: str, names: Collection[str], text: str) -> Rule:
    """Before one of `names`, `reader` has shown what has the same `key`."""

    def broken(act: Act) -> bool:
        if act.call.name not in names or key not in act.call.arguments:
            return False
        wanted = act.call.arguments[key]
        return not any(
            isinstance(e, Done) and e.call.name == reader and e.result.ok and e.call.arguments.get(key) == wanted
            for e in act.past
        )

    return Rule("looked_at", text, broken)


def forbidden(name: str, text: str, tool: str, where: Callable[[State, Any], bool]) -> Rule:
    """`tool` must not be called where `where(state, arguments)` holds, though it would do it."""
    return Rule(name, text, lambda act: act.call.name == tool and where(act.state, act.call.arguments))
