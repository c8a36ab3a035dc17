"""Layouts: layers per stage as megatron-core counts them, sizes of the groups, and problems that say what to write."""

import re
from itertools import product
from typing import Any

import pytest

from curriculum.parallel import Parallel
from datapipe.site import Site

GLM: dict[str, Any] = {
    "layers": 92,
    "dense_layers": 3,
    "hidden": 5120,
    "heads": 96,
    "kv_heads": 8,
    "dense_ffn": 12288,
    "shared_ffn": 1536,
    "experts": 160,
    "vocab_size": 151552,
}


def test_layers_of_stages() -> None:
    assert Parallel().stage_layers(92) == (92,)
    assert Parallel(pipeline=4).stage_layers(92) == (23, 23, 23, 23)
    assert Parallel(pipeline=8, first_stage_layers=10, last_stage_layers=10).stage_layers(92) == (10, *[12] * 6, 10)
    assert Parallel(pipeline=4, last_stage_layers=7).stage_layers(46) == (13, 13, 13, 7)
    assert Parallel(pipeline=2, first_stage_layers=3, last_stage_layers=1).stage_layers(4) == (3, 1)


@pytest.mark.filterwarnings("ignore")
def test_layers_are_counted_as_megatron_counts_them() -> None:
    """Every layout of up to 9 layers: the same counts and offsets; what is refused here is refused there, or leaves a stage empty."""
    from megatron.core.transformer.transformer_block import get_num_layers_to_build
    from megatron.core.transformer.transformer_config import TransformerConfig
    from megatron.core.transformer.transformer_layer import get_transformer_layer_offset

    ends, compared = (None, 1, 2, 5), 0
    for layers, pipeline, first, last in product(range(1, 10), range(2, 6), ends, ends):
        sizes = Parallel(pipeline=pipeline, first_stage_layers=first, last_stage_layers=last)
        try:
            theirs = TransformerConfig(
                num_layers=layers,
                hidden_size=8,
                num_attention_heads=1,
                pipeline_model_parallel_size=pipeline,
                num_layers_in_first_pipeline_stage=first,
                num_layers_in_last_pipeline_stage=last,
                pipeline_dtype=float,
            )
            counts = tuple(get_num_layers_to_build(theirs, pp_rank=rank) for rank in range(pipeline))
            offsets = [get_transformer_layer_offset(theirs, pp_rank=rank) for rank in range(pipeline)]
        except (AssertionError, ValueError):
            counts = ()
        if not counts or min(counts) < 1:
            with pytest.raises(ValueError, match=r"pipeline: .*: use "):
                sizes.stage_layers(layers)
            continue
        assert sizes.stage_layers(layers) == counts
        assert offsets == [sum(counts[:rank]) for rank in range(pipeline)]
        compared += 1
    assert compared > 50


def test_sizes_of_groups() -> None:
    sizes = Parallel(tensor=2, pipeline=8, expert=16)
    assert (sizes.of_one_copy, sizes.fewest()) == (16, 128)
    assert (sizes.data(128), sizes.expert_data(128)) == (8, 1)
    assert (sizes.data(512), sizes.expert_data(512)) == (32, 4)
    assert Parallel(tensor=2, context=3, expert=4).fewest() == 12
    with pytest.raises(ValueError, match="use 16 or 32"):
        sizes.data(20)
    with pytest.raises(ValueError, match="16 does not divide the 6 processes"):
        Parallel(tensor=2, pipeline=2, expert=16).expert_data(12)


def test_the_sizes_of_a_site() -> None:
    site = Site(tensor=2, pipeline=8, expert=16, context=4, first_stage_layers=10, nodes=3, micro_tokens=5)
    assert Parallel.of_site(site) == Parallel(2, 8, 16, 4, 10, None)


def test_layouts_that_run_have_no_problems() -> None:
    assert Parallel().problems(GLM, 1) == Parallel().problems(GLM, 7) == []
    assert Parallel(2, 8, 16, 1, 10, 10).problems(GLM, 128) == []
    assert Parallel(2, 8, 16, 1, 10, 10).problems(GLM, 100)
    assert Parallel(2, 8, 16, 1, 10, 10).problems(GLM) == []


@pytest.mark.parametrize(
    ("sizes", "world", "told"),
    [
        (Parallel(tensor=0), 1, "tensor: 0 is not a size; write 1 or more."),
        (
            Parallel(tensor=3),
            3,
            "tensor: 3 does not divide kv_heads (8), hidden (5120), vocab_size (151552): use 1, 2, 4 or 8.",
        ),
        (Parallel(tensor=16), 16, "tensor: 16 does not divide kv_heads (8): use 1, 2, 4 or 8."),
        (
            Parallel(expert=3),
            3,
            "expert: 3 does not divide experts (160): use 1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 80 or 160.",
        ),
        (
            Parallel(pipeline=8),
            8,
            "pipeline: 92 layers do not go into 8 stages: use 1, 2, 4, 23, 46 or 92, "
            "or first_stage_layers = 10 and last_stage_layers = 10.",
        ),
        (Parallel(pipeline=93), 93, "pipeline: 93 stages for only 92 layers: use 92 or fewer."),
        (
            Parallel(pipeline=4, last_stage_layers=92),
            4,
            "pipeline: 92 layers do not go into 4 stages with 92 at its ends: use pipeline = 1, 2, 4, 23, 46 or 92 without them, "
            "or first_stage_layers = 23 and last_stage_layers = 23.",
        ),
        (
            Parallel(first_stage_layers=92),
            1,
            "first_stage_layers and last_stage_layers are for pipeline > 1: leave them away.",
        ),
        (
            Parallel(tensor=2, context=2),
            6,
            "world: 6 processes are not a multiple of tensor 2 * pipeline 1 * context 2 = 4: use 4 or 8.",
        ),
        (Parallel(tensor=2), 1, "world: 1 process is not a multiple of tensor 2 * pipeline 1 * context 1 = 2: use 2."),
        (
            Parallel(tensor=2, expert=16),
            12,
            "expert: 16 does not divide the 12 processes of a pipeline stage (tensor * context * data): "
            "use 1, 2 or 4, or 4 times as many processes.",
        ),
    ],
)
def test_problems_say_what_to_write(sizes: Parallel, world: int, told: str) -> None:
    assert sizes.problems(GLM, world) == [told]


def test_all_problems_are_told_at_once() -> None:
    found = Parallel(tensor=3, pipeline=8, expert=7).problems(GLM, 100)
    assert [problem.partition(":")[0] for problem in found] == ["tensor", "expert", "pipeline", "world"]


@pytest.mark.parametrize("pipeline", range(2, 12))
@pytest.mark.parametrize("layers", [11, 46, 92, 93, 61])
def test_what_is_proposed_can_run(layers: int, pipeline: int) -> None:
    with pytest.raises(ValueError, match="first_stage_layers = ") as refusal:
        Parallel(pipeline=pipeline, first_stage_layers=layers).stage_layers(layers)
    proposed = re.search(r"first_stage_layers = (\d+) and last_stage_layers = (\d+)", str(refusal.value))
    assert proposed
    first, last = map(int, proposed.groups())
    counts = Parallel(pipeline=pipeline, first_stage_layers=first, last_stage_layers=last).stage_layers(layers)
    assert sum(counts) == layers
    assert max(counts) <= -(-layers // pipeline) + 1


def test_a_model_without_dense_layers_may_have_any_dense_width() -> None:
    assert Parallel(tensor=2).problems({**GLM, "dense_ffn": 3}, 2)
    assert Parallel(tensor=2).problems({**GLM, "dense_ffn": 3, "dense_layers": 0}, 2) == []
