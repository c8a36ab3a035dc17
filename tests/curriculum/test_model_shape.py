"""Parameter counts against the published ones, FLOPs against a case counted by hand (test_footprint.py counts the real model)."""

import dataclasses

import pytest

from curriculum.document import Document
from curriculum.manifest import MANIFESTS
from curriculum.model_shape import Flops, ModelShape


def shape(name: str) -> ModelShape:
    return ModelShape(**Document(MANIFESTS / "models" / f"{name}.yaml").data)


@pytest.mark.parametrize(
    ("name", "total", "active", "total_without", "active_without"),
    [("glm45", 355.23, 32.48, 351.25, 32.08), ("glm45_air", 107.99, 12.48, 105.61, 12.18)],
)
def test_published_sizes(name: str, total: float, active: float, total_without: float, active_without: float) -> None:
    """GLM-4.5 report, table 1, in billions: 355/32 and 106/12; the 355 hold the MTP block, the 106 leave it out."""
    counts = shape(name).parameters()
    assert counts.total / 1e9 == pytest.approx(total, abs=0.005)
    assert counts.active / 1e9 == pytest.approx(active, abs=0.005)
    assert (counts.total - counts.mtp) / 1e9 == pytest.approx(total_without, abs=0.005)
    assert (counts.active - counts.active_mtp) / 1e9 == pytest.approx(active_without, abs=0.005)


@pytest.mark.parametrize("name", ["tiny", "glm45", "glm45_air"])
def test_the_parts_are_the_whole(name: str) -> None:
    counts, parts = shape(name).parameters(), shape(name).parts()
    assert sum(parts) == counts.total + counts.embedding
    assert parts.mtp == counts.mtp
    assert parts.word_embeddings == parts.output_head == counts.embedding // 2


def test_flops_counted_by_hand() -> None:
    """One dense layer, one with experts, one that predicts ahead; H 8, two heads of 4 with one key head, rows of 6 tokens."""
    small = dataclasses.replace(
        shape("tiny"),
        **{"layers": 2, "dense_layers": 1, "hidden": 8, "heads": 2, "kv_heads": 1, "head_dim": 4, "vocab_size": 10},
        **{"dense_ffn": 16, "experts": 4, "experts_per_token": 2, "expert_ffn": 3, "shared_ffn": 5},
    )
    projections = 2 * 8 * (8 + 4 + 4 + 8)  # Q, K, V and the output
    scores = 2 * 3 * 8 + 2 * 3 * 8  # three keys on average, for scores and for values
    shared, experts = 2 * 3 * 8 * 5, 2 * (2 * 3 * 8 * 3) + 2 * 8 * 4
    assert small.forward_flops(6) == Flops(
        projections=2 * projections,
        scores=2 * scores,
        mlp=2 * 3 * 8 * 16 + shared,
        experts=experts,
        head=2 * 8 * 10,
        mtp=projections + scores + shared + experts + 2 * 16 * 8 + 2 * 8 * 10,
    )
    assert small.flops_per_token(6) == 3 * sum(small.forward_flops(6))
    assert small.flops_per_token(6, learned_mtp=False) == 3 * sum(small.forward_flops(6)[:-1])


def test_six_flops_per_active_weight() -> None:
    """The usual rule of thumb holds where attention's square is small; norms, biases and the word embedding multiply nothing."""
    glm = shape("glm45")
    weights = glm.parameters().active + (1 + glm.mtp_layers) * glm.vocab_size * glm.hidden
    assert glm.flops_per_token(0) == pytest.approx(6 * weights, rel=1e-3)
    assert glm.flops_per_token(131_072) > 4 * glm.flops_per_token(0)


def test_key_value_cache() -> None:
    """2 * 8 heads * 128 * 2 bytes * 92 layers."""
    assert shape("glm45").kv_cache_bytes(1) == 376_832
    assert shape("glm45").kv_cache_bytes(131_072) == pytest.approx(49.4e9, rel=1e-3)
    assert shape("glm45").kv_cache_bytes(10, bytes_per_value=1) == 5 * 376_832


def test_attention_may_be_wider_than_the_model() -> None:
    assert shape("glm45").heads * shape("glm45").head_dim == 2.4 * shape("glm45").hidden


def test_impossible_shapes_say_why() -> None:
    broken = ModelShape(**{**shape("tiny").__dict__, "kv_heads": 3, "experts_per_token": 9, "rotary_fraction": 0.1})
    assert [problem.partition(":")[0] for problem in broken.problems()] == [
        "heads",
        "experts_per_token",
        "rotary_fraction",
    ]
