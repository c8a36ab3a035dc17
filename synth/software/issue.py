"""An issue as a user would write it: what was called, what it gave, what it should give; and the proof that it gives nothing away.

Everything in it was observed: the failing statement stands in a test, its value was written down when it failed. The words around it come
from a small grammar (`phrases.py`), drawn by the task's name. An issue may name what the test names, and nothing else of the code: not the
file of the bug, not the function where the test does not call it, no line of the patch, not the test.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.evidence import keyed
from synth.software import phrases
from synth.software.observe import Observed
from synth.software.patch import changed_lines

MIN_LINE_CHARS = 8  # shorter lines of a patch (`else:`, `i += 1`) are anybody's
MAX_VALUE_CHARS = 240


class Secret(NamedTuple):
    """What an issue may not tell."""

    path: str  # of the file with the bug
    functions: tuple[str, ...]  # dotted
    patch: str
    tests: tuple[str, ...]  # that fail


def write(observed: Observed, *, package: str, version: str, seed: int, name: str, with_message: bool = True) -> str:
    """The text, Markdown."""

    def pick(slot: str, choices: Sequence[str]) -> str:
        return choices[keyed(seed, name, "issue", slot) % len(choices)]

    values = {
        "package": package,
        "version": version,
        "expression": observed.expression,
        "actual": _short(observed.actual),
        "expected": _short(observed.expected),
        "error": observed.actual + (f": {_short(observed.message)}" if observed.message and with_message else ""),
        "public": f"`{observed.public}`" if observed.public else "a call",
    }
    title = pick("title", phrases.TITLES[observed.kind]).format_map(values)
    title = re.sub(r"^a call", "A call", title)
    opening = pick("opening", phrases.OPENINGS).format_map(values)
    seen = pick("seen", phrases.SEEN[observed.kind]).format_map(values)
    wanted = pick("wanted", phrases.WANTED[observed.kind]).format_map(values)
    closing = pick("closing", phrases.CLOSINGS).format_map(values)
    code = observed.snippet or "\n".join(filter(None, (observed.setting, observed.expression)))
    lead = pick("lead", phrases.LEADS if observed.snippet else phrases.SHORT_LEADS).format_map(values)
    shown = f"{lead}\n\n```python\n{code}\n```"
    layouts: tuple[list[str], ...] = (
        [f"# {title}", opening, shown, seen, wanted, closing],
        [title, shown, seen, wanted],
        [f"**{title}**", opening, seen, wanted, shown, closing],
        [title, "### Steps to reproduce", shown, "### What happens", seen, "### What should happen", wanted, closing],
        [f"{title}. {opening}", shown, f"{seen} {wanted}", closing],
        [title, f"{opening} {seen} {wanted}", shown],
    )
    return "\n\n".join(part for part in layouts[keyed(seed, name, "issue", "layout") % len(layouts)] if part)


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
    observed: Observed, secret: Secret, *, package: str, version: str, seed: int, name: str
) -> tuple[str, Mapping[str, Any]]:
    """The issue and the verdict that it leaks nothing; the exception's own message is left out where that is what leaks."""
    for with_message in (True, False):
        text = write(observed, package=package, version=version, seed=seed, name=name, with_message=with_message)
        found = leaks(text, secret, observed.names)
        if not found:
            break
    return text, {"passed": not found, "leaks": found}


def _has(text: str, told: str) -> bool:
    return bool(told) and re.search(rf"(?<![\w.]){re.escape(told)}(?!\w)", text) is not None


def _short(value: str) -> str:
    folded = " ".join(value.split())
    return folded if len(folded) <= MAX_VALUE_CHARS else folded[: MAX_VALUE_CHARS - 1] + "…"
