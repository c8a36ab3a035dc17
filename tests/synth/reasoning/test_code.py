"""From files to questions about what their functions do."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from synth.reasoning import code
from synth.reasoning.problem import Posed

FILE = '''
def shout(text, times=1):
    """Doc.

    >>> shout('hey', 2)
    'HEY!HEY!'
    """
    result = text.upper() + "!"
    return result * times


def constant(value):
    total = len(str(value))
    return 7


def broken(value):
    result = value.missing
    return result


def same(value):
    result = value
    return result
'''
TEST = "from tools import shout\n\ndef test_shout():\n    assert shout('abc', times=3) == 'ABC!ABC!ABC!'\n"


def source(origin: str, text: str, id: str = "") -> dict[str, Any]:
    return {"id": id or origin, "sha": f"sha of {origin}", "text": text, "origin": origin, "license": "MIT"}


def found(*sources: Mapping[str, Any], seed: int = 0) -> list[Posed]:
    rows = [row for each in sources for row in code.emit(each, seed)]
    return list(code.problems(rows, seed))


def test_results_and_inputs_are_asked_for_and_really_so() -> None:
    posed = [each for each in found(source("a@1:tools.py", FILE)) if each.problem.is_proven]
    assert [each.problem.task["kind"] for each in posed] == ["code_result"] * code.RESULTS + ["code_input"]
    for each in posed:
        task = each.problem.task
        names: dict[str, Any] = {}
        exec(task["source"], names)
        assert repr(eval(task["call"], names)) == task["value"]
        assert task["source"] in each.problem.question
        assert "HEY!HEY!" not in each.problem.question
        assert each.problem.answer == (task["call"] if task["kind"] == "code_input" else task["value"])
        assert each.problem.thoughts.count(task["value"]) >= 1
        assert task["measured"]["lines"] == 2
        assert each.parents[0].license == "MIT"
    assert posed[-1].problem.task["value"] in posed[-1].problem.question


def test_calls_of_the_repository_are_taken_first_and_of_others_not() -> None:
    calls = {
        each.problem.task.get("call") for each in found(source("a@1:tools.py", FILE), source("a@1:tests.py", TEST))
    }
    assert {"shout('hey', 2)", "shout('abc', times=3)"} <= calls
    other = {
        each.problem.task.get("call") for each in found(source("a@1:tools.py", FILE), source("b@1:tests.py", TEST))
    }
    assert "shout('abc', times=3)" not in other


def test_names_tell_equal_calls_of_different_files_apart() -> None:
    other = FILE.replace("text.upper()", "text.lower()")
    posed = found(source("a@1:tools.py", FILE), source("b@1:tools.py", other))
    assert len({each.problem.name for each in posed}) == len(posed)


def test_what_was_tried_before_an_input_gave_something_else() -> None:
    tried = 0
    for seed in range(6):
        for each in found(source("a@1:tools.py", FILE), seed=seed):
            if each.problem.task["kind"] == "code_input":
                others = [line for line in each.problem.thoughts.split("\n") if line.endswith("not that.")]
                assert others
                assert not any(f"gives {each.problem.task['value']}:" in line for line in others)
                tried += len(others)
    assert tried > 6


def test_only_so_many_calls_are_tried() -> None:
    for each in found(source("a@1:tools.py", FILE)):
        assert each.problem.verdicts["varied"]["calls"] <= code.CALLS


def test_functions_that_tell_nothing_are_rejected_with_a_reason() -> None:
    failed = {}
    for each in found(source("a@1:tools.py", FILE)):
        if not each.problem.is_proven:
            name = ast.parse(each.problem.task["source"]).body[-1].name  # type: ignore[attr-defined]
            failed[name] = [check for check, verdict in each.problem.verdicts.items() if not verdict["passed"]]
    assert failed == {"constant": ["varied"], "broken": ["executed_twice", "varied"], "same": ["varied"]}


def test_repositories_take_turns_and_equal_sources_count_once() -> None:
    functions = "\n\n".join(f"def f{n}(x: int):\n    y = x * {n + 2}\n    return y" for n in range(4))
    other = "def g(x: int):\n    y = x - 11\n    return y"
    posed = found(source("a@1:m.py", functions), source("b@1:m.py", other), source("c@1:copy.py", other))
    order = list(dict.fromkeys(each.parents[0].id for each in posed))
    assert set(order) == {"a@1:m.py", "b@1:m.py"}
    first_two = list(dict.fromkeys(each.problem.task["source"] for each in posed))[:2]
    assert any("def g" in text for text in first_two)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [*code.emit(source("a@1:tools.py", FILE), 0), *code.emit(source("a@1:tests.py", TEST), 0)]
    assert list(code.problems(rows, 0)) == list(code.problems(rows[::-1], 0))
    assert json.loads(rows[0]["data"])["name"] == "shout"
