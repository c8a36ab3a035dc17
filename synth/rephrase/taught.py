"""Rows with a teacher: a document is shown passage by passage, and every answer is checked against its passage.

In a style that rewrites whole documents (`Style.whole`) the passages' texts are put together again in their order. A passage that is too
short, or whose answer fails a guard, keeps its own words; with fewer than `MIN_REWRITTEN` of the characters rewritten the document is
dropped (`synth.rewritten`). In the other styles each passage is a row. A failed answer is counted as a rejected row of its passage, under
the first guard that it fails: `synth.answered` (no answer, or cut off), `synth.form` (not what was asked for), or one of `guards`.

Passages are asked about independently, so many at once as the teacher allows; what was answered once lies in the teacher's cache, so a run
that was killed pays only for the rest.

`task` of a row, beside `style` and `mode: taught`: `parts`, one per passage: `source` [start, length] in the parent's text, `made`
[start, length] in the row's, `rewritten`; of `diverse_qa` also `pairs`, the questions and answers behind the passage. The guards can
be computed again from the two texts (`guards.judged`, with the limits of `styles.STYLES`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from synth.candidates import Source
from synth.evidence import keyed
from synth.rephrase import answers, guards
from synth.rephrase.guards import CHARS_PER_TOKEN
from synth.rephrase.passages import Span, passages
from synth.rephrase.styles import STYLES, Style
from synth.rows import Made, Parent
from synth.teacher import Request, read_prompt

if TYPE_CHECKING:
    from synth.teacher import Answer, Teacher

PLACEHOLDER = "{text}"
TEMPERATURE = 0.5  # as Nemotron-CC has it (arXiv 2412.02595, section 3.4)
MIN_REWRITTEN = 0.5

Verdicts = Mapping[str, Mapping[str, Any]]


class Candidate(NamedTuple):
    """What becomes a row: a document in a style, or a passage of it."""

    style: str
    source: Source
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        return f"{self.source.id}:{self.style}:{self.spans[0][0]}"

    def asked(self) -> list[Span]:
        """The passages that are long enough to be shown."""
        least = STYLES[self.style].min_input * CHARS_PER_TOKEN
        return [span for span in self.spans if len(self.source.text[slice(*span)].strip()) >= least]


class Part(NamedTuple):
    """What came of one passage."""

    span: Span
    text: str  # in the passage's own words where it was not rewritten
    verdicts: Verdicts  # empty: it was not asked about
    pairs: tuple[answers.Pair, ...] = ()

    @property
    def rewritten(self) -> bool:
        return bool(self.verdicts) and guards.passed(self.verdicts)


def prompt_of(style: str) -> str:
    return read_prompt(f"rephrase-{style}")


def prompt_hash(style: str) -> str:
    return xxhash.xxh3_128_hexdigest(prompt_of(style).encode())


def candidates(sources: Sequence[Source], styles: Mapping[str, Sequence[str]], *, seed: int) -> list[Candidate]:
    """In the order of a keyed draw. `styles`: those of each document, by its id."""
    found = []
    for source in sources:
        for style in styles[source.id]:
            spans = passages(source.text, int(STYLES[style].max_input * CHARS_PER_TOKEN))
            groups = [tuple(spans)] if STYLES[style].whole else [(span,) for span in spans]
            found += [each for group in groups if (each := Candidate(style, source, group)).asked()]
    return sorted(found, key=lambda each: (keyed(seed, each.name, "order"), each.name))


async def ask(teacher: "Teacher", candidate: Candidate) -> list["Answer"]:
    """An answer per passage that is shown, in their order."""
    style, prompt = STYLES[candidate.style], prompt_of(candidate.style)
    requests = [
        Request(
            messages=(
                {"role": "user", "content": prompt.replace(PLACEHOLDER, candidate.source.text[slice(*span)].strip())},
            ),
            max_tokens=style.max_output,
            temperature=TEMPERATURE,
        )
        for span in candidate.asked()
    ]
    return list(await asyncio.gather(*(teacher.ask(request) for request in requests)))


def rows(made: Made, candidate: Candidate, given: Sequence["Answer"], parent: Parent) -> Iterator[dict[str, Any]]:
    """The row that the answers make, if they do, and a rejected row for each that failed."""
    about: dict[str, Any] = {"kind": candidate.source.kind, "parents": [parent]}
    parts = _parts(candidate, given, made.seed)
    for part in parts:
        if part.verdicts and not part.rewritten:
            name = f"{candidate.name}:failed:{part.span[0]}"
            task = {"style": candidate.style, "mode": "taught", "passage": [part.span[0], part.span[1] - part.span[0]]}
            yield made.reject(name, part.text, task=task, verdicts=part.verdicts, **about)
    kept = [part if part.rewritten else part._replace(text=_own(candidate, part.span)) for part in parts]
    if not any(part.rewritten for part in kept):
        return
    text, places = _joined(kept)
    task = {
        "style": candidate.style,
        "mode": "taught",
        "parts": [
            {"source": [part.span[0], part.span[1] - part.span[0]], "made": place, "rewritten": part.rewritten}
            for part, place in zip(kept, places, strict=True)
        ],
    }
    if pairs := [list(pair) for part in kept for pair in part.pairs]:
        task["pairs"] = pairs
    passed = [part.verdicts for part in kept if part.rewritten]
    verdicts = {**(passed[0] if len(passed) == 1 else guards.merged(passed)), "rewritten": _rewritten(kept)}
    yield made.document(candidate.name, text, lang=made_language(verdicts), task=task, verdicts=verdicts, **about)


def made_language(verdicts: Verdicts) -> str | None:
    return verdicts["language"].get("source")


def _parts(candidate: Candidate, given: Sequence["Answer"], seed: int) -> list[Part]:
    by_span = dict(zip(candidate.asked(), given, strict=True))
    return [
        _judged(candidate, span, by_span[span], seed) if span in by_span else Part(span, _own(candidate, span), {})
        for span in candidate.spans
    ]


def _own(candidate: Candidate, span: Span) -> str:
    return candidate.source.text[slice(*span)].strip()


def _judged(candidate: Candidate, span: Span, answer: "Answer", seed: int) -> Part:
    style, passage = STYLES[candidate.style], _own(candidate, span)
    answered = {"passed": not answer.failure and answer.finish_reason == "stop", "finish_reason": answer.finish_reason}
    if answer.failure:
        answered["failure"] = answer.failure
    verdicts: dict[str, Any] = {"answered": answered}
    if not answered["passed"]:
        return Part(span, answer.text, verdicts)
    if style.form == "pairs":
        return _paired(candidate, span, answer, verdicts, seed)
    text = _formed(answers.opened(answer.text, style), style, passage)
    verdicts["form"] = {"passed": text is not None}
    if text is None:
        return Part(span, answer.text, verdicts)
    return Part(span, text, verdicts | guards.judged(passage, text, style.limits))


def _formed(text: str | None, style: Style, passage: str) -> str | None:
    if text is None:
        return None
    return (
        answers.listed(text)
        if style.form == "list"
        else answers.prose(text, had_markup=answers.has_markup(passage)) or None
    )


def _paired(candidate: Candidate, span: Span, answer: "Answer", verdicts: dict[str, Any], seed: int) -> Part:
    """The passage with the pairs that hold behind it: what an answer says stands in the passage, or among the choices of its question."""
    style, passage = STYLES[candidate.style], _own(candidate, span)
    found = answers.pairs(answers.opened(answer.text, style) or "")
    verdicts["form"] = {"passed": bool(found), "pairs": len(found)}
    if not found:
        return Part(span, answer.text, verdicts)
    dropped: Counter[str] = Counter()
    sound = []
    for pair in dict.fromkeys(found):
        checks = {
            "meta_talk": guards.meta_talk(passage, f"{pair.question}\n{pair.answer}"),
            **guards.marks_kept(passage, pair.answer, 0.0, also=pair.question),
            "code": guards.compiles(passage, pair.answer),
        }
        failed = next((name for name, verdict in checks.items() if not verdict["passed"]), None)
        dropped.update([failed] if failed else [])
        sound += [] if failed else [pair]
    tokens = int(len(passage) / CHARS_PER_TOKEN)
    chosen = answers.drawn(sound, tokens=tokens, seed=seed, document=candidate.source.id, start=span[0])
    verdicts["pairs"] = {
        "passed": bool(chosen),
        "sound": len(sound),
        "chosen": len(chosen),
        "dropped": dict(sorted(dropped.items())),
    }
    if not chosen:
        return Part(span, answer.text, verdicts)
    said = "\n".join(f"{pair.question}\n{pair.answer}" for pair in chosen)
    verdicts["length"] = guards.length(passage, said, style.limits)
    verdicts["language"] = guards.same_language(passage, said)
    return Part(span, answers.appended(passage, chosen), verdicts, tuple(chosen))


def _joined(parts: Sequence[Part]) -> tuple[str, list[list[int]]]:
    """The texts with a blank line between, and where each lies."""
    text, places = "", []
    for part in parts:
        start = len(text) + (2 if text and part.text else 0)
        text += ("\n\n" if text and part.text else "") + part.text
        places.append([start, len(part.text)])
    return text, places


def _rewritten(parts: Sequence[Part]) -> dict[str, Any]:
    chars = sum(part.span[1] - part.span[0] for part in parts)
    done = sum(part.span[1] - part.span[0] for part in parts if part.rewritten)
    share = done / max(1, chars)
    count = sum(part.rewritten for part in parts)
    return {"passed": share >= MIN_REWRITTEN, "share": round(share, 3), "parts": len(parts), "rewritten": count}
