"""The review queue for people who use Label Studio or Argilla, and their decisions back into the log.

    Label Studio   a list of tasks {id, data}, read by `LABELING` below; its JSON export (list of tasks with `annotations`) is read back
    Argilla        records {id, fields, metadata} as its 2.x `Dataset.records.from_json` reads them, questions `decision`, `reason` and
                   `edited`; its `to_json` (records with `responses`) is read back

Both show question, answer, evidence and verdicts, and take a decision, a reason and other words. An edit there is words alone: whoever
imports it must verify it, so it comes back as a pair of the item and the new question. Formats as documented by Label Studio 1.23 and
Argilla 2.8; tried with files in these forms, not with the servers.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.review.log import REASONS
from synth.review.session import Item
from synth.search.task import Page

FORMATS = ("label-studio", "argilla")
CHOICES = ("accept", "reject", "unsure")
EVIDENCE_CHARS = 160  # beside the words themselves
LABELING = """<View>
  <Header value="$question"/><Text name="answer" value="$answer"/>
  <Text name="evidence" value="$evidence"/><Text name="verdicts" value="$verdicts"/>
  <Choices name="decision" toName="answer" required="true">{choices}</Choices>
  <Choices name="reason" toName="answer" visibleWhen="choice-selected" whenTagName="decision" whenChoiceValue="reject">{reasons}</Choices>
  <TextArea name="edited" toName="answer" placeholder="The question in better words"/>
</View>""".format(
    choices="".join(f'<Choice value="{choice}"/>' for choice in CHOICES),
    reasons="".join(f'<Choice value="{reason}"/>' for reason in REASONS),
)


class ExchangeError(ValueError):
    """A file is not in the form that was named; says where and what was expected."""


class Decision(NamedTuple):
    """What somebody decided elsewhere."""

    item: str
    reviewer: str
    action: str  # of CHOICES
    reason: str
    question: str  # other words; empty where they stay


def exported(items: Iterable[Item], pages: Mapping[str, Page], form: str) -> list[dict[str, Any]]:
    """The items as the records of `form`."""
    return [_label_studio(item, pages) if form == "label-studio" else _argilla(item, pages) for item in items]


def imported(data: bytes, form: str) -> list[Decision]:
    """The decisions in an export of `form`. Raises ExchangeError for what has another form; records without a decision are left out."""
    try:
        records = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"not JSON ({error}): export as JSON") from error
    if not isinstance(records, list):
        raise ExchangeError(f"the file holds {type(records).__name__}, but an export of {form} is a list of records")
    read = _of_label_studio if form == "label-studio" else _of_argilla
    found: list[Decision] = []
    for number, record in enumerate(records):
        try:
            found += read(record)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ExchangeError(f"record {number} is not one of {form}: {error!r}") from error
    for decision in found:
        if decision.action not in CHOICES or (decision.action == "reject" and decision.reason not in REASONS):
            said = f"{decision.action} {decision.reason}".strip()
            raise ExchangeError(
                f"item {decision.item}: {said!r}: accept, unsure, or reject with one of {', '.join(REASONS)}"
            )
    return found


def _fields(item: Item, pages: Mapping[str, Page]) -> dict[str, str]:
    verdicts = ", ".join(name for name, verdict in item.meta["verdicts"].items() if verdict["passed"])
    return {
        "question": item.task.question,
        "answer": item.task.answer,
        "evidence": _evidence(item, pages),
        "verdicts": verdicts,
    }


def _evidence(item: Item, pages: Mapping[str, Page]) -> str:
    """A line per clue and for the answer: the title of the page, and the words in their surroundings."""
    lines = []
    for label, spans in [
        *((clue.relation, clue.spans) for clue in item.task.query.clues),
        ("answer", item.task.answer_spans),
    ]:
        for span in spans:
            if page := pages.get(span.page):
                around = page.text[max(0, span.start - EVIDENCE_CHARS) : span.start + span.length + EVIDENCE_CHARS]
                lines.append(f"{label} — {page.title}: {' '.join(around.split())}")
    return "\n".join(lines)


def _label_studio(item: Item, pages: Mapping[str, Page]) -> dict[str, Any]:
    return {"data": {"item": item.task.name, **_fields(item, pages)}}


def _argilla(item: Item, pages: Mapping[str, Page]) -> dict[str, Any]:
    return {"id": item.task.name, "fields": _fields(item, pages), "metadata": {"generator": item.generator}}


def _of_label_studio(record: Mapping[str, Any]) -> Iterator[Decision]:
    data = record["data"]
    for annotation in record.get("annotations") or ():  # none in a queue that nobody has read yet
        values: dict[str, Sequence[str]] = {}
        for result in annotation["result"]:
            values[result["from_name"]] = result["value"].get("choices") or result["value"].get("text") or [""]
        by = annotation.get("completed_by")
        reviewer = str(by.get("email") or by.get("id")) if isinstance(by, Mapping) else str(by)
        if "decision" in values and not annotation.get("was_cancelled"):
            said = {name: str(value[0]) for name, value in values.items()}
            yield Decision(
                str(data["item"]), reviewer, said["decision"], said.get("reason", ""), said.get("edited", "")
            )


def _of_argilla(record: Mapping[str, Any]) -> Iterator[Decision]:
    by_user: dict[str, dict[str, str]] = {}
    for question, responses in (record.get("responses") or {}).items():
        for response in responses:
            if response.get("status", "submitted") == "submitted":
                by_user.setdefault(str(response["user_id"]), {})[question] = str(response["value"])
    for reviewer, said in sorted(by_user.items()):
        if "decision" in said:
            yield Decision(
                str(record["id"]), reviewer, said["decision"], said.get("reason", ""), said.get("edited", "")
            )
