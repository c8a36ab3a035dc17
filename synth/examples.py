"""Facts in interactive examples: a Python session and what its last line prints.

The output was produced by running the code, so it is a fact about it; where the session needs nothing but literals it is computed again
here (`synth.arithmetic`). The question must stand alone: every name the session uses is a builtin, or bound in the session itself.
"""

import ast
import builtins
import functools
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from synth.arithmetic import parsed
from synth.evidence import Fact
from synth.prose import Span

MAX_SESSION_LINES = 16
MAX_OUTPUT_CHARS = 500
MAX_OUTPUT_LINES = 8
MAX_PROMPTS = 64  # of one text; what comes later may depend on more than a question can show
CONVENTIONS = {  # names that the documentation of a project takes for granted, as its test runner does
    "np": "import numpy as np",
    "nx": "import networkx as nx",
    "pd": "import pandas as pd",
    "torch": "import torch",
}

_EXAMPLE = re.compile(
    r"^(?P<indent>[ \t]*)>>> (?P<code>[^\n]*(?:\n(?P=indent)\.\.\.(?: [^\n]*)?(?=\n|\Z))*)"
    r"(?P<output>(?:\n(?P=indent)(?!>>>|```)(?=[ \t]*\S)[^\n]*)*)",
    re.M,
)
_CONTINUATION = re.compile(r"\n[ \t]*\.\.\. ?")
_UNSTABLE = re.compile(
    r"\.\.\.|0x[0-9a-fA-F]{4,}|\b(?=\w*[a-f])(?=\w*\d)[0-9a-f]{8,}\b|Traceback|<[\w. ]+ (?:object|at) "
)
# The file system, chance, the clock and the machine; directives of doctest say that the output shown is not the output to expect.
_DEPENDS = re.compile(
    r"[\"'][\w./-]+\.(?:ini|txt|csv|json|xml|html?|py|png|zip|gz|toml|ya?ml|md|log|dat|npz?)[\"']|"
    r"\b(?:rand\w*|time|now|today|hash|id|getpid|open|input|os|sys|environ|plot\w*|plt|help|locals|globals)\b|"
    r"doctest:|<BLANKLINE>|may vary"
)
_BUILTINS = frozenset(dir(builtins))
_PROSE = re.compile(r"[A-Z][a-z]+(?: [a-z]+){3,}|:$")


def examples(text: str, region: Span, *, spaced: bool) -> Iterator[Fact]:
    """One fact per example with output in `region`, with the earlier examples it depends on as its session.

    spaced: blank lines separate output from prose (source files). Where extraction removed them, only one line of output is
    believed, and only before another prompt or a blank line.
    """
    earlier: list[_Typed] = []
    for match in itertools.islice(_EXAMPLE.finditer(text, *region), MAX_PROMPTS):
        code = _CONTINUATION.sub("\n", match["code"]).rstrip()
        output = _output(text, match, region[1], spaced)
        typed = _typed(code, printed=bool(match["output"].strip()))
        session = "\n".join(map(_prompted, _needed([*earlier, typed]))) if output else ""
        if output and session.count("\n") < MAX_SESSION_LINES:
            begin = match.start() + len(match["indent"])
            subject, length = code.partition("\n")[0], output[1] - output[0]
            yield Fact(output[0], length, "example", subject, session, begin, output[1] - begin)
        earlier.append(typed)


class _Typed(NamedTuple):
    """What was typed at one prompt: its source, all names in it but the imported ones, and whether it only showed a value."""

    code: str
    names: frozenset[str]
    imported: frozenset[str]
    shows: bool


def _typed(code: str, *, printed: bool) -> _Typed:
    tree = parsed(code)
    if tree is None:
        return _Typed(code, frozenset(), frozenset(), False)
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    imported = {
        alias.asname or alias.name.split(".")[0] for node in nodes if isinstance(node, ast.alias) for alias in [node]
    }
    shows = printed and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)
    return _Typed(code, frozenset(names), frozenset(imported), shows)


def _prompted(code: str) -> str:
    first, *others = code.split("\n")
    return "\n".join([f">>> {first}", *(f"... {line}" for line in others)])


def _needed(session: list[_Typed]) -> list[str]:
    """The session without what only showed a value of things that do not come back: what is left prints the same at its end.

    A call may change the objects it names, so an expression is left out only when none of its names, imported ones aside, is used later.
    """
    imported = frozenset().union(*(typed.imported for typed in session))
    kept = [session[-1]]
    used = session[-1].names - imported
    for typed in reversed(session[:-1]):
        if not typed.shows or (typed.names - imported - _BUILTINS) & used:
            kept.append(typed)
            used |= typed.names - imported
    return [typed.code for typed in reversed(kept)]


def unstable(output: str, session: str) -> bool:
    """Whether another run could print something else: addresses, elisions, random numbers, the clock, the machine.

    Backslashes count too: in a docstring that is not raw they stand for something else.
    """
    return "\\" in session + output or bool(
        _UNSTABLE.search(output) or _DEPENDS.search(session) or _DEPENDS.search(output)
    )


@functools.lru_cache(maxsize=4096)
def undefined_names(source: str) -> frozenset[str] | None:
    """Names that `source` uses without binding them, none after an `import *`; None when it does not parse."""
    tree = parsed(source)
    if tree is None:
        return None
    bound = set(_BUILTINS)
    used: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.alias(name="*"):
                return frozenset()
            case ast.alias(name=name, asname=other):
                bound.add(other or name.split(".")[0])
    return frozenset(used - bound)


def source_of(session: str) -> str:
    """The code of a session without its prompts."""
    return "\n".join(line[len(">>> ") :] for line in session.split("\n"))


def with_imports(session: str) -> str:
    """The session, after imports of the names that it takes for granted by convention."""
    missing = sorted((undefined_names(source_of(session)) or frozenset()) & CONVENTIONS.keys())
    return "\n".join([*(f">>> {CONVENTIONS[name]}" for name in missing), session])


def _output(text: str, match: re.Match[str], region_end: int, spaced: bool) -> Span | None:
    """The span of the output without the indentation of its first line, if there is output and it can be told from prose."""
    begin, end = match.span("output")
    lines = match["output"].split("\n")[1:]
    if not lines or len(lines) > MAX_OUTPUT_LINES or end - begin > MAX_OUTPUT_CHARS:
        return None
    after = text[end : min(end + 80, region_end)].lstrip("\n")
    closed = text.startswith("\n\n", end) or after.lstrip().startswith(">>>") or not after.strip()
    if not spaced and (len(lines) > 1 or not closed or _PROSE.search(lines[0])):
        return None
    return begin + 1 + len(match["indent"]), end
