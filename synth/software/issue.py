"""An issue as a user would write it: what was called, what it gave, what it should give; and the proof that it gives nothing away.

Everything in it was observed: the failing statement stands in a test, its value was written down when it failed. How it is shown
(`reports.py`), in which order and register, and the words (`phrases.py`) are drawn by the task's name. An issue may name what the test
names, and nothing else of the code: not the file of the bug, not the function where the test does not call it, no line of the patch, not
the test. Of 400 tasks the ten commonest forms, code and values apart, are 4 % (`synth.variety`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.draw import Draw
from synth.software import phrases, reports
from synth.software.observe import Observed
from synth.software.patch import changed_lines

MIN_LINE_CHARS = 8  # shorter lines of a patch (`else:`, `i += 1`) are anybody's
_REGISTERS = ("plain", "plain", "plain", "terse", "sections", "letter")
_ORDERS = (
    ("shown", "seen", "wanted"),
    ("shown", "wanted", "seen"),
    ("seen", "wanted", "shown"),
    ("seen", "shown", "wanted"),
    ("wanted", "shown", "seen"),
)


class Secret(NamedTuple):
    """What an issue may not tell."""

    path: str  # of the file with the bug
    functions: tuple[str, ...]  # dotted
    patch: str
    tests: tuple[str, ...]  # that fail


def write(observed: Observed, *, package: str, version: str, seed: int, name: str, other: str = "") -> str:
    """The text, Markdown. `other`: another expression that fails, to be told beside it."""
    draw = Draw(seed, name, "issue")
    form = draw.pick(reports.possible(observed), "form")
    values = {
        "package": package,
        "version": version,
        "expression": observed.expression,
        "actual": reports.short(observed.actual),
        "expected": reports.short(observed.expected),
        "exception": observed.actual,
        "error": reports.told(observed),
        "public": f"`{observed.public}`" if observed.public else "a call",
        "other": other,
    }

    def say(slot: str, choices: Sequence[str]) -> str:
        told = draw.say(draw.pick(choices, slot), values, slot, "words")
        return re.sub(r"^a call", "A call", told)

    kind = "line" if form == "script" and not observed.snippet else form
    parts = {
        "title": say("title", phrases.TITLES[observed.kind]),
        "opening": say("opening", phrases.OPENINGS),
        "shown": "\n\n".join(filter(None, (say("lead", phrases.LEADS[kind]), reports.shown(observed, form, draw)))),
        "seen": say("seen", phrases.SEEN[observed.kind]),
        "wanted": say("wanted", phrases.WANTED[observed.kind]),
        "more": say("more", phrases.MORE) if other and draw.chance(60, "more") else "",
        "consequence": say("consequence", phrases.CONSEQUENCES),
        "closing": say("closing", phrases.CLOSINGS),
    }
    if form in ("session", "list") and draw.chance(60, "once"):
        parts["seen"] = ""  # it stands in the block
    return _laid_out(parts, draw)


def _laid_out(parts: Mapping[str, str], draw: Draw) -> str:
    """The parts in an order and a register of their own."""
    register = draw.pick(_REGISTERS, "register")
    order = draw.pick(_ORDERS, "order")
    title = draw.pick(phrases.TITLE_MARKS, "mark").replace("{title}", parts["title"])
    if register == "terse":
        paragraphs = [title, *(parts[name] for name in order)]
    elif register == "sections":
        heads = [draw.say(head, {}, "heading", head) for head in draw.pick(phrases.HEADINGS, "headings")]
        mark = draw.pick(("### {}", "## {}", "**{}**", "*{}*", "{}:"), "level")
        told = zip(heads, (parts["shown"], parts["seen"], parts["wanted"]), strict=True)
        sections = [f"{mark.replace('{}', head)}\n\n{text}" for head, text in told if text]
        paragraphs = [
            title,
            parts["opening"] if draw.chance(50, "open") else "",
            *sections,
            parts["more"],
            parts["closing"],
        ]
    elif register == "letter":
        first = draw.say(draw.pick(phrases.GREETINGS, "greeting"), {}, "hello") + parts["opening"]
        rest = f"{parts['more']} {parts['consequence']} {parts['closing']}".strip()
        body = [f"{parts['seen']} {parts['wanted']}".strip(), parts["shown"]]
        paragraphs = [title, first, *(body if order[0] == "seen" else reversed(body)), rest]
    else:
        tail = [parts["more"], parts["consequence"], parts["closing"]]
        joined = draw.chance(50, "join")
        end = [" ".join(filter(None, tail))] if joined else tail
        opening = parts["opening"] if draw.chance(70, "open") else ""
        paragraphs = [title, opening, *(parts[name] for name in order), *end]
    return "\n\n".join(part.strip() for part in paragraphs if part.strip())


def leaks(issue: str, secret: Secret, allowed: frozenset[str]) -> list[str]:
    """What of a secret an issue tells; `allowed` are the identifiers of the test that it describes."""
    found = []
    module = secret.path.removesuffix(".py").replace("/", ".")
    for told in (secret.path, secret.path.rpartition("/")[2], module):
        if _has(issue, told) and not (told == module and set(module.split(".")) <= allowed):
            found.append(told)
    for function in secret.functions:
        last = function.rpartition(".")[2]
        if last not in allowed and _has(issue, last):
            found.append(last)
    found += leaked_lines(issue, changed_lines(secret.patch))
    for test in secret.tests:
        path, _, names = test.partition("::")
        found += [told for told in (path, names.partition("[")[0].rpartition("::")[2]) if _has(issue, told)]
    return sorted(set(found))


def leaked_lines(issue: str, lines: Sequence[str]) -> list[str]:
    """Lines of code that an issue shows, spacing apart."""
    folded = " ".join(issue.split())
    joined = {" ".join(line.split()) for line in lines}
    return sorted(line for line in joined if len(line) >= MIN_LINE_CHARS and line in folded)


def written(
    observed: Observed, others: Sequence[Observed], secret: Secret, *, package: str, version: str, seed: int, name: str
) -> tuple[str, Mapping[str, Any]]:
    """The issue and the verdict that it leaks nothing. What would leak is left out: another example, then the exception's own message."""
    other = next((one for one in others if one.expression != observed.expression and reports.stands_alone(one)), None)
    for shown, beside in ((observed, other), (observed, None), (observed._replace(message=""), None)):
        extra = beside.expression if beside else ""
        text = write(shown, package=package, version=version, seed=seed, name=name, other=extra)
        found = leaks(text, secret, observed.names | (beside.names if beside else frozenset()))
        if not found:
            break
    return text, {"passed": not found, "leaks": found}


def _has(text: str, told: str) -> bool:
    return bool(told) and re.search(rf"(?<![\w.]){re.escape(told)}(?!\w)", text) is not None
