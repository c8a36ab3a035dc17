"""Export and import: what one writes the other reads, the forms are those of the tools, bad records have reasons."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.export import FORMATS, MessagesError, Row, export, turns_of
from synth.export.messages import chat_messages
from synth.render import Call, Turn, arranged
from synth.rows import Made, Parent, documents
from tests.synth.render.conversations import HOSTILE, SEARCH, conversations

PARENT = Parent.of("1", "text", "MIT")


def stored(turns: tuple[Turn, ...], task: dict[str, Any] | None = None, name: str = "n") -> dict[str, Any]:
    return Made("lookup", 3).row(name, turns, kind="agent", parents=[PARENT], task=task or {}, verdicts={})


@settings(max_examples=100, deadline=None)
@given(turns=conversations(HOSTILE, direct=False), to=st.sampled_from(["openai", "sharegpt"]))
def test_what_is_exported_can_be_imported(turns: tuple[Turn, ...], to: str) -> None:
    made = FORMATS[to](Row.of(stored(turns)))
    assert made is not None
    record = json.loads(json.dumps(made))
    if not any(turn.role == "assistant" for turn in turns):
        with pytest.raises(MessagesError, match=r"messages.no_answer"):
            turns_of(record)
        return
    is_whole = not any((turn.text and turn.calls) or "</think>" in turn.think for turn in turns)
    if to == "openai" or is_whole:
        assert arranged(turns_of(record)) == turns
    else:  # calls beside words are turns of their own there
        assert [call for turn in turns_of(record) for call in turn.calls] == [c for turn in turns for c in turn.calls]
        said = [turn.text for turn in turns if turn.role == "user"]
        assert [turn.text for turn in turns_of(record) if turn.role == "user"] == said


TURNS = (
    Turn("system", tools=(SEARCH,)),
    Turn("user", "Q"),
    Turn("assistant", "", "try", (Call("search", {"query": "x"}),), learn=False),
    Turn("observation", responses=("no",)),
    Turn("assistant", "", "again", (Call("search", {"query": "y"}), Call("search", {"query": "z"}))),
    Turn("observation", responses=("1", "2")),
    Turn("assistant", "A", "done"),
)


def test_an_api_gets_arguments_as_json_and_nothing_of_what_is_learned() -> None:
    turns = [
        Turn("user", "Q"),
        Turn("assistant", think="t", calls=(Call("search", {"query": "é"}),), learn=False),
        Turn("observation", responses=("r",)),
    ]
    call = {"id": "call_0", "type": "function", "function": {"name": "search", "arguments": '{"query": "é"}'}}
    assert chat_messages(turns) == (
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "reasoning_content": "t", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "r"},
    )


def test_openai_messages() -> None:
    made = FORMATS["openai"](Row.of(stored(TURNS)))
    assert made is not None
    assert [message["role"] for message in made["messages"]] == [
        *("user", "assistant", "tool", "assistant", "tool", "tool", "assistant")
    ]
    _, wrong, _, calls, first, second, last = made["messages"]
    assert (wrong["loss"], "loss" in last) == (False, False)
    assert [call["id"] for call in calls["tool_calls"]] == ["call_1", "call_2"]
    assert [first["tool_call_id"], second["tool_call_id"]] == ["call_1", "call_2"]
    assert calls["tool_calls"][0]["function"] == {"name": "search", "arguments": {"query": "y"}}
    assert made["tools"] == [{"type": "function", "function": SEARCH}]
    metadata = made["metadata"]
    assert "task" not in metadata
    assert (metadata["generator"], metadata["author"], metadata["license"]) == ("lookup", "scripted", "MIT")
    assert metadata["parents"] == [["1", PARENT.sha]]


def test_sharegpt_conversations() -> None:
    made = FORMATS["sharegpt"](Row.of(stored(TURNS)))
    assert made is not None
    first, second, third = (f'{{"name": "search", "arguments": {{"query": "{query}"}}}}' for query in "xyz")
    assert made["conversations"] == [
        {"from": "human", "value": "Q"},
        {"from": "function_call", "value": f"<think>try</think>{first}", "loss": False},
        {"from": "observation", "value": "no"},
        {"from": "function_call", "value": f"<think>again</think>[{second}, {third}]"},
        {"from": "observation", "value": '["1", "2"]'},
        {"from": "gpt", "value": "<think>done</think>A"},
    ]
    places = [entry["from"] for entry in made["conversations"]]  # what LLaMA-Factory demands
    assert set(places[::2]) <= {"human", "observation"}
    assert set(places[1::2]) <= {"gpt", "function_call"}


def test_slime_prompts() -> None:
    made = FORMATS["slime"](Row.of(stored(TURNS[:2] + TURNS[4:], {"question": "Q?", "answer": "A!"})))
    assert made is not None
    assert made["input_messages"] == [{"role": "user", "content": "Q"}]
    assert (made["label"], made["tools"][0]["function"]["name"]) == ("A!", "search")
    assert made["metadata"]["remote_env_info"] == {"forbidden_texts": ["Q?"]}
    plain = FORMATS["slime"](Row.of(stored(TURNS)))
    assert plain is not None
    assert (plain["label"], plain["metadata"]["remote_env_info"]["forbidden_texts"]) == ("A", [])
    assert [message["role"] for message in plain["input_messages"]] == ["user", "assistant", "tool"], "only shown"
    assert FORMATS["slime"](Row.of(stored(TURNS[:2]))) is None


SWE = {
    "instance_id": "a__b-1",
    "repo": "a/b",
    "base_commit": "1" * 40,
    "patch": "diff",
    "problem_statement": "It fails.",
    "FAIL_TO_PASS": ["t::a"],
    "PASS_TO_PASS": [],
}


def test_swebench_tasks() -> None:
    made = FORMATS["swebench"](Row.of(stored(TURNS, SWE)))
    assert made is not None
    assert (made["instance_id"], made["FAIL_TO_PASS"], made["PASS_TO_PASS"]) == ("a__b-1", '["t::a"]', "[]")
    assert FORMATS["swebench"](Row.of(stored(TURNS, {"instance_id": "x"}))) is None


def test_a_corpus_as_a_file(tmp_path: Path) -> None:
    plain = Made("qa", 0).document("d", "plain", kind="web", parents=[PARENT], task={}, verdicts={})
    broken = {**stored(TURNS, name="b"), "text": "[gMASK]<sop>nothing"}
    for name, rows in (("part-0", [stored(TURNS), plain]), ("part-1", [broken, stored(TURNS, name="m")])):
        pq.write_table(documents(rows), tmp_path / f"{name}.parquet")
    parts = [str(tmp_path / f"part-{n}.parquet") for n in (0, 1)]
    told: list[int] = []
    counted = export(parts, str(tmp_path / "o.jsonl.zst"), "openai", lambda path, done, total: told.append(done))
    assert (counted, told) == ({"written": 2, "no_such_form": 1, "unreadable": 1}, [0, 1])
    packed = zstandard.ZstdDecompressor().stream_reader(io.BytesIO((tmp_path / "o.jsonl.zst").read_bytes())).read()
    assert [json.loads(line)["messages"][-1]["content"] for line in packed.splitlines()] == ["A", "A"]
    export(parts, str(tmp_path / "o.jsonl"), "openai")
    assert (tmp_path / "o.jsonl").read_bytes() == packed


def test_the_examples_of_glm_have_arguments_as_strings_and_outputs_in_a_list() -> None:
    record = {
        "tools": [{"name": "search", "parameters": {}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Q"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"name": "search", "arguments": '{"query": ["a"]}'}]},
            {"role": "tool", "content": [{"output": "r1"}, {"output": {"hits": 2}}]},
            {"role": "assistant", "content": "<think>t</think>\nA"},
        ],
    }
    assert turns_of(record) == (
        Turn("system", tools=({"name": "search", "parameters": {}},)),
        Turn("user", "Q"),
        Turn("assistant", calls=(Call("search", {"query": ["a"]}),)),
        Turn("observation", responses=("r1", '{"hits": 2}')),
        Turn("assistant", "A", "t"),
    )


def test_responses_come_in_the_order_of_their_calls() -> None:
    calls = [{"id": name, "function": {"name": "f", "arguments": {}}} for name in ("a", "b")]
    said = [{"role": "tool", "tool_call_id": name, "content": name} for name in ("b", "a")]
    messages = [{"role": "assistant", "content": "", "tool_calls": calls}, *said]
    assert turns_of({"messages": messages})[1].responses == ("a", "b")
    said[0]["tool_call_id"] = "of nothing"
    assert turns_of({"messages": messages})[1].responses == ("b", "a")


def test_an_answer_that_is_only_shown() -> None:
    for mark in ({"loss": False}, {"weight": 0}):
        [turn] = turns_of({"messages": [{"role": "assistant", "content": "A", **mark}]})
        assert not turn.learn


ASSISTANT: dict[str, Any] = {"role": "assistant", "content": "A"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "messages.none"),
        ({"messages": "x"}, "messages.none"),
        ({"messages": ["x"]}, "messages.none"),
        ({"messages": [{"role": "robot"}]}, "messages.role"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages.no_answer"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ASSISTANT]}, "messages.not_text"),
        ({"messages": [{"role": "user", "content": 5}, ASSISTANT]}, "messages.not_text"),
        ({"messages": [{**ASSISTANT, "tool_calls": [{"function": {}}]}]}, "messages.call"),
        ({"messages": [{**ASSISTANT, "tool_calls": [{"name": "f", "arguments": "{"}]}]}, "messages.call"),
        ({"messages": [{**ASSISTANT, "tool_calls": [{"name": "f", "arguments": "[1]"}]}]}, "messages.call"),
        ({"messages": [{**ASSISTANT, "tool_calls": "x"}]}, "messages.call"),
        ({"conversations": [{"from": "function_call", "value": "f(x)"}]}, "messages.call"),
        ({"messages": [ASSISTANT], "tools": [{"type": "function"}]}, "messages.tools"),
        ({"messages": [ASSISTANT], "tools": {"name": "f"}}, "messages.tools"),
    ],
)
def test_what_is_no_conversation_has_a_reason(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(MessagesError) as error:
        turns_of(record)
    assert error.value.reason == reason


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "assistant", "tool", "x"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["messages", "role", "content", "tool_calls", "function", "name", "arguments", "tools", "text"]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_anything_is_read_or_refused(value: Any) -> None:
    record = value if isinstance(value, dict) else {"messages": [value, {"role": "assistant", "content": value}]}
    try:
        assert turns_of(record)
    except MessagesError:  # anything else fails the test
        return
