"""What a person sees while a build runs."""

import io

from rich.console import Console

from curriculum.progress import BuildProgress

TOLD = "qwen:7b: 1,234 answers, 5 tokens, cost 0.5 of 20"


def test_what_a_teacher_has_cost_so_far_stands_beside_the_jobs() -> None:
    out = io.StringIO()
    with BuildProgress(Console(file=out, force_terminal=True, width=140)) as progress:
        progress.observe("said", "generate", 1, 3)
        progress.tell([TOLD.replace("1,234", "1")])
        progress.tell([TOLD])
        progress._bar.refresh()
    last = out.getvalue().rpartition("1/3")[2]
    assert TOLD in last
    assert last.count("teacher") == 1


def test_where_there_is_no_terminal_it_is_a_line_now_and_then() -> None:
    out = io.StringIO()
    with BuildProgress(Console(file=out, width=140)) as progress:
        progress.tell([TOLD])  # something was said just now
        progress._said -= 9
        progress.tell([TOLD])
    assert out.getvalue() == TOLD + "\n"
