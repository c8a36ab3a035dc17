"""The paper against what the trainer builds: weights per rank, tensors kept for the way back, FLOPs; and the rules of sharing."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.describe import load_shape
from curriculum.footprint import Settings, fullest, layer_bytes, stage_memory, stage_weights, stage_work
from curriculum.model_shape import ModelShape
from curriculum.parallel import Parallel
from tests.trainer.forked import forked

SHAPE = ModelShape(
    **{
        "name": "odd",
        "vocab_size": 512,
        "layers": 5,
        "dense_layers": 2,
        "hidden": 128,
        "heads": 6,
        "kv_heads": 2,
        "head_dim": 64,
    },
    **{
        "dense_ffn": 320,
        "experts": 16,
        "experts_per_token": 4,
        "expert_ffn": 64,
        "shared_ffn": 96,
        "router_scale": 1.0,
    },
    **{"qk_norm": True, "qkv_bias": True, "rotary_fraction": 0.5, "mtp_layers": 1, "norm_eps": 1e-5, "init_std": 0.02},
)
LAYOUTS = [
    (Parallel(tensor=2, pipeline=2, expert=4, first_stage_layers=3, last_stage_layers=2), 16),
    (Parallel(pipeline=5, expert=2), 10),
    (Parallel(context=2, expert=8), 8),
    (Parallel(tensor=2), 2),
]
SEQ_LEN = 256
ONE_ROW = Settings(seq_len=SEQ_LEN, micro_tokens=SEQ_LEN, precision="fp32")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainer builds of SHAPE under LAYOUTS, once for all tests here."""
    layouts = [(dataclasses.asdict(sizes), world) for sizes, world in LAYOUTS]
    arguments = [json.dumps(dataclasses.asdict(SHAPE)), json.dumps(layouts), str(SEQ_LEN)]
    out = tmp_path_factory.mktemp("built") / "found.json"
    forked(Path(__file__).with_name("built_layout.py"), 1, *arguments, out)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("number", range(len(LAYOUTS)))
def test_every_rank_holds_the_weights_that_the_paper_says(built: dict[str, Any], number: int) -> None:
    (sizes, world), ranks = LAYOUTS[number], built["ranks"][number]
    assert {rank["stage"] for rank in ranks} == set(range(sizes.pipeline))
    for rank in ranks:
        weights = list(stage_weights(SHAPE, sizes, rank["stage"]))
        assert sorted(weight.numel for weight in weights if weight.is_expert) == rank["experts"]
        assert sorted(weight.numel for weight in weights if not weight.is_expert) == rank["dense"]
        assert (sizes.data(world), sizes.expert_data(world)) == (rank["data"], rank["expert_data"])


@pytest.mark.parametrize("number", range(len(LAYOUTS)))
def test_the_fullest_rank_of_a_stage_keeps_the_state_that_the_paper_says(built: dict[str, Any], number: int) -> None:
    """Dense weights and experts are dealt out apart; the paper takes the fullest of both, which may be two ranks."""
    (sizes, world), ranks = LAYOUTS[number], built["ranks"][number]
    for stage, memory in enumerate(stage_memory(SHAPE, sizes, world, Settings())):
        most = max(rank["state"] for rank in ranks if rank["stage"] == stage)
        assert most <= memory.optimizer <= 1.05 * most


@pytest.mark.parametrize(("precision", "value"), [("fp32", 4), ("bf16", 2)])
def test_layers_keep_what_the_paper_says(built: dict[str, Any], precision: str, value: int) -> None:
    """On a CPU attention copies its output once more, and keeps the two angles of a rotation."""
    on_cpu = SEQ_LEN * (value * SHAPE.heads * SHAPE.head_dim + 4 * int(SHAPE.head_dim * SHAPE.rotary_fraction))
    settings = dataclasses.replace(ONE_ROW, precision=precision)
    for layer, kept in enumerate(built["kept"][precision]):
        told = layer_bytes(SHAPE, Parallel(), settings, is_moe=layer >= SHAPE.dense_layers)
        assert told + on_cpu == pytest.approx(kept, rel=0.01)


