"""Typed access to a manifest's document: every value is read with its place, and every complaint names file and line."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from curriculum.document import Document, Where
from curriculum.units import parse_count


class Fields:
    """Typed access to one document; every complaint goes to the document with its line."""

    def __init__(self, document: Document):
        self.document = document

    def get(self, where: Where, default: Any = None) -> Any:
        value = self.document.data
        for part in where:
            if isinstance(part, int):
                value = value[part]
            elif not isinstance(value, Mapping) or part not in value:
                return default
            else:
                value = value[part]
        return value

    def keys(self, where: Where, known: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
        value = self.get(where, {}) if where else self.document.data
        if not isinstance(value, Mapping):
            self.document.problem(where, f"is {value!r}, not a mapping.", f"Give it the keys {', '.join(known)}.")
            return
        for key in value:
            if key not in known:
                self.document.problem((*where, key), "is not a key here.", did_you_mean(key, known))
        for key in required:
            if value.get(key) is None:
                self.document.problem(where, f"the key {key!r} is missing.", f"Required: {', '.join(required)}.")

    def count(self, where: Where, default: int, *, least: int = 0) -> int:
        value = self.get(where)
        if value is None:
            return default
        try:
            count = parse_count(value)
        except ValueError as error:
            self.document.problem(where, f"{error}.")
            return default
        if count < least:
            self.document.problem(where, f"is {value}.", f"Write {least} or more.")
            return default
        return count

    def number(self, where: Where, default: float) -> float:
        value = self.get(where)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.document.problem(where, f"{value!r} is not a number.", "Write one like 0.4 or 3e-4.")
            return default
        return float(value)

    def choice(self, where: Where, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.get(where, default)
        if value not in choices:
            if value is not None:  # a key that is missing is `keys`' to tell
                self.document.problem(where, f"is {value!r}.", did_you_mean(value, choices))
            return choices[0]
        return str(value)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(name), sorted(known), 1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known))}."
