import ast

import pytest

from synth.draw import Stream
from synth.reasoning.inputs import MAX_CALL_CHARS, calls, drawn


def test_calls_with_literals_are_found_in_code_and_in_sessions() -> None:
    text = '''
def pad(text, width):
    """Pads.

    >>> pad('ab', width=4)
    'ab  '
    >>> tools.pad('ab', 1)
    """

pad("x", 3)
pad("x", 3)
pad(name, 3)
pad(*args)
pad(f"{x}", 2)
module.pad(['a', {'b': -1}], None)
pad()
pad(x for x in y)
'''
    found = [(call.name, call.arguments) for call in calls(text)]
    assert found == [("pad", "'x', 3"), ("pad", "['a', {'b': -1}], None"), ("pad", "'ab', width=4"), ("pad", "'ab', 1")]


def test_only_so_many_calls_of_a_name_and_none_that_is_long() -> None:
    assert len(list(calls("\n".join(f"f({n})" for n in range(50))))) == 6
    assert list(calls(f"f({'a' * 300!r})")) == []
    assert list(calls("f(" + "-" * 80 + "1)")) == []
    assert list(calls("def broken(")) == []


@pytest.mark.parametrize(
    ("source", "types"),
    [
        ("def f(text):\n    return text.split(',')[0]\n", str),
        ("def f(value: int):\n    return value\n", int),
        ("def f(things):\n    things.append(1)\n    return things\n", list),
        ("def f(table):\n    return list(table.items())\n", dict),
        ("def f(a):\n    return a % 7 + 3\n", int),
        ("def f(x: float):\n    return x\n", float),
        ("def f(flag: bool):\n    return not flag\n", bool),
        ("def f(data: bytes):\n    return data[0]\n", bytes),
        ("def f(mode):\n    return mode == 'fast'\n", str),
        ("def f(names: list[str]):\n    return names\n", list),
        ("def f(count=3):\n    return count\n", int),
    ],
)
def test_arguments_are_drawn_by_what_is_done_with_them(source: str, types: type) -> None:
    drawn_values = [
        ast.literal_eval(text.partition("=")[2] or text) for text in drawn(source, "f", Stream(0, source), 40)
    ]
    of_type = [value for value in drawn_values if type(value) is types]
    assert len(of_type) > 0.7 * len(drawn_values)
    assert len({repr(value) for value in drawn_values}) > (1 if types is bool else 8)


def test_signs_that_the_function_looks_for_are_in_its_strings() -> None:
    source = "def f(text):\n    return text.split('=>')\n"
    assert sum("=>" in text for text in drawn(source, "f", Stream(0, 1), 40)) > 15


def test_drawn_arguments_are_literals_that_fit_the_signature() -> None:
    source = "def f(a, b: int = 2, *, key='x', **rest):\n    return a\n"
    for text in drawn(source, "f", Stream(0, 2), 60):
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        assert len(call.args) == 1
        assert {keyword.arg for keyword in call.keywords} <= {"b", "key"}
        assert len(text) <= MAX_CALL_CHARS


def test_what_is_annotated_gets_nothing_else_and_what_is_not_is_tried() -> None:
    def kinds(parameter: str) -> set[str]:
        source = f"def f({parameter}):\n    return f'{{name}}'"
        found = drawn(source, "f", Stream(0, parameter), 60)
        return {type(ast.literal_eval(arguments)).__name__ for arguments in found}

    assert kinds("name: str") == {"str"}
    assert kinds("name: int") == {"int"}
    assert {"str", "int"} <= kinds("name")
