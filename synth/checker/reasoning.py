"""Reasoning rows: code is run once more, tables are read and asked again in decimals, spans are cut again, calculations are done again.

Code runs in the sandbox in a fresh Python with a hash seed of its own, without the generator's harness. Of a teacher's row the last
`Answer:` is compared with the proven answer; where that is what most samples said (`verified_by: majority`), it is not.
"""

import ast
import decimal
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from synth.checker import algebra, calculation
from synth.checker.row import Documents, Row, Undecided
from synth.software import sandbox

_EVALUATE = """
import json, sys
told = json.load(sys.stdin)
space = {"__name__": "checked"}
exec(compile(told["source"], "source", "exec"), space)
print("\\n" + json.dumps(repr(eval(told["call"], space))))
"""
_LIMITS = sandbox.Limits(cpu_seconds=5, wall_seconds=30, memory_mb=1024, file_mb=4, processes=4, output_bytes=1 << 16)
_NUMBER = re.compile(r"([-+−]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s?(%|[A-Za-z]+)?")
_NOTHING = ("", "-", "--", "—", "–", "n/a", "N/A", "?")


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `reasoning`."""
    yield from _KINDS[row.task["kind"]](row, documents)
    answer = row.task.get("answer") or row.task.get("call" if row.task["kind"] == "code_input" else "value")
    if row.meta["author"] == "scripted":
        if row.answered != f"Answer: {answer}":
            yield f"the row answers {row.answered[:80]!r}, not {answer!r}"
    elif row.meta["verdicts"].get("solved", {}).get("verified_by") != "majority":
        yield from _taught(row, str(answer))
    else:
        yield Undecided("solved")


def _taught(row: Row, answer: str) -> Iterator[str]:
    """A model's last `Answer:` says what was proven."""
    marked = re.findall(r"answer\W*?[:=]\W*?(.+)$", row.answered, re.I | re.M) or [row.answered.split("\n")[-1]]
    boxed = re.findall(r"\\boxed\{(.+)\}", row.answered)
    said = (boxed or marked)[-1].strip().strip("$`*").removesuffix(".").strip()
    match row.task.get("compare", "call" if row.task["kind"] == "code_input" else "literal"):
        case "number":
            same = calculation.equal_numbers(answer, said)
        case "roots":
            same = calculation.rooted(answer) == calculation.rooted(said)
        case "values":
            same = calculation.assigned(answer) == calculation.assigned(said)
        case "expression" | "polynomial":
            same = algebra.is_same(algebra.expression(answer), algebra.expression(said.rpartition("=")[2]))
        case "literal":
            same = _same_literal(answer, said)
        case "call":
            same = said in row.text and _gives(row.task["source"], said, row.task["value"])
        case _:
            same = _plain(answer) == _plain(said)
    if not same:
        yield f"the row answers {said[:80]!r}, not {answer!r}"


def _calculation(row: Row, documents: Documents) -> Iterator[str]:
    think = next((turn.think for turn in reversed(row.turns) if turn.role == "assistant"), "")
    yield from calculation.checked(row.task, row.asked, think, scripted=row.meta["author"] == "scripted")


def _code_result(row: Row, documents: Documents) -> Iterator[str]:
    task = row.task
    if task["call"] not in row.asked:
        yield "the question does not name the call"
    yield from _code(row, documents)


def _code_input(row: Row, documents: Documents) -> Iterator[str]:
    task = row.task
    if f"`{task['value']}`" not in row.asked or task["call"] in row.asked:
        yield "the question does not name the value, or gives the call away"
    yield from _code(row, documents)


