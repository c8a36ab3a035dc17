"""The table of steps names functions that exist and have the shape their kind asks for."""

import inspect

import pytest

from curation.steps import STEPS, CorpusStep, load


@pytest.mark.parametrize("name", STEPS)
def test_every_step_loads_and_takes_keywords_with_defaults_only(name: str) -> None:
    step = load(STEPS[name])
    assert isinstance(step, CorpusStep) == (STEPS[name].kind == "corpus")
    functions = step[:4] if isinstance(step, CorpusStep) else (step,)
    for function, positional in zip(functions, (1, 1, 1, 2), strict=False):
        parameters = list(inspect.signature(function).parameters.values())
        assert len([p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]) == positional
        assert all(p.default is not p.empty for p in parameters if p.kind is p.KEYWORD_ONLY)
        assert inspect.signature(function).return_annotation.__name__ in ("Table", "Array")


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.kind == "corpus"])
def test_no_parameter_of_a_corpus_step_has_the_name_of_a_table(name: str) -> None:
    functions = load(STEPS[name])[:4]
    parameters = [inspect.signature(function).parameters.values() for function in functions]
    tables = {p.name for each in parameters for p in each if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert not tables & {p.name for each in parameters for p in each if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.kind == "corpus"])
def test_a_check_takes_parameters_of_its_step_only(name: str) -> None:
    *functions, check = load(STEPS[name])
    taken = {p.name for function in functions for p in inspect.signature(function).parameters.values()}
    assert check is None or set(inspect.signature(check).parameters) <= taken
