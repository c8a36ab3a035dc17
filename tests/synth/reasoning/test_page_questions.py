import pytest

from synth.draw import Stream
from synth.evidence import fold
from synth.reasoning.page_questions import found, questions, verdicts

PAGE = """\
FAQ

Q: How do I close the pool?
A: Call `close` once, when no worker
   needs it any more.

Q2. What happens on a timeout?
A2. The worker is ended, and its task runs again.

## Which backends does the pool support?

Threads and processes are supported. Others
can be registered.

Why is it slow?
Because of locks, mostly those of the interpreter.

Exercise 3. Show that the sum of two even numbers
is even.

Solution. Write them as 2a and 2b; their sum is 2(a + b).

Problem 4: Compute the number of ways to order five books on a shelf.

What's New in version 3?
Everything is faster than it was in the last one.
"""


def test_pairs_headings_and_exercises_are_found_with_their_spans() -> None:
    asked = found(PAGE)
    assert [(one.how, one.question) for one in asked] == [
        ("pair", "How do I close the pool?"),
        ("pair", "What happens on a timeout?"),
        ("heading", "Which backends does the pool support?"),
        ("heading", "Why is it slow?"),
        ("exercise", "Show that the sum of two even numbers is even."),
        ("exercise", "Compute the number of ways to order five books on a shelf."),
        ("heading", "What's New in version 3?"),
    ]
    for one in asked:
        start, length = one.question_span
        assert fold(PAGE[start : start + length]) == one.question
        start, length = one.answer_span
        assert fold(PAGE[start : start + length]) == one.answer
    assert asked[0].answer == "Call `close` once, when no worker needs it any more."
    assert asked[2].answer == "Threads and processes are supported. Others can be registered."
    assert asked[4].answer == "Write them as 2a and 2b; their sum is 2(a + b)."
    assert asked[5].answer == ""


def failed(title: str = "“pool”") -> list[list[str]]:
    return [[name for name, verdict in verdicts(one, title).items() if not verdict["passed"]] for one in found(PAGE)]


def test_a_question_stands_alone_or_is_rejected() -> None:
    assert failed() == [[], [], [], ["self_contained"], [], ["answered"], ["self_contained"]]
    assert failed("")[0] == ["self_contained"]


@pytest.mark.parametrize(
    ("question", "answer", "check"),
    [
        ("What does this option of the pool do?", "It closes every worker.", "self_contained"),
        ("What does the table above show about pools?", "It shows every worker.", "self_contained"),
        ("Where to next?", "Read the tutorial, it is short.", "self_contained"),
        ("How do I install the whole pool?", "Run $ pip install pool in a shell.", "readable"),
        ("How do I install the whole pool?", "See [the page](https://x.org) for it.", "readable"),
        ("How do I install the whole pool?", "Like so:", "whole"),
        ("How do I install the whole pool?", "by hand, or with a tool.", "whole"),
    ],
)
def test_every_check_can_fail(question: str, answer: str, check: str) -> None:
    text = f"Q: {question}\nA: {answer}\n"
    (one,) = found(text)
    assert [name for name, verdict in verdicts(one, "“other”").items() if not verdict["passed"]] == [check]


def test_the_page_is_named_unless_the_question_does() -> None:
    worded = {
        asked.question: (question, thoughts) for asked, question, thoughts, _ in questions(PAGE, "“pool”", Stream(0, 1))
    }
    assert worded["How do I close the pool?"][0] == "How do I close the pool?"
    assert "“pool”" in worded["What happens on a timeout?"][0]
    assert "The worker is ended, and its task runs again." in worded["What happens on a timeout?"][1]


def test_a_long_answer_ends_with_a_sentence() -> None:
    text = "Q: What is a very long answer like?\nA: " + "It goes on and on. " * 100
    assert found(text)[0].answer.endswith("on.")
    assert len(found(text)[0].answer) <= 900


@pytest.mark.parametrize(
    "text", ["Q: " * 60_000, "Q: x\n" * 60_000, "How is a?\n" * 60_000, "Exercise " * 60_000, "#" * 300_000]
)
def test_a_huge_page_is_read_in_bounded_time(text: str) -> None:
    assert len(found(text)) <= 40


@pytest.mark.parametrize(
    ("answer", "is_impersonal", "is_readable"),
    [
        ("Call `close` once, when no worker needs it any more.", True, True),
        ("If you do then please let us know before you change it.", False, True),
        ("We will be iterating on the enhancements next year.", False, True),
        ("If we add the two, we get an even number.", True, True),
        ("Use them to: - Download files from the Hub. - Upload files.", True, False),
    ],
)
def test_answers_in_the_voice_of_the_authors_or_with_a_list_run_together_are_refused(
    answer: str, is_impersonal: bool, is_readable: bool
) -> None:
    asked = found(f"Q: How do I close the pool?\nA: {answer}\n")[0]
    told = verdicts(asked, "“pools”")
    assert (told["impersonal"]["passed"], told["readable"]["passed"]) == (is_impersonal, is_readable)
