"""Conversations for tests: any strings, markup among them, in every form that the chat template has."""

from typing import Any

from hypothesis import strategies as st

from datapipe.tokenize import SPECIAL_TOKENS
from synth.render import Call, Turn, arranged, erased

SEARCH: dict[str, Any] = {
    "name": "search",
    "description": "Find pages: é, 中",
    "parameters": {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "num": {"type": "integer"},
            "tags": {"type": "array"},
            "line": {"type": ["integer", "string"]},
            "after": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    },
}
NOW: dict[str, Any] = {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}
TOOLS = (SEARCH, NOW)
HOSTILE = [
    *SPECIAL_TOKENS,
    *("<\\|user|>", "<\\\\think>", "<<\\/think>", "\\|user|>", "|user|>", "nothink", "/\\nothink", "\\", "<", "/", "["),
    *("\n", "\n\n", " ", "\t", "\n<tool_call>search", "<tools>\n", "</tools>", "{{ 1 }}", "x", "None", "é"),
]
PLAIN = [
    "\n",
    "\n\n",
    " ",
    "{{ 1 }}",
    "{% if %}",
    "<tools>",
    "</tools>",
    "<",
    "</",
    "[",
    "\\",
    "x",
    "None",
    "5",
    "é",
    "中",
]


def conversations(words: list[str], *, direct: bool) -> st.SearchStrategy[tuple[Turn, ...]]:
    """Arranged conversations of one or more turns, tools first in some; thoughts only where they are shown."""
    words = [*words, *"ab 1\n"]
    # A string of letters that stand for words is drawn in half the time of a list of words.
    letters = "".join(chr(0x100 + number) for number in range(len(words)))
    texts = st.text(letters, max_size=6).map(lambda drawn: "".join(words[ord(letter) - 0x100] for letter in drawn))
    values = st.fixed_dictionaries(
        {},
        optional={
            "query": texts,
            "num": st.integers() | st.booleans(),
            "tags": st.lists(texts | st.none(), max_size=3),
            "line": st.integers() | texts.map("x".__add__),
            "after": st.none() | texts.map("x".__add__),
            "unknown": texts,
        },
    )
    calls = st.builds(Call, st.just("search"), values) | st.just(Call("now", {}))
    thoughts = st.just("") if direct else texts
    answers = st.builds(
        lambda text, think, calls: Turn("assistant", text, think, tuple(calls)),
        *(texts, thoughts, st.lists(calls, max_size=3)),
    )
    others = st.one_of(
        st.builds(lambda text: Turn("user", text), texts),
        st.builds(lambda text: Turn("system", text), texts),
        st.builds(lambda said: Turn("observation", responses=tuple(said)), st.lists(texts, min_size=1, max_size=3)),
    )
    tools = Turn("system", tools=TOOLS)
    return st.lists(answers | others, max_size=7).map(lambda turns: erased(arranged((tools, Turn("system"), *turns))))
