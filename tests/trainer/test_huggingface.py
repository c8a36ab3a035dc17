"""Against transformers' own Glm4MoeForCausalLM: what we export it computes with alike, and what it saves we do."""

import json
import os
import re
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from curriculum.feed import Batch
from trainer.huggingface import HuggingFaceError, export, read_huggingface
from trainer.huggingface_config import config_of
from trainer.huggingface_names import entries
from trainer.weights import DictWeights

pytestmark = pytest.mark.usefixtures("alone")

MakeBatch = Callable[..., Batch]
# Two float32 implementations that sum in another order: logits here are about 1, the largest difference seen 5e-6.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
# Heads wider than the hidden size, biased routers, all layouts of dense and expert layers, and shared experts of two widths.
SHAPES: list[dict[str, Any]] = [
    {},
    {"qk_norm": False, "router_scale": 1.0, "mtp_layers": 0, "kv_heads": 4},
    {"qkv_bias": False, "layers": 3, "dense_layers": 0, "kv_heads": 1, "shared_ffn": 32, "mtp_layers": 2},
    {"rotary_fraction": 1.0, "dense_layers": 2, "heads": 6, "norm_eps": 1e-3, "experts_per_token": 3},
]


def build(shape: dict[str, Any]) -> Any:
    """A model in which no weight is what a fresh one has: norms are not 1, biases not 0."""
    from trainer.model import build_model

    model, generator = build_model(shape, seed=1), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor is not None and tensor.dim() == 1:
                shift = 1.0 if "norm" in name else 0.0
                tensor.copy_(shift + 0.3 * torch.randn(tensor.shape, generator=generator))
    return model


def forward(model: Any, shape: dict[str, Any], batch: Batch, *, rope_base: float, labels: bool = False) -> Any:
    from trainer.documents import documents, pack
    from trainer.model import rotary_dim

    packed = pack(batch, 0, len(batch.tokens))
    layout = documents(packed, rope_base=rope_base, rotary_dim=rotary_dim(shape))
    learned = {"labels": torch.from_numpy(packed.labels_KT), "loss_mask": torch.from_numpy(packed.weights_KT)}
    with torch.no_grad():
        return model(
            torch.from_numpy(packed.tokens_T)[None],
            torch.from_numpy(packed.positions_T)[None],
            None,
            packed_seq_params=layout,
            **(learned if labels else {}),
        )


def write(model: Any, shape: dict[str, Any], dest: Path, **changes: Any) -> Path:
    settings = {"tokenizer": None, "rope_base": 1e4, "max_positions": 64, "eos_ids": [5, 7], "dtype": torch.float32}
    weights = changes.pop("weights", None) or DictWeights(model.state_dict())
    export(weights, shape, dest, **{**settings, **changes})
    return dest


def load_theirs(folder: Path) -> Any:
    """Their model. The block that predicts ahead has tensors that the class does not take; nothing else may be left over."""
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype="auto")
    ahead = tuple(f"model.layers.{number}." for number in range(model.config.num_hidden_layers, 9))
    assert not {name for name in info["unexpected_keys"] if not name.startswith(ahead)}
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    return model.eval()


def load_ours(folder: Path) -> tuple[Any, dict[str, Any]]:
    from trainer.model import build_model

    shape, weights = read_huggingface(folder)
    model = build_model(shape, seed=9)
    missing, unexpected = model.load_state_dict({name: weights.read(name) for name in weights.names()}, strict=False)
    assert not unexpected
    assert not [name for name in missing if not name.endswith("_extra_state")]
    return model, shape


def assert_alike(ours: Any, shape: dict[str, Any], theirs: Any, batch: Batch, *, rope_base: float) -> None:
    logits_TV = forward(ours, shape, batch, rope_base=rope_base)[0]
    assert logits_TV.std() > 0.1
    for start, end in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True):
        tokens = torch.from_numpy(batch.tokens.reshape(-1)[start:end].astype(np.int64))[None]
        with torch.no_grad():
            expected_TV = theirs(tokens).logits[0]
        torch.testing.assert_close(logits_TV[start:end], expected_TV, **CLOSE)


