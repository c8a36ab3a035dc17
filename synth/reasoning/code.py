"""Questions about what code does: what a call returns, and which arguments give a result. The code was run; the thoughts are its trace.

`emit` sends functions and the calls that a file makes; a function meets the calls of its name in its repository. `problems` runs them and
asks, of each function, for at most three results and one input. What is not worth a question is dropped: functions that gave fewer than two
different results, results that are just an argument.
"""

import ast
import difflib
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.draw import Stream
from synth.evidence import keyed
from synth.reasoning import inputs, run_functions
from synth.reasoning.functions import functions
from synth.reasoning.problem import Posed, Problem, candidate, parent
from synth.reasoning.run_functions import Job, Outcome
from synth.reasoning.trace_words import told

CALLS = 16  # tried of one function
CORPUS_CALLS = 8  # of these, that files make
RESULTS = 3  # asked for, of one function
MIN_LINES = 2  # executed
TRIVIAL = frozenset({"None", "''", "b''", "[]", "{}", "()"})
LONG_FLOAT = re.compile(r"\d\.\d{5}|\de[-+]\d")  # nobody works that out by hand
_RESULT = (
    "[What does `{call}` return?|What is the value of `{call}`?|Predict the result of `{call}`.|`{call}` is evaluated. What comes out?]"
    "[| Give it as a Python literal.| Write it as Python would show it.]"
)
_INPUT = (
    "[Find arguments for `{name}` such that it returns `{value}`.|Which call of `{name}` returns `{value}`? Any one will do.|"
    "Give a call of `{name}` whose result is `{value}`.|`{name}` returned `{value}`. With which arguments could it have been called?]"
    "[| Use literals only.| Answer with a call whose arguments are literals.]"
)
_LEAD = (
    "[Here is a Python function|Look at this Python code|Read this function|The following code is Python][.|{where}.]\n\n"
    "```python\n{source}\n```\n\n"
)


