"""Which of our weights is which of `Glm4MoeForCausalLM`: the one table that export and import share.

    ours                                             Hugging Face
    embedding.word_embeddings.weight                 model.embed_tokens.weight
    output_layer.weight                              lm_head.weight
    decoder.final_layernorm.weight                   model.norm.weight
    decoder.layers.N.*                               model.layers.N.*
      input_layernorm.weight                           input_layernorm.weight
      pre_mlp_layernorm.weight                         post_attention_layernorm.weight
      self_attention.linear_qkv.{weight,bias}          self_attn.{q,k,v}_proj.{weight,bias}
      self_attention.{q,k}_layernorm.weight            self_attn.{q,k}_norm.weight
      self_attention.linear_proj.weight                self_attn.o_proj.weight
      mlp.linear_fc1.weight                            mlp.{gate,up}_proj.weight
      mlp.linear_fc2.weight                            mlp.down_proj.weight
      mlp.router.weight                                mlp.gate.weight
      mlp.router.expert_bias                           mlp.gate.e_score_correction_bias (float32)
      mlp.experts.gate_up [E, 2F, H]                   mlp.experts.M.{gate,up}_proj.weight, or mlp.experts.gate_up_proj
      mlp.experts.down [E, H, F]                       mlp.experts.M.down_proj.weight, or mlp.experts.down_proj
      mlp.shared_experts.linear_fc{1,2}.weight         mlp.shared_experts.{gate,up,down}_proj.weight
    mtp.layers.K.transformer_layer.*                 model.layers.(layers + K).*, as above
    mtp.layers.K.{enorm,hnorm,eh_proj}.weight        model.layers.(layers + K).{enorm,hnorm,eh_proj}.weight
    mtp.layers.K.final_layernorm.weight              model.layers.(layers + K).shared_head.norm.weight
    (the embedding and the head again)               model.layers.(layers + K).{embed_tokens,shared_head.head}.weight

Each of our weights is its parts laid end to end, except for `linear_qkv`, in which every group of heads is queries, key, value
(megatron/core/transformer/attention.py, get_query_key_value_tensors). Inputs of `eh_proj` are [embedding; hidden] on both sides.

E: experts, F: width of an expert, H: hidden size, d: size of a head, G: key heads, n: query heads per key head.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

Size = tuple[int, ...]


class Part(NamedTuple):
    """A tensor of the other side."""

    name: str
    size: Size


class Entry(NamedTuple):
    """One of our weights, the parts that it becomes, and what takes it apart and puts it together."""

    name: str
    size: Size
    parts: tuple[Part, ...]
    split: Callable[[torch.Tensor], Sequence[torch.Tensor]]
    join: Callable[[Iterable[torch.Tensor]], torch.Tensor]  # takes one after the other
    whole: str | None = None  # name under which the parts may also stand as one tensor that is ours
    copies: tuple[str, ...] = ()  # further names of the same tensor, absent or equal
    dtype: torch.dtype | None = None  # whatever the rest is in


def entries(shape: Mapping[str, Any]) -> Iterator[Entry]:
    """Every weight of the model, in the order of the layers."""
    layers, hidden = shape["layers"], shape["hidden"]
    vocabulary = (shape["vocab_size"], hidden)
    ahead = [f"model.layers.{layers + depth}." for depth in range(shape["mtp_layers"])]
    yield _same(
        "embedding.word_embeddings.weight",
        "model.embed_tokens.weight",
        vocabulary,
        copies=tuple(f"{layer}embed_tokens.weight" for layer in ahead),
    )
    for number in range(layers):
        is_dense = number < shape["dense_layers"]
        yield from _layer(shape, f"decoder.layers.{number}.", f"model.layers.{number}.", is_dense=is_dense)
    yield _same("decoder.final_layernorm.weight", "model.norm.weight", (hidden,))
    yield _same(
        "output_layer.weight",
        "lm_head.weight",
        vocabulary,
        copies=tuple(f"{layer}shared_head.head.weight" for layer in ahead),
    )
    for depth, theirs in enumerate(ahead):
        ours = f"mtp.layers.{depth}."
        yield _same(f"{ours}enorm.weight", f"{theirs}enorm.weight", (hidden,))
        yield _same(f"{ours}hnorm.weight", f"{theirs}hnorm.weight", (hidden,))
        yield _same(f"{ours}eh_proj.weight", f"{theirs}eh_proj.weight", (hidden, 2 * hidden))
        yield from _layer(shape, f"{ours}transformer_layer.", theirs, is_dense=False)
        yield _same(f"{ours}final_layernorm.weight", f"{theirs}shared_head.norm.weight", (hidden,))


def _layer(shape: Mapping[str, Any], ours: str, theirs: str, *, is_dense: bool) -> Iterator[Entry]:
    hidden = shape["hidden"]
    yield _same(f"{ours}input_layernorm.weight", f"{theirs}input_layernorm.weight", (hidden,))
    yield from _attention(shape, f"{ours}self_attention.", f"{theirs}self_attn.")
    yield _same(f"{ours}pre_mlp_layernorm.weight", f"{theirs}post_attention_layernorm.weight", (hidden,))
    if is_dense:
        yield from _mlp(f"{ours}mlp.", f"{theirs}mlp.", hidden, shape["dense_ffn"])
    else:
        yield from _moe(shape, f"{ours}mlp.", f"{theirs}mlp.")


def _attention(shape: Mapping[str, Any], ours: str, theirs: str) -> Iterator[Entry]:
    hidden, head_dim, groups = shape["hidden"], shape["head_dim"], shape["kv_heads"]
    rows = {"q": shape["heads"] * head_dim, "k": groups * head_dim, "v": groups * head_dim}
    for kind, columns in (("weight", (hidden,)), *([("bias", ())] if shape["qkv_bias"] else [])):
        yield Entry(
            f"{ours}linear_qkv.{kind}",
            (sum(rows.values()), *columns),
            tuple(Part(f"{theirs}{name}_proj.{kind}", (count, *columns)) for name, count in rows.items()),
            _split_groups(groups, head_dim),
            _join_groups(groups, head_dim),
        )
    if shape["qk_norm"]:
        yield _same(f"{ours}q_layernorm.weight", f"{theirs}q_norm.weight", (head_dim,))
        yield _same(f"{ours}k_layernorm.weight", f"{theirs}k_norm.weight", (head_dim,))
    yield _same(f"{ours}linear_proj.weight", f"{theirs}o_proj.weight", (hidden, rows["q"]))


def _mlp(ours: str, theirs: str, hidden: int, width: int) -> Iterator[Entry]:
    gate_up = tuple(Part(f"{theirs}{name}_proj.weight", (width, hidden)) for name in ("gate", "up"))
    yield _blocks(f"{ours}linear_fc1.weight", (2 * width, hidden), gate_up)
    yield _same(f"{ours}linear_fc2.weight", f"{theirs}down_proj.weight", (hidden, width))


def _moe(shape: Mapping[str, Any], ours: str, theirs: str) -> Iterator[Entry]:
    experts, hidden, width = shape["experts"], shape["hidden"], shape["expert_ffn"]
    yield _same(f"{ours}router.weight", f"{theirs}gate.weight", (experts, hidden))
    bias = _same(f"{ours}router.expert_bias", f"{theirs}gate.e_score_correction_bias", (experts,))
    yield bias._replace(dtype=torch.float32)
    for name, size, kinds in (
        ("gate_up", (width, hidden), ("gate", "up")),
        ("down", (hidden, width), ("down",)),
    ):
        parts = tuple(
            Part(f"{theirs}experts.{number}.{kind}_proj.weight", size) for number in range(experts) for kind in kinds
        )
        stack = _blocks(f"{ours}experts.{name}", (experts, len(kinds) * size[0], size[1]), parts)
        yield stack._replace(whole=f"{theirs}experts.{name}_proj")
    yield from _mlp(f"{ours}shared_experts.", f"{theirs}shared_experts.", hidden, shape["shared_ffn"])


def _same(ours: str, theirs: str, size: Size, *, copies: tuple[str, ...] = ()) -> Entry:
    return _blocks(ours, size, (Part(theirs, size),))._replace(copies=copies)


def _blocks(name: str, size: Size, parts: tuple[Part, ...]) -> Entry:
    """Parts of one size, end to end."""
    blocks = (len(parts), *parts[0].size)

    def split(whole: torch.Tensor) -> Sequence[torch.Tensor]:
        return whole.reshape(blocks).unbind()

    def join(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
        rest = iter(tensors)
        first = next(rest)
        if len(parts) == 1:
            return first.view(size)
        whole = torch.empty(blocks, dtype=first.dtype)
        whole[0] = first
        for number, tensor in enumerate(rest, start=1):
            whole[number] = tensor
        return whole.view(size)

    return Entry(name, size, parts, split, join)


def _split_groups(groups: int, head_dim: int) -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
    def split(qkv: torch.Tensor) -> Sequence[torch.Tensor]:
        columns = qkv.shape[1:]
        heads = qkv.reshape(groups, -1, head_dim, *columns)  # [G, n + 2, d, ...]
        queries = heads.shape[1] - 2
        return [part.reshape(-1, *columns) for part in heads.split([queries, 1, 1], dim=1)]

    return split


def _join_groups(groups: int, head_dim: int) -> Callable[[Iterable[torch.Tensor]], torch.Tensor]:
    def join(parts: Iterable[torch.Tensor]) -> torch.Tensor:
        heads = torch.cat([part.reshape(groups, -1, head_dim, *part.shape[1:]) for part in parts], dim=1)
        return heads.flatten(0, 2)

    return join