@pytest.mark.parametrize("rope_base", [1e4, 1e6])
@pytest.mark.parametrize("changes", SHAPES)
def test_transformers_computes_the_logits_of_what_we_export(
    shape: dict[str, Any], make_batch: MakeBatch, tmp_path: Path, changes: dict[str, Any], rope_base: float
) -> None:
    shape.update(changes)
    model = build(shape)
    theirs = load_theirs(write(model, shape, tmp_path / "out", rope_base=rope_base, max_shard_bytes=40_000))
    assert theirs.dtype == torch.float32
    assert theirs.generation_config.eos_token_id == [5, 7]
    assert_alike(model, shape, theirs, make_batch([40, 2, 20, 3]), rope_base=rope_base)


def test_bfloat16_is_the_weights_rounded_and_the_routers_biases_whole(shape: dict[str, Any], tmp_path: Path) -> None:
    model = build(shape)
    folder = write(model, shape, tmp_path / "out", dtype=torch.bfloat16)
    shape_back, weights = read_huggingface(folder)
    assert shape_back == {**shape, "name": "out"}
    for name in weights.names():
        tensor = model.state_dict()[name]
        dtype = torch.float32 if name.endswith("expert_bias") else torch.bfloat16
        assert torch.equal(weights.read(name), tensor.to(dtype)), name
    assert load_theirs(folder).dtype == torch.bfloat16


def test_transformers_predicts_ahead_as_we_do(shape: dict[str, Any], make_batch: MakeBatch, tmp_path: Path) -> None:
    """Their MtpModel (transformers >= 5), which takes the MTP block from the same directory."""
    from transformers.cache_utils import MtpCache
    from transformers.modeling_layers import MtpModel

    model, batch = build(shape), make_batch([40])
    theirs = load_theirs(write(model, shape, tmp_path / "out"))
    theirs._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{shape['layers']}.*"]  # it knows 46 and 92 only
    block = MtpModel.from_pretrained(theirs).eval()
    tokens = torch.from_numpy(batch.tokens.astype(np.int64))
    with torch.no_grad():
        hidden = theirs.model(tokens).last_hidden_state[:, :-1]
        ahead = block.forward_layer(
            0,
            hidden,
            torch.arange(1, 40)[None],
            MtpCache(config=theirs.config.get_mtp_config()),
            input_ids=tokens[:, 1:],
        )
        losses_T = torch.nn.functional.cross_entropy(theirs.lm_head(ahead[0, :-1]), tokens[0, 2:], reduction="none")
    ours_T = forward(model, shape, batch, rope_base=1e4, labels=True).tokens_KT[1]
    assert ours_T[38:].tolist() == [0.0, 0.0]
    torch.testing.assert_close(ours_T[:38], losses_T, **CLOSE)


@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize("max_shard_bytes", [1, 20_000, 5e9])
def test_what_goes_out_comes_back_bit_for_bit(
    shape: dict[str, Any], tmp_path: Path, changes: dict[str, Any], max_shard_bytes: float
) -> None:
    shape.update(changes)
    before = {name: tensor for name, tensor in build(shape).state_dict().items() if tensor is not None}
    folder = write(None, shape, tmp_path / "out", weights=DictWeights(before), max_shard_bytes=max_shard_bytes)
    shape_back, weights = read_huggingface(folder)
    assert shape_back == {**shape, "name": "out"}
    assert set(weights.names()) == set(before)
    for name, tensor in before.items():
        back = weights.read(name)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor), name
    assert weights.rope_base == 1e4
    without, _ = read_huggingface(folder, mtp=False)
    assert without == {**shape_back, "mtp_layers": 0}


@pytest.mark.parametrize("fused", [False, True])
def test_we_compute_the_logits_of_what_transformers_saves(
    shape: dict[str, Any], make_batch: MakeBatch, tmp_path: Path, fused: bool
) -> None:
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    settings = config_of(shape, rope_base=5e4, max_positions=64, eos_ids=[0], dtype=torch.float32)
    torch.manual_seed(3)
    theirs = Glm4MoeForCausalLM(Glm4MoeConfig(**settings)).eval()
    with torch.no_grad():
        for tensor in theirs.state_dict().values():
            tensor.add_(0.2 * torch.randn(tensor.shape))
    theirs.save_pretrained(tmp_path / "saved", save_original_format=not fused, max_shard_size="40KB")
    names = json.loads((tmp_path / "saved" / "model.safetensors.index.json").read_text())["weight_map"]
    assert fused == ("model.layers.1.mlp.experts.gate_up_proj" in names)
    ours, shape_back = load_ours(tmp_path / "saved")
    assert shape_back == {**shape, "name": "saved", "mtp_layers": 0}  # they say there is a block, and save none
    assert_alike(ours, shape_back, theirs, make_batch([30, 2]), rope_base=5e4)


