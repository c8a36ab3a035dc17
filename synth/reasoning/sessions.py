"""Worked examples of pages: what the last line of an interactive Python session shows.

Manuals print sessions (`>>> gcd(12, 18)`) with their results, so a question and its answer stand there; both are spans of the text. The
session is run besides, and what it shows must read as the same literal as what the page says: a stale example gives no row. The thoughts
are the values of names and inner expressions of the last line, evaluated too.

Asked is the last such line of a session that names nothing from elsewhere, at most 16 of one text. The quickstart's 5,900 sessions are
read in 2 CPU seconds and give 255 candidates, most of them on SymPy; of 244 that were run, 101 became rows: 92 had no inner value to
show, 40 showed something else than the page, 11 failed. A session costs 0.15 CPU seconds, both runs and all imports counted.

Not covered: sessions that need names of their module (`mean([1, 2])` without its import), results that are no literal, indented sessions.
"""

import ast
import builtins
import itertools
import json
import re
import symtable
from collections.abc import Iterator, Mapping, Sequence
from doctest import DocTestParser, Example
from typing import Any

from synth.draw import Stream
from synth.evidence import keyed
from synth.reasoning import run_functions
from synth.reasoning.code import LONG_FLOAT, TRIVIAL
from synth.reasoning.compare import is_right, read_literal
from synth.reasoning.problem import Posed, Problem, candidate, parent
from synth.reasoning.run_functions import Job, Outcome
from synth.rows import Verdicts

MAX_SESSIONS = 16  # of one text
MAX_CHARS = 1_500  # of a session as it is shown
MAX_ANSWER_CHARS = 200
MAX_PARTS = 5  # inner expressions in the thoughts
MAX_PART_CHARS = 120
MAX_NODES = 200  # of the last line: what is nested deeper cannot be unparsed
_SESSION = re.compile(r"^>>> [^\n]*\n(?:[^\n]+(?:\n|\Z)|\n(?=>>> ))*", re.M)
_NOT_FOR_READERS = re.compile(r"doctest:|<BLANKLINE>")
_SLOW = frozenset(["matplotlib", "pandas", "ray", "tensorflow", "torch", "transformers", "vllm"])  # seconds to import
_INNER = (ast.Attribute, ast.BinOp, ast.Call, ast.Name, ast.Subscript, ast.UnaryOp)
_ASK = (
    "[{Title} has this Python session.|Here is a Python session from {title}.|Look at this interactive session of {title}:]\n\n"
    "```pycon\n{session}\n```\n\n"
    "[What does the last line show?|What does Python print for the last line?|Which result stands under the last line?|"
    "Predict what the last line evaluates to.]"
)
_OPEN = "[Before the last line:|What the last line is made of:|I evaluate the parts of `{call}` first.]"
_CLOSE = "[So `{call}` shows {value}.|With these, the last line gives {value}.|That makes {value}.]"


def emit(source: Mapping[str, Any], title: str, seed: int) -> Iterator[dict[str, Any]]:
    """The sessions of a text that can be asked about, as they stand there."""
    found = []
    for match in _SESSION.finditer(source["text"]):
        if asked := _asked(match[0]):
            session, answer = ((match.start() + begin, length) for begin, length in asked.pop("spans"))
            found.append({**asked, "span": session, "answer_span": answer, "title": _named(title, match[0])})
    order = {each["span"]: keyed(seed, source["id"], "session", each["span"]) for each in found}
    for each in sorted(found, key=lambda each: (order[each["span"]], each["span"]))[:MAX_SESSIONS]:
        data = {**each, "session": source["text"][each["span"][0] : sum(each["span"])]}
        yield candidate("session", "session", each["source"] + each["call"], order[each["span"]], source, data)


def _named(title: str, session: str) -> str:
    """The title of its document; of one on many objects, which is called by the first, only where that is the session's."""
    _, dot, name = title.strip("“”`").rpartition(".")
    return title if not dot or name in session else "a manual"


