"""Rendering: what goes in comes back, for any strings; only assistant turns are learned; payloads hold no special token."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.tokenize import SPECIAL_TOKENS, Tokenizer, train_bpe
from synth.lookup import TOOLS
from synth.render import Call, RenderError, Turn, escape, parse, render, unescape

HOSTILE = [
    *SPECIAL_TOKENS,
    "<\\|user|>",
    "<\\\\think>",
    "\n",
    "\n<tool_call>find",
    "<tools>\n",
    "</tools>",
    " ",
    "x",
    "\\",
    "<",
    "|user|>",
]
texts = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), max_size=8).map("".join)
find_calls = st.builds(lambda pattern: Call("find", {"pattern": pattern}), texts)
read_calls = st.builds(lambda line, count: Call("read", {"line": line, "count": count}), st.integers(), st.integers())
assistants = st.builds(
    lambda text, think, calls: Turn("assistant", text, think, tuple(calls)),
    *(texts, texts, st.lists(st.one_of(find_calls, read_calls), max_size=3)),
)
others = st.one_of(
    st.builds(lambda text: Turn("user", text), texts),
    st.builds(lambda text: Turn("system", text), texts),
    st.builds(lambda responses: Turn("observation", responses=tuple(responses)), st.lists(texts, max_size=3)),
)
conversations = st.lists(st.one_of(assistants, others), max_size=5).map(
    lambda turns: (Turn("system", tools=TOOLS), *turns)
)


@settings(max_examples=300, deadline=None)
@given(turns=conversations)
def test_parsing_undoes_rendering(turns: tuple[Turn, ...]) -> None:
    assert parse(render(turns).text) == turns


@settings(max_examples=200, deadline=None)
@given(turns=conversations)
def test_only_structure_becomes_special_tokens(turns: tuple[Turn, ...]) -> None:
    roles = re.findall(r"<\|(?:system|user|assistant|observation)\|>", render(turns).text)
    assert roles == [f"<|{turn.role}|>" for turn in turns]


@settings(deadline=None)
@given(text=texts)
def test_escaping_leaves_no_special_token_and_is_undone(text: str) -> None:
    assert not any(token in escape(text) for token in SPECIAL_TOKENS)
    assert unescape(escape(text)) == text


def test_the_layout_is_that_of_the_chat_template() -> None:
    turns = [
        Turn("user", "Q"),
        Turn("assistant", "I look.", "hm", (Call("f", {"a": "x\ny", "b": "5"}),)),
        Turn("observation", responses=("r1", "r2")),
        Turn("assistant", "A"),
    ]
    assert render(turns).text == (
        "<|user|>\nQ<|assistant|>\n<think>hm</think>\nI look.\n<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>x\ny</arg_value>\n"
        "<arg_key>b</arg_key>\n<arg_value>5</arg_value>\n</tool_call><|observation|>\n<tool_response>\nr1\n</tool_response>\n"
        "<tool_response>\nr2\n</tool_response><|assistant|>\n<think></think>\nA"
    )


def test_what_an_assistant_writes_is_learned_and_nothing_else() -> None:
    turns = [
        Turn("system", tools=TOOLS),
        Turn("user", "Where is it?"),
        Turn("assistant", think="search", calls=(Call("find", {"pattern": "it"}),)),
        Turn("observation", responses=("1: it is here",)),
        Turn("assistant", "here", "found"),
        Turn("user", "Thanks."),
        Turn("assistant", "Bye."),
    ]
    text, spans = render(turns)
    assert [text[start : start + length] for start, length in spans] == [
        "\n<think>search</think>\n<tool_call>find\n<arg_key>pattern</arg_key>\n<arg_value>it</arg_value>\n</tool_call><|observation|>",
        "\n<think>found</think>\nhere<|user|>",
        "\n<think></think>\nBye.",
    ]
    assert sum(spans[-1]) == len(text)


def test_learned_tokens_are_those_of_the_spans() -> None:
    tokenizer = Tokenizer(train_bpe([], vocab_size=300))
    text, spans = render([Turn("user", "q <think>"), Turn("assistant", "a <|user|>", "t")])
    [encoded] = tokenizer.encode_with_spans([text], ["reasoning"], [spans])
    assert encoded.loss_spans is not None
    [(start, length)] = encoded.loss_spans
    assert tokenizer.decode(encoded.tokens[start:]) == "\n<think>t</think>\na <\\|user|>"
    assert start + length == len(encoded.tokens)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([Turn("tool", "x")], "unknown role 'tool'"),
        ([Turn("user", "x", think="y")], "a user turn has one of text"),
        ([Turn("system", "x", tools=TOOLS)], "sets both"),
        ([Turn("assistant", calls=(Call("a\nb", {}),))], "one line"),
        ([Turn("system", tools=TOOLS), Turn("assistant", calls=(Call("read", {"line": "5"}),))], "not of the type"),
        ([Turn("assistant", calls=(Call("f", {"n": 5}),))], "not of the type"),
        ([Turn("system", render([Turn("system", tools=TOOLS)]).text[len("<|system|>\n") :])], "imitates"),
    ],
)
def test_what_could_not_be_read_back_is_not_rendered(turns: list[Turn], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(turns)


@pytest.mark.parametrize("text", ["", "hello", "\n<|user|>\nx", "<|user|>x", "<|assistant|>\nno thoughts"])
def test_what_is_no_rendered_conversation(text: str) -> None:
    with pytest.raises(RenderError):
        parse(text)
