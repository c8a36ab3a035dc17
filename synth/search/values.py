"""What kind of value a text is: a date, a number with its unit, a place in a hierarchy, a name, a few words.

Only a text that is such a value as a whole is one: "2022-07-21" is a date, "since 2022-07-21" is not.
"""

import functools
import re
from decimal import Decimal
from typing import NamedTuple

CACHED = 1 << 17  # texts: a world asks the same ones again for every condition
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH = {name: number for number, full in enumerate(_MONTHS, 1) for name in (full, full[:3], f"{full[:3]}.")} | {
    "sept": 9,
    "sept.": 9,
}
_ISO = re.compile(r"([12]\d{3})-(\d{2})(?:-(\d{2}))?(?:[ T]\d{2}:\d{2}(?::\d{2})?Z?)?")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)? ([A-Za-z]{3,9}\.?),? ([12]\d{3})")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9}\.?) (\d{1,2})(?:st|nd|rd|th)?, ([12]\d{3})")
_MONTH_ONLY = re.compile(r"([A-Za-z]{3,9}\.?) ([12]\d{3})")
_YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}")
_NUMBER = re.compile(
    r"(?:about |approximately |ca\. |~)?(-?\d{1,3}(?:,\d{3})+|-?\d{1,15})(\.\d{1,6})?(?:\s?([A-Za-zµ%°€$][A-Za-z/²³%]{0,15}))?"
)
_BYTES = {
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_NAME = re.compile(r"[^\W\d_a-z][\w'’-]*\.?(?: (?:[^\W\d_a-z][\w'’-]*\.?|de|van|von|der|del|la|le|di|da|of|the)){1,4}")
_ADDRESS = re.compile(r"https?://[^\s/]+(?:/\S*)?")


class Date(NamedTuple):
    """A day, a month or a year; 0 for what is not told."""

    year: int
    month: int = 0
    day: int = 0


class Number(NamedTuple):
    """A number with its unit in lower case, "" without one. Sizes are in bytes, unit `bytes`."""

    value: Decimal
    unit: str


@functools.lru_cache(CACHED)
def date(text: str) -> Date | None:
    """`2022-07-21` (also with a time of day), `2022-07`, `21 July 2022`, `July 21, 2022`, `July 2022`, `2022` (1000 to 2099)."""
    text = text.strip()
    if found := _ISO.fullmatch(text):
        return _date(int(found[1]), int(found[2]), int(found[3] or 0))
    if found := _DAY_FIRST.fullmatch(text):
        return _date(int(found[3]), _MONTH.get(found[2].lower(), 13), int(found[1]))
    if found := _MONTH_FIRST.fullmatch(text):
        return _date(int(found[3]), _MONTH.get(found[1].lower(), 13), int(found[2]))
    if found := _MONTH_ONLY.fullmatch(text):
        return _date(int(found[2]), _MONTH.get(found[1].lower(), 13), 0)
    return Date(int(text)) if _YEAR.fullmatch(text) else None


def _date(year: int, month: int, day: int) -> Date | None:
    return Date(year, month, day) if 1 <= month <= 12 and day <= 31 else None


@functools.lru_cache(CACHED)
def number(text: str) -> Number | None:
    """`1,234`, `3.5 kg`, `490.1 kB`, `12%`; commas separate thousands."""
    found = _NUMBER.fullmatch(text.strip())
    if not found:
        return None
    value = Decimal(found[1].replace(",", "") + (found[2] or ""))
    unit = (found[3] or "").lower()
    return Number(value * _BYTES[unit], "bytes") if unit in _BYTES else Number(value, unit)


@functools.lru_cache(CACHED)
def path(text: str) -> tuple[str, ...]:
    """The steps of a hierarchy, from the widest: `A :: B :: C`, or host and folders of an address; () for anything else."""
    if " :: " in text:
        return tuple(step.strip() for step in text.split(" :: "))
    if _ADDRESS.fullmatch(text):
        return tuple(step for step in text.partition("://")[2].split("/") if step)
    return ()


@functools.lru_cache(CACHED)
def initials(text: str) -> str:
    """`A. M.` of `Ann Moe`; "" of what is no name: two to five words that begin with capitals, `of` and the like between them."""
    return (
        " ".join(f"{word[0]}." for word in text.split() if word[0].isupper()) if _NAME.fullmatch(text.strip()) else ""
    )