class Tried(NamedTuple):
    """A function with the calls that were tried and what they did."""

    row: Mapping[str, Any]  # of `CANDIDATES`
    name: str
    source: str
    calls: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def emit(source: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """The functions of a Python file, and the calls with literal arguments that it makes."""
    for function in functions(source["text"]):
        data = {"name": function.name, "source": function.source, "start": function.start, "length": function.length}
        yield candidate("function", "code", function.name, keyed(seed, source["id"], function.start), source, data)
    for call in inputs.calls(source["text"]):
        yield candidate("call", "code", call.name, 0, source, {"name": call.name, "arguments": call.arguments})


def problems(rows: Sequence[Mapping[str, Any]], seed: int) -> Iterator[Posed]:
    """Problems in the order of the draw, repositories taking turns; functions are run as they are needed."""
    calls: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["part"] == "call":
            data = json.loads(row["data"])
            calls[_repository(row), data["name"]].add(data["arguments"])
    waiting = iter(_by_turns([row for row in rows if row["part"] == "function"]))
    while batch := list(itertools.islice(waiting, run_functions.BATCH)):
        jobs = [_job(row, calls, seed) for row in batch]
        for row, job, outcomes in zip(batch, jobs, run_functions.run(jobs), strict=True):
            data = json.loads(row["data"])
            yield from _problems(Tried(row, data["name"], data["source"], job.calls, outcomes), seed)


def _repository(row: Mapping[str, Any]) -> str:
    return str(row["origin"]).partition("@")[0]


def _by_turns(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One function of every repository, then a second of each, and so on; of equal sources only the first by origin."""
    first: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["origin"], row["data"])):
        first.setdefault(json.loads(row["data"])["source"], row)
    turns: dict[str, int] = defaultdict(int)
    placed = []
    for row in sorted(first.values(), key=lambda row: (row["order"], row["origin"])):
        placed.append((turns[_repository(row)], row["order"], row["origin"], row))
        turns[_repository(row)] += 1
    return [row for *_, row in sorted(placed, key=lambda entry: entry[:3])]


def _job(row: Mapping[str, Any], calls: Mapping[tuple[str, str], set[str]], seed: int) -> Job:
    data = json.loads(row["data"])
    known = calls.get((_repository(row), data["name"]), ())
    order = sorted(known, key=lambda arguments: (keyed(seed, row["id"], "call", arguments), arguments))[:CORPUS_CALLS]
    draw = Stream(seed, row["id"], "inputs", data["start"])
    drawn = inputs.drawn(data["source"], data["name"], draw, CALLS - len(order))
    return Job(data["source"], tuple(f"{data['name']}({arguments})" for arguments in dict.fromkeys([*order, *drawn])))


def _problems(tried: Tried, seed: int) -> Iterator[Posed]:
    draw = Stream(seed, tried.row["id"], "ask", tried.name)
    worth = [
        place
        for place, outcome in enumerate(tried.outcomes)
        if _is_worth(tried.calls[place], outcome) and told(tried.source, outcome)
    ]
    distinct = {tried.outcomes[place].value for place in worth}
    verdicts = {
        "executed_twice": {"passed": any(not o.error for o in tried.outcomes), "runs": len(run_functions.HASH_SEEDS)},
        "varied": {"passed": len(distinct) >= 2, "results": len(distinct), "calls": len(tried.calls)},
    }
    if not all(verdict["passed"] for verdict in verdicts.values()):
        task = {"kind": "code_result", "source": tried.source, "errors": sorted({o.error for o in tried.outcomes})}
        problem = Problem(f"code:{_place(tried)}", tried.source, "", "", "", task, verdicts)
        yield Posed(problem, (parent(tried.row),))
        return
    chosen: dict[str, int] = {}
    for place in sorted(worth, key=lambda place: (place >= CORPUS_CALLS, -min(tried.outcomes[place].lines, 40), place)):
        chosen.setdefault(tried.outcomes[place].value, place)
    places = list(chosen.values())
    for place in places[:RESULTS]:
        yield _result(tried, place, draw, verdicts)
    if len(places) > RESULTS:
        yield _input(tried, places[RESULTS], worth, draw, verdicts)


def _is_worth(call: str, outcome: Outcome) -> bool:
    """Whether a call has a result that had to be worked out."""
    if outcome.error or outcome.value in TRIVIAL or outcome.lines < MIN_LINES or LONG_FLOAT.search(outcome.value):
        return False
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    arguments = [ast.literal_eval(value) for value in (*node.args, *(keyword.value for keyword in node.keywords))]
    return outcome.value not in map(repr, arguments)


def _result(tried: Tried, place: int, draw: Stream, verdicts: Mapping[str, Any]) -> Posed:
    call, outcome = tried.calls[place], tried.outcomes[place]
    question = draw.say(_LEAD + _RESULT, {"source": tried.source, "call": call, "where": _where(tried)})
    opening = draw.say(
        "[I follow the call line by line.|Step by step through `{call}`:|Tracing the call:|What happens, in order:]",
        {"call": call},
    )
    thoughts = "\n".join([opening, *(told(tried.source, outcome) or ())])
    task = {
        "kind": "code_result",
        "source": tried.source,
        "call": call,
        "value": outcome.value,
        **_shape(tried, outcome),
    }
    problem = Problem(f"code:{_place(tried)}:{call}", question, outcome.value, thoughts, "literal", task, verdicts)
    return Posed(problem, (parent(tried.row),))


def _input(tried: Tried, place: int, worth: Sequence[int], draw: Stream, verdicts: Mapping[str, Any]) -> Posed:
    """Other calls are tried first, with what they really gave; then the one that fits."""
    call, outcome = tried.calls[place], tried.outcomes[place]
    question = draw.say(
        _LEAD + _INPUT, {"source": tried.source, "name": tried.name, "value": outcome.value, "where": _where(tried)}
    )
    lines = [draw.say("[I try some calls.|Let me try arguments and compare.|Trying calls until one fits:]", {})]
    for other in _nearest(tried, worth, outcome.value)[: draw.integer(1, 2)]:
        lines.append(f"`{tried.calls[other]}` gives {tried.outcomes[other].value}: not that.")
    if quoted := [shown for shown in _strings(call) if shown[1:-1] in outcome.value]:
        lines.append(f"The result has {' and '.join(quoted)} in it, so I pass that in.")
    lines += [f"`{call}`:", *(told(tried.source, outcome) or ()), "That is the result asked for."]
    task = {
        "kind": "code_input",
        "source": tried.source,
        "name": tried.name,
        "call": call,
        "value": outcome.value,
        **_shape(tried, outcome),
    }
    problem = Problem(f"input:{_place(tried)}:{call}", question, call, "\n".join(lines), "call", task, verdicts)
    return Posed(problem, (parent(tried.row),))


def _nearest(tried: Tried, worth: Sequence[int], value: str) -> list[int]:
    """The calls with other results, those whose results are most like `value` last: the tries come closer."""
    others = [other for other in worth if tried.outcomes[other].value != value]
    likeness = {other: difflib.SequenceMatcher(None, tried.outcomes[other].value, value).ratio() for other in others}
    return sorted(sorted(others, key=lambda other: (-likeness[other], other))[:2], key=lambda other: likeness[other])


def _strings(call: str) -> list[str]:
    """The strings of three characters or more among the arguments of a call, as they are written."""
    node = ast.parse(call, mode="eval").body
    return [
        repr(inner.value)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and len(inner.value) >= 3
    ]


def _place(tried: Tried) -> str:
    return f"{tried.row['id']}:{tried.name}"


def _where(tried: Tried) -> str:
    return f" from `{tried.row['origin'].rpartition(':')[2]}`"


def _shape(tried: Tried, outcome: Outcome) -> dict[str, Any]:
    """How hard it may be, as far as the program tells."""
    return {"measured": {"lines": outcome.lines, "source_lines": tried.source.count("\n") + 1}}
