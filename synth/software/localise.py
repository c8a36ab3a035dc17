"""Which functions a failure may lie in, from what failing and passing tests really call (spectrum-based; Ochiai's coefficient).

Abreu, Zoeteweij and van Gemund, "An evaluation of similarity coefficients for software fault localization", PRDC 2006.
"""

import ast
import functools
import math
from collections import Counter
from typing import NamedTuple

from synth.software.suite import Result


class Suspect(NamedTuple):
    """A function that failing tests call."""

    path: str
    line: int  # its first, decorators included
    score: float  # 0 to 1: 1 when all failing tests call it and no passing one
    failing: int  # tests that call it
    passing: int


class Function(NamedTuple):
    name: str  # dotted, with its classes
    first_line: int  # decorators included
    last_line: int


def suspects(result: Result) -> list[Suspect]:
    """Functions outside tests that failing tests call, most suspicious first; of equals those in files of the failures' frames first."""
    calls, failed = result.calls, result.failed
    files = {test.partition("::")[0] for test in calls}
    failing = Counter(place for test in failed & calls.keys() for place in calls[test].functions)
    passing = Counter(place for test in calls.keys() - failed for place in calls[test].functions if place in failing)
    in_frames = {path for test in failed if test in result.failures for path, _, _ in result.failures[test].frames}
    found = []
    for path, line in failing:
        if path not in files and not path.endswith("conftest.py"):
            ef, ep = failing[path, line], passing[path, line]
            found.append(Suspect(path, line, ef / math.sqrt(len(failed) * (ef + ep)), ef, ep))
    return sorted(found, key=lambda one: (-one.score, one.path not in in_frames, one.path, one.line))


@functools.lru_cache(maxsize=256)
def functions(text: str) -> dict[int, Function]:
    """The functions of a Python text by their first line; none for a text that is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[int, Function] = {}
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        node, scopes = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scopes = (*scopes, node.name)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[first] = Function(".".join(scopes), first, node.end_lineno or node.lineno)
        waiting += [(child, scopes) for child in ast.iter_child_nodes(node)]
    return found
