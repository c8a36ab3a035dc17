"""Conversations as chat APIs have them, both ways.

`messages` writes OpenAI's form: one message per tool response with the id of its call, arguments as an object, thoughts under
`reasoning_content` (as GLM's and DeepSeek's APIs have them), and `loss` false for an answer that is only shown.

`turns_of` reads that form and its relatives: arguments as a JSON string (OpenAI's own, and the examples of GLM), calls with a top-level
name, a content that is null or a list of parts, tool responses as a list of outputs; ShareGPT's `conversations` with `from` and `value`,
and `function_call` turns with the calls as JSON behind their thoughts. Tool responses are put into the order of their calls. What it
cannot read is a MessagesError with a reason to count. Not covered: pictures and sound (`messages.not_text`), choices between several
answers.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from synth.render import Call, Turn

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "function_call": "assistant",
    "tool": "observation",
    "function": "observation",
    "observation": "observation",
}


class MessagesError(ValueError):
    """A record is no conversation; `reason` is what it is counted under."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(f"{reason}: {said}")
        self.reason = reason


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The turns but for the list of tools, in OpenAI's form. Calls are numbered through: `call_0`, `call_1`."""
    found: list[dict[str, Any]] = []
    waiting: list[str] = []
    num_calls = 0
    for turn in turns:
        if turn.role == "observation":
            ids = waiting + [None] * (len(turn.responses) - len(waiting))
            for id, response in zip(ids, turn.responses, strict=False):
                found.append({"role": "tool", **({"tool_call_id": id} if id else {}), "content": response})
        elif turn.role == "assistant":
            waiting = [f"call_{num_calls + number}" for number in range(len(turn.calls))]
            num_calls += len(turn.calls)
            found.append(_answer(turn, waiting))
        elif not turn.tools:
            found.append({"role": turn.role, "content": turn.text})
    return found


def chat_messages(turns: Sequence[Turn]) -> tuple[dict[str, Any], ...]:
    """The same as an API of chat completions takes it: arguments as JSON, nothing of what is learned. Tools are given beside it."""
    return tuple(_posted(message) for message in messages(turns))


def _posted(message: Mapping[str, Any]) -> dict[str, Any]:
    posted = {name: value for name, value in message.items() if name != "loss"}
    if calls := message.get("tool_calls"):
        posted["tool_calls"] = [{**call, "function": _as_json(call["function"])} for call in calls]
    return posted


def _as_json(function: Mapping[str, Any]) -> dict[str, Any]:
    return {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}


