"""What somebody sees of a bug without knowing the code: the statement of a test that fails, what it gave, and what it should give."""

import ast
import builtins
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from synth.software.suite import Failure

MAX_SNIPPET_LINES = 24
MAX_SETTING_LINES, MAX_SETTING_CHARS = 6, 160
_NOT_RAISED = re.compile(r"DID NOT RAISE .*?([\w.]+)(?:'>|$|\))|([\w.]+) not raised")
_UNITTEST = re.compile(r"(?:\w+ differ: )?(.*?) != (.*?)(?: :|\n|$)", re.S)
_ASSERTS = (
    "assertEqual",
    "assertEquals",
    "assert_equal",
    "assertListEqual",
    "assertDictEqual",
    "assertSetEqual",
    "assertCountEqual",
)
Lines = Sequence[bytes]  # of a text, UTF-8, as the positions of `ast` count
_EQUAL = ("==", "is", "in", "<=", ">=", "<", ">", "!=")


class Observed(NamedTuple):
    """One failure. `kind`: compared, raised, not_raised or false."""

    kind: str
    expression: str  # what was evaluated, in the words of the test
    actual: str  # what it gave; of `raised`, the exception
    expected: str  # what it should give; of `not_raised`, the exception
    message: str  # of the exception
    public: str  # the name that is called, "" where there is none
    snippet: str  # a script that shows it; "" where the test needs more than itself
    names: frozenset[str]  # identifiers in the test, and in the script
    setting: str = ""  # where there is no script: the lines of the test that set what the expression uses


def observe(text: str, test: str, failure: Failure) -> Observed | None:
    """From a test file, the name of a test that failed in it, and its failure.

    None where the statement cannot be found, or would tell nobody anything: a variable without the lines that set it, a value that is shown
    just like the one that is expected.
    """
    path, _, name = test.partition("::")
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    function = _function(module, name.partition("[")[0].split("::"))
    lines = [line for file, line, _ in failure.frames if file == path]
    if function is None or not lines:
        return None
    statement = _statement(function, lines)
    if statement is None:
        return None
    split = text.encode("utf-8", "replace").split(b"\n")
    kind, expression, actual, expected = _seen(split, statement, failure)
    says_nothing = kind == "compared" and " ".join(actual.split()) == " ".join(expected.split())
    if not expression or says_nothing:
        return None
    message = "" if kind != "raised" else failure.message.split("\n")[0]
    snippet = _snippet(split, module, function, statement)
    names = frozenset(re.findall(r"[A-Za-z_]\w*", f"{_segment(split, function)} {snippet}"))
    setting = "" if snippet else _setting(split, function, statement, expression)
    if expression.isidentifier() and not snippet and not setting:
        return None  # a variable of the test, of which nobody else knows
    return Observed(kind, expression, actual, expected, message, _public(expression), snippet, names, setting)


def _function(module: ast.Module, parts: list[str]) -> ast.FunctionDef | None:
    body: list[ast.stmt] = module.body
    for part in parts[:-1]:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == part), [])
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == parts[-1]), None)


def _statement(function: ast.FunctionDef, lines: list[int]) -> ast.stmt | None:
    """The innermost statement of the test that one of the frames' lines is in."""
    inside = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.stmt)
        and node is not function
        and any(node.lineno <= line <= (node.end_lineno or 0) for line in lines)
    ]
    return min(inside, key=lambda node: ((node.end_lineno or 0) - node.lineno, -node.lineno), default=None)


def _segment(lines: Lines, node: ast.stmt | ast.expr) -> str:
    """The text of a node (`ast.get_source_segment` splits the whole file each time)."""
    own = list(lines[node.lineno - 1 : node.end_lineno])
    own[-1] = own[-1][: node.end_col_offset]
    own[0] = own[0][node.col_offset :]
    return b"\n".join(own).decode("utf-8", "replace")


def _folded(lines: Lines, node: ast.stmt | ast.expr) -> str:
    return " ".join(_segment(lines, node).split())


def _seen(lines: Lines, statement: ast.stmt, failure: Failure) -> tuple[str, str, str, str]:
    """(kind, expression, actual, expected)."""
    whole = _folded(lines, statement)
    if refused := _NOT_RAISED.search(failure.message):
        inner = statement.body[-1] if isinstance(statement, ast.With) else statement
        return "not_raised", _call_in_raises(lines, inner), "", (refused[1] or refused[2]).rpartition(".")[2]
    if failure.kind not in ("AssertionError", "Failed"):
        return "raised", _raising(lines, statement, failure) or whole, failure.kind, ""
    if isinstance(statement, ast.Assert):
        test = statement.test
        if failure.compared and isinstance(test, ast.Compare) and len(test.ops) == 1 and failure.compared[0] in _EQUAL:
            left, right = test.left, test.comparators[0]
            operator, shown_left, shown_right = failure.compared
            if operator in ("==", "is") and _is_plain(left) and not _is_plain(right):
                return "compared", _folded(lines, right), shown_right, shown_left
            if operator in ("==", "is"):
                return "compared", _folded(lines, left), shown_left, shown_right
        return "false", _folded(lines, test), "", ""
    call = statement.value if isinstance(statement, ast.Expr) else None
    compares = isinstance(call, ast.Call) and len(call.args) >= 2 and _name(call.func) in _ASSERTS
    found = _UNITTEST.match(failure.message) if compares else None
    if isinstance(call, ast.Call) and found is not None:
        first, second = (" ".join(part.split()) for part in found.groups())
        if _is_plain(call.args[0]):
            return "compared", _folded(lines, call.args[1]), second, first
        return "compared", _folded(lines, call.args[0]), first, second
    if isinstance(call, ast.Call) and _name(call.func) in ("assertTrue", "assertFalse") and call.args:
        return "false", ("not " if _name(call.func) == "assertFalse" else "") + _folded(lines, call.args[0]), "", ""
    return "false", "", "", ""


