"""A model shape as the config.json of `Glm4MoeForCausalLM`, and back (fields as in transformers' Glm4MoeConfig).

Rotary embedding is written twice: as transformers 5 calls it (`rope_parameters`), and as the published checkpoints and
transformers 4 do (`rope_theta`, `partial_rotary_factor`); so is the precision (`dtype`, `torch_dtype`). What a config.json
leaves out has on the way back the default of Glm4MoeConfig.

The class can say more than this trainer can build (groups of experts, scaled rotary embeddings, tied embeddings, quantised
weights): such a config is refused, field by field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from curriculum.model_shape import ModelShape

ARCHITECTURE, MODEL_TYPE = "Glm4MoeForCausalLM", "glm4_moe"
# What our model does, where the class has a choice.
FIXED = {
    "hidden_act": "silu",
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}
REQUIRED = {  # field of the shape -> theirs
    "vocab_size": "vocab_size",
    "layers": "num_hidden_layers",
    "dense_layers": "first_k_dense_replace",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "dense_ffn": "intermediate_size",
    "experts": "n_routed_experts",
    "experts_per_token": "num_experts_per_tok",
    "expert_ffn": "moe_intermediate_size",
}
OPTIONAL: dict[str, tuple[str, Any]] = {  # field of the shape -> theirs, default
    "router_scale": ("routed_scaling_factor", 1.0),
    "qk_norm": ("use_qk_norm", False),
    "qkv_bias": ("attention_bias", False),
    "mtp_layers": ("num_nextn_predict_layers", 0),
    "norm_eps": ("rms_norm_eps", 1e-5),
    "init_std": ("initializer_range", 0.02),
}
DEFAULT_FRACTION, DEFAULT_ROPE_BASE = 0.5, 10_000.0


class HuggingFaceError(Exception):
    """A model cannot be exported or imported: where, what is wrong, and what to do."""


def config_of(
    shape: Mapping[str, Any], *, rope_base: float, max_positions: int, eos_ids: Sequence[int], dtype: torch.dtype
) -> dict[str, Any]:
    """The content of config.json. HuggingFaceError for a shape that `Glm4MoeForCausalLM` cannot have."""
    problems = ModelShape(**shape).problems()
    if shape["shared_ffn"] < 1 or shape["shared_ffn"] % shape["expert_ffn"]:
        problems.append(
            f"shared_ffn: {shape['shared_ffn']} is not a multiple of expert_ffn ({shape['expert_ffn']}), and config.json can only "
            f"say how many experts wide the shared one is (n_shared_experts)."
        )
    if shape["experts"] < 2:
        problems.append(f"experts: {shape['experts']}, but the router of {ARCHITECTURE} compares two at least.")
    if not eos_ids or not all(0 <= token < shape["vocab_size"] for token in eos_ids):
        problems.append(f"eos_ids: {list(eos_ids)}; give one or more tokens from 0 to {shape['vocab_size'] - 1}.")
    if problems:
        raise HuggingFaceError("\n    ".join([f"the model {shape['name']} is no {ARCHITECTURE}:", *problems]))
    rope = {"rope_theta": float(rope_base), "partial_rotary_factor": shape["rotary_fraction"]}
    precision = str(dtype).removeprefix("torch.")
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **{theirs: shape[ours] for ours, theirs in REQUIRED.items()},
        **{theirs: shape[ours] for ours, (theirs, _) in OPTIONAL.items()},
        "head_dim": shape["head_dim"],
        "n_shared_experts": shape["shared_ffn"] // shape["expert_ffn"],
        **FIXED,
        **rope,
        "rope_scaling": None,
        "rope_parameters": {"rope_type": "default", **rope},
        "max_position_embeddings": max_positions,
        "attention_dropout": 0.0,
        "use_cache": True,
        "eos_token_id": list(eos_ids),
        "pad_token_id": eos_ids[0],
        "dtype": precision,
        "torch_dtype": precision,
    }


def shape_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields of ModelShape. HuggingFaceError names every field of the config that is missing or that we cannot build."""
    if config.get("model_type") != MODEL_TYPE:
        raise HuggingFaceError(f"model_type is {config.get('model_type')!r}; this reads {MODEL_TYPE!r} only.")
    problems = [f"{theirs} is missing." for theirs in REQUIRED.values() if theirs not in config]
    problems += [
        f"{theirs} is {config[theirs]!r}; this trainer builds {value!r} only."
        for theirs, value in FIXED.items()
        if config.get(theirs, value) != value
    ]
    rope = _rope(config)
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if rope_type != "default":
        problems.append(f"the type of its rotary embedding is {rope_type!r}; this trainer builds 'default' only.")
    if config.get("quantization_config"):
        problems.append("quantization_config: the weights are quantised; take the checkpoint in bfloat16 or float32.")
    if problems:
        raise HuggingFaceError("\n    ".join(["not a model that this trainer builds.", *problems]))
    shape = {
        "name": name,
        **{ours: config[theirs] for ours, theirs in REQUIRED.items()},
        **{ours: config.get(theirs, default) for ours, (theirs, default) in OPTIONAL.items()},
        "head_dim": config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"],
        "shared_ffn": config.get("n_shared_experts", 1) * config["moe_intermediate_size"],
        "rotary_fraction": rope.get("partial_rotary_factor", config.get("partial_rotary_factor", DEFAULT_FRACTION)),
    }
    if problems := ModelShape(**shape).problems():
        raise HuggingFaceError("\n    ".join(["a shape that cannot be built.", *problems]))
    return shape


def rope_base_of(config: Mapping[str, Any]) -> float:
    return float(_rope(config).get("rope_theta", config.get("rope_theta", DEFAULT_ROPE_BASE)))


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or config.get("rope_scaling") or {}
