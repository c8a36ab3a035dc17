"""Small falsifications of a text, each of one kind, as a careless rewriter makes them. None where the text gives no occasion."""

import re
from collections.abc import Callable

from synth.evidence import keyed
from synth.rephrase.marks import marks_of

_NUMBER = re.compile(r"(?<![\w.,-])\d{2,}(?![\w.,-])")
_NOT = re.compile(r"\b(?:not|never) |n['’]t\b")
_VERB = re.compile(r"\b(?:is|was|are|were|has|had|can|will)\b(?! not)")


def _names(text: str) -> list[re.Match[str]]:
    known = set(marks_of(text).names)
    return [m for m in re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b", text) if m[0].casefold() in known]


def _put(text: str, match: re.Match[str], word: str) -> str:
    return text[: match.start()] + word + text[match.end() :]


def _swap(text: str, a: re.Match[str], b: re.Match[str]) -> str:
    a, b = sorted((a, b), key=re.Match.start)
    return text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]


def _draw(found: list[re.Match[str]], text: str, what: str) -> re.Match[str] | None:
    return found[keyed(1, text[:50], what) % len(found)] if found else None


def other_number(text: str) -> str | None:
    match = _draw(list(_NUMBER.finditer(text)), text, "number")
    changed = str(int(match[0]) + 3) if match else ""
    return _put(text, match, changed) if match and not re.search(rf"\b{changed}\b", text) else None


def number_from_elsewhere(text: str) -> str | None:
    found = list(_NUMBER.finditer(text))
    match = _draw(found, text, "elsewhere")
    other = next((m[0] for m in found if match and m[0] != match[0] and abs(m.start() - match.start()) > 100), None)
    return _put(text, match, other) if match and other else None


def numbers_swapped(text: str) -> str | None:
    found = list(_NUMBER.finditer(text))
    a = _draw(found, text, "swap")
    b = next((m for m in found if a and m[0] != a[0] and m.start() > a.start()), None)
    return _swap(text, a, b) if a and b else None


def new_name(text: str) -> str | None:
    match = _draw(_names(text), text, "new name")
    return _put(text, match, "Quillfeather") if match else None


def name_from_elsewhere(text: str) -> str | None:
    found = _names(text)
    match = _draw(found, text, "name")
    other = next((m[0] for m in found if match and m[0] != match[0] and abs(m.start() - match.start()) > 150), None)
    return _put(text, match, other) if match and other else None


def names_swapped(text: str) -> str | None:
    found = _names(text)
    a = _draw(found, text, "swap names")
    b = next((m for m in found if a and m[0] != a[0] and m.start() > a.start()), None)
    return _swap(text, a, b) if a and b else None


def denial_dropped(text: str) -> str | None:
    match = _draw(list(_NOT.finditer(text)), text, "not")
    return _put(text, match, "") if match else None


def denial_added(text: str) -> str | None:
    match = _draw(list(_VERB.finditer(text)), text, "verb")
    return _put(text, match, f"{match[0]} not") if match else None


EDITS: dict[str, Callable[[str], str | None]] = {
    edit.__name__: edit
    for edit in (
        other_number,
        number_from_elsewhere,
        numbers_swapped,
        new_name,
        name_from_elsewhere,
        names_swapped,
        denial_dropped,
        denial_added,
    )
}
