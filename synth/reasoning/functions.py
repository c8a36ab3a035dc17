"""Functions of source files that can be run by themselves: chosen by their syntax tree, with all that they need and nothing else.

A function qualifies if it takes arguments, returns a value, and everything it names is its own, a harmless builtin, a module of the
standard library that touches neither files nor clock nor chance, or something of its file that qualifies too (constants, other functions,
at most `MAX_HELPERS`). What a syntax tree cannot tell (does it end, is it pure) is told by running it, in a sandbox. Docstrings are cut out
of the source that is shown: they may give away results. 2.5 MB of source per CPU second. Not covered: methods, classes, async functions,
generators, decorators.
"""

import ast
import builtins
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from synth.arithmetic import parsed

MIN_LINES = 3
MAX_LINES = 30
MAX_SOURCE_LINES = 60  # with its helpers
MAX_HELPERS = 4
MAX_PER_FILE = 12
_MODULES = """
math cmath re string itertools functools operator collections textwrap bisect heapq fractions decimal statistics html json
base64 unicodedata difflib fnmatch posixpath ntpath keyword colorsys copy enum numbers typing shlex ipaddress
urllib.parse calendar codecs types collections.abc __future__ dataclasses abc array ast token textwrap
"""
PURE_MODULES = frozenset(_MODULES.split())
_NAMES = """
open input print exec eval compile __import__ globals locals vars id hash breakpoint help exit quit memoryview super setattr
delattr object type dir
"""
_FORBIDDEN_NAMES = frozenset(_NAMES.split())
_HARMLESS = frozenset(dir(builtins)) - _FORBIDDEN_NAMES
_FORBIDDEN_NODES = (
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Global,
    ast.Nonlocal,
    ast.With,
    ast.AsyncWith,
    ast.AsyncFor,
    ast.Import,
    ast.ImportFrom,
    ast.Lambda,
)


class Function(NamedTuple):
    """`source` runs by itself: imports, constants, helpers, then the function, whose docstrings are gone."""

    name: str
    source: str
    start: int  # of the function in the file, in characters
    length: int
    docstring: str


def functions(text: str) -> Iterator[Function]:
    """The functions of a Python file that can be run by themselves, in their order, at most `MAX_PER_FILE`."""
    tree = parsed(text)
    if tree is None:
        return
    file = _File(text, tree)
    found = 0
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_fit(node) and (source := file.alone(node)):
            start, end = file.region(node)
            yield Function(node.name, source, start, end - start, ast.get_docstring(node) or "")
            found += 1
            if found == MAX_PER_FILE:
                return


class _File:
    """What the top level of a file binds: functions, constants, and names that imports bring."""

    def __init__(self, text: str, tree: ast.Module) -> None:
        self._lines = text.splitlines(keepends=True)
        self._text = text
        self._bound: dict[str, ast.stmt] = {}
        self._twice: set[str] = set()
        for node in tree.body:
            for name in _binds(node):
                if name in self._bound:
                    self._twice.add(name)
                self._bound[name] = node

    def region(self, node: ast.stmt) -> tuple[int, int]:
        """[start, end) of a statement at the top level, in characters."""
        start = sum(map(len, self._lines[: node.lineno - 1]))
        return start, start + sum(map(len, self._lines[node.lineno - 1 : node.end_lineno]))

    def alone(self, node: ast.FunctionDef) -> str | None:
        """Source with which the function runs by itself; None when it needs what it may not have."""
        needed: dict[str, ast.stmt] = {}
        waiting: list[ast.stmt] = [node]
        while waiting:
            for name in sorted(_used(waiting.pop()) - needed.keys()):
                source = self._bound.get(name)
                if source is node:
                    continue
                if source is None and name in _HARMLESS:
                    continue
                if (
                    source is None
                    or name in self._twice
                    or not _is_allowed(source, name)
                    or len(needed) >= 2 * MAX_HELPERS
                ):
                    return None
                needed[name] = source
                waiting.append(source)
        helpers = {source.lineno: source for source in needed.values() if not _is_import(source)}
        if len(helpers) > MAX_HELPERS:
            return None
        imports = sorted({_import_line(source, name) for name, source in needed.items() if _is_import(source)})
        parts = [self._shown(helpers[line]) for line in sorted(helpers)]
        body = "\n\n".join([*parts, self._shown(node)])
        future = ["from __future__ import annotations"] if _is_annotated(node, *helpers.values()) else []
        whole = "\n".join([*future, *imports, *([""] if imports or future else []), body])
        return whole if whole.count("\n") < MAX_SOURCE_LINES and parsed(whole) is not None else None

    def _shown(self, node: ast.stmt) -> str:
        """The statement as it stands in the file, less its docstrings and the comment lines at its end."""
        lines = self._lines[node.lineno - 1 : node.end_lineno]
        for inner in ast.walk(node):
            if isinstance(inner, ast.FunctionDef) and ast.get_docstring(inner, clean=False) is not None:
                first, last = inner.body[0].lineno - node.lineno, (inner.body[0].end_lineno or 0) - node.lineno
                lines[first : last + 1] = [""] * (last + 1 - first)
        return textwrap.dedent("".join(line.rstrip() + "\n" for line in lines if line.strip())).rstrip()


