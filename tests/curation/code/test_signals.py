"""Single numbers by example, and what looks broken: against the parser, and after spoiling the standard library."""

import random
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.code import signals
from curation.code.parse import parses
from curation.code.source import Source

PYTHON = '''"""Module."""
import os


class Some(Base):
    def first_one(self, a):  # note;
        """Doc."""
        if a:
            return {"key": (a, [1])}
\treturn otherName
'''


def measured(text: str, language: str | None = "python", cut: int = 1 << 20) -> dict[str, float]:
    row = signals.measure(Source(words.chunk_of([text[:cut]]), [language]), np.array([len(text) > cut]))[0]
    return dict(zip(signals.NAMES, row.tolist(), strict=True))


def test_numbers_of_a_small_file() -> None:
    found = measured(PYTHON)
    lines = [line for line in PYTHON.split("\n") if line.strip()]
    assert found["log_lines"] == pytest.approx(np.log1p(8))
    assert found["mean_line"] == pytest.approx(np.mean([len(line) for line in lines]))
    assert found["line_spread"] == pytest.approx(np.std([len(line) for line in lines]) / found["mean_line"])
    assert found["blank_lines"] == pytest.approx(3 / 11)
    assert found["tab_lines"] == found["mixed_indents"] == pytest.approx(1 / 8)
    assert found["comments"] == pytest.approx(len("# note;") / len(PYTHON))
    assert found["documentation"] == pytest.approx(len('"""Module.""""""Doc."""') / len(PYTHON))
    assert found["functions"] == found["classes"] == found["imports"] == pytest.approx(1 / 6)
    assert found["returns"] == pytest.approx(2 / 6)
    assert found["branches"] == pytest.approx(1 / 6)
    assert found["log_function_lines"] == pytest.approx(np.log1p(6))
    assert found["deepest"] == pytest.approx(np.log1p(3))
    assert found["mean_depth"] == pytest.approx((0 + 0 + 0 + 1 + 2) / 5)
    assert found["snake_case"] == found["camel_case"] == pytest.approx(1 / 16)
    assert found["one_naming"] == 0
    assert found["odd_indents"] > 0  # the tab
    assert found["does_not_parse"] == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_odd_indents_are_those_of_a_reading_line_by_line(rows: list[tuple[int, bool]]) -> None:
    text = "".join(f"{' ' * depth}{'if a:' if head else 'b = 1'}\n" for depth, head in rows)
    odd, blocks, head = 0, [0], False
    for depth, opens in rows:
        if depth > blocks[-1]:
            odd += not head
            blocks.append(depth)
        else:
            while depth < blocks[-1]:
                blocks.pop()
            odd += head or depth != blocks[-1]
        head = opens
    assert measured(text, "python")["odd_indents"] == pytest.approx(odd / len(rows))


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 4]), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)),
        min_size=1,
        max_size=5,
    )
)
def test_regular_files_are_read_as_odd_ones_are(files: list[tuple[int, list[tuple[int, bool]]]]) -> None:
    """Blocks of one width and a stray line here and there, several files at once: as if each were read line by line, alone."""
    texts = []
    for unit, rows in files:
        lines: list[str] = []
        depth = 0
        for down, stray in rows:
            depth = max(0, depth - down) if down else depth
            lines += [
                f"{' ' * (unit * depth)}if a:",
                f"{' ' * (unit * (depth + 1) + stray * (len(lines) % 5 == 0))}b = 1",
            ]
            depth += 1
        texts.append("\n".join(lines))
    together = signals.measure(Source(words.chunk_of(texts), ["python"] * len(texts)), np.zeros(len(texts), bool))
    for text, row in zip(texts, together, strict=True):
        odd, blocks, head = 0, [0], False
        for line in text.split("\n"):
            depth = len(line) - len(line.lstrip())
            if depth > blocks[-1]:
                odd += not head
                blocks.append(depth)
            else:
                while depth < blocks[-1]:
                    blocks.pop()
                odd += head or depth != blocks[-1]
            head = line.endswith(":")
        assert row[signals.NAMES.index("odd_indents")] == pytest.approx(odd / (text.count("\n") + 1))


