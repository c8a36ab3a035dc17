"""Labels of documents, 0 to 5, from a teacher: what `score.educational` learns.

A task of the engine: it asks about every document of a drawn sample and writes those that got a label. Each answer is kept as it comes
(`synth.teacher.answers`), so a killed run, a raised budget or a larger sample pays only for what is new. The model may say what it likes
before the last line; only a line `Score: N` counts, and an answer with two different ones has none. Bad answers are counted by kind.
"""

import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import zstandard

from curation import draw
from curation.steps import StepError
from datapipe import exchange, store
from datapipe.schema import document_id
from synth.teacher import Answer, Crew, Settings, Teacher, TeacherError
from synth.teacher.crew import FIRST_PAUSE_SECONDS

LABELS = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("label", pa.float64())])
READ_LABELS = LABELS.append(pa.field("lang", pa.string()))  # null where the file does not say
LEAST, GREATEST = 0, 5
PROMPT = "educational"  # where a manifest names none
ASKED_FIRST, LEAST_SCORED = 200, 0.05  # of so many answers so many must hold a score, or no more are asked for
_SCORE = re.compile(r"^[*_# ]*score[*_ ]*:[*_ ]*(\d{1,9})(?: ?/ ?5)?[*_. ]*$", re.IGNORECASE | re.MULTILINE)
_THOUGHTS = re.compile(r"^.*</think>", re.DOTALL)


def label_documents(
    *,
    output: str,
    sample: Sequence[str],
    teacher: Mapping[str, Any],
    cache: str,
    max_examples: int = 20_000,
    first_pause: float = FIRST_PAUSE_SECONDS,
) -> dict[str, Any]:
    """Asks the teacher about the `max_examples` documents with the smallest draws and writes `output`, an Arrow file of `LABELS`.

    `sample`: paths of Arrow files with draw, id and text (`curation.draw`). `cache`: the folder of answers, which may serve many samples.
    Returns counts: documents, labels, reasons of those without one, tokens and cost of the answers, and under `asked` what was sent for it.
    Raises TeacherError when the teacher cannot go on or would cost more than `max_cost`; then the answers so far are kept.
    """
    settings = _settings(teacher)
    tables = [exchange.read_table(path) for path in sample]
    rows = draw.smallest(pa.concat_tables([table.select(["draw", "id", "text"]) for table in tables]), max_examples)
    texts = [text or "" for text in rows["text"].to_pylist()]
    with Crew(settings, cache, first_pause=first_pause) as crew:
        answers = _ask_all(texts, crew)
    found = [label_of(answer) for answer in answers]
    reasons = Counter(label for label in found if isinstance(label, str))
    labels = [None if isinstance(label, str) else float(label) for label in found]
    table = pa.table([rows["id"], texts, labels], schema=LABELS).filter(
        pa.array([label is not None for label in labels], pa.bool_())
    )
    exchange.write_table(output, table.sort_by("id"))
    counts = {"documents": rows.num_rows, "labels": table.num_rows, "reasons": dict(sorted(reasons.items()))}
    return {**counts, **crew.used(), "asked": dict(sorted(crew.asked.items()))}


def label_of(answer: Answer) -> int | str:
    """The score, or the reason why there is none: the answer's failure, `length`, `no_score`, `two_scores`, `out_of_range`."""
    if answer.failure or answer.finish_reason == "length":
        return answer.failure or "length"
    scores = {int(score) for score in _SCORE.findall(_THOUGHTS.sub("", answer.text))}
    if not scores:
        return "no_score"
    if len(scores) > 1:
        return "two_scores"
    score = scores.pop()
    return score if LEAST <= score <= GREATEST else "out_of_range"


def read_labels(path: str) -> pa.Table:
    """Labels made elsewhere: JSON lines (also .gz, .zst) with `text` and `label`, and `id` and `lang` if they have them.

    Raises StepError for a file that is not there or is broken, and for a line that is no label.
    """
    data = _unpacked(path)
    rows = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            rows.append(_row(path, number, line))
    return pa.Table.from_pylist(rows, schema=READ_LABELS).sort_by("id")


def _ask_all(texts: list[str], crew: Crew) -> list[Answer]:
    """Answers in the order of the texts. Equal texts are asked about once."""
    found: dict[str, Answer] = {}

    def about(text: str) -> Callable[[Teacher], Awaitable[None]]:
        async def ask(teacher: Teacher) -> None:
            found[text] = await teacher.ask(crew.settings.request(text))
            if len(found) == ASKED_FIRST:
                _stop_if_useless(found.values())

        return ask

    distinct = list(dict.fromkeys(texts))
    try:
        crew.run(map(about, distinct))
    except TeacherError as error:
        answered = sum(answer.failure is None for answer in found.values())
        raise TeacherError(f"{error} {answered:,} of {len(distinct):,} texts have an answer.") from None
    return [found[text] for text in texts]


def _stop_if_useless(answers: Iterable[Answer]) -> None:
    """TeacherError when hardly any of the first answers is a score: the others would cost as much and be worth as little."""
    labels = [label_of(answer) for answer in answers]
    reasons = Counter(label for label in labels if isinstance(label, str))
    if len(labels) - reasons.total() < LEAST_SCORED * len(labels):
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(3))
        raise TeacherError(
            f"of the first {len(labels)} answers {len(labels) - reasons.total()} hold a line `Score: N` ({told}): look at them in the "
            "folder `answers` of the build, and at prompt and max_tokens."
        )


def settings_of(teacher: Mapping[str, Any]) -> Settings:
    """A teacher that is asked for labels has a prompt. Raises ValueError as `Settings.of` does."""
    return Settings.of({"prompt": PROMPT, **teacher})


def _settings(teacher: Mapping[str, Any]) -> Settings:
    """They were checked with the manifest; but a prompt is a file, and may be gone or changed since."""
    try:
        return settings_of(teacher)
    except ValueError as error:
        raise TeacherError(f"{error}.") from error


def _unpacked(path: str) -> bytes:
    try:
        data = store.read_bytes(path)
    except store.StoreError as error:
        raise StepError(f"`labels: {{file: ...}}`: {error.path}: {error.answer}: {error.remedy}") from error
    try:
        if path.endswith(".gz"):
            return gzip.decompress(data)
        if path.endswith(".zst"):
            return zstandard.ZstdDecompressor().stream_reader(data).read()
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise StepError(f"{path} cannot be unpacked ({error}): copy or pack it again") from error
    return data


def _row(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
        label = float(row["label"])
        if not math.isfinite(label):  # one would make every weight NaN
            raise ValueError(f"label {label}")
        if not isinstance(text := row["text"], str):
            raise TypeError(f"text {text!r}")
        name = str(row.get("id") or document_id(text))
        lang = row.get("lang") and str(row["lang"])
        f"{name}{text}{lang}".encode()  # half a pair of surrogates is no text
        return {"id": name, "text": text, "label": label, "lang": lang}
    except UnicodeDecodeError as error:
        raise StepError(f"{path}, line {number}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StepError(
            f'{path}, line {number}: {error!r}: a label is a line like {{"text": "...", "label": 3}}'
        ) from error
