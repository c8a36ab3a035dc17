"""Whether a value meets a condition of a search question: the table of `synth.search.generalise`, read again.

Dates are taken apart by position and looked up by the first three letters of their month; numbers are decimals with a unit.
"""

import re
from decimal import Decimal

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_FULL = [
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
]
_SIZES = {"b": 1, "byte": 1, "bytes": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4, "kib": 1024, "mib": 1024**2,
          "gib": 1024**3}  # fmt: skip
_SMALL = frozenset(["de", "van", "von", "der", "del", "la", "le", "di", "da", "of", "the"])


def plain(text: str) -> str:
    """The form in which answers are compared: one space, small letters, no marks at the end."""
    return " ".join(text.split()).casefold().rstrip(" \t\n.!?;:")


def meets(how: str, args: list[str], value: str) -> bool:
    """Whether a value meets a condition. KeyError for one that is not known."""
    match how:
        case "equals":
            return plain(args[0]) == plain(value)
        case "begins":
            return value.casefold().startswith(args[0])
        case "mentions":
            return set(args) <= set(re.findall(r"\w+(?:[-.'’]\w+)*", value.casefold()))
        case "initials":
            return args[0] == initials(value)
        case "under":
            return (steps := path(value))[: len(args)] == args and len(steps) > len(args)
        case "between" | "at_least" | "at_most":
            return _in_range(how, args, value)
        case "month" | "year" | "decade" | "century":
            return _in_time(how, args[0], value)
    raise KeyError(how)


def _in_time(how: str, wanted: str, value: str) -> bool:
    found = date(value)
    if found is None:
        return False
    year, month, _ = found
    shown = {"year": str(year), "decade": f"{year // 10}0", "century": str((year + 99) // 100)}
    return wanted == (f"{year}-{month:02}" if month else "") if how == "month" else shown[how] == wanted


def _in_range(how: str, args: list[str], value: str) -> bool:
    found = number(value)
    if found is None or found[1] != args[-1]:
        return False
    low = Decimal(args[0]) if how != "at_most" else found[0]
    high = Decimal(args[-2]) if how != "at_least" else found[0]
    return low <= found[0] <= high


def date(text: str) -> tuple[int, int, int] | None:
    """(year, month, day), 0 for what is not told; None of what is no date as a whole."""
    text = (
        re.sub(r"[ T]\d\d:\d\d(:\d\d)?Z?$", "", text.strip())
        if re.match(r"\d{4}-\d\d-\d\d", text.strip())
        else text.strip()
    )
    if found := re.fullmatch(r"([12]\d{3})-(\d\d)(?:-(\d\d))?", text):
        return _valid(found[1], int(found[2]), found[3] or "0")
    parts = text.split(" ")
    if len(parts) == 1:
        return (int(text), 0, 0) if re.fullmatch(r"1\d{3}|20\d\d", text) else None
    ordinal = r"(\d{1,2})(?:st|nd|rd|th)?"
    if len(parts) == 2 and re.fullmatch(r"[12]\d{3}", parts[1]):
        return _valid(parts[1], _month(parts[0]), "0")
    if len(parts) != 3 or not re.fullmatch(r"[12]\d{3}", parts[2]):
        return None
    if day := re.fullmatch(ordinal, parts[0]):
        return _valid(parts[2], _month(parts[1].removesuffix(",")), day[1])
    day = re.fullmatch(ordinal + ",", parts[1])
    return _valid(parts[2], _month(parts[0]), day[1]) if day else None


def _month(word: str) -> int:
    name = word.lower()
    if name in ("sept", "sept."):
        return 9
    bare = name.removesuffix(".")
    if bare in _MONTHS:
        return _MONTHS.index(bare) + 1
    return _FULL.index(name) + 1 if name in _FULL else 13


def _valid(year: str, month: int, day: str) -> tuple[int, int, int] | None:
    return (int(year), month, int(day)) if 1 <= month <= 12 and int(day) <= 31 else None


def number(text: str) -> tuple[Decimal, str] | None:
    """(amount, unit); sizes in bytes. None of what is no number as a whole."""
    text = re.sub(r"\A(?:about |approximately |ca\. |~)", "", text.strip())
    found = re.fullmatch(r"(-?[\d,]+(?:\.\d{1,6})?)\s?([A-Za-zµ%°€$][A-Za-z/²³%]{0,15})?", text)
    whole = found[1].partition(".")[0] if found else ""
    if not found or not re.fullmatch(r"-?(?:\d{1,3}(?:,\d{3})+|\d{1,15})", whole):
        return None
    unit = (found[2] or "").lower()
    amount = Decimal(found[1].replace(",", ""))
    return (amount * _SIZES[unit], "bytes") if unit in _SIZES else (amount, unit)


def path(text: str) -> list[str]:
    """The steps of `A :: B`, or host and folders of an address."""
    if " :: " in text:
        return [step.strip() for step in text.split(" :: ")]
    if re.fullmatch(r"https?://[^\s/]+(?:/\S*)?", text):
        return [step for step in text.split("://", 1)[1].split("/") if step]
    return []


def initials(text: str) -> str:
    """`A. M.` of a name of two to five words, "" of anything else."""
    names = text.strip().split(" ")
    is_name = 2 <= len(names) <= 5 and bool(re.fullmatch(r"[^\W\d_a-z][\w'’-]*\.?", names[0]))
    rest = all(word in _SMALL or re.fullmatch(r"[^\W\d_a-z][\w'’-]*\.?", word) for word in names[1:])
    return " ".join(f"{word[0]}." for word in text.split() if word[0].isupper()) if is_name and rest else ""
