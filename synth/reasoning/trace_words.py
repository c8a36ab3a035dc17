"""A trace in words: which lines ran, what they changed, which way branches went. Everything said was seen when the function ran."""

import ast
from collections.abc import Sequence

from synth.reasoning.draw import Draw
from synth.reasoning.run_functions import Event, Outcome

MAX_STEPS = 28  # shown; the middle of longer traces is left out, and the text says so
MAX_LINE_CHARS = 100


def told(source: str, outcome: Outcome, draw: Draw) -> list[str]:
    """The steps of a call, one a line."""
    lines, bodies = source.split("\n"), _bodies(source)
    said = []
    for place, event in enumerate(outcome.events):
        step = _step(event, lines, bodies, _next(outcome.events, place))
        if step:
            said.append("  " * min(event.depth, 3) + step)
    if len(said) <= MAX_STEPS:
        return said
    first, last = MAX_STEPS * 2 // 3, MAX_STEPS // 3
    left_out = len(said) - first - last
    how = draw.pick(("[... {n} more steps of the same kind ...]", "[... {n} steps later ...]"))
    return [*said[:first], how.format(n=left_out), *said[-last:]]


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
        return f"It returns {event.values['']}."
    if event.what == "raise":
        return "It raises an exception here."
    if event.line in bodies:
        kind, first, last = bodies[event.line]
        entered = after is not None and first <= after <= last
        if kind == "for":
            return f"`{code}`: {values}" if entered else f"`{code}`: no more."
        return f"`{code}` is {'true' if entered else 'false'}." if after is not None else f"`{code}`"
    return f"`{code}`: {values}" if values else ""
