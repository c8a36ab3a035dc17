"""Parameter counts against the published ones."""

import pytest

from curriculum.document import Document
from curriculum.manifest import MANIFESTS
from curriculum.model_shape import ModelShape


def shape(name: str) -> ModelShape:
    return ModelShape(**Document(MANIFESTS / "models" / f"{name}.yaml").data)


@pytest.mark.parametrize(("name", "total", "active"), [("glm45", 355e9, 32e9), ("glm45_air", 107e9, 12e9)])
def test_published_sizes(name: str, total: float, active: float) -> None:
    """GLM-4.5 report, table 1: 355B/32B and 106B/12B; the 106B leave out the MTP block (2.4B)."""
    counts = shape(name).parameters()
    assert counts.total == pytest.approx(total, rel=0.01)
    assert counts.active == pytest.approx(active, rel=0.05)


def test_the_air_model_without_its_mtp_block() -> None:
    counts = shape("glm45_air").parameters()
    assert counts.total - counts.mtp == pytest.approx(105.6e9, rel=0.001)


def test_attention_may_be_wider_than_the_model() -> None:
    assert shape("glm45").heads * shape("glm45").head_dim == 2.4 * shape("glm45").hidden


def test_impossible_shapes_say_why() -> None:
    broken = ModelShape(**{**shape("tiny").__dict__, "kv_heads": 3, "experts_per_token": 9, "rotary_fraction": 0.1})
    assert [problem.partition(":")[0] for problem in broken.problems()] == [
        "heads",
        "experts_per_token",
        "rotary_fraction",
    ]