def _is_fit(node: ast.FunctionDef) -> bool:
    length = (node.end_lineno or 0) - node.lineno + 1
    arguments = node.args
    shape = arguments.args and not (arguments.vararg or arguments.kwarg or arguments.posonlyargs)
    shape = (
        shape
        and all(arguments.kw_defaults)
        and len(arguments.args) <= 5
        and arguments.args[0].arg not in ("self", "cls")
    )
    inside = len(node.body) - (ast.get_docstring(node) is not None)
    returns = any(isinstance(inner, ast.Return) and inner.value is not None for inner in ast.walk(node))
    ok = bool(shape) and returns and inside >= 1 and not node.decorator_list and length <= 3 * MAX_LINES
    body_lines = length - _docstring_lines(node)
    return ok and MIN_LINES <= body_lines <= MAX_LINES and not _is_unfit(node)


def _docstring_lines(node: ast.FunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def _is_unfit(node: ast.stmt) -> bool:
    """Whether anything in it is forbidden: statements, dunder attributes, names that reach out of the function."""
    for inner in ast.walk(node):
        if isinstance(inner, _FORBIDDEN_NODES) and not (
            isinstance(inner, ast.Lambda) and isinstance(node, ast.FunctionDef)
        ):
            return True
        if isinstance(inner, ast.FunctionDef) and inner is not node:
            return True
        if isinstance(inner, ast.Attribute) and inner.attr.startswith("_"):
            return True
        if isinstance(inner, ast.Name) and inner.id in _FORBIDDEN_NAMES:
            return True
    return False


def _is_allowed(node: ast.stmt, name: str) -> bool:
    """Whether a statement of the top level may come along: an import of a pure module, a constant, a function."""
    match node:
        case ast.Import(names=aliases):
            return all(alias.name in PURE_MODULES for alias in aliases if name in (alias.asname, alias.name))
        case ast.ImportFrom(module=module, level=0):
            return module in PURE_MODULES
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name(), value=ast.expr()):
            return not _is_unfit(node) and (node.end_lineno or 0) - node.lineno < MAX_LINES // 2
        case ast.FunctionDef():
            small = (node.end_lineno or 0) - node.lineno < 2 * MAX_LINES
            return small and not node.decorator_list and not _is_unfit(node)
    return False


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _import_line(node: ast.stmt, name: str) -> str:
    """An import of the one name."""
    assert isinstance(node, ast.Import | ast.ImportFrom)
    alias = next(alias for alias in node.names if name in (alias.asname, alias.name, alias.name.split(".")[0]))
    renamed = f" as {alias.asname}" if alias.asname else ""
    return f"{f'from {node.module} ' if isinstance(node, ast.ImportFrom) else ''}import {alias.name}{renamed}"


def _binds(node: ast.stmt) -> list[str]:
    match node:
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.split(".")[0] for alias in aliases]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
    return [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)]


def _used(node: ast.stmt) -> set[str]:
    """Names that a statement takes from outside of it; annotations do not count, they are never evaluated."""
    skipped = {id(inner) for annotation in _annotations(node) for inner in ast.walk(annotation)}
    loads: set[str] = set()
    stores: set[str] = set()
    for inner in ast.walk(node):
        if id(inner) in skipped:
            continue
        if isinstance(inner, ast.Name):
            (stores if isinstance(inner.ctx, ast.Store) else loads).add(inner.id)
        elif isinstance(inner, ast.arg):
            stores.add(inner.arg)
        elif isinstance(inner, ast.ExceptHandler) and inner.name:
            stores.add(inner.name)
    return loads - stores if isinstance(node, ast.FunctionDef) else loads


def _annotations(node: ast.stmt) -> list[ast.expr]:
    found = [inner.annotation for inner in ast.walk(node) if isinstance(inner, ast.arg | ast.AnnAssign)]
    found += [inner.returns for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef)]
    return [annotation for annotation in found if annotation is not None]


def _is_annotated(*nodes: ast.stmt) -> bool:
    return any(_annotations(node) for node in nodes)
