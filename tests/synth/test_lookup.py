"""The lookup generator: tools that really ran, answers that stand in what they returned, distractors included."""

import itertools

import pyarrow.compute as pc
import pytest

from datapipe.schema import DROP, LOSS_SPANS, documents
from synth.evidence import fold
from synth.lookup import LOOKUP, MAX_HITS, TOOLS, find, read
from synth.render import Call, Turn, parse

SOURCE = (
    '''"""Queues of jobs, kept on disk between two runs of the program."""


class Fast:
    def take(self, wait=0):
        """Remove and give back the newest of all jobs."""


class Slow:
    def take(self, wait=0):
        """Remove and give back the oldest of all jobs.

        Args:
            wait: Seconds to stay when the queue has no job,
                before giving up.
        """
'''
    + "\n\n# nothing to see\n" * 40
)


def trajectories(text: str = SOURCE, kind: str = "code", **params: int) -> list[dict]:
    rows = documents([{"origin": "jobs@1:jobs/queue.py", "text": text, "kind": kind}])
    table = LOOKUP.reduce(LOOKUP.emit(rows, min_chars=100, **params))
    return table.filter(pc.is_null(table[DROP])).to_pylist()


def run(text: str, call: Call) -> list[str]:
    """What the tool returns, without line numbers."""
    if call.name == "read":
        return read(text, call.arguments["line"], call.arguments["count"])
    return [hit.shown for hit in find(text, call.arguments["pattern"])]


def test_what_a_tool_returned_is_what_it_finds() -> None:
    rows = trajectories()
    assert len(rows) == 3
    for row in rows:
        turns = parse(row["text"])
        assert turns[0] == Turn("system", tools=TOOLS)
        for turn, following in itertools.pairwise(turns):
            for call in turn.calls:
                shown = [line.partition(": ")[2] for line in following.responses[0].split("\n")]
                assert shown[-len(run(SOURCE, call)) :] == run(SOURCE, call)
        assert fold(turns[-1].text) in fold(
            " ".join(line.partition(": ")[2] for line in turns[-2].responses[0].split("\n"))
        )


def test_the_right_one_of_several_hits_is_read() -> None:
    [row] = [row for row in trajectories() if row["text"].endswith("oldest of all jobs.")]
    turns = parse(row["text"])
    assert turns[2].calls == (Call("find", {"pattern": "def take("}),)
    assert turns[3].responses == ("2 lines:\n5: def take(self, wait=0):\n10: def take(self, wait=0):",)
    assert turns[4].calls[0].arguments["line"] == 10
    assert turns[-1].text == "Remove and give back the oldest of all jobs."


def test_one_call_is_enough_when_the_hit_shows_the_answer() -> None:
    text = (
        "Names\n\nA zone is a region of the name space that one server answers for.\n" + "Filler follows here.\n" * 40
    )
    [row] = trajectories(text, "web")
    assert [len(turn.calls) for turn in parse(row["text"])] == [0, 0, 1, 0, 0]


def test_tool_results_are_masked() -> None:
    for row in trajectories():
        learned = [row["text"][span["start"] :][: span["length"]] for span in row[LOSS_SPANS]]
        assert not any("<tool_response>" in part or "<|user|>" in part for part in learned)
        assert [part.endswith("<|observation|>") for part in learned] == [True] * (len(learned) - 1) + [False]
        assert row["kind"] == "agent"


def test_what_the_search_does_not_reach_is_dropped() -> None:
    crowd = "".join(f"class C{n}:\n    def take(self):\n        pass\n" for n in range(MAX_HITS))
    text = SOURCE.replace("class Slow", crowd + "class Slow")
    rows = documents([{"origin": "jobs@1:jobs/queue.py", "text": text, "kind": "code"}])
    table = LOOKUP.reduce(LOOKUP.emit(rows, min_chars=100))
    assert "synth.not_found" in table[DROP].to_pylist()


@pytest.mark.parametrize(("pattern", "lines"), [("take", [5, 10]), ("nowhere", [])])
def test_find(pattern: str, lines: list[int]) -> None:
    assert [hit.line for hit in find(SOURCE, pattern)] == lines


def test_find_shows_the_part_of_a_long_line_that_matches() -> None:
    [hit] = find("x" * 5000 + " needle " + "y" * 5000, "needle")
    assert "needle" in hit.shown
    assert len(hit.shown) < 200
