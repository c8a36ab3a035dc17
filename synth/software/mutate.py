"""Small changes of a Python file that may be bugs: every place where one can be made, by operator.

A file is parsed once (libcst: 0.1 CPU seconds for 45 KB, positions included); a site is a stretch of it and what would stand there
instead, so that all else stays byte for byte. The same sites serve whoever repairs: an operator that is not lossy has its inverse among
the sites of the changed file. Sites are inside functions; decorators, annotations, docstrings and imports have none.

    boundary     < and <=, > and >=                  comparison  == and !=, in and not in, is and is not, < and >
    arithmetic   + and -, * and /, ...               boolean     and, or
    off_by_one   n and n + 1, n - 1                  slice       a[:e] and a[:e + 1], a[:e - 1]; so in range()
    negated      a condition                         flag        True and False
    variable     another one of its kind in scope    arguments   two neighbours swapped
    loop         break and continue
    lossy: unit (e for e + 1, e - 1), keyword, copy, await (each dropped), return (None instead), exception (swallowed), statement (removed)

The sets of SWE-smith (arXiv 2504.21798, appendix) and of classic mutation testing (Offutt et al. 1996), and some of ours: boundary,
variable, copy, await, slice, exception.
"""

import ast
import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from synth.software.localise import functions

LOSSY = ("unit", "keyword", "copy", "await", "return", "exception", "statement")
_PAIRS = {
    "boundary": (("<", "<="), (">", ">=")),
    "comparison": (("==", "!="), ("in", "not in"), ("is", "is not"), ("<", ">"), ("<=", ">=")),
    "arithmetic": (
        *(
            ("+", "-"),
            ("*", "/"),
            ("*", "//"),
            ("/", "//"),
            ("%", "//"),
            ("**", "*"),
            ("<<", ">>"),
            ("&", "|"),
            ("^", "|"),
        ),
        *(("+=", "-="), ("*=", "/="), ("*=", "//="), ("&=", "|=")),
    ),
    "boolean": (("and", "or"),),
    "flag": (("True", "False"),),
    "loop": (("break", "continue"),),
}
_COPIES = ("list", "dict", "set", "tuple", "sorted", "deepcopy")
_MAX_INTEGER = 1000
_NEIGHBOURS = 2  # names on each side that a variable is mistaken for


class Site(NamedTuple):
    """`text.encode()[start:end]`, which is `old`, might be `new`."""

    operator: str
    function: str  # dotted, with its classes
    first_line: int  # of the function, decorators included: as its code object has it
    line: int
    start: int  # bytes
    end: int
    old: str
    new: str

    @property
    def lossy(self) -> bool:
        return self.operator in LOSSY


def _alternatives() -> dict[str, list[tuple[str, str]]]:
    found = defaultdict(list)
    for operator, pairs in _PAIRS.items():
        for one, other in pairs:
            found[one].append((operator, other))
            found[other].append((operator, one))
    return dict(found)


ALTERNATIVES = _alternatives()  # what stands there -> (operator, what might)


