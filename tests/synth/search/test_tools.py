"""The tools: what an agent reads, and what is recorded as shown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.render import Call
from synth.search.engine import Engine
from synth.search.task import Page
from synth.search.tools import (
    LINE_CHARS,
    MAX_FOUND,
    MAX_HITS,
    MAX_LINES,
    MAX_WINDOW_CHARS,
    Malformed,
    call,
    line_of,
    lines,
)
from tests.synth.search.shipping import SITE, ships


@pytest.fixture(scope="module")
def engine():
    long = "\n".join(f"Line {number} of the log, wind from the west." for number in range(1, 101))
    with Engine([*ships(), Page("f" * 32, f"{SITE}/log", "The log", long, None)]) as engine:
        yield engine


def test_search_lists_titles_addresses_and_passages(engine: Engine) -> None:
    result = call(engine, Call("search", {"query": "wool"}))
    assert result.text.startswith(f"Results 1 to {len(result.listed)}:")
    for number, (name, span) in enumerate(zip(result.listed, result.shown, strict=True), 1):
        page = engine.pages[name]
        assert f"{number}. {page.title}\n{page.url}\n" in result.text
        assert " ".join(page.text[span.start : span.start + span.length].split()) in result.text
    assert len(result.listed) <= MAX_HITS


def test_search_goes_on_where_it_ended(engine: Engine) -> None:
    first, second = (call(engine, Call("search", {"query": "barque", "start": start})) for start in (1, 9))
    assert second.text.startswith("Results 9 to 16:")
    assert [*first.listed, *second.listed] == [page.id for page, _ in engine.ranked("barque", 16)]


def test_open_shows_numbered_lines_up_to_its_limits(engine: Engine) -> None:
    result = call(engine, Call("open", {"page": f"{SITE}/log", "line": 50}))
    assert f"Lines 50 to {49 + MAX_LINES} of 100\n\n50: Line 50 of" in result.text
    [span] = result.shown
    assert engine.pages["f" * 32].text[span.start : span.start + span.length].startswith("Line 50 of")
    assert call(engine, Call("open", {"page": f"{SITE}/log", "line": 100})).text.endswith(
        "100: Line 100 of the log, wind from the west."
    )


@settings(deadline=None, max_examples=80)
@given(text=st.text(alphabet="ab \n", min_size=1, max_size=3_000) | st.integers(1, 9_000).map(lambda n: "x" * n))
def test_windows_one_after_the_other_show_the_whole_page(text: str) -> None:
    with_page = Page("1" * 32, SITE, "T", text, None)
    parts = lines(text)
    assert all(end - begin <= LINE_CHARS for begin, end in parts)
    assert "".join(text[begin:end] + "\n" * (text[end : end + 1] == "\n") for begin, end in parts) == text
    engine = type("Fake", (), {"page": lambda self, name: with_page})()
    line, shown = 1, 0
    while line <= len(parts):
        assert parts[line_of(text, parts[line - 1][0]) - 1][0] == parts[line - 1][0]
        result = call(engine, Call("open", {"page": "x", "line": line}))
        [span] = result.shown
        assert span.start >= shown
        assert span.length <= MAX_WINDOW_CHARS + LINE_CHARS
        shown = span.start + span.length
        line = int(re.search(r"Lines \d+ to (\d+) of", result.text)[1]) + 1
    assert shown == len(text)


def test_find_ignores_case_and_takes_patterns_literally(engine: Engine) -> None:
    result = call(engine, Call("find", {"pattern": "FROM THE WEST.", "page": f"{SITE}/log"}))
    assert result.text.count("\n") == MAX_FOUND == len(result.shown)
    assert result.text.startswith(f"The first {MAX_FOUND} lines with")
    assert "7: Line 7 of the log" in result.text
    assert call(engine, Call("find", {"pattern": "l.g", "page": f"{SITE}/log"})).is_error
    assert call(engine, Call("find", {"pattern": "line 42 ", "page": f"{SITE}/log"})).text.endswith(
        "42: Line 42 of the log, wind from the west."
    )


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search", {"query": "  "}, "empty"),
        ("search", {"query": "the"}, "No page"),
        ("search", {"query": "wool", "start": 0}, "no start 0"),
        ("search", {"query": "hesper", "start": 40}, "is left from number 40"),
        ("search", {"query": "wool " * 1_000}, "fewer words"),
        ("open", {"page": "https://elsewhere.example/x"}, "no page"),
        ("open", {"page": f"{SITE}/log", "line": 101}, "lines 1 to 100"),
        ("open", {"page": f"{SITE}/log", "line": 0}, "lines 1 to 100"),
        ("find", {"pattern": "", "page": f"{SITE}/log"}, "empty"),
        ("find", {"pattern": "x", "page": "nowhere"}, "no page"),
        ("find", {"pattern": "xyz", "page": f"{SITE}/log"}, "does not occur"),
    ],
)
def test_a_tool_says_what_was_wrong(engine: Engine, name: str, arguments: dict, said: str) -> None:
    result = call(engine, Call(name, arguments))
    assert result.is_error
    assert said in result.text
    assert not result.shown
    assert not result.listed


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("browse", {}),
        ("search", {}),
        ("search", {"query": 5}),
        ("search", {"query": "x", "k": 3}),
        ("open", {"page": "x", "line": "3"}),
        ("open", {"page": "x", "line": True}),
        ("find", {"pattern": "x"}),
    ],
)
def test_arguments_off_the_schema_are_malformed(engine: Engine, name: str, arguments: dict) -> None:
    with pytest.raises(Malformed):
        call(engine, Call(name, arguments))


def test_what_is_forbidden_is_as_if_it_did_not_exist() -> None:
    question = "Which barque\n carried Wool and  timber to Riga?"
    leak = Page(
        "0" * 32, f"{SITE}/quiz", "Quiz", "Riddles. WHICH barque carried wool and timber to riga? Hesper.", None
    )
    with Engine([*ships(), leak]) as engine:
        assert leak.id in call(engine, Call("search", {"query": question})).listed
        assert leak.id not in call(engine, Call("search", {"query": question}), forbidden=[question]).listed
        assert len(call(engine, Call("search", {"query": question}), forbidden=[question]).listed) == MAX_HITS
        for asked in (Call("open", {"page": leak.url}), Call("find", {"pattern": "Hesper", "page": leak.url})):
            assert not call(engine, asked).is_error
            assert "no page" in call(engine, asked, forbidden=[question]).text
