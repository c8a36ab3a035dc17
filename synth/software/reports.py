"""How an issue shows what was seen: a script, a session at the prompt, a line with a comment, a list of facts, or words alone."""

import ast
from collections.abc import Sequence
from itertools import pairwise

from synth.draw import Draw
from synth.software.observe import Observed

MAX_VALUE_CHARS = 240
MAX_INLINE_CHARS = 80
FORMS = ("script", "session", "annotated", "list", "words")


def possible(observed: Observed) -> list[str]:
    """The forms that can show it. A session needs a value that the prompt would print; words need a short expression that stands alone."""
    found = ["script"]
    if observed.kind != "false" and _statements(observed) is not None:
        found += ["session", "annotated"]
    if not observed.snippet and not observed.setting:
        found += ["list", "words"] if len(observed.expression) <= MAX_INLINE_CHARS else ["list"]
    return found


def shown(observed: Observed, form: str, draw: Draw) -> str:
    """The block of code or the list, Markdown; "" for words alone."""
    if form == "words":
        return ""
    if form == "list":
        return _list(observed, draw)
    if form == "script":
        code = observed.snippet or "\n".join(filter(None, (observed.setting, observed.expression)))
        return f"```python\n{code}\n```"
    statements = _statements(observed)
    assert statements is not None
    lines = _session(observed, statements) if form == "session" else _annotated(observed, statements, draw)
    return f"```{draw.pick(('pycon', 'python', ''), 'fence') if form == 'session' else 'python'}\n{lines}\n```"


def _statements(observed: Observed) -> list[str] | None:
    """What is run before the expression, a statement each, in the words of the test; None where that cannot be told."""
    before = observed.snippet or observed.setting
    try:
        tree = ast.parse(before)
        ast.parse(observed.expression, mode="eval")
    except SyntaxError:
        return None
    nodes = tree.body[:-1] if observed.snippet else tree.body  # the last one of a script is what fails
    if observed.snippet and isinstance(tree.body[-1], (ast.With, ast.For, ast.While, ast.If, ast.Try)):
        return None
    lines = before.split("\n")
    places = [(_begin(node), node.end_lineno or node.lineno) for node in tree.body]
    if any(begin <= end for (_, end), (begin, _) in pairwise(places)):
        return None  # two on one line
    return ["\n".join(lines[begin - 1 : end]) for begin, end in places[: len(nodes)]]


def _begin(node: ast.stmt) -> int:
    """Its first line, that of a decorator if there is one."""
    return min(one.lineno for one in (node, *getattr(node, "decorator_list", ())))


def _session(observed: Observed, statements: Sequence[str]) -> str:
    """As `doctest` has it: prompts, and what the last line prints."""
    made = []
    for statement in (*statements, observed.expression):
        first, *others = statement.split("\n")
        made += [f">>> {first}", *(f"... {line}" for line in others)]
        if "\n" in statement and statement.startswith(_COMPOUND):
            made.append("...")
    if observed.kind == "raised":
        made += ["Traceback (most recent call last):", "    ...", told(observed)]
    elif observed.kind == "compared":
        made.append(told(observed))
    return "\n".join(made)


_COMPOUND = ("for ", "while ", "if ", "with ", "def ", "class ", "try:", "async ", "@")


def _annotated(observed: Observed, statements: Sequence[str], draw: Draw) -> str:
    marks = {
        "compared": (
            "# {actual}",
            "# -> {actual}",
            "# gives {actual}",
            "# {actual}, should be {expected}",
            "# {actual} != {expected}",
        ),
        "raised": ("# {actual}", "# raises {actual}", "# -> {actual}", "# {actual}!"),
        "not_raised": ("# no {expected}", "# should raise {expected}", "# returns; {expected} expected", "# passes"),
    }[observed.kind]
    values = {"actual": told(observed), "expected": short(observed.expected)}
    mark = draw.say(draw.pick(marks, "mark"), values, "mark words")
    call = draw.pick(("{}", "print({})"), "print") if observed.kind == "compared" else "{}"
    return "\n".join([*statements, f"{call.replace('{}', observed.expression)}  {mark}"])


def _list(observed: Observed, draw: Draw) -> str:
    call, got, wanted = draw.pick(
        (
            ("call", "result", "expected"),
            ("Call", "Got", "Expected"),
            ("input", "output", "should be"),
            ("what I run", "what I get", "what I want"),
            ("expression", "now", "correct"),
        ),
        "labels",
    )
    result = {"not_raised": "no exception", "false": "not true"}.get(observed.kind) or f"`{told(observed)}`"
    expected = (
        f"`{short(observed.expected)}`" if observed.expected else "a result" if observed.kind == "raised" else "true"
    )
    bullet = draw.pick(("- ", "* ", "- **", "1. "), "bullet")
    end = "**" if bullet.endswith("**") else ""
    pairs = ((call, f"`{observed.expression}`"), (got, result), (wanted, expected))
    return "\n".join(f"{bullet}{label}{end}: {value}" for label, value in pairs)


def stands_alone(observed: Observed) -> bool:
    """Whether its expression can be told without any other line: a call with literal arguments of something imported."""
    try:
        tree = ast.parse(observed.expression, mode="eval")
        script = ast.parse(observed.snippet)
    except SyntaxError:
        return False
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(script)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return bool(observed.public) and len(observed.expression) <= MAX_INLINE_CHARS and names <= imported


def told(observed: Observed) -> str:
    """The value, or the exception with its message."""
    return short(observed.actual) + (f": {short(observed.message)}" if observed.message else "")


def short(value: str) -> str:
    folded = " ".join(value.split())
    return folded if len(folded) <= MAX_VALUE_CHARS else folded[: MAX_VALUE_CHARS - 1] + "…"
