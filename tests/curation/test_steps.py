"""The table of steps names functions that exist and have the shape their kind asks for."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from curation.steps import STEPS, CorpusStep, RoutedStep, load

CORPUS_STEPS = [name for name, step in STEPS.items() if step.kind == "corpus"]
REQUIRED = ("model", "least", "pages")  # a model and limits must be named, pages come from the engine
POSITIONAL = {"emit": 1, "reduce": 1, "merge": 1, "judge": 1, "apply": 2}


def functions_of(step: Any) -> dict[str, Callable[..., Any]]:
    if not isinstance(step, CorpusStep | RoutedStep):
        return {"": step}
    return {name: function for name, function in step._asdict().items() if name in POSITIONAL and function}


def keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {name: p for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", STEPS)
def test_every_step_loads_and_takes_keywords_with_defaults_only(name: str) -> None:
    step = load(STEPS[name])
    assert isinstance(step, CorpusStep | RoutedStep) == (STEPS[name].kind == "corpus")
    for role, function in functions_of(step).items():
        parameters = list(inspect.signature(function).parameters.values())
        assert len([p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]) == POSITIONAL.get(role, 1)
        assert all(p.default is not p.empty or p.name in REQUIRED for p in keywords(function).values())
        assert inspect.signature(function).return_annotation.__name__ in ("Table", "Array")


@pytest.mark.parametrize("name", CORPUS_STEPS)
def test_no_parameter_of_a_corpus_step_has_the_name_of_a_table(name: str) -> None:
    functions = functions_of(load(STEPS[name])).values()
    tables = {
        n for each in functions for n, p in inspect.signature(each).parameters.items() if p.kind is not p.KEYWORD_ONLY
    }
    assert not tables & {n for each in functions for n in keywords(each)}


@pytest.mark.parametrize("name", STEPS)
def test_a_check_takes_parameters_of_its_step_only(name: str) -> None:
    step = load(STEPS[name])
    check = getattr(step, "check", None)
    taken = {n for function in functions_of(step).values() for n in keywords(function)}
    assert check is None or set(inspect.signature(check).parameters) <= taken


@pytest.mark.parametrize("name", CORPUS_STEPS)
def test_what_has_no_exchange_learns_from_a_reference(name: str) -> None:
    step = load(STEPS[name])
    if isinstance(step, CorpusStep) and (step.emit is None or step.reduce is None):
        assert step.emit is None
        assert step.reduce is None
        assert "reference" in keywords(step.merge)
