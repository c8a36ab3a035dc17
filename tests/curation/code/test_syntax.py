"""Comments and strings: by example in every family, against Python's own tokenizer, and in linear time."""

import io
import time
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.code import syntax
from curation.code.syntax import is_closed, pieces


def cut(text: str, language: str | None) -> list[str]:
    """Comments and strings, as texts."""
    edges = [0]
    for length in pieces(text, language):
        edges.append(edges[-1] + length)
    assert edges[-1] == len(text)
    return [text[start:end] for start, end in zip(edges[1:-1:2], edges[2:-1:2], strict=True)]


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("python", "a = 'x#y' # c 'd'\nb", ["'x#y'", "# c 'd'"]),
        ("python", 'f("""a "b" \n""", r"\\"", \'\')', ['"""a "b" \n"""', '"\\""', "''"]),
        ("python", "'''a\nb''' 'open\nc'", ["'''a\nb'''", "'open", "'"]),
        ("c", "x = '\\''; /* a\n'b' */ y // \"z\"\n", ["'\\''", "/* a\n'b' */", '// "z"']),
        ("c++", '1\'000\'000 "a\\"b"', ['"a\\"b"']),
        ("rust", "fn f<'a>(x: &'a str) { 'b' }", ["'b'"]),
        ("go", '`raw \\` + "s"', ["`raw \\`", '"s"']),
        ("javascript", "a = b / c / d; e = /[/\"]x/g.test(`t\n'`)", ['/[/"]x/', "`t\n'`"]),
        ("javascript", "return /'/; // '", ["/'/", "// '"]),
        ("sql", "select 'it''s' -- no\n", ["'it'", "'s'", "-- no"]),
        ("shell", "echo ${#a} # b\n", ["# b"]),
        ("lua", "--[[ a\nb ]] c -- d", ["--[[ a\nb ]]", "-- d"]),
        ("html", "<p>it's</p><!-- - -- -->", ["<!-- - -- -->"]),
        ("brainfuck", "'a' # b", []),
        (None, "'a' # b", []),
    ],
)
def test_comments_and_strings_of_a_language(language: str | None, text: str, tokens: list[str]) -> None:
    assert cut(text, language) == tokens


@pytest.mark.parametrize(
    ("token", "closed"),
    [
        ("'a'", True),
        ("'a", False),
        ("'", False),
        ('"a\\"', False),
        ('"a\\\\"', True),
        ("'''a'''", True),
        ("'''a'", False),
        ('""', True),
        ("/* a */", True),
        ("/*/", False),
        ("// a", True),
        ("# a", True),
        ("/a/", True),
        ("<!-- a", False),
    ],
)
def test_what_closes(token: str, closed: bool) -> None:
    assert is_closed(token) is closed


@given(
    st.lists(st.sampled_from(["x", " ", "\n", "'", '"', "#", "\\", "'''", '"""', "a = ", "(", ")"]), max_size=40).map(
        "".join
    )
)
def test_of_what_python_takes_its_tokenizer_cuts_the_same(text: str) -> None:
    try:
        compile(text, "source", "exec")
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError, ValueError):
        return
    wanted = [token.string for token in found if token.type in (tokenize.STRING, tokenize.COMMENT)]
    assert cut(text, "python") == wanted


@pytest.mark.parametrize(
    "part",
    [
        '"',
        "'",
        "`",
        "/",
        "/*",
        "\\",
        '"""',
        "'''",
        '\\"',
        "`\\",
        "(/[",
        "(/a\\",
        "<!--",
        "--[[",
        "{-",
        "(*",
        "<",
        "-",
        "*",
    ],
)
def test_time_is_linear_whatever_is_never_closed(part: str) -> None:
    """A quadratic expression would need a minute for these; each is scanned by every language in a second in all."""
    text = part * (40_000 // len(part))
    start = time.process_time()
    for language in syntax._PATTERNS:
        pieces(text, language)
    assert time.process_time() - start < 5