def _answer(turn: Turn, ids: Sequence[str]) -> dict[str, Any]:
    calls = [
        {"id": id, "type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
        for id, call in zip(ids, turn.calls, strict=True)
    ]
    return {
        "role": "assistant",
        "content": turn.text,
        **({"reasoning_content": turn.think} if turn.think or begins_with_thoughts(turn.text) else {}),
        **({"tool_calls": calls} if calls else {}),
        **({} if turn.learn else {"loss": False}),
    }


def tools(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The tools of a conversation in OpenAI's form."""
    return [{"type": "function", "function": tool} for turn in turns for tool in turn.tools]


def turns_of(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns of a record with `messages` or `conversations`, and maybe `tools`. MessagesError for what is none."""
    entries = record.get("messages") or record.get("conversations") or record.get("input_messages")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise MessagesError(
            "messages.none", f"neither `messages` nor `conversations` is a list of messages: {[*record]}"
        )
    listed = _tools(record.get("tools") or _described(record.get("functions")))
    turns = [Turn("system", tools=listed)] if listed else []
    called: list[str | None] = []  # ids of the last calls, in order
    answers: list[tuple[str | None, str]] = []  # responses to them, as they came
    for number, entry in enumerate(entries):
        role = _ROLES.get(str(entry.get("role") or entry.get("from")))
        if role is None:
            raise MessagesError("messages.role", f"message {number} is of {entry.get('role') or entry.get('from')!r}")
        content = entry.get("content", entry.get("value"))
        if role == "observation":
            answers += [(entry.get("tool_call_id"), response) for response in _responses(content, len(called))]
            continue
        turns += _observation(answers, called)
        answers = []
        if role == "assistant":
            called, turn = _assistant(entry, content)
            turns.append(turn)
        else:
            turns.append(Turn(role, _text(content)))
    turns += _observation(answers, called)
    if not any(turn.role == "assistant" for turn in turns):
        raise MessagesError("messages.no_answer", "no message is of the assistant")
    return tuple(turns)


def _observation(answers: Sequence[tuple[str | None, str]], called: Sequence[str | None]) -> list[Turn]:
    """The responses in the order of the calls; those without an id, or to calls that are not there, stay in theirs."""
    if not answers:
        return []
    place: dict[str | None, int] = {id: number for number, id in enumerate(called) if id}
    known = all(id in place for id, _ in answers)
    ordered = sorted(answers, key=lambda answer: place[answer[0]]) if known else answers
    return [Turn("observation", responses=tuple(said for _, said in ordered))]


def _assistant(entry: Mapping[str, Any], content: Any) -> tuple[list[str | None], Turn]:
    learn = entry.get("loss", entry.get("weight", True)) not in (False, 0)
    if entry.get("from") == "function_call":
        return _calls_alone(content, learn)
    calls = entry.get("tool_calls") or ([entry["function_call"]] if entry.get("function_call") else [])
    if not isinstance(calls, list):
        raise MessagesError("messages.call", f"tool_calls is {str(calls)[:80]}")
    think = entry.get("reasoning_content") or entry.get("reasoning") or ""
    text = _text(content)
    if entry.get("reasoning_content") is None and entry.get("reasoning") is None and begins_with_thoughts(text):
        think, _, text = text.lstrip().removeprefix("<think>").partition("</think>")
    turn = Turn("assistant", text.strip(), _text(think).strip(), tuple(map(_call, calls)), learn=learn)
    return [call.get("id") for call in calls], turn


def _calls_alone(content: Any, learn: bool) -> tuple[list[str | None], Turn]:
    """A `function_call` entry: JSON of one call or a list, maybe behind thoughts."""
    think, text = "", content
    if isinstance(content, str) and begins_with_thoughts(content):
        think, _, text = content.lstrip().removeprefix("<think>").partition("</think>")
    given = _json(text)
    calls = tuple(map(_call, given if isinstance(given, list) else [given]))
    return [None] * len(calls), Turn("assistant", think=think.strip(), calls=calls, learn=learn)


def _call(given: Any) -> Call:
    """A call with its name at the top or under `function`, its arguments an object or JSON."""
    call = given.get("function", given) if isinstance(given, Mapping) else given
    name = call.get("name") if isinstance(call, Mapping) else None
    if not isinstance(name, str) or not name:
        raise MessagesError("messages.call", f"{str(given)[:80]} names no function")
    arguments = call.get("arguments", call.get("parameters"))
    arguments = _json(arguments) if isinstance(arguments, str) and arguments.strip() else arguments or {}
    if not isinstance(arguments, Mapping):
        raise MessagesError("messages.call", f"the arguments of {name} are {str(arguments)[:80]}, no object")
    return Call(name, arguments)


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise MessagesError("messages.call", f"{str(text)[:80]!r} is no JSON ({error})") from None


def _responses(content: Any, num_calls: int) -> list[str]:
    """One response, or those of a list of outputs; to several calls also as a JSON list of as many strings."""
    if isinstance(content, str) and num_calls > 1 and content.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(content)
            if isinstance(found, list) and len(found) == num_calls and all(isinstance(each, str) for each in found):
                return found
    if isinstance(content, list) and any(isinstance(item, Mapping) and "output" in item for item in content):
        return [_shown(item.get("output") if isinstance(item, Mapping) else item) for item in content]
    return [content if isinstance(content, str) else _text(content) if isinstance(content, list) else _shown(content)]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _text(content: Any) -> str:
    """A content in words: a string, nothing, or a list of parts of text."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        parts = [
            part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
            for part in content
        ]
        if all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts))
    raise MessagesError("messages.not_text", f"a content is {str(content)[:80]}")


def _described(functions: Any) -> Any:
    """Functions in OpenAI's older form; in some records they are names, or of other dialects."""
    is_openai = isinstance(functions, list) and all(isinstance(each, Mapping) and "name" in each for each in functions)
    return functions if is_openai else None


def _tools(given: Any) -> tuple[Mapping[str, Any], ...]:
    given = _json(given) if isinstance(given, str) and given.strip() else given or []
    listed = (
        [tool.get("function", tool) for tool in given if isinstance(tool, Mapping)] if isinstance(given, list) else []
    )
    functions = [each for each in listed if isinstance(each, Mapping) and isinstance(each.get("name"), str)]
    if len(functions) != len(given):
        raise MessagesError("messages.tools", f"the tools are {str(given)[:80]}")
    return tuple(functions)


def begins_with_thoughts(text: str) -> bool:
    """Whether a content says its thoughts itself, as DeepSeek's and others' do."""
    return text.lstrip().startswith("<think>") and "</think>" in text