def test_flops_are_those_that_torch_counts(built: dict[str, Any]) -> None:
    """The heads compute nothing where there is nothing to predict: the last token, the last two one token further."""
    head = 3 * 2 * SHAPE.vocab_size * SHAPE.hidden
    told = SEQ_LEN * SHAPE.flops_per_token(SEQ_LEN) - head * 1 - head * 2
    assert sum(built["flops"].values()) == told
    attention = sum(flops for name, flops in built["flops"].items() if "attention" in name)
    layers = SHAPE.layers + SHAPE.mtp_layers
    assert attention == 3 * SEQ_LEN * SHAPE.forward_flops(SEQ_LEN).scores * layers / SHAPE.layers


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_bytes_of_a_weight(precision: str) -> None:
    """Alone: 2 bytes and a master of 4, or 4; a gradient of 4; a momentum of 4 for matrices, two moments for the rest."""
    [memory] = stage_memory(SHAPE, Parallel(), 1, Settings(precision=precision))
    counts, value = SHAPE.parameters(), {"bf16": 2, "fp32": 4}[precision]
    weights = counts.total + counts.embedding
    assert (memory.parameters, memory.weights, memory.gradients) == (weights, value * weights, 4 * weights)
    master = 4 * weights if precision == "bf16" else 0
    by_adamw = sum(weight.numel for weight in stage_weights(SHAPE, Parallel(), 0) if not weight.is_matrix)
    assert SHAPE.vocab_size * SHAPE.hidden < by_adamw < SHAPE.vocab_size * SHAPE.hidden * 1.2
    assert memory.optimizer == master + 4 * weights + 4 * by_adamw
    [adamw] = stage_memory(SHAPE, Parallel(), 1, Settings(precision=precision, optimizer="adamw"))
    assert adamw.optimizer == master + 8 * weights
    assert adamw.step == 0
    [head] = stage_memory(SHAPE, Parallel(), 1, Settings(precision=precision, head="adamw"))
    assert head.optimizer == memory.optimizer + 4 * SHAPE.vocab_size * SHAPE.hidden


def test_the_state_is_shared_among_those_that_hold_the_same_weight() -> None:
    """Experts over fewer processes than dense weights, and nobody gets less than the largest weight."""
    alone, shared = (stage_memory(SHAPE, Parallel(expert=2), world, Settings())[0] for world in (2, 16))
    assert shared.weights == alone.weights
    assert shared.optimizer < alone.optimizer / 4
    stack = 2 * SHAPE.expert_ffn * SHAPE.hidden * 8
    largest = stage_memory(SHAPE, Parallel(expert=2), 2048, Settings())[0].optimizer
    assert largest == 8 * stack + 12 * SHAPE.vocab_size * SHAPE.hidden


def test_whole_weights_do_not_divide_evenly() -> None:
    assert fullest([7, 7, 7, 1], 2) == 14  # 11 if they could be cut
    assert fullest([8, 5, 4, 3, 2], 2) == 11
    assert fullest([5], 8) == 5
    assert fullest([], 3) == 0


def test_activations_follow_the_pipeline() -> None:
    sizes, settings = Parallel(pipeline=4), Settings(recompute="full")
    shape = dataclasses.replace(SHAPE, layers=8)
    first, *_, last = stage_memory(shape, sizes, 4, settings)
    hidden = 8192 * shape.hidden * 2
    assert first.activations == 4 * 3 * hidden  # four micro-batches, each with the inputs of two layers and its output
    head = shape.vocab_size * shape.hidden * 2
    assert last.activations == (3 + 1 + 4) * hidden + 2 * (
        3 * hidden + head
    )  # one more layer, norms, and gradients of two heads
    kept = stage_memory(shape, sizes, 4, dataclasses.replace(settings, recompute="none"))[0].activations
    assert kept > 10 * first.activations


def test_long_rows_and_context_parallelism() -> None:
    """A row is never cut, however few positions are asked for; context and tensor ranks share it."""
    assert Settings(seq_len=131_072, micro_tokens=8192).positions == 131_072
    assert Settings(seq_len=3000, micro_tokens=8192).positions == 6000
    settings = Settings(recompute="full", seq_len=32_768)
    one, two = (stage_memory(SHAPE, Parallel(tensor=n, context=n), n * n, settings)[0] for n in (1, 2))
    layers = SHAPE.layers + SHAPE.mtp_layers + 1
    hidden = 32_768 * SHAPE.hidden * 2
    assert one.activations > layers * hidden
    assert two.activations < one.activations / 2
    # Keys and values of the other ranks come in addition to what a share of the tokens keeps.
    told, whole = (layer_bytes(SHAPE, Parallel(context=n), settings, is_moe=False) for n in (2, 1))
    keys = SHAPE.kv_heads * SHAPE.head_dim
    assert told == whole // 2 + 16_384 * 2 * 2 * keys * 2.5


def test_work_is_the_flops_of_training() -> None:
    sizes = Parallel(pipeline=5)
    assert sum(stage_work(SHAPE, sizes, ONE_ROW)) == pytest.approx(SHAPE.flops_per_token(SEQ_LEN))
    again = stage_work(SHAPE, sizes, dataclasses.replace(ONE_ROW, recompute="full"))
    forward = SHAPE.forward_flops(SEQ_LEN)
    assert sum(again) == pytest.approx(4 * sum(forward) - 2 * forward.head)
    shape = load_shape("glm45")
    works = [stage.work for stage in stage_memory(shape, Parallel(pipeline=4), 4, Settings())]
    assert sum(works) / 4 == pytest.approx(1)
    assert works[3] > 1 > works[1]
