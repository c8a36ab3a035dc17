"""Which checkpoints stay: a pure function of what is there."""

from collections.abc import Iterable
from typing import NamedTuple


class Saved(NamedTuple):
    """A complete checkpoint, as far as its keeping goes. `tokens` are the positions learned from in the whole run."""

    done: int  # global steps learned
    tokens: int
    is_stage_end: bool


class Policy(NamedTuple):
    """Which checkpoints stay: each of these on its own is a reason to."""

    last: int = 2  # the newest so many
    every_tokens: int = 0  # the first one at or after each multiple of so many tokens; 0: none
    stage_ends: bool = False  # those that end a stage


def kept(saved: Iterable[Saved], policy: Policy) -> set[int]:
    """The steps whose checkpoints stay.

    Removing the others does not change the answer for those that stay: among what lies between two multiples of
    `every_tokens` the first one stays, and so stays the first one.
    """
    in_order = sorted(saved)
    steps = {one.done for one in in_order[-policy.last :]}
    if policy.stage_ends:
        steps |= {one.done for one in in_order if one.is_stage_end}
    if policy.every_tokens:
        first: dict[int, int] = {}
        for one in in_order:
            first.setdefault(one.tokens // policy.every_tokens, one.done)
        first.pop(0, None)  # before the first multiple
        steps |= set(first.values())
    return steps
