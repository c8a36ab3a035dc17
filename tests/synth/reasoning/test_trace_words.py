from synth.reasoning.run_functions import MAX_EVENTS, Job, run
from synth.reasoning.trace_words import MAX_STEPS, told

SOURCE = """\
def double(y):
    return y * 2

def f(xs):
    total = 0
    for x in xs:
        if x > 1:
            total += double(x)
    while total > 100:
        total -= 100
    return total"""


def steps(call: str, source: str = SOURCE) -> list[str] | None:
    ((outcome,),) = run([Job(source, (call,))])
    return told(source, outcome)


def test_lines_changes_and_branches_are_told_as_they_were() -> None:
    assert steps("f([1, 3])") == [
        "f is called with xs = [1, 3].",
        "`total = 0`: total = 0",
        "`for x in xs:`: x = 1",
        "`if x > 1:` is false.",
        "`for x in xs:`: x = 3",
        "`if x > 1:` is true.",
        "  double is called with y = 3.",
        "  It returns 6.",
        "`total += double(x)`: total = 6",
        "`for x in xs:`: no more.",
        "`while total > 100:` is false.",
        "It returns 6.",
    ]


def test_a_trace_is_told_whole_or_not_at_all() -> None:
    assert len(steps("f([2, 3, 4, 5, 6, 7, 8, 9])") or ()) == 1 + 1 + 8 * 5 + 1 + 1 + 1
    assert steps(f"f({list(range(2, 2 + MAX_STEPS // 5))})") is None
    assert steps(f"f({[0] * MAX_EVENTS})") is None  # cut when it was taken: what it ended with is not known


def test_a_long_result_is_told_whole_and_a_long_one_on_the_way_not_at_all() -> None:
    told = steps("f(40)", "def g(n):\n    return (n,) * n\n\ndef f(n):\n    return g(n) + (1,)")
    assert told == [
        "f is called with n = 40.",
        "  g is called with n = 40.",
        "  It returns.",
        f"It returns {(40,) * 40 + (1,)}.",
    ]


def test_a_raised_exception_is_told() -> None:
    source = "def g(x):\n    return int(x)\n\ndef f(x):\n    try:\n        return g(x)\n    except ValueError:\n        return 0"
    assert "  It raises an exception here." in (steps("f('a')", source) or ())
