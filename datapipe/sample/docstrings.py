"""Docstrings of Python sources, read with `ast`: nothing is imported, so a library of any size is safe and quick to read.

Beside the docstrings of modules, classes and functions this finds the two other homes of documentation in numeric libraries:
`add_newdoc(...)` and `add_docstr(...)` calls for compiled objects, and module-level strings bound to a name. Not covered: text put
together at run time (templates keep their plain parts). Costs about 0.1 s per MB of source.
"""

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

MIN_CHARS = 40
DOCUMENTING_CALL = re.compile(r"add_(newdoc|docstr)$")
PLACEHOLDER_LINE = re.compile(r"^[ \t]*\{\w*\}[ \t]*$\n?", re.MULTILINE)
PLACEHOLDER = re.compile(r"(?<!\{)\{\w*\}(?!\})")


class Docstring(NamedTuple):
    """One documented object: its dotted name below the module ("" for the module itself), its signature, the clean text."""

    name: str
    signature: str
    text: str


def docstrings(source: str) -> list[Docstring]:
    """All docstrings of a module of at least `MIN_CHARS` characters, in source order; [] when it is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found = [Docstring("", "", ast.get_docstring(tree) or ""), *_of_body(tree.body, "")]
    return [doc for doc in found if len(doc.text) >= MIN_CHARS]


def _of_body(body: list[ast.stmt], prefix: str) -> Iterator[Docstring]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield Docstring(prefix + node.name, "", ast.get_docstring(node) or "")
            yield from _of_body(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield Docstring(prefix + node.name, f"({ast.unparse(node.args)})", text)
        elif isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
            yield from _of_call(node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _string(node.value)
            if text and "\n\n" in text:
                yield Docstring(prefix + node.targets[0].id, "", inspect.cleandoc(text))


def _of_call(call: ast.Call) -> Iterator[Docstring]:
    """add_newdoc("package", "name", text), add_docstr(package.name, text.format(...)): the longest string is the text."""
    if not DOCUMENTING_CALL.search(ast.unparse(call.func)) or not call.args:
        return
    strings = [text for node in ast.walk(call) if (text := _string(node))]
    text = max(strings, key=len, default="")
    names = [_string(arg) or "" for arg in call.args if _string(arg) != text]
    name = ".".join(name for name in names if name.isidentifier())
    if not name and not isinstance(call.args[0], ast.Constant):
        name = ast.unparse(call.args[0]).rpartition(".")[2]
    if any(isinstance(node, ast.Attribute) and node.attr == "format" for node in ast.walk(call)):
        text = _without_placeholders(text)
    yield Docstring(name, "", inspect.cleandoc(text))


def _without_placeholders(template: str) -> str:
    text = PLACEHOLDER.sub("", PLACEHOLDER_LINE.sub("", template))
    return text.replace("{{", "{").replace("}}", "}")


def _string(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
