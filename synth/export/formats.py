"""What a stored row becomes in another tool's JSON Lines; a row that has no such form is None.

    openai     {messages, tools, metadata}: chat messages with calls, as fine-tuning tools read them
    sharegpt   {conversations: [{from, value}], tools, metadata}: thoughts in the value between <think> tags; a call is a
               `function_call` entry each, a response an `observation`. These are LLaMA-Factory's names, not its order: its
               converter wants a person or a response at every other place, and skips a row in which a call follows thoughts, a
               word, or another call
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
    said = [entry for turn in row.turns for entry in _entries(turn)]
    return {"conversations": said, "tools": json.dumps(tools(row.turns), ensure_ascii=False), "metadata": row.metadata}


def _entries(turn: Turn) -> list[dict[str, Any]]:
    if turn.role == "observation":
        return [{"from": "observation", "value": response} for response in turn.responses]
    if turn.role != "assistant":
        return [] if turn.tools else [{"from": "human" if turn.role == "user" else "system", "value": turn.text}]
    has_thoughts = turn.think or begins_with_thoughts(turn.text)
    said = f"<think>{turn.think}</think>{turn.text}" if has_thoughts else turn.text
    calls = [
        json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False) for call in turn.calls
    ]
    entries = [{"from": "gpt", "value": said}] if said or not calls else []
    entries += [{"from": "function_call", "value": call} for call in calls]
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