def test_a_directory_in_the_older_form_is_read(shape: dict[str, Any], tmp_path: Path) -> None:
    """transformers 4's names in the config, one file without index, no copies of the vocabulary in the MTP block (GLM-4.6)."""
    model = build(shape)
    folder = write(model, shape, tmp_path / "out")
    edit_config(folder, rope_theta=1_000_000, rope_parameters=None, dtype=None)
    tensors = load_file(next(folder.glob("model-*")))
    for name in ("model.layers.2.embed_tokens.weight", "model.layers.2.shared_head.head.weight"):
        del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors.index.json").unlink()
    shape_back, weights = read_huggingface(folder)
    assert shape_back == {**shape, "name": "out"}
    assert weights.rope_base == 1e6
    assert torch.equal(weights.read("embedding.word_embeddings.weight"), model.embedding.word_embeddings.weight)


def edit_config(folder: Path, **changes: Any) -> None:
    """None removes a field."""
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the only file of a directory, and its index."""
    path = next(folder.glob("model-*"))
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, path.name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_every_tensor_that_does_not_fit_is_named_in_one_error(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = write(build(shape), shape, tmp_path / "out")

    def damage(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["model.norm.weight"], tensors["model.layers.1.mlp.experts.3.up_proj.weight"]
        tensors["model.layers.0.rotary.inv_freq"] = torch.zeros(3)
        tensors["model.layers.2.hnorm.weight"] = torch.zeros(31)
        tensors["model.layers.2.shared_head.head.weight"] = torch.zeros(96, 31)

    edit_tensors(folder, damage)
    with pytest.raises(HuggingFaceError) as caught:
        read_huggingface(folder)
    assert str(caught.value).splitlines() == [
        f"{folder} do not fit the model:",
        "    missing: model.layers.1.mlp.experts.3.up_proj.weight",
        "    missing: model.norm.weight",
        "    unexpected: model.layers.0.rotary.inv_freq",
        "    model.layers.2.hnorm.weight: [31] instead of [32]",
        "    model.layers.2.shared_head.head.weight: [96, 31] instead of [96, 32]",
    ]


def test_half_a_prediction_block_is_not_taken_for_none(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = write(build(shape), shape, tmp_path / "out")

    def damage(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("model.layers.2.") and "hnorm" not in name]:
            del tensors[name]

    edit_tensors(folder, damage)
    with pytest.raises(HuggingFaceError, match=r"missing: model\.layers\.2\.eh_proj\.weight"):
        read_huggingface(folder)
    assert read_huggingface(folder, mtp=False)[0]["mtp_layers"] == 0


def test_incomplete_directories_are_told_apart(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = write(build(shape), shape, tmp_path / "out", max_shard_bytes=60_000)
    first, second, *_ = sorted(folder.glob("model-*.safetensors"))
    content = first.read_bytes()
    first.write_bytes(content[:-100])
    second.rename(folder / "elsewhere")
    with pytest.raises(HuggingFaceError, match="is not complete") as caught:
        read_huggingface(folder)
    assert first.name in str(caught.value)
    assert second.name in str(caught.value)
    first.write_bytes(content)
    (folder / "elsewhere").rename(second)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["model.lost.weight"] = first.name
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        HuggingFaceError, match=r"model\.lost\.weight: in model\.safetensors\.index\.json, but in no file"
    ):
        read_huggingface(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(HuggingFaceError, match=r"model\.safetensors"):
        read_huggingface(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(HuggingFaceError, match=r"config\.json"):
        read_huggingface(folder)


def test_another_vocabulary_in_the_prediction_block_is_refused(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = write(build(shape), shape, tmp_path / "out")
    edit_tensors(folder, lambda tensors: tensors["model.layers.2.embed_tokens.weight"][3].add_(1))
    _, weights = read_huggingface(folder)
    with pytest.raises(HuggingFaceError, match="mtp=False"):
        weights.read("embedding.word_embeddings.weight")
    weights.read("output_layer.weight")
    read_huggingface(folder, mtp=False)[1].read("embedding.word_embeddings.weight")


def test_a_model_that_we_cannot_build_is_refused_field_by_field(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = write(build(shape), shape, tmp_path / "out")
    edit_config(
        folder,
        n_group=8,
        tie_word_embeddings=True,
        num_attention_heads=None,
        quantization_config={"quant_method": "fp8"},
        rope_parameters={"rope_type": "yarn", "rope_theta": 1e4},
    )
    with pytest.raises(HuggingFaceError) as caught:
        read_huggingface(folder)
    for words in (
        "n_group is 8",
        "tie_word_embeddings is True",
        "num_attention_heads is missing",
        "quantised",
        "'yarn'",
    ):
        assert words in str(caught.value)
    edit_config(folder, model_type="deepseek_v3")
    with pytest.raises(HuggingFaceError, match=r"config\.json: model_type is 'deepseek_v3'"):
        read_huggingface(folder)
    edit_config(write(build(shape), shape, tmp_path / "odd"), num_key_value_heads=3)
    with pytest.raises(HuggingFaceError, match="kv_heads"):
        read_huggingface(tmp_path / "odd")
    other = write(build(shape), shape, tmp_path / "half")
    edit_tensors(other, lambda tensors: tensors.update({"model.norm.weight": torch.zeros(32, dtype=torch.int8)}))
    with pytest.raises(HuggingFaceError, match=r"model\.norm\.weight is I8"):
        read_huggingface(other)


def test_export_writes_all_or_nothing(shape: dict[str, Any], tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in build(shape).state_dict().items() if tensor is not None}
    dest, last = tmp_path / "models" / "out", "mtp.layers.0.final_layernorm.weight"

    def refused(match: str, shape: dict[str, Any] = shape, **changes: Any) -> None:
        with pytest.raises(HuggingFaceError, match=match):
            write(None, shape, dest, **{"weights": DictWeights(tensors), **changes})
        assert not dest.parent.exists() or not list(dest.parent.iterdir())

    refused("shared_ffn: 24 is not a multiple of expert_ffn", {**shape, "shared_ffn": 24})
    refused("experts: 1", {**shape, "experts": 1, "experts_per_token": 1})
    refused("from 0 to 95", eos_ids=[96])
    refused("float16", dtype=torch.float16)
    fewer = {name: tensor for name, tensor in tensors.items() if name != last}
    refused(f"missing: {re.escape(last)}", weights=DictWeights(fewer))
    refused("unexpected: decoder.x", weights=DictWeights({**tensors, "decoder.x": torch.zeros(1)}))
    refused(r"\[31\] instead of \[32\]", weights=DictWeights({**tensors, last: torch.zeros(31)}))
    (dest.parent / ".out.tmp").mkdir()  # of a killed process
    dest.mkdir()
    write(None, shape, dest, weights=DictWeights(tensors))
    assert [path.name for path in dest.parent.iterdir()] == ["out"]
    with pytest.raises(HuggingFaceError, match="not an empty folder"):
        write(None, shape, dest, weights=DictWeights(tensors))
    assert len(read_huggingface(dest)[1].names()) == len(tensors)


class CountedWeights:
    """Zeros, made when they are read; counts the bytes of those that anything still holds on to."""

    def __init__(self, sizes: dict[str, tuple[int, ...]]) -> None:
        self._sizes, self.alive, self.most, self.read_names = sizes, 0, 0, []

    def names(self) -> Collection[str]:
        return self._sizes.keys()

    def read(self, name: str) -> torch.Tensor:
        array = np.zeros(self._sizes[name], np.float32)
        self.alive += array.nbytes
        self.most = max(self.most, self.alive)
        weakref.finalize(array, self._gone, array.nbytes)
        self.read_names.append(name)
        return torch.from_numpy(array)  # the tensor and all its views keep the array alive

    def _gone(self, num_bytes: int) -> None:
        self.alive -= num_bytes


def test_no_more_than_one_weight_and_one_file_are_in_memory(shape: dict[str, Any], tmp_path: Path) -> None:
    shape.update(layers=6, experts=8)
    sizes = {entry.name: entry.size for entry in entries(shape)}
    weights, seen = CountedWeights(sizes), []
    limit = 30_000
    write(
        None,
        shape,
        tmp_path / "out",
        weights=weights,
        max_shard_bytes=limit,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert weights.most == 4 * max(torch.Size(size).numel() for size in sizes.values())
    assert sorted(weights.read_names) == sorted(sizes)  # each once
    files = sorted((tmp_path / "out").glob("model-*"))
    in_files = []
    for path in files:
        with safe_open(path, framework="pt") as file:
            in_files.append(sum(4 * file.get_tensor(name).numel() for name in file.keys()))  # noqa: SIM118
    assert len(files) > 20
    assert max(in_files) <= limit
    assert seen == [(sum(in_files[: number + 1]), sum(in_files)) for number in range(len(files))]