def sites(text: str, *, first_lines: Iterable[int] | None = None) -> list[Site]:
    """All sites in the functions that begin in `first_lines` (None: all), in the order of the text. None for a text that is no Python.

    Only these functions are parsed: the site list of one function of a large file costs what the function costs.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    found: list[Site] = []
    if first_lines is None:
        found += _found(encoded, _Part(0, len(encoded), b"", ()))
    else:
        known = functions(text)
        starts = line_starts(encoded)
        for line in sorted(set(first_lines) & known.keys()):
            function = known[line]
            start = starts[line - 1]
            head = b"if 1:\n" if encoded[start : start + 1].isspace() else b""  # so that its indentation is right
            part = _Part(start, starts[function.last_line], head, tuple(function.name.split(".")[:-1]))
            found += [site for site in _found(encoded, part) if site.first_line == line]
    return sorted(found, key=lambda site: (site.start, site.end, site.operator, site.new))


def line_starts(encoded: bytes) -> list[int]:
    """Where each line begins, and where the last one ends; lines as Python counts them."""
    return [0, *itertools.accumulate(len(line) for line in encoded.splitlines(keepends=True))]


class _Part(NamedTuple):
    """A stretch of a file that is parsed alone, with what has to stand before it, and the scopes it is in."""

    start: int  # bytes
    end: int
    head: bytes
    scopes: tuple[str, ...]


def _found(encoded: bytes, part: _Part) -> list[Site]:
    try:
        wrapper = MetadataWrapper(cst.parse_module(part.head + encoded[part.start : part.end]), unsafe_skip_copy=True)
        finder = _Finder(encoded, part)
        wrapper.visit(finder)
    except (cst.ParserSyntaxError, RecursionError, UnicodeDecodeError):
        return []
    return finder.found


def replaced(text: str, chosen: Sequence[Site]) -> str:
    """`text` with the changes made. They must not overlap."""
    encoded = text.encode("utf-8", "surrogatepass")
    for site in sorted(chosen, key=lambda site: site.start, reverse=True):
        encoded = encoded[: site.start] + site.new.encode("utf-8", "surrogatepass") + encoded[site.end :]
    return encoded.decode("utf-8", "surrogatepass")


def mutated(text: str, chosen: Sequence[Site]) -> str | None:
    """`text` with the changes made; None where the result is no Python."""
    changed = replaced(text, chosen)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            ast.parse(changed)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return changed


class _Function:
    """What is known of the function that is being visited."""

    def __init__(self, name: str, first_line: int) -> None:
        self.name, self.first_line = name, first_line
        self.parameters: list[str] = []
        self.locals: list[str] = []
        self.loads: list[tuple[cst.Name, tuple[str, ...]]] = []  # with the locals bound before it


class _Finder(cst.CSTVisitor):
    """Collects sites. Names that are no variables are excluded when their parents are visited, which comes first."""

    METADATA_DEPENDENCIES = (ByteSpanPositionProvider,)

    def __init__(self, encoded: bytes, part: _Part) -> None:
        super().__init__()
        self.found: list[Site] = []
        self._encoded, self._base = encoded, part.start - len(part.head)
        self._scopes = list(part.scopes)
        self._functions: list[_Function] = []
        self._not_loads: set[int] = set()  # ids of nodes
        self._bounds: set[int] = set()  # ids of what bounds slices and ranges
        self._handlers: list[bool] = []

    # places

    def _span(self, node: cst.CSTNode) -> tuple[int, int]:
        span = self.get_metadata(ByteSpanPositionProvider, node)
        start = span.start + self._base
        return start, start + span.length

    def _text(self, start: int, end: int) -> str:
        return self._encoded[start:end].decode("utf-8", "surrogatepass")

    def _of(self, node: cst.CSTNode) -> str:
        return self._text(*self._span(node))

    def _line(self, start: int) -> int:
        return self._encoded.count(b"\n", 0, start) + 1

    def _add(self, operator: str, start: int, end: int, new: str) -> None:
        function = self._functions[-1] if self._functions else None
        if function:
            old = self._text(start, end)
            if old != new:
                line = self._line(start)
                self.found.append(Site(operator, function.name, function.first_line, line, start, end, old, new))

    def _swap_token(self, node: cst.CSTNode) -> None:
        start, end = self._span(node)
        for operator, other in ALTERNATIVES.get(" ".join(self._text(start, end).split()), ()):
            self._add(operator, start, end, other)

    # scopes

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._scopes.append(node.name.value)
        self._not_loads.add(id(node.name))

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self._scopes.pop()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._scopes.append(node.name.value)
        self._not_loads.add(id(node.name))
        start = self._span(node.decorators[0] if node.decorators else node)[0]
        function = _Function(".".join(self._scopes), self._line(start))
        parameters = node.params
        for parameter in (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params):
            if parameter.name.value not in ("self", "cls"):
                function.parameters.append(parameter.name.value)
        self._functions.append(function)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        function = self._functions[-1]
        for node, bound in function.loads:
            kind = function.parameters if node.value in function.parameters else list(bound)
            if node.value in kind:
                at = kind.index(node.value)
                near = [*kind[max(0, at - _NEIGHBOURS) : at], *kind[at + 1 : at + 1 + _NEIGHBOURS]]
                for other in near:
                    self._add("variable", *self._span(node), other)
        self._functions.pop()
        self._scopes.pop()

    def visit_Annotation(self, node: cst.Annotation) -> bool:
        return False

    def visit_Decorator(self, node: cst.Decorator) -> bool:
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Global(self, node: cst.Global) -> bool:
        return False

    def visit_Nonlocal(self, node: cst.Nonlocal) -> bool:
        return False

    # names

    def _binds(self, target: cst.BaseExpression) -> None:
        if isinstance(target, cst.Name):
            self._not_loads.add(id(target))
            if self._functions and target.value not in self._functions[-1].parameters:
                names = self._functions[-1].locals
                if target.value not in names:
                    names.append(target.value)
        elif isinstance(target, (cst.Tuple, cst.List)):
            for element in target.elements:
                self._binds(element.value)

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self._binds(node.target)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._binds(node.target)

    def visit_For(self, node: cst.For) -> None:
        self._binds(node.target)

    def visit_AsName(self, node: cst.AsName) -> None:
        self._binds(node.name)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._binds(node.target)

    def visit_CompFor(self, node: cst.CompFor) -> None:
        if isinstance(node.target, cst.Name):
            self._not_loads.add(id(node.target))

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._not_loads.add(id(node.attr))

    def visit_Param(self, node: cst.Param) -> None:
        self._not_loads.add(id(node.name))

    def visit_Del(self, node: cst.Del) -> bool:
        return False

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in ("True", "False"):
            self._swap_token(node)
        elif self._functions and id(node) not in self._not_loads:
            function = self._functions[-1]
            function.loads.append((node, tuple(function.locals)))

    # operators

    def visit_ComparisonTarget(self, node: cst.ComparisonTarget) -> None:
        self._swap_token(node.operator)

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        self._swap_token(node.operator)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if not isinstance(node.left, (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)):
            self._swap_token(node.operator)
        if isinstance(node.operator, (cst.Add, cst.Subtract)) and self._of(node.right) == "1":
            self._add("slice" if id(node) in self._bounds else "unit", *self._span(node), self._of(node.left))

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._swap_token(node.operator)
        if isinstance(node.target, cst.Name):
            self._not_loads.add(id(node.target))

    def visit_UnaryOperation(self, node: cst.UnaryOperation) -> bool:
        if isinstance(node.operator, cst.Minus) and isinstance(node.expression, cst.Integer):
            self._count(node, f"-{node.expression.value}")
            return False
        return True

    def visit_Integer(self, node: cst.Integer) -> None:
        self._count(node, node.value)

    def _count(self, node: cst.BaseExpression, value: str) -> None:
        if value.removeprefix("-").isdecimal() and abs(int(value)) <= _MAX_INTEGER:
            for other in (int(value) + 1, int(value) - 1):
                self._add("off_by_one", *self._span(node), str(other))

    def visit_Slice(self, node: cst.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None:
                self._shift(bound)

    def _shift(self, bound: cst.BaseExpression) -> None:
        self._bounds.add(id(bound))
        if not isinstance(
            bound, (cst.Integer, cst.BinaryOperation, cst.UnaryOperation, cst.IfExp, cst.BooleanOperation)
        ):
            for sign in "+-":
                self._add("slice", *self._span(bound), f"{self._of(bound)} {sign} 1")

    # conditions and calls

    def _negate(self, test: cst.BaseExpression) -> None:
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            self._add("negated", *self._span(test), self._of(test.expression))
        else:
            simple = isinstance(test, (cst.Name, cst.Attribute, cst.Call, cst.Subscript))
            self._add("negated", *self._span(test), f"not {self._of(test)}" if simple else f"not ({self._of(test)})")

    def visit_If(self, node: cst.If) -> None:
        self._negate(node.test)

    def visit_While(self, node: cst.While) -> None:
        self._negate(node.test)

    def visit_IfExp(self, node: cst.IfExp) -> None:
        self._negate(node.test)

    def visit_Call(self, node: cst.Call) -> None:
        called = node.func.value if isinstance(node.func, cst.Name) else ""
        if isinstance(node.func, cst.Name):
            self._not_loads.add(id(node.func))
        for arg in node.args:
            if arg.keyword is not None:
                self._not_loads.add(id(arg.keyword))
        positional = [arg for arg in node.args if arg.keyword is None and not arg.star]
        for one, other in itertools.pairwise(positional):
            (start, middle), (begin, end) = self._span(one), self._span(other)
            swapped = self._text(begin, end) + self._text(middle, begin) + self._text(start, middle)
            self._add("arguments", start, end, swapped)
        if called == "range":
            for arg in positional:
                self._shift(arg.value)
        if called in _COPIES and len(positional) == len(node.args) == 1:
            self._add("copy", *self._span(node), self._of(positional[0].value))
        if isinstance(node.func, cst.Attribute) and node.func.attr.value == "copy" and not node.args:
            self._add("copy", *self._span(node), self._of(node.func.value))
        for before, arg, after in zip((None, *node.args), node.args, (*node.args[1:], None), strict=False):
            if arg.keyword is not None:
                start = self._span(before)[1] if before else self._span(arg)[0]
                end = self._span(arg)[1] if before or not after else self._span(after)[0]
                self._add("keyword", start, end, "")

    def visit_Await(self, node: cst.Await) -> None:
        self._add("await", *self._span(node), self._of(node.expression))

    # statements

    def visit_Return(self, node: cst.Return) -> None:
        value = node.value
        if isinstance(value, (cst.Comparison, cst.BooleanOperation)) or (
            isinstance(value, cst.UnaryOperation) and isinstance(value.operator, cst.Not)
        ):
            self._negate(value)
        elif value is not None:
            self._add("return", *self._span(value), "None")

    def visit_Break(self, node: cst.Break) -> None:
        self._swap_token(node)

    def visit_Continue(self, node: cst.Continue) -> None:
        self._swap_token(node)

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        self._handlers.append(True)

    def leave_ExceptHandler(self, original_node: cst.ExceptHandler) -> None:
        self._handlers.pop()

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        if len(node.body) != 1:
            return
        (statement,) = node.body
        if isinstance(statement, cst.Raise):
            self._add("exception" if self._handlers else "statement", *self._span(statement), "pass")
        elif (
            isinstance(statement, cst.AugAssign)
            or (isinstance(statement, cst.Expr) and isinstance(statement.value, cst.Call))
            or (
                isinstance(statement, cst.Assign)
                and isinstance(statement.targets[0].target, (cst.Attribute, cst.Subscript))
            )
        ):
            self._add("statement", *self._span(statement), "pass")