def _code(row: Row, documents: Documents) -> Iterator[str]:
    task = row.task
    if task["source"] not in row.asked:
        yield "the question does not show the code"
    known = {line.strip() for line in documents[row.parents[0]].text.split("\n")}
    for line in task["source"].split("\n"):
        bare = line.strip()
        if bare not in known and not bare.startswith(("import ", "from ")):
            yield f"the parent has no line {bare[:60]!r}"
            break
    call = ast.parse(task["call"], mode="eval").body
    is_plain = isinstance(call, ast.Call) and all(
        _is_literal(value) for value in [*call.args, *(keyword.value for keyword in call.keywords)]
    )
    if not is_plain or not _gives(task["source"], task["call"], task["value"]):
        yield f"{task['call'][:80]} does not give {task['value'][:80]}"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _gives(source: str, call: str, value: str) -> bool:
    """Whether a call gives a value: run in the sandbox, in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="tokenloom-check-") as folder:
        ended = sandbox.run(
            [sys.executable, "-I", "-c", _EVALUATE],
            Path(folder),
            limits=_LIMITS,
            stdin=json.dumps({"source": source, "call": call}),
        )
    try:
        shown = json.loads(ended.out.rstrip("\n").rpartition("\n")[2])
    except ValueError:
        return False
    return isinstance(shown, str) and _same_literal(value, shown)


def _same_literal(one: str, other: str) -> bool:
    try:
        return _typed(ast.literal_eval(one.strip())) == _typed(ast.literal_eval(other.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False


def _typed(value: Any) -> Any:
    """A value in a form in which 1, 1.0 and True differ."""
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(_typed, value)]
    if isinstance(value, dict):
        return ["dict", *sorted(([_typed(key), _typed(inner)] for key, inner in value.items()), key=repr)]
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted(map(repr, value))]
    return [type(value).__name__, repr(value)]


def _question(row: Row, documents: Documents) -> Iterator[str]:
    text = documents[row.parents[0]].text
    for name in ("question", "answer"):
        begin, length = row.task[f"{name}_span"]
        cut = " ".join(text[begin : begin + length].split())
        if cut != row.task[name] and not (name == "answer" and row.meta["author"] != "scripted"):
            yield f"the {name} is not what its span says"
    if row.task["question"] not in row.asked:
        yield "the question is not asked"


def _session(row: Row, documents: Documents) -> Iterator[str]:
    """The session of the parent, prompts taken off, is run to its last line."""
    task, text = row.task, documents[row.parents[0]].text
    shown, printed = (text[begin : begin + length] for begin, length in (task["span"], task["answer_span"]))
    if shown not in row.asked:
        yield "the session does not stand in the question"
    lines = [line[4:] for line in shown.split("\n") if line[:3] in (">>>", "...")]
    last = ast.parse("\n".join(lines)).body[-1]
    if not isinstance(last, ast.Expr) or ast.unparse(last) != task["call"]:
        yield f"{task['call'][:80]} is not the last line of the session"
    source = "\n".join(lines[: last.lineno - 1])
    if not _same_literal(task["value"], printed) or not _gives(source, task["call"], task["value"]):
        yield f"the session does not show {task['value'][:80]}"


def _table(row: Row, documents: Documents) -> Iterator[str]:
    task, text = row.task, documents[row.parents[0]].text
    tables = []
    for name, place in (("table", "start"), ("second", "second_start")):
        if name in task:
            if text[task[place] : task[place] + len(task[name])] != task[name] or task[name] not in row.asked:
                yield f"the {name} does not stand in the parent, or not in the question"
            tables.append(_read(task[name]))
    found = (
        _joined(tables[0], tables[1], task["query"])
        if len(tables) > 1
        else _asked(tables[0], task["query"], task["units"])
    )
    if found is None or not _is_answer(found, task["answer"]):
        yield f"{task['query']} gives {found}, not {task['answer']!r}"
    named = [value for _, *rest in task["query"]["where"] for value in rest[1:]]
    named += [word for word in task["query"]["ask"][1:] if isinstance(word, str)]
    if missing := [word for word in named if word not in row.asked]:
        yield f"the question does not name {missing[0]!r}"


Table = list[dict[str, str]]  # rows by the names of their columns


def _read(source: str) -> Table:
    """A table of Markdown, or a grid or simple table of reStructuredText without cells over several columns or rows."""
    if source.lstrip()[:1] != "|":
        return _drawn(source)
    lines = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in source.strip("\n").split("\n")
    ]
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]]


def _drawn(source: str) -> Table:
    """Columns lie between the marks of the first rule. A row of a grid ends with a rule, one of a simple table before a line with a key."""
    margin = len(source) - len(source.lstrip())
    lines = [line[margin:] for line in source.split("\n")]
    is_grid = lines[0].startswith("+")
    ends = [match.end() for match in re.finditer(r"-+" if is_grid else r"=+ *", lines[0])]
    cuts = [*zip([1, *(end + 1 for end in ends[:-1])] if is_grid else [0, *ends[:-1]], [*ends[:-1], None], strict=True)]
    rows: list[list[list[str]]] = [[]]
    for line in lines[1:]:
        if not line.strip(" -=+|") and line.strip(" |"):
            rows.append([])
        elif line.strip():
            cells = [
                line[begin:end].strip().removesuffix("|" if is_grid and end is None else "").strip()
                for begin, end in cuts
            ]
            if not is_grid and cells[0] and rows[-1]:
                rows.append([])
            rows[-1].append(cells)
    head, *body = [[" ".join(" ".join(parts).split()) for parts in zip(*row, strict=True)] for row in rows if row]
    return [dict(zip(head, cells, strict=True)) for cells in body]


def _amount(cell: str) -> Decimal:
    found = _NUMBER.fullmatch(cell)
    if found is None:
        raise ValueError(cell)
    return Decimal(found[2].replace(",", "")) * (-1 if found[1] in ("-", "−") else 1)


def _asked(table: Table, query: Mapping[str, Any], units: Mapping[str, str]) -> str | Fraction | None:
    """The answer to a query, None where there is none or more than one."""
    rows = [
        row for row in table if all(_meets(row, column, sign, cell, units) for column, sign, cell in query["where"])
    ]
    kind, *rest = query["ask"]
    if kind == "count":
        return Fraction(len(rows)) if rows else None
    if kind in ("less", "larger"):
        column, key, *pair = rest
        one, other = (Fraction(_amount(next(row for row in rows if row[key] == name)[column].strip())) for name in pair)
        return one - other if kind == "less" else None if one == other else pair[0] if one > other else pair[1]
    cells = [row[rest[0]] for row in rows]
    if kind == "cell":
        return cells[0] if len(cells) == 1 and cells[0] not in _NOTHING else None
    if kind == "distinct":
        return None if set(cells) & set(_NOTHING) else Fraction(len(set(cells)))
    with decimal.localcontext() as context:
        context.prec = 60
        amounts = [_amount(cell) for cell in cells]
        if not amounts:
            return None
        if kind in ("sum", "mean", "span"):
            total = max(amounts) - min(amounts) if kind == "span" else sum(amounts, Decimal(0))
            return Fraction(total) / (len(amounts) if kind == "mean" else 1)
        place = {"most": 0, "least": 0}.get(kind, rest[-1] - 1 if kind == "rank" else 0)
        ordered = sorted(amounts, reverse=kind != "least")
        if place >= len(ordered) or amounts.count(ordered[place]) > 1:
            return None
        return rows[amounts.index(ordered[place])][rest[1]]


def _meets(row: Mapping[str, str], column: str, sign: str, cell: str, units: Mapping[str, str]) -> bool:
    if column not in units:
        return (row[column] == cell) is (sign == "=")
    number, bound = Fraction(_amount(row[column])), Fraction(cell)
    tests: Mapping[str, Callable[[], bool]] = {
        "=": lambda: number == bound,
        "is not": lambda: number != bound,
        ">": lambda: number > bound,
        "<": lambda: number < bound,
    }
    return tests[sign]()


def _joined(first: Table, second: Table, query: Mapping[str, Any]) -> str | None:
    (given, _, cell), (_, link, key, wanted) = query["where"][0], query["ask"]
    met = [row for row in first if row[given] == cell]
    found = [row[wanted] for row in second for one in met if row[key] == one[link]]
    return found[0] if len(met) == len(found) == 1 and found[0] not in _NOTHING else None


def _is_answer(found: str | Fraction, answer: str) -> bool:
    if isinstance(found, str):
        return found == answer
    try:
        return found == Fraction(answer)
    except ValueError:
        return False


def _plain(text: str) -> str:
    return re.sub(r"[\s.!?;:]+\Z", "", " ".join(text.split()).casefold())


_KINDS: Mapping[str, Callable[[Row, Documents], Iterator[str]]] = {
    "calculation": _calculation,
    "code_result": _code_result,
    "code_input": _code_input,
    "question": _question,
    "session": _session,
    "table": _table,
}