def _call_in_raises(lines: Lines, statement: ast.stmt) -> str:
    """What should have raised: the body of the `with`, or the arguments of `raises(E, f, ...)`."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and _name(call.func) in ("raises", "assertRaises") and len(call.args) > 1:
        return f"{_folded(lines, call.args[1])}({', '.join(_folded(lines, arg) for arg in call.args[2:])})"
    return _folded(lines, statement)


def _raising(lines: Lines, statement: ast.stmt, failure: Failure) -> str:
    """The part of a statement that raised: of an assertion the side that names the first function called, if only one of them does."""
    value = statement.test if isinstance(statement, ast.Assert) else getattr(statement, "value", None)
    if not isinstance(value, ast.expr):
        return ""
    sides: list[ast.expr] = []
    if isinstance(value, ast.Compare):
        sides = [value.left, *value.comparators]
    elif isinstance(value, ast.Call) and _name(value.func).startswith("assert"):
        sides = value.args
    within = [line for _, line, _ in failure.frames]
    here = max(
        (n for n, line in enumerate(within) if statement.lineno <= line <= (statement.end_lineno or 0)), default=0
    )
    called = failure.frames[here + 1][2].rpartition(".")[2] if here + 1 < len(within) else ""
    naming = [
        side for side in sides if called in {_name(inner) for inner in ast.walk(side) if isinstance(inner, ast.expr)}
    ]
    calling = [side for side in sides if not _is_plain(side)]
    chosen = naming if len(naming) == 1 else calling
    return _folded(lines, chosen[0] if len(chosen) == 1 else value)


def _is_plain(node: ast.expr) -> bool:
    return not any(isinstance(inner, (ast.Call, ast.Attribute, ast.Name)) for inner in ast.walk(node))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _public(expression: str) -> str:
    """The first name that is called and is no builtin: outermost call first, then by position."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return ""
    names = [_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names += [_name(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return next((name for name in names if name and not hasattr(builtins, name) and len(name) > 2), "")


def _setting(lines: Lines, function: ast.FunctionDef, statement: ast.stmt, expression: str) -> str:
    """The lines of the test that set what the expression uses, and calls that may change it; "" where they are many or long."""
    wanted, found = set(re.findall(r"[A-Za-z_]\w*", expression)), []
    before = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node.lineno < statement.lineno]
    for node in sorted(before, key=lambda node: -node.lineno):
        targets = node.targets if isinstance(node, ast.Assign) else ()
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        in_targets = [inner for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]
        set_here = {name.id for name in in_targets if isinstance(name.ctx, ast.Store)}  # not `b` of `b[0] = 1`
        told = _folded(lines, node)
        if {name.id for name in in_targets} & wanted or (is_call and names & wanted and "assert" not in told.lower()):
            found.append(told)
            wanted = wanted - set_here | (names - set_here)
    too_much = len(found) > MAX_SETTING_LINES or any(len(line) > MAX_SETTING_CHARS for line in found)
    return "" if too_much else "\n".join(reversed(found))


def _snippet(lines: Lines, module: ast.Module, function: ast.FunctionDef, statement: ast.stmt) -> str:
    """The test up to the statement as a script: imports it uses, and its body. "" where it takes arguments or needs its class or module."""
    body = [node for node in function.body if node.lineno <= statement.lineno]
    if function.args.args or function.decorator_list or not body or statement not in function.body:
        return ""
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    used = {
        node.id
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    bound = {
        node.id
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    bound |= {
        alias.asname or alias.name
        for part in body
        for node in ast.walk(part)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    bound |= {node.arg for part in body for node in ast.walk(part) if isinstance(node, ast.arg)}
    imports = []
    for node in module.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not (isinstance(node, ast.ImportFrom) and node.level):
            taken = [alias for alias in node.names if (alias.asname or alias.name).partition(".")[0] in used]
            if taken:
                imports.append(ast.unparse(ast.copy_location(type(node)(**{**vars(node), "names": taken}), node)))
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in taken}
    if {name for name in used - bound if not hasattr(builtins, name)}:
        return ""
    first, last = body[0].lineno, statement.end_lineno or statement.lineno
    body_lines = textwrap.dedent(b"\n".join(lines[first - 1 : last]).decode("utf-8", "replace")).split("\n")
    made = "\n".join([*imports, "", *body_lines]).strip("\n")
    return made if len(body_lines) <= MAX_SNIPPET_LINES and "pytest" not in "\n".join(body_lines) else ""
