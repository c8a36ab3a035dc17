"""Checks: each reason on a candidate that fails it alone, and the same candidate mended passes."""

import dataclasses

import pytest

from synth.evidence import Fact, FactKind
from synth.verify import CHECKS, Candidate, verdicts


def candidate(
    answer: str,
    *,
    kind: FactKind = "definition",
    subject: str = "A zone",
    detail: str = "is a zone",
    question: str = "What?",
) -> Candidate:
    text = f"{subject} is {answer}\ndef wait():\n"
    start = text.index(answer)
    return Candidate(
        text, Fact(start, len(answer), kind, subject, detail, 0, start + len(answer)), "“Page”", question, answer
    )


GOOD = "a region of the network that one server answers for."


def test_a_sound_definition_passes_every_check() -> None:
    reason, passed = verdicts(candidate(GOOD, subject="Zone"))
    assert reason is None
    assert passed == tuple(check.reason for check in CHECKS if "definition" in check.kinds)


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("not_a_span", candidate(GOOD, subject="Zone")._replace(answer="a region of the network.")),
        ("untitled", candidate(GOOD, subject="Zone")._replace(title="")),
        *(
            ("generic_subject", candidate(GOOD, subject=subject))
            for subject in ("This", "It", "There", "Another option", "X", "The result")
        ),
        ("points_elsewhere", candidate("a region that works like those above.", subject="Zone")),
        ("unclean", candidate("a region of the [network](net.html).", subject="Zone")),
        ("unclean", candidate('a region of the "network that one server answers.', subject="Zone")),
        ("incomplete", candidate("a region of the network, and consists of:", subject="Zone")),
        ("uninformative", candidate("a kind of zone object.", subject="Zone", question="What is a zone?")),
        ("answer_in_question", candidate(GOOD, subject="Zone", question=f"Is a zone {GOOD}")),
        ("not_prose", candidate("region network server answers.", subject="Zone", kind="term")),
        ("change_note", candidate("Added a way to give the zone a name.", subject="Zone", kind="term")),
        ("generic_subject", candidate(GOOD, subject="License", kind="section")),
    ],
)
def test_each_fault_has_its_reason(reason: str, bad: Candidate) -> None:
    assert verdicts(bad)[0] == f"synth.{reason}"


def test_the_subject_must_stand_in_the_evidence() -> None:
    good = candidate(GOOD, subject="Zone")
    assert verdicts(good._replace(fact=dataclasses.replace(good.fact, subject="Resolver")))[0] == "synth.subject_absent"


@pytest.mark.parametrize(
    ("answer", "session", "reason"),
    [
        ("3", ">>> 1 + 2", None),
        ("4", ">>> 1 + 2", "synth.recompute_mismatch"),
        ("7", ">>> wait() + 1", None),  # the file defines it
        ("7", ">>> stay() + 1", "synth.undefined_name"),
        ("7", ">>> 1 +", "synth.undefined_name"),
        ("2", ">>> import random\n>>> random.choice([2])", "synth.unstable_output"),
        ("<Box object at 0x7f00aa11>", ">>> wait()", "synth.unstable_output"),
        ("[1, ...]", ">>> wait()", "synth.unstable_output"),
        ("x", ">>> open('a.txt').read()", "synth.unstable_output"),
        ("wait(1)", ">>> wait(1)", "synth.answer_in_question"),
    ],
)
def test_examples(answer: str, session: str, reason: str | None) -> None:
    question = f"What does it print?\n{session}"
    assert verdicts(candidate(answer, kind="example", detail=session, question=question))[0] == reason
