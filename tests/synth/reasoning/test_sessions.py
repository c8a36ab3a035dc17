import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xxhash

from synth.reasoning import run_functions
from synth.reasoning.problem import Posed
from synth.reasoning.sessions import emit, problems

PAGE = """\
Before.

>>> from math import gcd
>>> a = 12
>>> gcd(a, 18)
6

>>> sorted({gcd(a, n)
...         for n in (8, 9)})
[3, 4]
>>> unknown(a)
[5]

Another:

>>> a = [1]
>>> len(a) + 6
9

Not run:

>>> b = 2
>>> b * b + 1  # doctest: +SKIP
5

And one whose result nobody works out:

>>> from math import pi
>>> round(pi * 2, 9)
6.283185307
"""


def asked(text: str) -> list[dict[str, Any]]:
    source = {"id": "p", "text": text, "sha": "s", "license": "MIT", "origin": "https://x.example/m"}
    return list(emit(source, "“maths”", 0))


def test_a_title_that_is_another_objects_is_not_named() -> None:
    source = {"id": "p", "text": PAGE, "sha": "s", "license": "MIT", "origin": "https://x.example/m"}
    for title, named in (("“math.gcd”", "“math.gcd”"), ("“math.lcm”", "a manual"), ("“maths”", "“maths”")):
        titles = {data["call"]: data["title"] for row in emit(source, title, 0) if (data := json.loads(row["data"]))}
        assert titles["sorted({gcd(a, n) for n in (8, 9)})"] == named


def made(text: str) -> dict[str, Posed]:
    return {posed.problem.task["call"]: posed for posed in problems(asked(text), 0)}


def test_the_last_line_that_stands_alone_is_asked_about() -> None:
    rows = {data["call"]: data for row in asked(PAGE) if (data := json.loads(row["data"]))}
    assert set(rows) == {"sorted({gcd(a, n) for n in (8, 9)})", "len(a) + 6"}
    data = rows["sorted({gcd(a, n) for n in (8, 9)})"]
    shown, (begin, length) = data["session"], data["answer_span"]
    assert shown.startswith(">>> from math")
    assert shown.endswith("for n in (8, 9)})")
    assert PAGE[data["span"][0] :].startswith(shown)
    assert PAGE[begin : begin + length] == data["value"] == "[3, 4]"


def test_what_is_run_decides() -> None:
    found = made(PAGE)
    good = found["sorted({gcd(a, n) for n in (8, 9)})"].problem
    assert good.is_proven
    assert good.answer == "[3, 4]"
    assert "`a` is 12" in good.thoughts
    assert "```pycon\n>>> from math" in good.question
    assert "[3, 4]" not in good.question
    stale = found["len(a) + 6"]
    assert [parent.id for parent in stale.parents] == ["p"]
    assert stale.problem.verdicts["as_printed"] == {"passed": False, "again": "7"}
    assert not stale.problem.is_proven


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("len(a) + 6\n9", "len(a) + 6\nTrue"),  # to be guessed
        ("len(a) + 6\n9", "len(a) + 6\n<Nine>"),  # no literal
        ("len(a) + 6\n9", "7 + 6\n13"),  # of no parts
        ("len(a) + 6\n9", "len(a) +\n9"),
        ("a = [1]\n", "a = [1]; import torch\n"),  # slow
        ("a = [1]\n", "a = [" + "1, " * 600 + "]\n"),
        ("len(a) + 6", "len(a)" + " + 1" * 300),  # too deep to be unparsed
        ("len(a) + 6", "-" * 1_000 + "len(a)"),
        ("len(a) + 6", "a" + ".b" * 500),
    ],
)
def test_what_cannot_be_asked(old: str, new: str) -> None:
    assert old in PAGE
    page = PAGE[PAGE.index("Another") :]
    assert len(asked(page)) == 1
    assert asked(page.replace(old, new)) == []


def test_lines_end_where_python_says() -> None:
    (row,) = asked(">>> a = 'x\x85y\u2028z'\n>>> a + 'w'\n'xyzw'\n")
    data = json.loads(row["data"])
    assert data["session"].endswith("\n>>> a + 'w'")


def test_a_module_that_exits_takes_no_other_session_along() -> None:
    page = ">>> import unittest.__main__\n>>> a = [1]\n>>> a * 2 + a\n[1, 1, 1]\n\nAnd\n\n>>> b = [2]\n>>> b * 2 + b\n[2, 2, 2]\n"
    assert made(page)["b * 2 + b"].problem.is_proven


def test_a_module_that_waits_is_left(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import time\ntime.sleep(60)\n")
    limits = {"cpu_seconds": 1, "max_lines": 9, "max_events": 9, "max_chars": 9, "as_shown": True, "import_seconds": 1}
    given = {"jobs": [{"source": "", "calls": ["1 + 1"]}], "modules": ["waits"], **limits}
    harness = Path(run_functions.__file__).with_name("harness.py")
    told = subprocess.run(
        [sys.executable, "-P", str(harness)], input=json.dumps(given), capture_output=True, text=True, timeout=30, check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert json.loads(told.stdout)[0]["value"] == "2"


def test_each_session_once_and_few_of_one_text() -> None:
    page = "\n\nAnd\n\n".join(
        f">>> a = [{number}]\n>>> a * 2 + a\n[{number}, {number}, {number}]" for number in range(40)
    )
    rows = asked(page)
    assert len(rows) == 16
    assert len(list(problems([*rows[:2], *rows[:2]], 0))) == 2
    assert all(
        row["key"] == xxhash.xxh3_64_intdigest((d["source"] + d["call"]).encode())
        for row in rows
        if (d := json.loads(row["data"]))
    )


def test_a_huge_page_is_read_in_no_time() -> None:
    assert asked(">>> \n" * 40_000) == []
    assert asked(">>> (\n" * 40_000) == []
