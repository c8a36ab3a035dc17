"""What a teacher's words may not do to a passage: other numbers, dates, names, addresses or code, too long, too near, too far.

All is read with patterns of our own. A name is a word with a capital inside of a sentence; it is known when the passage has it, or a word
with its first four letters. A date has a month in words, or is year-month-day. What is new is found; what was left out, exchanged with
another mark of the passage or denied is not, nor is the language.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

_NUMBER_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
"""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]{{0,6}}"
_DATES = (  # day, month, year where each is
    (re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}\b\.?(?:,? (\d{{4}})\b)?", re.I), (0, 1, 2)),
    (re.compile(rf"\b{_MONTH}\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}})\b)?", re.I), (1, 0, 2)),
    (re.compile(rf"\b{_MONTH}\.?,? (\d{{4}})\b", re.I), (None, 0, 1)),
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), (2, 1, 0)),
)
_ADDRESS = re.compile(r"https?://[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\]]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\1", re.M | re.S)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Bounds(NamedTuple):
    """Of a style: characters of the rewrite to those of the passage; runs of five words copied at most, words shared at least."""

    shortest: float
    longest: float
    copied: float = 0.8
    shared: float = 0.4


STYLES = {  # as `synth.rephrase.styles` states them
    "wikipedia": Bounds(0.4, 1.5),
    "distill": Bounds(0.15, 1.0),
    "extract_knowledge": Bounds(0.1, 1.3),
    "knowledge_list": Bounds(0.1, 1.2, copied=0.9),
    "plain": Bounds(0.4, 1.8, shared=0.35),
    "hard": Bounds(0.3, 1.3, shared=0.35),
}


def changed(passage: str, made: str) -> Iterator[str]:
    """What the passage does not have."""
    if new := numbers(made, least=2) - numbers(passage):
        yield f"the passage has no number {sorted(new)[0]}"
    told = dates(passage)
    if wrong := sorted(date for date in dates(made) if not any(_agrees(date, other) for other in told)):
        yield f"the passage has no date {'-'.join(map(str, wrong[0]))}"
    words = {word.casefold() for word in _WORD.findall(passage)}
    beginnings = {word[:4] for word in words}
    if strange := sorted(name for name in names(made) if name not in words and name[:4] not in beginnings):
        yield f"the passage has no name {strange[0]!r}"
    if foreign := sorted(one for one in addresses(made) if one not in passage):
        yield f"the passage has no address {foreign[0]!r}"
    for language, code in ((found[2].lower(), found[3]) for found in _FENCE.finditer(made)):
        is_python = language in ("python", "py", "python3") and _parses(code)
        if not is_python and "".join(code.split()) not in "".join(passage.split()):
            yield f"the passage has no code {code.strip()[:40]!r}"


def measured(passage: str, made: str, style: str) -> Iterator[str]:
    """Whether the length and the words are within the bounds of a style."""
    bounds = STYLES[style]
    ratio = len(made) / max(1, len(passage))
    if not bounds.shortest <= ratio <= bounds.longest:
        yield f"the rewrite is {ratio:.2f} times as long as its passage"
    told, said = ([word.casefold() for word in _WORD.findall(_FENCE.sub("\n", text))] for text in (passage, made))
    runs = list(zip(*(said[start:] for start in range(5)), strict=False))
    known = set(zip(*(told[start:] for start in range(5)), strict=False))
    if runs and sum(run in known for run in runs) > (bounds.copied + 0.02) * len(runs):
        yield "most of the rewrite is copied from its passage"
    beginnings = {word[:5] for word in told}
    if said and sum(word[:5] in beginnings for word in said) < bounds.shared * len(said):
        yield "the rewrite has hardly any word of its passage"


def numbers(text: str, least: int = 0) -> set[str]:
    """The numbers of a text: digits without separators of thousands and final zeros, and small ones in words, from `least` on: "one" of
    them need not count anything."""
    found = {f"{float(digits.replace(',', '')):g}" for digits in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)}
    words = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split()) if number >= least}
    return found | {words[word] for word in re.findall(r"[a-z]+", text.lower()) if word in words}


def dates(text: str) -> set[tuple[int, int, int]]:
    """(year, month, day), 0 for what is not said."""
    found = set()
    for pattern, places in _DATES:
        for match in pattern.finditer(text):
            day, month, year = (str(match[place + 1] or 0) if place is not None else "0" for place in places)
            number = int(month) if month.isdecimal() else _MONTHS.index(month.lower()) + 1
            found.add((int(year), number, int(day)))
    return found


def _agrees(date: tuple[int, ...], told: tuple[int, ...]) -> bool:
    return all(mine in (theirs, 0) for mine, theirs in zip(date, told, strict=True))


def names(text: str) -> set[str]:
    """Words with a capital that begin no sentence and no line, in small letters; without those of one or two letters."""
    found = set()
    for match in re.finditer(r"(?<![\w'’.])[^\W\d_a-z]\w{2,}", _FENCE.sub("\n", text)):
        before = match.string[: match.start()].rstrip(" \"'“‘(*_#>|-")
        opens = not before or before[-1] in ".!?:;\n|•" or match.string[match.start() - 1] == "\n"
        if not opens and not re.search(r"(?:\A|\n)\W*\w{1,2}\)\Z", before):
            found.add(match[0].casefold())
    return {name for name in found if name[:3] not in _MONTHS}


def addresses(text: str) -> set[str]:
    return {found.rstrip(".,;:!?") for found in _ADDRESS.findall(text)}


def _parses(code: str) -> bool:
    try:
        ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
