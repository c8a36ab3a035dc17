"""Code that nobody has read, really run: what it gives, and that it cannot go on for ever."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synth.reasoning import run_functions
from synth.reasoning.run_functions import Event, Job, Outcome, run
from synth.software import sandbox


def outcomes(body: str, *calls: str) -> Sequence[Outcome]:
    return run([Job(f"def f(x):\n{body}", calls)])[0]


def test_values_and_lines_come_back() -> None:
    source = "def g(y):\n    return y * 2\n\ndef f(x):\n    total = 0\n    for item in x:\n        total += g(item)\n    return total"
    ((outcome,),) = run([Job(source, ("f([1, 2])",))])
    assert outcome.value == "6"
    assert outcome.lines == 9
    assert outcome.events[0] == Event(4, 0, {"x": "[1, 2]"}, "call")
    assert Event(7, 0, {"total": "2"}, "line") in outcome.events
    assert Event(1, 1, {"y": "2"}, "call") in outcome.events
    assert outcome.events[-1] == Event(8, 0, {"": "6"}, "return")


def test_what_is_long_is_told_by_its_type() -> None:
    body = "    a = 'ab' * 50\n    b = 'c' * 78\n    c = 7 ** 200\n    d = {3, 1, 2}\n    return len(a) + len(b)\n"
    (outcome,) = outcomes(body, "f(1)")
    told = {name: value for event in outcome.events if event.what == "line" for name, value in event.values.items()}
    assert told == {"a": "<str of 100>", "b": repr("c" * 78), "c": "<large int>", "d": "{1, 2, 3}"}


def test_exceptions_are_events_and_errors() -> None:
    body = "    try:\n        return g(x)\n    except ValueError:\n        return -1\n\ndef g(x):\n    return int(x)\n"
    first, second = outcomes(body, "f('a')", "f([])")
    assert first.value == "-1"
    assert [event.what for event in first.events if event.depth == 1] == ["call", "line", "raise"]
    assert second == Outcome(error="TypeError")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("    while True:\n        x += 1\n", "TooManyLinesError"),
        ("    return 'a' * 1000\n", "too_long"),
        ("    return 7 ** 1000\n", "too_long"),
        ("    return {str(n) for n in range(9)}\n", "unstable"),
        ("    return hash(str(x))\n", "unstable"),
        ("    return object\n", "not_literal"),
        ("    return lambda: 1\n", "not_literal"),
        ("    return [x, f]\n", "not_literal"),
        ("    return float('nan')\n", "not_literal"),
        ("    return f(x)\n", "RecursionError"),
        ("    return [0] * 10 ** 11\n", "MemoryError"),
        ("    raise SystemExit\n", "ended"),
        ("    return open('/box/written', 'w')\n", "not_literal"),
        ("    return undefined\n", "NameError"),
    ],
)
def test_calls_without_a_result_say_why(body: str, error: str) -> None:
    assert outcomes(body, "f(1)") == (Outcome(error=error),)


def test_what_cannot_be_interrupted_ends_its_own_process_only() -> None:
    jobs = [
        Job("def f(x):\n    return 9 ** 9 ** 9", ("f(1)", "f(2)")),
        Job("import os\ndef f(x):\n    os.kill(os.getppid(), 9)\n    return 1", ()),
        Job("def f(x):\n    return x + 1", ("f(1)",)),
    ]
    hung, empty, fine = run(jobs)
    assert hung == (Outcome(error="ended"),) * 2
    assert empty == ()
    assert [outcome.value for outcome in fine] == ["2"]


def test_calls_do_not_see_each_other() -> None:
    source = "SEEN = []\ndef f(x):\n    SEEN.append(x)\n    return len(SEEN)"
    assert [outcome.value for outcome in run([Job(source, ("f(1)", "f(2)"))])[0]] == ["1", "1"]


def test_what_functions_print_or_write_on_descriptors_is_not_believed() -> None:
    forged = 'os.write(fd, b\'[{"error": "forged"}]\\n\')'
    lines = [
        "import contextlib, os",
        "for fd in range(1, 20):",
        f"    with contextlib.suppress(OSError): {forged}",
        "print('[1]')",
    ]
    body = "\n".join(f"    {line}" for line in lines)
    told = run([Job(f"def f(x):\n{body}", ("f(1)",)), Job("def f(x):\n    return x", ("f(3)",))])
    assert told[1][0].value == "3"
    assert "forged" not in told[0][0].error


def test_a_broken_module_is_an_error_of_its_calls() -> None:
    assert run([Job("1 / 0", ("f(1)", "f(2)"))]) == [(Outcome(error="ZeroDivisionError"),) * 2]
    assert run([Job("def f(:", ("f(1)",))]) == [(Outcome(error="ended"),)]


def test_answers_of_another_form_and_jobs_without_one_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(command: Sequence[str], folder: Path, **_: object) -> sandbox.Ended:
        return sandbox.Ended(-9, '[{"value": "1"}]\n[{"error": "x"}, {}]\n[{"error"', "", "output")

    monkeypatch.setattr(sandbox, "run", cut)
    jobs = [Job("", ("a",)), Job("", ("a",)), Job("", ("a",)), Job("", ("a",))]
    assert run(jobs) == [(Outcome(error="ended"),)] * 4


def test_batches_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_functions, "BATCH", 2)
    jobs = [Job(f"def f(x):\n    return x + {n}", ("f(0)",)) for n in range(5)]
    assert [outcome[0].value for outcome in run(jobs)] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "told",
    [
        {"value": 1, "lines": 1, "events": []},
        {"value": "1", "lines": "1", "events": []},
        {"value": "1", "lines": 1, "events": 5},
        {"value": "1", "lines": 1, "events": [[]]},
        {"value": "1", "lines": 1, "events": [[1, 0, {}, "line", "more"]]},
        {"value": "1", "lines": 1, "events": [[1, 0, [], "line"]]},
    ],
)
def test_an_answer_of_another_form_is_none(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A function may find the pipe that its process answers by."""
    answer = sandbox.Ended(0, json.dumps([told]), "", None)
    monkeypatch.setattr(sandbox, "run", lambda *_, **__: answer)
    assert run([Job("", ("f(1)",))]) == [(Outcome(error="ended"),)]