def problems(rows: Sequence[Mapping[str, Any]], seed: int) -> Iterator[Posed]:
    """Problems in the order of the draw, each session once; they are run as they are needed."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["order"], row["id"], row["data"])):
        data = json.loads(row["data"])
        first.setdefault((data["source"], data["call"]), {**row, "data": data})
    waiting = iter(first.values())
    while batch := list(itertools.islice(waiting, run_functions.BATCH)):
        jobs = [Job(row["data"]["source"], (row["data"]["call"], *_parts(row["data"]["call"]))) for row in batch]
        modules = sorted({name for job in jobs for name in _imported(job.source)})
        for row, job, outcomes in zip(
            batch, jobs, run_functions.run(jobs, as_shown=True, modules=modules), strict=True
        ):
            yield _problem(row, job, outcomes, Stream(seed, row["id"], "session", *row["data"]["span"]))


def _asked(session: str) -> dict[str, Any] | None:
    """The last line that can be asked about, with what runs before it, and the spans of both it and its result in the session."""
    session = session[: session.rfind("\n", 0, MAX_CHARS + MAX_ANSWER_CHARS) + 1] or session[:MAX_CHARS]
    try:
        examples = DocTestParser().get_examples(session)
    except ValueError:
        return None
    ends = list(itertools.accumulate((len(line) + 1 for line in session.split("\n")), initial=0))
    for place in range(len(examples) - 1, -1, -1):
        last = examples[place]
        end = ends[last.lineno + last.source.count("\n")]
        before = "".join(each.source for each in examples[:place])
        if end <= MAX_CHARS and _NOT_FOR_READERS.search(session[:end]) is None and _can_be_asked(before, last):
            answer = last.want.strip()
            begin = session.index(answer, end)
            call = ast.unparse(ast.parse(last.source.strip(), mode="eval"))
            spans = ((0, len(session[:end].rstrip())), (begin, len(answer)))
            return {"source": before, "call": call, "value": answer, "spans": spans}
    return None


def _can_be_asked(before: str, last: Example) -> bool:
    value = last.want.strip()
    known = (
        len(value) <= MAX_ANSWER_CHARS and value not in {*TRIVIAL, "", "True", "False"} and not LONG_FLOAT.search(value)
    )
    if not known:
        return False
    try:
        read_literal(value)
        inner = _parts(last.source.strip())
        names = symtable.symtable(before + last.source, "session", "exec").get_symbols()
        imported = _imported(before)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    assigned = {name.get_name() for name in names if name.is_assigned()}
    has_parts = any(not part.isidentifier() or part in assigned for part in inner)
    given = has_parts and all(
        name.is_assigned() or name.is_imported() or hasattr(builtins, name.get_name()) for name in names
    )
    return given and not any(name.partition(".")[0] in _SLOW for name in imported)


def _imported(source: str) -> set[str]:
    """The modules that a source imports, by their whole names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _parts(call: str) -> list[str]:
    """Names and inner expressions of an expression, the inmost first. ValueError for one of more than `MAX_NODES` nodes."""
    whole = ast.parse(call, mode="eval").body
    if sum(1 for _ in ast.walk(whole)) > MAX_NODES:
        raise ValueError(f"an expression of more than {MAX_NODES} nodes")
    called = {id(node.func) for node in ast.walk(whole) if isinstance(node, ast.Call)}
    inner = [
        node for node in ast.walk(whole) if isinstance(node, _INNER) and node is not whole and id(node) not in called
    ]
    return list(dict.fromkeys(map(ast.unparse, reversed(inner))))[:MAX_PARTS]


def _problem(row: Mapping[str, Any], job: Job, outcomes: Sequence[Outcome], draw: Stream) -> Posed:
    data, (shown, *inner) = row["data"], outcomes
    agrees = not shown.error and is_right("literal", data["value"], shown.value)
    known = [
        (part, each.value)
        for part, each in zip(job.calls[1:], inner, strict=True)
        if not each.error
        and "".join(each.value.split()) != "".join(part.split())
        and len(each.value) <= MAX_PART_CHARS
        and each.value[:1] != "<"
    ]
    verdicts: Verdicts = {
        "executed_twice": {"passed": not shown.error, "runs": len(run_functions.HASH_SEEDS), "error": shown.error},
        "as_printed": {"passed": agrees, "again": shown.value},
        "worked": {"passed": bool(known), "parts": len(known)},
    }
    title = data["title"]
    question = draw.say(_ASK, {"title": title, "Title": title[:1].upper() + title[1:], "session": data["session"]})
    slots = {"call": data["call"], "value": shown.value}
    lines = [draw.say(_OPEN, slots), *(f"`{part}` is {value}" for part, value in known), draw.say(_CLOSE, slots)]
    task = {
        "kind": "session",
        **{name: data[name] for name in ("source", "call", "span", "answer_span")},
        "value": shown.value,
        "measured": {"parts": len(known), "source_lines": data["source"].count("\n")},
    }
    name = f"session:{row['id']}:{data['span'][0]}"
    problem = Problem(name, question, shown.value, "\n".join(lines), "literal", task, verdicts)
    return Posed(problem, (parent(row),))
