"""Questions answered with tools: an assistant searches the source document, reads the place it found, and answers.

The tools are real: `find` and `read` run on the document, and what they return, other hits included, is what the row shows. The first
search is for words of the question. One call is enough when the hit shows the whole answer; otherwise the second reads on from the
hit. A fact that cannot be reached like this within `MAX_HITS` hits, `MAX_LINES` lines and `MAX_READ_CHARS` characters is dropped
(`synth.not_found`). Tool results are not learned, only what the assistant writes.
"""

import bisect
import itertools
from typing import Any, NamedTuple

import pyarrow as pa

from synth.candidates import Question, Source, dropped_row, fit, kept_row, left_out, questions, sources, table
from synth.closed_world import settle
from synth.evidence import API, evidence, fold, keyed
from synth.generators import Generator
from synth.render import Call, Turn
from synth.rows import Made
from synth.wording import named_source

MAX_HITS = 8
MAX_LINES = 40
MAX_HIT_CHARS = 160
MAX_READ_CHARS = 8_000

TOOLS: tuple[dict[str, Any], ...] = (
    {
        "name": "find",
        "description": f"Find a pattern in the document. Shows the first {MAX_HITS} lines that contain it, with their numbers.",
        "parameters": {
            "type": "object",
            "properties": {"pattern": {"type": "string", "description": "Text to look for; case matters."}},
            "required": ["pattern"],
        },
    },
    {
        "name": "read",
        "description": "Read lines of the document.",
        "parameters": {
            "type": "object",
            "properties": {
                "line": {"type": "integer", "description": "Number of the first line."},
                "count": {"type": "integer", "description": f"How many lines, at most {MAX_LINES}."},
            },
            "required": ["line", "count"],
        },
    },
)
SEARCHING = (
    "The question is about {title}. I look for “{pattern}” there.",
    "I do not answer this from memory: “{pattern}” should lead to the place in {title}.",
    "First find where {title} mentions “{pattern}”.",
)
READING = (
    "Line {line} looks right. I read on from there.",
    "Line {line} is where to read on.",
)
ANSWERING = (
    "Line {line} has it: “{evidence}”",
    "Found on line {line}: “{evidence}” That answers the question.",
)


class Hit(NamedTuple):
    line: int  # counted from 1
    shown: str  # the line, or the part of it around the pattern


def find(text: str, pattern: str) -> list[Hit]:
    """The first `MAX_HITS` lines of `text` that contain `pattern`."""
    lines = text.split("\n")
    return [Hit(number, _around(lines[number - 1], pattern)) for number in _matching(text, pattern)[:MAX_HITS]]


def read(text: str, line: int, count: int) -> list[str]:
    """At most `count` lines of `text` from `line` on, counted from 1."""
    return list(itertools.islice(text.split("\n"), line - 1, line - 1 + min(count, MAX_LINES)))


def emit(
    docs: pa.Table, *, seed: int = 0, max_per_document: int = 4, min_chars: int = 1_000, max_scan_chars: int = 1_000_000
) -> pa.Table:
    """Candidates of one partition: at most `max_per_document` trajectories per document, and the other questions with a reason."""
    rows, made = [], Made("lookup", seed)
    for source in sources(docs, min_chars=min_chars, max_scan_chars=max_scan_chars):
        asked = [q for q in questions(source, seed=seed) if q.fact.kind != "example"]
        chosen = fit(asked, max_per_document, seed=seed, source=source)
        for q in chosen:
            turns = trajectory(source, q, seed=seed)
            if turns:
                rows.append(kept_row(made, "agent", source, q.fact.start, [q], turns))
            else:
                rows.append(dropped_row(made, "agent", source, q, "synth.not_found"))
        rows += left_out(made, "agent", source, asked, chosen)
    return table(rows)