def test_an_empty_file_has_no_figures() -> None:
    for language in ("python", "c", None):
        assert sum(measured("", language).values()) == 1  # its one line is blank
        assert not any(np.isnan(value) for value in measured(" \n\t\n", language).values())


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("f(a))\n", "c", "unmatched_brackets"),
        ("f(a[)\n", "javascript", "unmatched_brackets"),
        ('x = "open\ny = 1\n', "c", "unclosed_tokens"),
        ("x = 1 /* open\n", "java", "unclosed_tokens"),
        ("x = '''open''\n", "python", "unclosed_tokens"),
        ("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n", "go", "conflict_marks"),
        ("a = 1\n  b = 2\n", "python", "odd_indents"),
        ("if a:\nb = 2\n", "python", "odd_indents"),
        ("if a:\n    if b:\n        c\n  d\n", "python", "odd_indents"),
    ],
)
def test_what_is_wrong_is_seen_and_what_is_right_is_not(text: str, language: str, name: str) -> None:
    right = {
        "c": 'f(a[1], "(", \'"\'); // (\n/* { */\n',
        "java": "class A { int f() { return 1; } }\n",
        "go": "func f() {\n}\n// =======\n",
        "javascript": "f(`(${a}`, /\\(/, '(');\n",
        "python": "if a:  # (\n    b = '''(\n{'''\nelif (\n  c\n): pass\nelse:\n\n    # d\n  # e\n    d = \\\n  1\nx = 1\n",
    }[language]
    assert measured(text, language)[name] > 0
    assert measured(right, language)[name] == 0


def test_what_was_cut_off_is_not_blamed() -> None:
    text = "x = (1,\n" * 50 + '"""' + "words " * 100
    assert measured(text)["unmatched_brackets"] > 0
    assert measured(text)["unclosed_tokens"] > 0
    assert measured(text, cut=600)["unclosed_tokens"] == measured(text, cut=600)["unmatched_brackets"] == 0
    assert measured("x = )" + text, cut=600)["unmatched_brackets"] > 0


def test_of_what_was_cut_off_whole_statements_are_parsed() -> None:
    broken = "a = 1\n  b = 2\ndef f(\n    a\n):\n    return (1,\n"
    assert measured(broken, cut=len(broken) - 3)["does_not_parse"] == 1
    right = "if a:\n    # b\n  # c\n    b = 2\nc = (1,\n"
    assert measured("<<<<<<< a\n=======\n>>>>>>> b\n" + right, cut=len(right) + 26)["does_not_parse"] == 1
    in_the_last = "x = 1\nif a:\n    b = 1\n      c = 2\n    d = 3\n"
    assert measured(in_the_last)["does_not_parse"] == 1
    assert measured(in_the_last, cut=len(in_the_last) - 2)["does_not_parse"] == 0


def test_documentation_is_a_statement_and_what_is_closed_too_often_has_no_depth() -> None:
    assert measured('def f():\n  """Doc."""\n    x = 1\n')["odd_indents"] == pytest.approx(1 / 3)
    assert measured(")))((", "c")["deepest"] == 0


def test_characters_beyond_ascii_are_no_letters_of_ascii() -> None:
    """U+0141 ends in the byte of an A."""
    of = measured("ŁŁ_ŁaŁ = 1\n")
    assert of["camel_case"] == 0
    assert of["vowels"] == 1
    assert (
        of["unmatched_brackets"] == measured("Ĩĩ = 1\n", "c")["unmatched_brackets"] == 0
    )  # U+0128 in that of a bracket


def test_what_looks_broken_agrees_with_the_parser() -> None:
    """No false alarm on the standard library; of files with lines shuffled or a merge left undone nearly all broken ones are found."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::4]
    texts = [path.read_text("utf-8")[:20_000].rpartition("\n\n\n")[0] for path in paths]
    texts = [text for text in texts if len(text) > 500 and parses(text)]
    assert len(texts) > 25
    assert [measured(text)["does_not_parse"] for text in texts] == [0] * len(texts)
    rng = random.Random(0)
    broken = found = 0
    for text in texts:
        lines = text.split("\n")
        place = rng.randrange(len(lines))
        merged = "\n".join(
            [*lines[:place], "<<<<<<< HEAD", "a = 1", "=======", "a = 2", ">>>>>>> other", *lines[place:]]
        )
        for spoiled in ("\n".join(rng.sample(lines, len(lines))), merged):
            if not parses(spoiled):
                broken += 1
                found += int(measured(spoiled)["does_not_parse"])
    assert broken > 1.5 * len(texts)
    assert found / broken > 0.97
