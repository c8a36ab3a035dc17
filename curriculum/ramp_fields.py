"""Reads settings of a stage that are a number, or a schedule in its tokens, `{from: 0.001, to: 0, after: 10B, over: 500M}`.

Not covered: whether a step of the stage begins behind `after`; that needs the steps, and `curriculum.planner` looks.
"""

import math
from collections.abc import Mapping

from curriculum.document import Where
from curriculum.fields import Fields
from curriculum.plan import Ramp

KEYS = ("from", "to", "after", "over")


def load_setting(fields: Fields, where: Where, default: float, tokens: int) -> float | Ramp:
    """The number, or the schedule, of a stage of `tokens` tokens (0 where a mistake hides them); one that does not move is a number."""
    if not isinstance(fields.get(where), Mapping):
        return _load_number(fields, where, default)
    known_problems = len(fields.document.problems)
    fields.keys(where, KEYS, required=("from", "to"))
    first, last = (_load_number(fields, (*where, key), 0.0) for key in ("from", "to"))
    after, over = (fields.count((*where, key), 0) for key in ("after", "over"))
    if len(fields.document.problems) == known_problems:  # of what only follows from a mistake nothing is said
        _check_span(fields, where, after, over, tokens)
    return Ramp(first, last, after, over) if first != last else first


def _load_number(fields: Fields, where: Where, default: float) -> float:
    value = fields.number(where, default)
    if 0 <= value < math.inf:
        return value
    fields.document.problem(where, f"is {value:g}.", "Write 0 or more." if value < 0 else "Write a finite number.")
    return default


def _check_span(fields: Fields, where: Where, after: int, over: int, tokens: int) -> None:
    if not after + over:
        fields.document.problem(
            where,
            "says neither `after` how many tokens of the stage it moves, nor `over` how many.",
            f"Add `after: {tokens // 2 or '10B'}` for a step, or `over: {tokens or '10B'}` for a line through the stage.",
        )
    elif tokens and after + over > tokens:
        choices = [f"`over: {tokens - after}`"] if over and after < tokens else []
        choices += [f"`after: {tokens - over}`"] if over and over <= tokens else []
        choices += [] if over else [f"less, such as {tokens // 2}"]
        end = f"{after} + {over} = {after + over}" if after and over else str(after + over)
        fields.document.problem(
            (*where, "over" if over else "after"),
            f"the schedule ends behind the stage: after {end} of its {tokens} tokens.",
            f"Write {' or '.join(choices)}, or raise `tokens` of the stage to {after + over}."
            if choices
            else f"Shorten both to {tokens} tokens together, or raise `tokens` of the stage to {after + over}.",
        )