def trajectory(source: Source, q: Question, *, seed: int) -> list[Turn] | None:
    """The turns of a search that ends in the answer, or None when the search does not get there."""
    starts = list(itertools.accumulate((len(line) + 1 for line in source.text.split("\n")), initial=0))
    first, last = (bisect.bisect_right(starts, at) for at in (q.fact.evidence_start, q.fact.end - 1))
    pattern = _pattern(source, q)
    matching = _matching(source.text, pattern)
    hits = find(source.text, pattern)
    nearest = max((line for line in matching if line <= first), default=None)
    hit = next((hit for hit in hits if hit.line == nearest), None)
    if hit is None or last >= hit.line + MAX_LINES or (q.fact.kind not in API and hit.line < first):
        return None
    say = _Speaker(
        source, q, seed, {"title": named_source(q.fact, source.title), "pattern": pattern, "line": str(hit.line)}
    )
    turns = [Turn("system", tools=TOOLS), Turn("user", q.question)]
    turns.append(Turn("assistant", think=say(SEARCHING), calls=(Call("find", {"pattern": pattern}),)))
    turns.append(Turn("observation", responses=(_found(len(matching), hits),)))
    if fold(q.answer) not in fold(hit.shown):
        count = min(MAX_LINES, last - hit.line + 1 + keyed(seed, source.id, "margin", q.fact.start) % 4)
        shown = read(source.text, hit.line, count)
        if sum(map(len, shown)) > MAX_READ_CHARS:
            return None
        turns.append(Turn("assistant", think=say(READING), calls=(Call("read", {"line": hit.line, "count": count}),)))
        turns.append(Turn("observation", responses=(_numbered(hit.line, shown),)))
    say.values |= {"line": str(first), "evidence": evidence(source.text, q.fact)}
    return [*turns, Turn("assistant", q.answer, think=say(ANSWERING))]


class _Speaker:
    """Fills one of several phrasings, chosen by the document and the fact."""

    def __init__(self, source: Source, q: Question, seed: int, values: dict[str, str]) -> None:
        self.values = values
        self._key = keyed(seed, source.id, "say", q.fact.start)

    def __call__(self, phrasings: tuple[str, ...]) -> str:
        return phrasings[self._key % len(phrasings)].format_map(self.values)


def _matching(text: str, pattern: str) -> list[int]:
    """Numbers of all lines that contain `pattern`."""
    return [number for number, line in enumerate(text.split("\n"), 1) if pattern in line]


def _pattern(source: Source, q: Question) -> str:
    """What to search for: the definition of a function, a subject with its verb, a heading or term."""
    name = q.fact.subject.partition("(")[0].rpartition(".")[2]
    if q.fact.kind in API and q.fact.scope:
        return q.fact.scope
    if q.fact.kind in API:
        return next((typed for typed in (f"def {name}(", f"class {name}") if typed in source.text), name)
    with_verb = f"{q.fact.subject} {q.fact.detail.partition(' ')[0]}".rstrip()
    return with_verb if with_verb in source.text else q.fact.subject


def _found(num_lines: int, hits: list[Hit]) -> str:
    counted = f"{num_lines} {'line' if num_lines == 1 else 'lines'}"
    head = f"{counted}, the first {len(hits)}:" if num_lines > len(hits) else f"{counted}:"
    return "\n".join([head, *(f"{hit.line}: {hit.shown}" for hit in hits)])


def _numbered(line: int, lines: list[str]) -> str:
    return "\n".join(f"{number}: {text}" for number, text in enumerate(lines, line))


def _around(line: str, pattern: str) -> str:
    """The line without its indentation, or the part of a long one that surrounds the pattern."""
    line = line.strip()
    if len(line) <= MAX_HIT_CHARS:
        return line
    begin = max(0, min(line.find(pattern) - MAX_HIT_CHARS // 4, len(line) - MAX_HIT_CHARS))
    end = begin + MAX_HIT_CHARS
    return f"{'…' if begin else ''}{line[begin:end]}{'…' if end < len(line) else ''}"


LOOKUP = Generator(emit, settle)
