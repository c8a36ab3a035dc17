"""What is code and what is not, and that no text makes the scanners slow."""

import time

import pytest

from synth.repository import imports, lexing

SPITEFUL = (
    *(
        '"',
        "x, ",
        "'",
        "`",
        "/*",
        "\\",
        '"""',
        "#",
        "import ",
        "import a,",
        "from a import (\n",
        "import (\n",
        "import(/*",
        "require(",
        "use a::{",
    ),
    *(
        "mod a{",
        "crate::a ",
        '#include "',
        'R"x(',
        'r#"',
        "=/[",
        '@"',
        "class ",
        "@A(",
        "package a",
        "using ",
        "type (\n",
        "\\\n",
        "; import a",
    ),
)
CODE = {"python", "javascript", "java", "go", "rust", "c", "c#"}


@pytest.mark.parametrize("lang", sorted(CODE))
def test_a_spiteful_text_takes_linear_time(lang: str) -> None:
    for pattern in SPITEFUL:
        text = (pattern * (100_000 // len(pattern))) + '\nimport a from "x"\nuse z;\n#include "y"\n'
        begin = time.process_time()
        imports.scan("a", lang, text)
        assert time.process_time() - begin < 2, pattern


@pytest.mark.parametrize("name", sorted(imports.CONFIGURATION))
def test_a_spiteful_configuration_takes_little_time(name: str) -> None:
    for pattern in ('{"a":', "[", "a.", "/*", '"', "{", "module ", '{"exports":{"a":'):
        begin = time.process_time()
        imports.scan(name, None, pattern * (100_000 // len(pattern)))
        assert time.process_time() - begin < 2, pattern


@pytest.mark.parametrize(
    ("hidden", "text", "code"),
    [
        (lexing.PYTHON, "a 'b' \"c\" # d\ne '''f\n'g''' h", "a      \ne   h"),
        (lexing.C, 'a /* b */ c // d\n"e\\"f" g R"x(h)")x" i', "a   c  \n  g   i"),
        (lexing.JAVA, 'a \'b\' """\nc"d""" e /* f', "a     e  "),
        (lexing.C_SHARP, 'a @"b""c\\" d $@"e" f', "a   d   f"),
        (lexing.GO, "a `b\n\"c` 'd' e", "a     e"),
        (lexing.RUST, "a 'b 'c' r#\"d\"e\"# '\\n' f", "a 'b       f"),
        (lexing.JAVASCRIPT, "a = /b'[/]c/g; d / e / f; `g${h}` i", "a  g; d / e / f;   i"),
    ],
)
def test_what_is_hidden(hidden, text: str, code: str) -> None:
    assert lexing.without_hidden(text, hidden) == code


def test_words() -> None:
    assert lexing.capitalised("Aa.Bb(cc, Aa) _D 3E Éf") == ["Aa", "Bb"]
    assert sorted(lexing.words("a.B c;a.B ...d", dotted=True).split("\n")) == ["...d", "a.B", "c"]
