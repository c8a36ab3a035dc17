"""The offline back end against a stand-in for `ray.data.llm`, with the interface that its documentation describes; no GPU was at hand."""

import inspect
import json
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datapipe.engine import RayData, _generated
from synth.teacher import Answer, Crew, Settings, TeacherError
from synth.teacher.offline import _answer
from tests.synth.teacher.asking import asking, request

ENGINES: list[dict[str, Any]] = []


class Config(NamedTuple):
    given: dict[str, Any]


def config(**given: Any) -> Config:
    ENGINES.append(given)
    return Config(given)


def generated(row: dict[str, Any]) -> dict[str, Any]:
    """As the engine's stage leaves a row: what came in goes on, and an error fills the columns with nothing."""
    text = row["messages"][-1]["content"]
    sampling = row["sampling_params"]
    if len(text) > 20:
        nothing = {"generated_text": "", "num_input_tokens": 0, "num_generated_tokens": 0}
        return {**row, **nothing, "__inference_error__": "ValueError: prompt is too long"}
    words = sampling["max_tokens"] if text == "long" else 3
    asked_for = sampling.get("structured_outputs")  # nothing where another row of the column has one
    said = asked_for["json"] if asked_for else f"<think>hm</think>{text}!"
    return {**row, "generated_text": said, "num_input_tokens": len(text), "num_generated_tokens": words}


def build_processor(config: Config, preprocess: Any = None, postprocess: Any = None) -> Any:
    def finish(row: dict[str, Any]) -> dict[str, Any]:
        row = generated(row)
        return row if row.get("__inference_error__") else {**postprocess(row), "__inference_error__": ""}

    return lambda dataset: dataset.map(finish)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch, ray_engine: RayData) -> None:
    ray_engine._start()
    ENGINES.clear()
    module = types.ModuleType("ray.data.llm")
    module.vLLMEngineProcessorConfig, module.build_processor = config, build_processor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray.data.llm", module)
    monkeypatch.setattr("synth.teacher.offline.QUIET_SECONDS", 0.05)


def test_all_rows_go_through_one_pipeline(tmp_path: Path, llm: None) -> None:
    given = Settings.of({"backend": "offline", "model": "org/m", "offline": {"concurrency": 2}, "concurrency": 2})
    texts = ["bee", "long", "far too long a text for this model", "wasp"]
    with Crew(given, str(tmp_path)) as crew:
        bee, long, too_long, wasp = crew.run(map(asking, map(request, texts)))
        assert crew.asked == {"requests": 4}
    assert ENGINES == [{"model_source": "org/m", "should_continue_on_error": True, "concurrency": 2}]
    assert (bee.text, bee.reasoning, bee.finish_reason) == ("bee!", "hm", "stop")
    assert (bee.prompt_tokens, bee.completion_tokens, bee.model) == (3, 3, "org/m")
    assert (long.finish_reason, long.is_whole) == ("length", False)
    assert (too_long.failure, too_long.is_final) == ("rejected", False)  # costs its row alone
    assert wasp.is_whole
    with Crew(given, str(tmp_path)) as crew:
        crew.run(map(asking, map(request, texts[:2])))
        assert crew.asked == {"kept": 2}
    assert len(ENGINES) == 1


def test_schemas_reach_the_engine_as_they_are(tmp_path: Path, llm: None) -> None:
    """One column holds them all: a field of one must not appear in another."""
    schemas = [{"type": "object", "maxProperties": 9}, {"type": "object", "minProperties": 1}, None]
    with Crew(Settings.of({"backend": "offline", "model": "m"}), str(tmp_path)) as crew:
        answers = crew.run([asking(request()._replace(schema=schema)) for schema in schemas])
    assert [answer.text for answer in answers] == [*map(json.dumps, schemas[:2]), "What is a bee?!"]


def test_the_installed_ray_has_what_is_used() -> None:
    """The real configuration and the real ends of a pipeline; what lies between needs vLLM."""
    llm = pytest.importorskip("ray.data.llm", reason="the llm part of Ray cannot be imported")
    given = {"concurrency": 4, "accelerator_type": "H100", "engine_kwargs": {"max_model_len": 8_192}}
    config = llm.vLLMEngineProcessorConfig(model_source="org/m", should_continue_on_error=True, **given)
    assert (config.model_source, config.should_continue_on_error) == ("org/m", True)
    assert config.get_concurrency() == {"min_size": 1, "max_size": 4}
    assert config.chat_template_stage is config.tokenize_stage is config.detokenize_stage is True
    with pytest.raises(ValueError, match="concurency"):
        llm.vLLMEngineProcessorConfig(model_source="m", concurency=4)
    parameters = inspect.signature(llm.build_processor).parameters
    assert next(iter(parameters)) == "config"
    assert "postprocess" in parameters

    engine = pytest.importorskip("ray.llm._internal.batch.stages.vllm_engine_stage", reason="Ray keeps it elsewhere")
    made = engine.vLLMOutputData(prompt="Hi", num_input_tokens=3, generated_text="a", num_generated_tokens=2)
    processor = llm.Processor(config, [], postprocess=_generated)
    row = {"number": 7, "messages": [], "sampling_params": {}, **made.model_dump()}
    whole = processor.postprocess({processor.DATA_COLUMN: {**row, "__inference_error__": ""}})
    assert _answer(whole, request(), "m") == Answer("a", "stop", 3, 2, model="m")
    lost = processor.postprocess({processor.DATA_COLUMN: {**row, "__inference_error__": "ValueError: too long"}})
    assert lost["number"] == 7
    assert _answer(lost, request(), "m").failure == "rejected"


def test_what_it_cannot_do_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.offline.QUIET_SECONDS", 0.05)
    given = Settings.of({"backend": "offline", "model": "m"})
    with Crew(given, str(tmp_path)) as crew:
        with pytest.raises(TeacherError, match="cannot call tools: name an endpoint"):
            crew.run([asking(request()._replace(tools=({"name": "f"},)))])

        def missing(*arguments: object, **config: object) -> None:
            raise ImportError("No module named 'vllm'")

        monkeypatch.setattr("synth.teacher.offline.generate_texts", missing)
        with pytest.raises(TeacherError, match=r"needs vLLM \(No module named 'vllm'\): pip install"):
            crew.run([asking(request())])

        def broken(*arguments: object, **config: object) -> None:
            raise ZeroDivisionError("broken")

        monkeypatch.setattr("synth.teacher.offline.generate_texts", broken)
        with pytest.raises(ZeroDivisionError):
            crew.run([asking(request())])
