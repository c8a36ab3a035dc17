"""From a teacher's answer to a text that may be learned: what a style asked for, without the wrapping.

What Nemotron-CC does to its answers (arXiv 2412.02595, appendix): the opening line is taken off, and an answer without it is dropped, as
is one that was cut off; Markdown emphasis and headings go, and quotes around the whole; questions are shuffled, capped by the length of
the passage, and stand behind it. Here chance is keyed, where the public recipe is unseeded.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from synth.evidence import keyed
from synth.rephrase.code import blocks
from synth.rephrase.styles import Style

MAX_PAIRS_PER_TOKENS = 10 / 150  # of the passage: Nemotron-CC's cap is drawn from 1 to this many

_THOUGHTS = re.compile(r"\A.*</think>", re.S)
_EMPHASIS = re.compile(
    r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]{1,400}?)(?<=\S)\1(?![\w*])"
)  # underscores are rather those of names
_HEADING = re.compile(r"^#{1,6}[ \t]+", re.M)
_BULLET = re.compile(r"^[ \t]*(?:[-*+•]|\(?\d{1,3}[.)])[ \t]+")
_FENCE = re.compile(r"(^[ \t]*(?:`{3,}|~{3,}).*?(?:^[ \t]*(?:`{3,}|~{3,})[^\n]*|\Z))", re.M | re.S)
_QUESTION = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])?[ \t]*(?:Question|Q)(?: ?\d{1,3})?[ \t]*[:.][ \t]*", re.M | re.I)
_ANSWER = re.compile(r"^[ \t]*(?:Answer|A)(?: ?\d{1,3})?[ \t]*[:.][ \t]*", re.M | re.I)


class Pair(NamedTuple):
    question: str
    answer: str


def opened(text: str, style: Style) -> str | None:
    """What follows the opening line; None when the answer does not begin with it, or nothing follows."""
    text = _THOUGHTS.sub("", text).strip()
    first, _, rest = text.partition("\n")
    if _bare(first) == _bare(style.opening):
        return rest.strip() or None
    head = re.match(rf"[*_#\s]*{re.escape(style.opening)}[*_]*[ \t]*", text, re.I)
    return text[head.end() :].strip() or None if head else None


def prose(text: str, *, had_markup: bool) -> str:
    """Without emphasis, headings and quotes around it all, unless the source had such markup (`had_markup`); code is left alone."""
    if (
        len(text) > 2
        and text[0] + text[-1] in ('""', "“”", "''")
        and text.count(text[0]) == len({text[0], text[-1]}) % 2 + 1
    ):
        text = text[1:-1].strip()
    if had_markup:
        return text
    parts = _FENCE.split(text)
    parts[::2] = [_EMPHASIS.sub(r"\2", _HEADING.sub("", part)) for part in parts[::2]]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def has_markup(source: str) -> bool:
    return bool(_HEADING.search(source) or _EMPHASIS.search(source) or blocks(source))


def listed(text: str) -> str | None:
    """The items of a list, each on a line with a dash; a line that is none goes on with the item before. None without two items."""
    items: list[str] = []
    for line in text.split("\n"):
        bullet = _BULLET.match(line)
        said = _EMPHASIS.sub(r"\2", line[bullet.end() if bullet else 0 :]).strip()
        if bullet and said:
            items.append(said)
        elif said and items:
            items[-1] += f" {said}"
    return "\n".join(f"- {item}" for item in items) if len(items) > 1 else None


def pairs(text: str) -> list[Pair]:
    """Questions with their answers, in order; one without the other is left out."""
    found = []
    for part in _QUESTION.split(text)[1:]:
        asked = _ANSWER.split(part, maxsplit=1)
        if len(asked) == 2 and asked[0].strip() and asked[1].strip():
            question, answer = (_EMPHASIS.sub(r"\2", said.strip()) for said in asked)
            found.append(Pair(question, answer))
    return found


def drawn(found: Sequence[Pair], *, tokens: int, seed: int, document: str, start: int) -> list[Pair]:
    """Some of the pairs, shuffled: at most a number drawn from 1 to the cap that the passage's length sets."""
    order = sorted(found, key=lambda pair: (keyed(seed, document, "pair", start, pair.question), pair))
    return order[: num_pairs(tokens, seed=seed, document=document, start=start)]


def num_pairs(tokens: int, *, seed: int, document: str, start: int) -> int:
    most = max(1, int(tokens * MAX_PAIRS_PER_TOKENS))
    return 1 + keyed(seed, document, "pairs", start) % most


def appended(passage: str, chosen: Sequence[Pair]) -> str:
    """The passage with the pairs behind it."""
    told = "\n\n".join(f"Question: {pair.question}\nAnswer: {pair.answer}" for pair in chosen)
    return f"{passage.strip()}\n\n{told}"


def _bare(line: str) -> str:
    return re.sub(r"[\s*_#:.]+", " ", line).strip().casefold()
