"""Rendering: the published template's text, character by character; what goes in comes back, for any strings."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.tokenize import SPECIAL_TOKENS, Tokenizer, train_bpe
from synth.render import (
    TEMPLATES,
    Call,
    RenderError,
    Turn,
    arranged,
    erased,
    escape,
    is_direct,
    parse,
    render,
    split,
    unescape,
)
from tests.synth.render.conversations import HOSTILE, NOW, PLAIN, SEARCH, TOOLS, conversations
from tests.synth.render.reference import published

templates = st.sampled_from(sorted(TEMPLATES))
both_modes = st.booleans().flatmap(lambda direct: st.tuples(conversations(HOSTILE, direct=direct), st.just(direct)))
plain_modes = st.booleans().flatmap(lambda direct: st.tuples(conversations(PLAIN, direct=direct), st.just(direct)))


@settings(max_examples=150, deadline=None)
@given(given=plain_modes, template=templates)
def test_the_text_is_that_of_the_published_template(given: tuple[tuple[Turn, ...], bool], template: str) -> None:
    turns, direct = given
    assert render(turns, direct=direct, template=template).text == published(turns, template=template, direct=direct)


@settings(max_examples=150, deadline=None)
@given(given=both_modes, template=templates)
def test_parsing_undoes_rendering(given: tuple[tuple[Turn, ...], bool], template: str) -> None:
    turns, direct = given
    text = render(turns, direct=direct, template=template).text
    assert parse(text, template=template) == turns
    roles = re.findall(r"<\|(?:system|user|assistant|observation)\|>", text)
    assert roles == [f"<|{turn.role}|>" for turn in turns]
    if template == "glm-4.5" and any(turn.role == "user" for turn in turns):
        assert is_direct(text) == direct


@settings(max_examples=100, deadline=None)
@given(given=both_modes, template=templates, cut=st.floats(0, 1), put=st.sampled_from(HOSTILE))
def test_a_damaged_text_is_refused_or_is_another_conversation(
    given: tuple[tuple[Turn, ...], bool], template: str, cut: float, put: str
) -> None:
    text = render(given[0], direct=given[1], template=template).text
    place = int(cut * len(text))
    damaged = text[:place] + put + text[place:]
    try:
        turns = parse(damaged, template=template)
    except RenderError:
        return
    assert all(turn.role in ("system", "user", "assistant", "observation") for turn in turns)


@settings(max_examples=300, deadline=None)
@given(text=st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=8).map("".join))
def test_escaping_leaves_no_special_token_and_is_undone(text: str) -> None:
    assert not any(token in escape(text) for token in SPECIAL_TOKENS)
    assert unescape(escape(text)) == text


TURNS = [
    Turn("system", tools=(SEARCH,)),
    Turn("system", "You are helpful."),
    Turn("user", "Q1"),
    Turn("assistant", "", "think A", (Call("search", {"query": "5", "num": 5, "tags": ["a"]}), Call("now", {}))),
    Turn("observation", responses=("r1", "r2")),
    Turn("assistant", "final", "think B"),
]
SCHEMA = (
    '{"type": "function", "function": {"name": "search", "description": "Find pages: é, 中", "parameters": {"type": "object", '
    '"properties": {"query": {"type": "string"}, "num": {"type": "integer"}, "tags": {"type": "array"}, '
    '"line": {"type": ["integer", "string"]}, "after": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}'
)


def test_a_conversation_with_calls_in_full() -> None:
    assert render(TURNS).text == (
        "[gMASK]<sop><|system|>\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        f"You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{SCHEMA}\n</tools>\n\n"
        "For each function call, output the function name and arguments within the following XML format:\n"
        "<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}</arg_value>\n"
        "<arg_key>{arg-key-2}</arg_key>\n<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>"
        "<|system|>\nYou are helpful.<|user|>\nQ1<|assistant|>\n<think>think A</think>\n"
        "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>5</arg_value>\n<arg_key>num</arg_key>\n<arg_value>5</arg_value>\n"
        '<arg_key>tags</arg_key>\n<arg_value>["a"]</arg_value>\n</tool_call>\n<tool_call>now\n</tool_call>'
        "<|observation|>\n<tool_response>\nr1\n</tool_response>\n<tool_response>\nr2\n</tool_response>"
        "<|assistant|>\n<think>think B</think>\nfinal"
    )


def test_glm_47_has_no_line_breaks_between_tags() -> None:
    text = render(TURNS, template="glm-4.7").text
    assert text[text.index("<tool_call>") :] == (
        "<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>"
        "<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>"
        "<|system|>You are helpful.<|user|>Q1<|assistant|><think>think A</think>"
        "<tool_call>search<arg_key>query</arg_key><arg_value>5</arg_value><arg_key>num</arg_key><arg_value>5</arg_value>"
        '<arg_key>tags</arg_key><arg_value>["a"]</arg_value></tool_call><tool_call>now</tool_call>'
        "<|observation|><tool_response>r1</tool_response><tool_response>r2</tool_response><|assistant|><think>think B</think>final"
    )


def test_direct_answers() -> None:
    turns = [Turn("user", "Q"), Turn("assistant", "A"), Turn("user", "/nothink"), Turn("assistant", "B")]
    text, spans = render(turns, direct=True)
    assert text == (
        "[gMASK]<sop><|user|>\nQ/nothink<|assistant|>\n<think></think>\nA<|user|>\n/\\nothink/nothink<|assistant|>\n<think></think>\nB"
    )
    assert learned(turns, direct=True) == ["\nA<|user|>", "\nB"]
    assert render(turns, direct=True, template="glm-4.7").text == (
        "[gMASK]<sop><|user|>Q<|assistant|></think>A<|user|>/\\nothink<|assistant|></think>B"
    )
    assert sum(spans[-1]) == len(text)


def learned(turns: list[Turn], **how: Any) -> list[str]:
    text, spans = render(turns, **how)
    return [text[start : start + length] for start, length in spans]


def test_what_an_assistant_writes_is_learned_and_nothing_else() -> None:
    turns = [
        Turn("system", tools=TOOLS),
        Turn("user", "Where is it?"),
        Turn("assistant", think="search", calls=(Call("search", {"query": "it"}),)),
        Turn("observation", responses=("1: it is here",)),
        Turn("assistant", "here", "found"),
    ]
    assert learned(turns) == [
        "\n<think>search</think>\n<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>it</arg_value>\n</tool_call><|observation|>",
        "\n<think>found</think>\nhere",
    ]
    assert learned(turns, template="glm-4.7") == [  # who asks writes the opening tag
        "search</think><tool_call>search<arg_key>query</arg_key><arg_value>it</arg_value></tool_call><|observation|>",
        "found</think>here",
    ]


def test_a_turn_may_be_shown_and_not_learned() -> None:
    wrong = Turn("assistant", "", "a", (Call("now", {}),), learn=False)
    turns = [Turn("user", "Q"), wrong, Turn("observation", responses=("no",)), Turn("assistant", "A", "b")]
    text, spans = render(turns)
    assert learned(turns) == ["\n<think>b</think>\nA"]
    assert parse(text, loss_spans=spans) == tuple(turns)
    assert parse(text)[1].learn, "the text alone does not tell"


def test_learned_tokens_are_those_of_the_spans() -> None:
    tokenizer = Tokenizer(train_bpe([], vocab_size=300))
    text, spans = render([Turn("user", "q <think>"), Turn("assistant", "a <|user|>", "t")])
    [encoded] = tokenizer.encode_with_spans([text], ["reasoning"], [spans])
    assert encoded.loss_spans is not None
    [(start, length)] = encoded.loss_spans
    assert tokenizer.decode(encoded.tokens[start:]) == "\n<think>t</think>\na <\\|user|>"
    assert start + length == len(encoded.tokens)
    assert tokenizer.decode(encoded.tokens[:2]) == "[gMASK]<sop>"


def test_thoughts_before_the_last_user_turn_make_several_rows() -> None:
    turns = [
        Turn("system", "S"),
        Turn("user", "1"),
        Turn("assistant", "", "a", (Call("now", {}),)),
        Turn("observation", responses=("x",)),
        Turn("assistant", "b", "c"),
        Turn("user", "2"),
        Turn("user", "3"),
        Turn("assistant", "d", "e"),
    ]
    first, second = split(turns)
    assert first == tuple(turns[:5])
    assert [turn.think for turn in second if turn.role == "assistant"] == ["", "", "e"]
    assert learned(list(first)) == [
        "\n<think>a</think>\n<tool_call>now\n</tool_call><|observation|>",
        "\n<think>c</think>\nb",
    ]
    assert learned(list(second)) == ["\n<think>e</think>\nd"]
    assert render(second).text == published(turns, template="glm-4.5", direct=False)
    assert [turn.think for turn in erased(turns)] == ["", "", "", "", "", "", "", "e"]
    plain = [Turn("user", "1"), Turn("assistant", "b"), Turn("user", "2"), Turn("assistant", "d", "e")]
    assert split(plain) == [tuple(plain)]
    unlearned = [Turn("user", "1"), Turn("assistant", "b", "c", learn=False), *turns[-2:]]
    assert [[turn.think for turn in part] for part in split(unlearned)] == [["", "", "", "e"]]


def test_arranged_is_what_the_template_makes_of_it() -> None:
    turns = [
        Turn("system", "S"),
        Turn("user", " Q "),
        Turn("system", tools=TOOLS),
        Turn("assistant", "\nA\n", " t ", (Call("now", {}),)),
        Turn("observation", responses=("1",)),
        Turn("observation", responses=(" 2 ",)),
    ]
    found = arranged(turns)
    assert [turn.role for turn in found] == ["system", "system", "user", "assistant", "observation"]
    assert (found[0].tools, found[2].text, found[3].text, found[3].think) == (TOOLS, " Q ", "A", "t")
    assert found[4].responses == ("1", " 2 ")
    assert parse(render(found).text) == found


def asks(**arguments: Any) -> Turn:
    return Turn("assistant", calls=(Call("search", arguments),))


LISTED = Turn("system", tools=(SEARCH, NOW))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([Turn("tool", "x")], "unknown role 'tool'"),
        ([Turn("user", "x", think="y")], "a user turn has one of text"),
        ([Turn("system", "x", tools=TOOLS)], "sets both"),
        ([Turn("system", tools=({"type": "function", "function": SEARCH},))], "a tool is"),
        ([Turn("user", "x"), LISTED], "listed once"),
        ([Turn("assistant", calls=(Call("a b", {}),))], "one word"),
        ([Turn("assistant", calls=(Call("", {}),))], "one word"),
        ([LISTED, asks(num="5")], "not of the type"),
        ([LISTED, asks(query=5)], "not of the type"),
        ([LISTED, asks(line="5")], "not of the type"),  # a string or a number: who could tell?
        ([LISTED, asks(unknown=5)], "not of the type"),
        ([Turn("assistant", " x")], "strips"),
        ([Turn("assistant", "x", "y\n")], "strips"),
        ([Turn("assistant", "x", "y"), Turn("user")], "erases"),
        ([Turn("user"), Turn("observation")], "at least one response"),
        ([Turn("observation", responses=("x",))], "follows another turn"),
        ([Turn("user"), *[Turn("observation", responses=("x",))] * 2], "follows another turn"),
    ],
)
def test_what_could_not_be_read_back_is_not_rendered(turns: list[Turn], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(turns)


def test_a_direct_answer_has_no_thoughts() -> None:
    with pytest.raises(RenderError, match="a direct answer has none"):
        render([Turn("user", "x"), Turn("assistant", "x", "y")], direct=True)


START = "[gMASK]<sop>"
ANSWER = f"{START}<|assistant|>\n<think></think>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with"),
        ("<|user|>\nx", "begins with"),
        (START, "begins with"),
        (f"{START}\n<|user|>\nx", "begins with"),
        (f"{START}<|user|>x", "is missing before 'x'"),
        (f"{START}<|user|>\nx/nothink<|user|>\ny", "does not end in /nothink"),
        (f"{START}<|assistant|>\nno thoughts", "'<think>' is missing"),
        (f"{START}<|assistant|>\n<think>x", "'</think>' is missing"),
        (f"{ANSWER}x", "an answer begins"),
        (f"{ANSWER}\n", "an answer begins"),
        (f"{ANSWER}\n<tool_call>f\n", "'<arg_key>' is missing"),
        (f"{ANSWER}\n<tool_call>f\n</tool_call>x", "is missing before 'x'"),
        (f"{ANSWER}\n<tool_call>f\n<arg_key>a</arg_key>\n</tool_call>", "'<arg_value>' is missing"),
        (f"{START}<|observation|>\n<tool_response>\nx", "</tool_response>' is missing"),
        (f"{START}<|observation|>x", "<tool_response>"),
        (render([LISTED]).text.replace('"function": {', '"function" {'), "no JSON lines"),
        (render([LISTED, asks(num=5)]).text.replace(">5<", ">five<"), "is no JSON"),
    ],
)
def test_what_is_no_rendered_conversation(text: str, message: str) -> None:
    with pytest.raises(RenderError, match=re.escape(message)):
        parse(text)
