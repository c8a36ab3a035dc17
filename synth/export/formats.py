"""What a stored row becomes in another tool's JSON Lines; a row that has no such form is None.

    openai     {messages, tools, metadata}: chat messages with calls, as fine-tuning tools read them
    sharegpt   {conversations: [{from, value}], tools, metadata} as LLaMA-Factory reads it: the calls of an answer are one `function_call`
               entry, JSON behind the thoughts between <think> tags, a list where they are several; so are their responses one
               `observation`. Words beside a call are an entry before it, and LLaMA-Factory skips such rows
    slime      {input_messages, label, tools, metadata}: what is asked, before the first answer, and what is right. `metadata` has
               `remote_env_info.forbidden_texts` where the task is a question to be searched for: texts that no tool may show
               (THUDM/DeepDive's form of slime's prompt data; slime reads it with --input-key input_messages --label-key label)
    swebench   the task itself, where it has the form of SWE-bench: FAIL_TO_PASS and PASS_TO_PASS as JSON lists in strings

`metadata` says what `meta` says of where the row came from: everything but its task.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from synth.export.messages import begins_with_thoughts, messages, tools
from synth.render import Turn, parse

_SWEBENCH = ("instance_id", "repo", "base_commit", "patch", "problem_statement", "FAIL_TO_PASS", "PASS_TO_PASS")


class Row(NamedTuple):
    """A stored row, read back."""

    id: str
    turns: tuple[Turn, ...]  # none of a plain document
    meta: Mapping[str, Any]
    license: str | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Row":
        """From a row of a corpus' parts. `RenderError` where its text is not what its meta says."""
        meta = json.loads(stored["meta"] or "{}")
        turns: tuple[Turn, ...] = ()
        if "template" in meta:
            spans = [(span["start"], span["length"]) for span in stored.get("loss_spans") or ()]
            turns = parse(stored["text"], template=meta["template"], loss_spans=spans)
        return cls(stored["id"], turns, meta, stored["license"])

    @property
    def task(self) -> Mapping[str, Any]:
        return self.meta.get("task") or {}

    @property
    def metadata(self) -> dict[str, Any]:
        about = {key: value for key, value in self.meta.items() if key not in ("task", "template", "questions")}
        return {"id": self.id, "license": self.license, **about}


def openai(row: Row) -> dict[str, Any] | None:
    if not row.turns:
        return None
    return {"messages": messages(row.turns), "tools": tools(row.turns), "metadata": row.metadata}


def sharegpt(row: Row) -> dict[str, Any] | None:
    if not row.turns:
        return None
    before = (Turn("user"), *row.turns)
    said = [entry for last, turn in zip(before, row.turns, strict=False) for entry in _entries(turn, len(last.calls))]
    return {"conversations": said, "tools": json.dumps(tools(row.turns), ensure_ascii=False), "metadata": row.metadata}


def _entries(turn: Turn, num_calls: int) -> list[dict[str, Any]]:
    if turn.role == "observation":
        is_list = len(turn.responses) == num_calls > 1
        values = [json.dumps(turn.responses, ensure_ascii=False)] if is_list else turn.responses
        return [{"from": "observation", "value": value} for value in values]
    if turn.role != "assistant":
        return [] if turn.tools else [{"from": "human" if turn.role == "user" else "system", "value": turn.text}]
    has_thoughts = turn.think or begins_with_thoughts(turn.text)
    thoughts = f"<think>{turn.think}</think>" if has_thoughts else ""
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in turn.calls]
    is_apart = turn.text or not calls or "</think>" in turn.think  # which would end the thoughts before the calls
    entries = [{"from": "gpt", "value": thoughts + turn.text}] if is_apart else []
    if calls:
        said = json.dumps(calls if len(calls) > 1 else calls[0], ensure_ascii=False)
        entries.append({"from": "function_call", "value": said if is_apart else thoughts + said})
    return entries if turn.learn else [{**entry, "loss": False} for entry in entries]


def slime(row: Row) -> dict[str, Any] | None:
    first = next((index for index, turn in enumerate(row.turns) if turn.role == "assistant" and turn.learn), None)
    if first is None:
        return None
    label = row.task.get("answer", row.turns[-1].text)
    forbidden = [row.task["question"]] if row.task.get("question") else []
    return {
        "input_messages": messages(row.turns[:first]),
        "label": label if isinstance(label, str) else json.dumps(label, ensure_ascii=False),
        "tools": tools(row.turns),
        "metadata": {**row.metadata, "task": row.task, "remote_env_info": {"forbidden_texts": forbidden}},
    }


def swebench(row: Row) -> dict[str, Any] | None:
    if not all(key in row.task for key in _SWEBENCH):
        return None
    lists = {key: json.dumps(value) for key, value in row.task.items() if isinstance(value, list)}
    return {**row.task, **lists, "license": row.license}


FORMATS: dict[str, Callable[[Row], dict[str, Any] | None]] = {
    "openai": openai,
    "sharegpt": sharegpt,
    "slime": slime,
    "swebench": swebench,
}
