"""YAML files that remember where every value stood, so that an error can name file and line.

PyYAML reads YAML 1.1, where `no` is False and `3e-4` is a text. Here scalars follow YAML 1.2's core schema (plus `1_000_000`),
a repeated key is an error, and aliases and tags are refused: a manifest is data and nothing else.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Where = tuple[str | int, ...]

_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?[0-9][0-9_]*$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


class ManifestError(Exception):
    """What is wrong with a manifest: one text per problem, each with file, line, the value and what to type instead."""

    def __init__(self, problems: Sequence[str]):
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Document:
    """One parsed YAML file: plain Python `data`, and the line of every key and item."""

    def __init__(self, path: Path, shown: str | None = None):
        self.path, self.shown = path, shown or str(path)
        self.lines: dict[Where, int] = {}
        self.problems: list[str] = []
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        except OSError as error:
            raise ManifestError(
                [f"{self.shown}: cannot be read ({error.strerror}). Give the path of a manifest."]
            ) from error
        except yaml.YAMLError as error:
            raise ManifestError([_syntax(self.shown, error)]) from error
        except UnicodeDecodeError as error:
            raise ManifestError([f"{self.shown}: is not UTF-8 (byte {error.start}). Save it as UTF-8."]) from error
        self.data: Any = self._construct(root, ()) if root is not None else None
        if not isinstance(self.data, dict):
            self.problem((), "is not a mapping. A manifest starts with `name: ...`.")
        self.check()

    def problem(self, where: Where, message: str, remedy: str = "") -> None:
        """Remember what is wrong at `where`; `check` raises them all together."""
        line = next((self.lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in self.lines), 1)
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        text = f"{self.shown}:{line}  {place + ': ' if place else ''}{message}"
        self.problems.append(text + (f"\n    {remedy}" if remedy else ""))

    def check(self) -> None:
        """Raise ManifestError if a problem was found so far."""
        if self.problems:
            raise ManifestError(self.problems)

    def _construct(self, node: yaml.Node, where: Where) -> Any:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else _scalar(node.value)
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(child, (*where, index)) for index, child in enumerate(node.value)]
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(where, "holds a mapping or a list where a key should be.", "Write `key: value`.")
                continue
            key = str(key_node.value)
            inner = (*where, key)
            if key in mapping:
                self.problem(
                    where,
                    f"the key {key!r} stands twice (again at line {key_node.start_mark.line + 1}).",
                    "Remove one.",
                )
            self.lines[inner] = key_node.start_mark.line + 1
            mapping[key] = self._construct(value_node, inner)
        return mapping


def shown(path: Path) -> str:
    """A path as a reader of the message would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _scalar(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    return text


def _syntax(shown: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return f"{shown}:{mark.line + 1 if mark else 1}  is not YAML: {what}."
