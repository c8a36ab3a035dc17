"""A trace in words: which lines ran, what they changed, which way branches went. Everything said was seen when the function ran."""

import ast
from collections.abc import Sequence

from synth.reasoning.run_functions import MAX_EVENTS, Event, Outcome

MAX_STEPS = 80  # told; a thought with steps left out would teach to jump to the result
MAX_LINE_CHARS = 100


def told(source: str, outcome: Outcome) -> list[str] | None:
    """The steps of a call, one a line; None for a trace that was cut when it was taken, or is longer than `MAX_STEPS`."""
    if len(outcome.events) >= MAX_EVENTS:
        return None
    lines, bodies = source.split("\n"), _bodies(source)
    said = []
    for place, event in enumerate(outcome.events):
        step = _step(event, lines, bodies, _next(outcome.events, place))
        if step:
            said.append("  " * min(event.depth, 3) + step)
    if outcome.events and outcome.events[-1].what == "return":
        said[-1] = f"It returns {outcome.value}."  # whole, where the trace may have its type alone
    return said if len(said) <= MAX_STEPS else None


def _next(events: Sequence[Event], place: int) -> int | None:
    """The line that the same call executes next."""
    depth = events[place].depth
    for event in events[place + 1 :]:
        if event.depth < depth:
            return None
        if event.depth == depth:
            return event.line if event.what == "line" else None
    return None


def _bodies(source: str) -> dict[int, tuple[str, int, int]]:
    """Of every branch or loop by its line: what it is, and the first and last line of its body."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If | ast.While | ast.For) and node.body[0].lineno > node.lineno:
            kind = "for" if isinstance(node, ast.For) else "if"
            found[node.lineno] = (kind, node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno)
    return found


def _step(event: Event, lines: Sequence[str], bodies: dict[int, tuple[str, int, int]], after: int | None) -> str:
    code = lines[event.line - 1].strip()
    code = code if len(code) <= MAX_LINE_CHARS else code[: MAX_LINE_CHARS - 1] + "…"
    values = ", ".join(f"{name} = {value}" for name, value in event.values.items() if not value.startswith("<"))
    if event.what == "call":
        name = code.removeprefix("def ").partition("(")[0]
        return f"{name} is called with {values}." if values else ""
    if event.what == "return":
        value = event.values[""]
        return f"It returns {value}." if not value.startswith("<") else "It returns."
    if event.what == "raise":
        return "It raises an exception here."
    if event.line in bodies:
        kind, first, last = bodies[event.line]
        entered = after is not None and first <= after <= last
        if kind == "for":
            return f"`{code}`: {values}" if entered else f"`{code}`: no more."
        return f"`{code}` is {'true' if entered else 'false'}." if after is not None else f"`{code}`"
    return f"`{code}`: {values}" if values else ""
