"""A checkpoint of megatron's dist_checkpointing is read weight by weight, as the model had them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader

from trainer.huggingface import export, read_huggingface
from trainer.weights import CheckpointWeights, DictWeights, WeightsError

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "halves"])
def saved(alone: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """The model's weights, and a checkpoint of them with an optimiser state and other objects beside."""
    from megatron.core import dist_checkpointing
    from megatron.core.dist_checkpointing.mapping import ShardedTensor

    from tests.trainer.conftest import SHAPE
    from trainer.model import build_model

    model = build_model(SHAPE, seed=4)
    for module in model.routers:
        module.expert_bias.uniform_(-1, 1)
    state = model.sharded_state_dict(metadata={"singleton_local_shards": request.param})
    state["momentum"] = ShardedTensor.from_rank_offsets(
        "optimizer.state.decoder.final_layernorm.weight", torch.ones(32)
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    dist_checkpointing.save({**state, "step": 3}, str(folder))
    stored = FileSystemReader(folder).read_metadata().state_dict_metadata
    assert ("decoder.layers.0.mlp.linear_fc1.weight_w" in stored) == request.param
    return {name: tensor for name, tensor in model.state_dict().items() if tensor is not None}, folder, dict(SHAPE)


def test_a_checkpoint_is_read_weight_by_weight(saved: Any) -> None:
    expected, folder, _ = saved
    weights = CheckpointWeights(folder)
    assert set(weights.names()) == set(expected)
    for name, tensor in expected.items():
        read = weights.read(name)
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor), name
    with pytest.raises(KeyError):
        weights.read("decoder.layers.0.self_attention.linear_qkv._extra_state")


def test_a_checkpoint_is_exported(saved: Any, tmp_path: Path) -> None:
    expected, folder, shape = saved
    export(
        CheckpointWeights(folder),
        shape,
        tmp_path / "out",
        tokenizer=None,
        rope_base=1e4,
        max_positions=64,
        eos_ids=[0],
        dtype=torch.float32,
    )
    _, weights = read_huggingface(tmp_path / "out")
    assert all(torch.equal(weights.read(name), tensor) for name, tensor in expected.items())


def test_what_is_no_checkpoint_is_refused(saved: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file \.metadata"):
        CheckpointWeights(tmp_path)


def test_a_checkpoint_without_one_of_its_files_is_an_error(saved: Any, tmp_path: Path) -> None:
    _, folder, _ = saved
    shutil.copytree(folder, tmp_path / "part")
    for path in (tmp_path / "part").glob("*.distcp"):
        path.unlink()
    with pytest.raises(WeightsError, match=r"distcp cannot be read \(.*Take another checkpoint"):
        CheckpointWeights(tmp_path / "part")


def test_a_flipped_bit_of_a_weight_is_an_error_and_one_of_an_optimiser_is_not_looked_at(
    saved: Any, tmp_path: Path
) -> None:
    expected, folder, _ = saved
    places = FileSystemReader(folder).read_metadata().storage_data
    ones = torch.ones(32).numpy().tobytes()
    assert torch.equal(expected["decoder.final_layernorm.weight"], torch.ones(32))
    for name, is_told in (("decoder.final_layernorm.weight", True), ("optimizer.state.decoder", False)):
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        place = next(place for index, place in places.items() if index.fqn.startswith(name))
        part = bytearray((copy / place.relative_path).read_bytes())
        part[part.index(ones, place.offset, place.offset + place.length)] ^= 1
        (copy / place.relative_path).write_bytes(part)
        if is_told:
            with pytest.raises(WeightsError, match=rf"distcp is damaged: tensor '{name}', bytes .* Take another"):
                CheckpointWeights(copy)
        else:
            CheckpointWeights(copy)


def test_weights_in_memory_leave_out_what_is_no_tensor() -> None:
    weights = DictWeights({"a": torch.nn.Parameter(torch.ones(2)), "b._extra_state": None})
    assert list(weights.names()) == ["a"]
    assert not weights.read("a").requires_grad
