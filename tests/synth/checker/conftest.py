"""Rows of every generator that has something to prove, made once for all tests of the checkers."""

import json

import pytest

from synth.checker import software
from synth.reasoning import generator as reasoning
from synth.rephrase import generator as rephrase
from synth.search import generator as search
from synth.software import generator as mutants
from synth.tooluse import calls
from synth.tooluse import generator as tools
from tests.synth.checker import worlds
from tests.synth.checker.proving import Stored, accepted, task_of
from tests.synth.reasoning.asking import FakeCrew as Solvers
from tests.synth.reasoning.asking import answer
from tests.synth.rephrase.fakes import FakeCrew, rewriting


@pytest.fixture(scope="session")
def search_rows() -> list[Stored]:
    return accepted(search.reduce(search.emit(worlds.SHIPS), tries=150, min_calls=2))


@pytest.fixture(scope="session")
def tools_rows() -> list[Stored]:
    return accepted(tools.reduce(tools.emit(worlds.SOURCES, worlds=2), tasks=10))


@pytest.fixture(scope="session")
def calls_rows() -> list[Stored]:
    return accepted(calls.reduce(calls.emit(worlds.TOOL_LISTS), per_tool=40))


@pytest.fixture(scope="session")
def software_rows() -> list[Stored]:
    return accepted(mutants.reduce(mutants.emit(worlds.PACKAGE), per_repository=2))


@pytest.fixture(scope="session")
def reasoning_rows() -> list[Stored]:
    return accepted(reasoning.reduce(reasoning.emit(worlds.PROBLEMS, calculations_per_document=24)))


@pytest.fixture(scope="session")
def solved_rows(reasoning_rows: list[Stored]) -> list[Stored]:
    """With the answers of a model, which are right."""
    tasks = {
        row["text"].partition("<|user|>\n")[2].partition("<|assistant|>")[0]: task_of(row) for row in reasoning_rows
    }

    def right(question: str, sample: int) -> answer:  # type: ignore[valid-type]
        task = tasks.get(question, {})
        said = task.get("call") if task.get("kind") == "code_input" else task.get("answer", task.get("value", "?"))
        return answer(f"So.\nAnswer: {said}", reasoning="Let me see.")

    sent = reasoning.emit(worlds.PROBLEMS, calculations_per_document=8)
    return accepted(reasoning.reduce(sent, teacher=Solvers(right), samples=1))


@pytest.fixture(scope="session")
def rephrase_rows() -> list[Stored]:
    sent = rephrase.emit(worlds.MANUALS)
    return [row for seed in range(3) for row in accepted(rephrase.reduce(sent, seed=seed))]


@pytest.fixture(scope="session")
def taught_rows() -> list[Stored]:
    """Paraphrases of a model."""
    return accepted(rephrase.reduce(rephrase.emit(worlds.PROSE), teacher=FakeCrew(rewriting)))


_RUNS: dict[str, dict[str, str]] = {}


@pytest.fixture
def runs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tampered rows leave the code as it is: the same tests on the same tree run once."""
    run = software.outcomes

    def remembered(files: dict[str, str], tests: set[str]) -> dict[str, str]:
        key = json.dumps([files, sorted(tests)], sort_keys=True)
        if key not in _RUNS:
            _RUNS[key] = run(files, tests)
        return _RUNS[key]

    monkeypatch.setattr(software, "outcomes", remembered)
    return
