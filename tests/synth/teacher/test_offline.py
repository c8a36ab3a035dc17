"""The offline back end against a stand-in for `ray.data.llm`, with the interface that its documentation describes; no GPU was at hand."""

import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datapipe.engine import RayData
from synth.teacher import Crew, Settings, TeacherError
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
    said = str(sampling["structured_outputs"]) if "structured_outputs" in sampling else f"<think>hm</think>{text}!"
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


def test_a_schema_reaches_the_engine(tmp_path: Path, llm: None) -> None:
    schema = {"type": "object"}
    with Crew(Settings.of({"backend": "offline", "model": "m"}), str(tmp_path)) as crew:
        (answer,) = crew.run([asking(request()._replace(schema=schema))])
    assert "'json': {'type': 'object'}" in answer.text


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
