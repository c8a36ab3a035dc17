"""Calls of tools that are only described: documents are descriptions, and a row is a request that leaves one right call, or none.

Nothing answers a tool that is only described, so no state can prove a row. What can be proved is that the request determines the call, as
in BFCL's exact match: the request is read back (`synth.tooluse.arguments`) and has to give the same arguments, and of the tools that are
listed, those of the same document, its words have to fit one clearly best. Kinds of rows:

    single      one call
    parallel    the same tool twice, or two tools, in one turn
    missing     a required argument is left out; the assistant asks for it, and calls when it is told
    irrelevant  the tool that would fit is not listed; the assistant says that none does

After a call stands an observation that says only that it was accepted: the assistant learns to wait for one, and nothing is made up.
A description of which no tool can be made is a reject with its place and reason (`synth.<reason>`, `synth.tooluse.described`).

`task` in `meta`: kind; requested, the tool {name, description, parameters} of each call; calls [{name, arguments}], empty if irrelevant;
parts, what the user says that determines each call; missing, the parameter that is told later, or "". What is listed stands in the text.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.schema import DROP
from synth.draw import Draw
from synth.evidence import keyed
from synth.generators import Generator
from synth.render import Call, Turn
from synth.rows import Made, Parent, documents
from synth.tooluse.arguments import NoValue, in_words, read_back, said, sampled
from synth.tooluse.described import Described, tools_of
from synth.tooluse.tools import problem

NAME = "calls"
KINDS = ("single",) * 5 + ("parallel",) * 2 + ("missing",) * 2 + ("irrelevant",) * 2
MAX_LISTED = 8
MIN_MARGIN = 0.2  # of the share of a tool's words that a request has, over that of the next best tool
MAX_FIT = 0.5  # of a listed tool, where none is to fit
ACCEPTED = '{"status": "accepted"}'
VERBS = frozenset(
    (
        "add", "analyze", "analyse", "apply", "book", "browse", "build", "calculate", "call", "cancel", "change",
        "check", "choose", "close", "compare", "compress", "compute", "configure", "convert", "copy", "count", "create",
        "decode", "delete", "deploy", "detect", "determine", "discover", "display", "download", "draw", "edit",
        "encode", "estimate", "evaluate", "execute", "export", "extract", "fetch", "fill", "filter", "find", "format",
        "forecast", "generate", "get", "give", "identify", "import", "insert", "inspect", "install", "join", "launch",
        "list", "load", "locate", "log", "look", "make", "measure", "merge", "modify", "monitor", "move", "open",
        "optimize", "order", "parse", "perform", "place", "play", "plot", "post", "predict", "print", "process",
        "produce", "provide", "publish", "pull", "push", "query", "rate", "read", "rearrange", "recommend", "record",
        "register", "remove", "rename", "render", "replace", "report", "request", "reserve", "reset", "resolve",
        "retrieve", "return", "run", "save", "schedule", "search", "select", "send", "set", "show", "simulate", "solve",
        "sort", "start", "stop", "store", "submit", "suggest", "summarize", "switch", "take", "test", "track",
        "transfer", "translate", "trim", "turn", "update", "upload", "validate", "verify", "view", "visualize", "wait",
        "write",
    )
)  # fmt: skip
_STOP = frozenset(
    [
        "the",
        "and",
        "for",
        "from",
        "with",
        "that",
        "this",
        "into",
        "can",
        "all",
        "any",
        "are",
        "was",
        "its",
        "given",
        "using",
        "use",
        "used",
        "based",
        "which",
        "one",
        "has",
        "have",
        "a",
        "an",
        "of",
        "to",
        "in",
        "on",
    ]
)
ASK = "[|Please |Could you |I need you to |Can you |I'd like you to |Would you |]{what}"
ASK_FOR = "[What I need:|I need this:|Here is what I want:|My request:] {what}"
NONE = (
    "[None of my tools can do that.|I have no tool for that.|I'm afraid that is beyond my tools.|My tools do not cover "
    "that, so I can't help with it.]"
)
NONE_THOUGHT = (
    "[{count} tools are listed, and none of them does this.|No description fits the request.|Calling one of these "
    "would only pretend to help.]"
)
CALL_THOUGHT = "[{tool} does this, and everything it needs was said.|The request fits {tool}.|{tool} is the one; its arguments are given.]"
ASK_MISSING = "[What is the {name}?|Could you tell me the {name}?|I need the {name} for that. What is it?|Which {name} should I take?]"
ASK_MISSING_THOUGHT = (
    "[{tool} needs {name}, which was not said.|{name} is required and missing.|I should not guess {name}.]"
)
TOOLS = pa.schema(
    [
        ("key", pa.uint64()),  # of the document
        ("id", pa.string()),
        ("sha", pa.string()),
        ("license", pa.string()),
        ("where", pa.string()),
        ("order", pa.int64()),  # in the document
        ("tool", pa.string()),  # JSON
        ("reason", pa.string()),
    ]
)


def emit(docs: pa.Table) -> pa.Table:
    """The tools of every document, and what is no tool with its reason."""
    rows = []
    for id_, license_, text in zip(docs["id"].to_pylist(), docs["license"].to_pylist(), docs["text"], strict=True):
        parent = Parent.of(id_, text.as_py() or "", license_)
        for order, found in enumerate(tools_of(text.as_py() or "")):
            rows.append(
                {
                    "key": keyed(0, id_, "key"),
                    **parent._asdict(),
                    **found._asdict(),
                    "order": order,
                    "tool": json.dumps(found.tool, ensure_ascii=False) if found.tool else None,
                }
            )
    return pa.Table.from_pylist(rows, schema=TOOLS)


def reduce(rows: pa.Table, *, seed: int = 0, per_tool: int = 2, accept: int = 0) -> pa.Table:
    """`per_tool` requests for every tool, and what failed a check or is no tool."""
    made = Made(NAME, seed)
    received = sorted(rows.to_pylist(), key=lambda row: (row["id"], row["order"]))
    tools: dict[str, list[Mapping[str, Any]]] = {}
    found = []
    wanted = []
    for row in received:
        parent = Parent(row["id"], row["sha"], row["license"])
        if row["tool"] is None:
            found.append(_no_tool(made, parent, Described(row["where"], None, row["reason"])))
        else:
            tools.setdefault(row["id"], []).append(json.loads(row["tool"]))
            wanted += [
                (Draw(seed, NAME, row["id"], row["where"], n), parent, len(tools[row["id"]]) - 1, n)
                for n in range(per_tool)
            ]
    accepted = 0
    for draw, parent, index, n in sorted(
        wanted, key=lambda one: (one[0].below(1 << 62, "order"), one[1].id, one[2], one[3])
    ):
        if accept and accepted >= accept:
            break
        of_one = _requested(made, parent, tools[parent.id], index, f"{parent.id}-{index}-{n}", draw)
        found += of_one
        accepted += sum(row[DROP] is None for row in of_one)
    return documents(found)


def _no_tool(made: Made, parent: Parent, found: Described) -> dict[str, Any]:
    verdicts = {str(found.reason): {"passed": False, "where": found.where}}
    return made.reject(
        f"{parent.id}-{found.where}",
        found.where or parent.id,
        kind="agent",
        parents=[parent],
        task={},
        verdicts=verdicts,
    )


class _Asked(NamedTuple):
    """A request before it has words."""

    kind: str
    tools: Sequence[Mapping[str, Any]]  # that of each call
    calls: Sequence[Call]
    listed: Sequence[Mapping[str, Any]]
    purposes: Mapping[str, str]  # what each tool of the document is for, by name
    missing: str  # the parameter that is told later, or ""


def _requested(
    made: Made, parent: Parent, tools: Sequence[Mapping[str, Any]], index: int, name: str, draw: Draw
) -> list[dict[str, Any]]:
    """The rows of one request for the tool of this number; one reject where no value is known for an argument."""
    tool = tools[index]
    kind = draw.pick(KINDS, "kind")
    others = draw.shuffled([other for number, other in enumerate(tools) if number != index], "others")[: MAX_LISTED - 1]
    if (kind == "irrelevant" and not others) or (kind == "missing" and not tool["parameters"]["required"]):
        kind = "single"
    chosen = [tool]
    if kind == "parallel":
        chosen.append(others[0] if others and draw.chance(50, "two tools") else tool)
    try:
        calls = [Call(one["name"], sampled(one, draw, number)) for number, one in enumerate(chosen)]
    except NoValue as error:
        verdicts = {"no_value": {"passed": False, "parameter": str(error)}}
        return [
            made.reject(name, json.dumps(tool), kind="agent", parents=[parent], task={"kind": kind}, verdicts=verdicts)
        ]
    missing = draw.pick(tool["parameters"]["required"], "missing") if kind == "missing" else ""
    listed = draw.shuffled(others if kind == "irrelevant" else [tool, *others], "listed")
    asked = _Asked(kind, chosen, calls, listed, {one["name"]: _purpose(one, tools) for one in tools}, missing)
    turns, parts = _conversation(asked, draw)
    task = {
        "kind": kind,
        "requested": chosen,
        "calls": []
        if kind == "irrelevant"
        else [{"name": call.name, "arguments": dict(call.arguments)} for call in calls],
        "parts": parts,
        "missing": missing,
    }
    direct = draw.chance(50, "direct")
    if direct:
        turns = [dataclasses.replace(turn, think="") for turn in turns]
    verdicts = _verdicts(asked, parts)
    return made.rows(name, turns, kind="agent", parents=[parent], task=task, verdicts=verdicts, direct=direct)


def _conversation(asked: _Asked, draw: Draw) -> tuple[list[Turn], list[str]]:
    """The turns, and what the user says of each call."""
    calls, missing = asked.calls, asked.missing
    parts = []
    for number, (tool, call) in enumerate(zip(asked.tools, calls, strict=True)):
        told = {name: value for name, value in call.arguments.items() if name != missing}
        again = number > 0 and tool is asked.tools[0]
        parts.append(_again(told, draw) if again else _part(asked.purposes[tool["name"]], told, draw, number))
    turns = [Turn("system", tools=tuple(asked.listed)), Turn("user", " ".join(parts))]
    slots = {"tool": calls[0].name, "name": in_words(missing), "count": len(asked.listed)}
    if asked.kind == "irrelevant":
        return [
            *turns,
            Turn("assistant", draw.say(NONE, slots, "none"), think=draw.say(NONE_THOUGHT, slots, "why")),
        ], parts
    if missing:
        late = said({missing: calls[0].arguments[missing]}, draw, "late")
        answer = f"{draw.pick(('Sure', 'Of course', 'Right', 'Sorry'), 'sure')}: {late}."
        turns.append(
            Turn(
                "assistant", draw.say(ASK_MISSING, slots, "ask"), think=draw.say(ASK_MISSING_THOUGHT, slots, "why ask")
            )
        )
        turns.append(Turn("user", answer))
        parts = [f"{parts[0]} {answer}"]
    turns.append(Turn("assistant", think=draw.say(CALL_THOUGHT, slots, "why"), calls=tuple(calls)))
    return [*turns, Turn("observation", responses=(ACCEPTED,) * len(calls))], parts


def _again(arguments: Mapping[str, Any], draw: Draw) -> str:
    """The same request with other arguments."""
    again = draw.pick(("And the same", "Then the same", "And once more", "And again"), "again")
    return f"{again} with: {said(arguments, draw, 1)}." if arguments else f"{again}."


def _part(purpose: str, arguments: Mapping[str, Any], draw: Draw, number: int) -> str:
    """A request for what a tool is for, with the arguments behind it."""
    first = purpose.split()[0]
    forms = (first.lower(), first.lower().removesuffix("s"), first.lower().removesuffix("es"))
    verb = next((form for form in forms if form in VERBS), None)
    what = verb + purpose[len(first) :] if verb else purpose
    asked = draw.say(ASK if verb else ASK_FOR, {"what": what}, "ask", number)
    asked = asked[0].upper() + asked[1:] + ("?" if asked.startswith(("Could", "Can", "Would")) else ".")
    joined = draw.pick(("Also: ", "And then: ", "Besides: "), "and") if number else ""
    return joined + asked + (f" {said(arguments, draw, number)}." if arguments else "")


def _purpose(tool: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> str:
    """The first sentence of a description that no other tool of its document has too, without a label such as `Tool description:`."""
    shared = {sentence for other in tools if other["name"] != tool["name"] for sentence in _sentences(other)}
    own = next((sentence for sentence in _sentences(tool) if sentence not in shared), _sentences(tool)[0])
    return re.sub(r"^\w+ \w+: ", "", own).rstrip(". ") or tool["name"]


def _sentences(tool: Mapping[str, Any]) -> list[str]:
    return re.split(r"(?<=[\w)])\. ", tool["description"])


def _verdicts(asked: _Asked, parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    pairs = list(zip(asked.tools, asked.calls, parts, strict=True))
    wrong = [text for tool, call, _ in pairs if (text := problem(tool["parameters"], call.arguments))]
    read = sum(read_back(part, tool) == dict(call.arguments) for tool, call, part in pairs)
    verdicts: dict[str, dict[str, Any]] = {
        "schema": {"passed": not wrong, "problems": wrong},
        "determined": {"passed": read == len(pairs), "calls": len(pairs), "read_back": read},
    }
    fits = [
        {name: _fit(asked.purposes[tool["name"]], asked.purposes[name]) for name in asked.purposes}
        for tool in asked.tools
    ]
    names = [tool["name"] for tool in asked.listed]
    if asked.kind == "irrelevant":
        best = max(fits[0][name] for name in names)
        return verdicts | {"none_fits": {"passed": best <= MAX_FIT, "best": round(best, 3), "limit": MAX_FIT}}
    margin = min(
        fit[tool["name"]] - max((fit[name] for name in names if name != tool["name"]), default=0.0)
        for fit, tool in zip(fits, asked.tools, strict=True)
    )
    return verdicts | {
        "tool_stands_out": {"passed": margin >= MIN_MARGIN, "margin": round(margin, 3), "limit": MIN_MARGIN}
    }


def _fit(request: str, purpose: str) -> float:
    """The share of the words of a purpose that a request has."""
    words = _words(purpose)
    return len(words & _words(request)) / len(words) if words else 0.0


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in _STOP}


CALLS = Generator(emit, reduce)
