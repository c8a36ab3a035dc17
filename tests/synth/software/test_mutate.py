"""Sites: each operator on a line of its own, the inverse among the sites of the result, and nothing but the site changed."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.software.localise import functions
from synth.software.mutate import LOSSY, mutated, replaced, sites
from tests.synth.software import toy

BODY = "def f(one, two, three=1):\n    low, high = one, two\n    {line}\n"


@pytest.mark.parametrize(
    ("line", "operator", "changed"),
    [
        ("return one < two", "boundary", "return one <= two"),
        ("return one < two", "comparison", "return one > two"),
        ("return one not in two", "comparison", "return one in two"),
        ("return one is not two", "comparison", "return one is two"),
        ("return (one) * (two)", "arithmetic", "return (one) / (two)"),
        ("one -= 2", "arithmetic", "one += 2"),
        ("return one and two", "boolean", "return one or two"),
        ("return one[3]", "off_by_one", "return one[2]"),
        ("return one[-1]", "off_by_one", "return one[-2]"),
        ("return one[-1]", "off_by_one", "return one[0]"),
        ("return one + 1", "unit", "return one"),
        ("return one[two + 1:]", "slice", "return one[two:]"),
        ("return one[:two]", "slice", "return one[:two - 1]"),
        ("return list(range(len(one)))", "slice", "return list(range(len(one) + 1))"),
        ("if one: return 5", "negated", "if not one: return 5"),
        ("while not one: pass", "negated", "while one: pass"),
        ("return one == two", "negated", "return not (one == two)"),
        ("return f(one, two, flag=True)", "flag", "return f(one, two, flag=False)"),
        ("return low + high", "variable", "return high + high"),
        ("return f(one, two)", "arguments", "return f(two, one)"),
        ("return f(one, three=2)", "keyword", "return f(one)"),
        ("return f(three=2, two=1)", "keyword", "return f(two=1)"),
        ("return sorted(one)", "copy", "return one"),
        ("return one.copy()", "copy", "return one"),
        ("return one", "return", "return None"),
        ("one.append(two)", "statement", "pass"),
        ("one.two = 3", "statement", "pass"),
        ("raise ValueError(one)", "statement", "pass"),
    ],
)
def test_an_operator(line: str, operator: str, changed: str) -> None:
    text = BODY.format(line=line)
    found = [site for site in sites(text) if site.operator == operator and site.line == 3]
    assert BODY.format(line=changed) in [mutated(text, [site]) for site in found]
    assert all(site.function == "f" and site.first_line == 1 for site in found)


def test_a_swallowed_exception_a_loop_and_an_await() -> None:
    text = "async def f(a):\n    for x in a:\n        try:\n            await x\n            break\n"
    text += "        except OSError:\n            raise\n"
    found = {(site.operator, site.old, site.new) for site in sites(text)}
    assert {("exception", "raise", "pass"), ("loop", "break", "continue"), ("await", "await x", "x")} <= found


def test_nothing_outside_functions_nor_in_names_annotations_decorators_and_strings() -> None:
    text = '@d(1 < 2)\ndef f(a: "x < 1" = None, *, b: int):\n    """One < two and 3."""\n    import a.b\n    f.a.b = a\nx = 1 < 2\n'
    assert {site.operator for site in sites(text)} == {"statement", "variable"}
    assert sites("def f(:\n") == []
    assert sites("def f():\n    return 'é' + 'ü' * 2\n")[-1].old == "2"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_site_that_is_not_lossy_has_its_inverse_in_the_result(data: st.DataObject) -> None:
    found = [site for site in sites(toy.SOURCE) if not site.lossy]
    site = data.draw(st.sampled_from(found))
    text = mutated(toy.SOURCE, [site])
    if text is None:
        return
    assert toy.SOURCE in [replaced(text, [back]) for back in sites(text, first_lines=[site.first_line])]


def test_sites_of_one_function_are_those_of_the_whole_text() -> None:
    whole = sites(toy.SOURCE)
    assert {site.operator for site in whole} >= {
        "boundary",
        "arithmetic",
        "negated",
        "variable",
        *({"return", "statement"} & set(LOSSY)),
    }
    for line, function in functions(toy.SOURCE).items():
        own = sites(toy.SOURCE, first_lines=[line])
        assert own == [site for site in whole if site.first_line == line]
        assert {site.function for site in own} <= {function.name}
    assert sites(toy.SOURCE, first_lines=[2]) == []


def test_two_sites_and_what_is_no_python() -> None:
    one, other = [site for site in sites("def f(a):\n    return a < 1 and a > 0\n") if site.operator == "boundary"]
    assert (
        mutated("def f(a):\n    return a < 1 and a > 0\n", [other, one]) == "def f(a):\n    return a <= 1 and a >= 0\n"
    )
    broken = one._replace(new="<<")
    assert ast.parse(mutated("def f(a):\n    return a < 1 and a > 0\n", [broken]) or "") is not None
    assert mutated("def f(a):\n    return a < 1 and a > 0\n", [one._replace(new="<>")]) is None
