from synth.reasoning.draw import Draw
from synth.reasoning.run_functions import Job, run
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


def steps(call: str, source: str = SOURCE) -> list[str]:
    ((outcome,),) = run([Job(source, (call,))])
    return told(source, outcome, Draw(0))


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


def test_long_traces_lose_their_middle_and_say_so() -> None:
    told_steps = steps("f([2, 3, 4, 5, 6, 7, 8, 9])")
    assert len(told_steps) <= MAX_STEPS + 1
    left_out = [step for step in told_steps if step.startswith("[...")]
    assert len(left_out) == 1
    full = 1 + 1 + 8 * 5 + 1 + 1 + 1
    assert f"{full - len(told_steps) + 1} " in left_out[0]
    assert told_steps[-1] == "It returns 88."


def test_a_raised_exception_is_told() -> None:
    source = "def g(x):\n    return int(x)\n\ndef f(x):\n    try:\n        return g(x)\n    except ValueError:\n        return 0"
    assert "  It raises an exception here." in steps("f('a')", source)
