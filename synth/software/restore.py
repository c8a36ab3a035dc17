"""What may have been lost in a function: returned names, raised exceptions, keywords, copies, `await`, steps of one.

The counterpart of the lossy operators of `mutate.py`. What was removed stands nowhere in the file, so these are guesses, made from the
names in scope and from what the function does elsewhere; a value that only the author knew is not found again. At most `MAX_OF_KIND` of
each kind.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from synth.software.localise import Function
from synth.software.mutate import Site, line_starts

KINDS = ("return", "raise", "keyword", "copy", "await", "unit", "store")
MAX_OF_KIND = 12
_COPIES = ("list({})", "dict({})", "{}.copy()", "set({})")


def restorations(text: str, function: Function, raised: str = "") -> list[Site]:
    """Sites of the function that begins at `function.first_line`, by kind, likely ones first.

    raised: an exception that the tests expect, to be raised where `pass` stands.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    node = next((one for one in ast.walk(tree) if _begins(one) == function.first_line), None)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    about = _About(text, tree, node, raised)
    found: list[Site] = []
    for kind in KINDS:
        seen: set[tuple[int, str]] = set()
        for guess in getattr(about, f"{kind}_")():
            start, end = about.span(guess.node)
            old = about.encoded[start:end].decode("utf-8", "replace")
            if old != guess.new and (start, guess.new) not in seen:
                seen.add((start, guess.new))
                line = guess.node.lineno
                found.append(Site(kind, function.name, function.first_line, line, start, end, old, guess.new))
            if len(seen) == MAX_OF_KIND:
                break
    return found


class _Guess(NamedTuple):
    node: ast.stmt | ast.expr
    new: str  # in its place


def _begins(node: ast.AST) -> int:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return 0
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


class _About:
    """A function, with what of it is needed to guess. A method for each kind."""

    def __init__(self, text: str, tree: ast.Module, node: ast.FunctionDef | ast.AsyncFunctionDef, raised: str) -> None:
        self.encoded = text.encode("utf-8", "surrogatepass")
        self._starts = line_starts(self.encoded)
        self._tree, self._node, self._raised = tree, node, raised
        self._inner = [inner for statement in node.body for inner in ast.walk(statement)]
        given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        self._parameters = [one.arg for one in given if one.arg not in ("self", "cls")]
        self._is_method = len(given) > len(self._parameters)
        stored = [one.id for one in self._inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        self._locals = list(dict.fromkeys(reversed(stored)))  # the last one first

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _source(self, node: ast.stmt | ast.expr) -> str:
        start, end = self.span(node)
        return self.encoded[start:end].decode("utf-8", "replace")

    def return_(self) -> Iterator[_Guess]:
        """Something else than None: what the function returns elsewhere, a local, itself, a parameter."""
        returns = [one.value for one in self._inner if isinstance(one, ast.Return) and one.value is not None]
        others = [self._source(value) for value in returns if not _is_none(value)]
        own = ["self"] * self._is_method
        for value in returns:
            if _is_none(value):
                for new in (*others, *self._locals, *own, *self._parameters, "True", "False"):
                    yield _Guess(value, new)

    def raise_(self) -> Iterator[_Guess]:
        """An exception instead of `pass`: the one expected, those of the function, that which is handled."""
        about = self._parameters[0] if self._parameters else "value"
        expected = [f'raise {self._raised}(f"invalid {about}: {{{about}!r}}")'] * bool(
            self._raised and self._parameters
        )
        raises = [self._source(one) for one in self._inner if isinstance(one, ast.Raise)]
        handling = {
            id(one) for handler in self._inner if isinstance(handler, ast.ExceptHandler) for one in handler.body
        }
        for one in self._inner:
            if isinstance(one, ast.Pass):
                for new in (*["raise"] * (id(one) in handling), *expected, *raises):
                    yield _Guess(one, new)

    def store_(self) -> Iterator[_Guess]:
        """A step instead of `pass`: an attribute set, a list added to, a counter raised."""
        lists = {
            target.id
            for one in self._inner
            if isinstance(one, ast.Assign) and isinstance(one.value, ast.List)
            for target in one.targets
            if isinstance(target, ast.Name)
        }
        looped = [one.target.id for one in self._inner if isinstance(one, ast.For) and isinstance(one.target, ast.Name)]
        attributes = [f"self.{name} = {name}" for name in self._parameters] * self._is_method
        added = [f"{name}.append({item})" for name in sorted(lists) for item in (*looped, *self._locals[:2])]
        counted = [f"{name} += 1" for name in self._locals]
        for one in self._inner:
            if isinstance(one, ast.Pass):
                for new in (*attributes, *added, *counted):
                    yield _Guess(one, new)

    def keyword_(self) -> Iterator[_Guess]:
        """A parameter that is handed on by its own name: first those that nothing uses."""
        used = {one.id for one in self._inner if isinstance(one, ast.Name)}
        for name in sorted(self._parameters, key=lambda name: name in used):
            for one in self._inner:
                if isinstance(one, ast.Call) and not any(given.arg == name for given in one.keywords):
                    inside = self._source(one).removesuffix(")").rstrip().removesuffix(",")
                    yield _Guess(one, f"{inside}{'' if inside.endswith('(') else ', '}{name}={name})")

    def copy_(self) -> Iterator[_Guess]:
        """A copy of what is assigned, gone through, or returned."""
        values = [one.value for one in self._inner if isinstance(one, (ast.Assign, ast.Return))]
        values += [one.iter for one in self._inner if isinstance(one, ast.For)]
        for value in values:
            if isinstance(value, (ast.Name, ast.Attribute)):
                for form in _COPIES:
                    yield _Guess(value, form.format(self._source(value)))

    def await_(self) -> Iterator[_Guess]:
        awaited = {id(one.value) for one in self._inner if isinstance(one, ast.Await)}
        if isinstance(self._node, ast.AsyncFunctionDef):
            for one in self._inner:
                if isinstance(one, ast.Call) and id(one) not in awaited:
                    yield _Guess(one, f"await {self._source(one)}")

    def unit_(self) -> Iterator[_Guess]:
        """One more or less of what is compared, assigned, indexed by, or given to a call."""
        values: list[ast.expr] = []
        for one in self._inner:
            if isinstance(one, ast.Subscript) and not isinstance(one.slice, ast.Slice):
                values.append(one.slice)
            elif isinstance(one, ast.Compare):
                values += [one.left, *one.comparators]
            elif isinstance(one, (ast.Assign, ast.Return)) and one.value is not None:
                values.append(one.value)
            elif isinstance(one, ast.Call):
                values += one.args
        for value in values:
            if isinstance(value, ast.Name) or (isinstance(value, ast.Call) and self._source(value).startswith("len(")):
                for sign in "+-":
                    yield _Guess(value, f"{self._source(value)} {sign} 1")


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
