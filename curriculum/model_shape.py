"""The shape of a GLM-4.5-like mixture of experts, and what follows from it: exact parameter counts, FLOPs, key-value cache.

FLOPs are those of matrix products, 2 for a multiplication with its addition, as the PaLM report (arXiv 2204.02311, appendix B)
and Megatron (arXiv 2104.04473, appendix) count them; norms, softmax, rotation and routing are left out. They are what the model
asks for, not what a machine computes: no recomputation, no padding, and causal attention counts half the square of scores.
A row that holds several documents needs less than that: its documents do not see each other.
"""

import dataclasses
from typing import NamedTuple


class Parameters(NamedTuple):
    """Counts of weights, both vocabulary matrices left out, as the report counts them. `total` and `active` include the MTP block."""

    total: int
    active: int
    mtp: int
    embedding: int  # word embedding and output head together
    active_mtp: int  # what a token uses of the MTP block; generating without speculation uses active - active_mtp


class Parts(NamedTuple):
    """The weights of the whole model, without its MTP block, by what they do. Their sum with the block is total + embedding."""

    attention: int  # four projections, biases and QK norms
    dense_mlp: int
    shared_experts: int
    routed_experts: int
    routers: int
    norms: int
    mtp: int  # a whole block with experts, and the projection into it; it shares both vocabulary matrices
    word_embeddings: int
    output_head: int


class Flops(NamedTuple):
    """Floating-point operations per token of one forward pass, by part. Whole numbers when seq_len is even."""

    projections: float  # of attention
    scores: float  # QK^T and their product with V, half the square
    mlp: float  # dense layers and shared experts
    experts: float  # the routed ones of a token, and the router
    head: float
    mtp: float  # everything of the block that predicts ahead, its use of the head included

    @property
    def attention(self) -> float:
        return self.projections + self.scores


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """Everything a trainer must know to build the model. Attention width is heads * head_dim and need not equal hidden."""

    name: str
    vocab_size: int
    layers: int
    dense_layers: int  # the first ones; the others are mixtures of experts
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    dense_ffn: int
    experts: int
    experts_per_token: int
    expert_ffn: int
    shared_ffn: int
    router_scale: float
    qk_norm: bool
    qkv_bias: bool
    rotary_fraction: float
    mtp_layers: int
    norm_eps: float
    init_std: float

    def problems(self) -> list[str]:
        """What makes this shape impossible, in words; empty when it can be built."""
        found = []
        if self.heads % self.kv_heads:
            found.append(f"heads: {self.heads} is not a multiple of kv_heads ({self.kv_heads}).")
        if self.experts_per_token > self.experts:
            found.append(f"experts_per_token: {self.experts_per_token} of only {self.experts} experts.")
        if not 0 <= self.dense_layers <= self.layers:
            found.append(f"dense_layers: {self.dense_layers} of {self.layers} layers.")
        if (self.head_dim * self.rotary_fraction) % 2:
            found.append(
                f"rotary_fraction: {self.rotary_fraction} of head_dim {self.head_dim} is not an even number of dimensions."
            )
        for name in ("hidden", "expert_ffn"):
            if getattr(self, name) % 8:
                found.append(
                    f"{name}: {getattr(self, name)} is not a multiple of 8, which grouped matrix products need."
                )
        if not 0 < self.rotary_fraction <= 1:
            found.append(f"rotary_fraction: {self.rotary_fraction} is not in (0, 1].")
        return found

    def parameters(self) -> Parameters:
        """Weights by formula, norms and biases included; tested against the sizes published for GLM-4.5 and GLM-4.5-Air."""
        parts, idle = self.parts(), self.experts - self.experts_per_token
        embedding = parts.word_embeddings + parts.output_head
        total = sum(parts) - embedding
        moe_layers = self.layers - self.dense_layers + self.mtp_layers
        return Parameters(
            total=total,
            active=total - moe_layers * idle * self.expert_weights,
            mtp=parts.mtp,
            embedding=embedding,
            active_mtp=parts.mtp - self.mtp_layers * idle * self.expert_weights,
        )

    def parts(self) -> Parts:
        moe_layers, attention = self.layers - self.dense_layers, self.attention_weights
        moe_layer = (
            attention + 2 * self.hidden + self.experts * (self.hidden + self.expert_weights) + self.shared_weights
        )
        mtp_extra = (
            2 * self.hidden * self.hidden + 3 * self.hidden
        )  # projection of [h; embedding], its two norms, the final one
        return Parts(
            attention=self.layers * attention,
            dense_mlp=self.dense_layers * 3 * self.hidden * self.dense_ffn,
            shared_experts=moe_layers * self.shared_weights,
            routed_experts=moe_layers * self.experts * self.expert_weights,
            routers=moe_layers * self.experts * self.hidden,
            norms=(2 * self.layers + 1) * self.hidden,
            mtp=self.mtp_layers * (moe_layer + mtp_extra),
            word_embeddings=self.vocab_size * self.hidden,
            output_head=self.vocab_size * self.hidden,
        )

    @property
    def attention_weights(self) -> int:
        """Of one layer, biases and QK norms included."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        weights = self.hidden * (2 * queries + 2 * keys)
        return weights + (queries + 2 * keys if self.qkv_bias else 0) + (2 * self.head_dim if self.qk_norm else 0)

    @property
    def expert_weights(self) -> int:
        """Of one routed expert."""
        return 3 * self.hidden * self.expert_ffn

    @property
    def shared_weights(self) -> int:
        """Of one layer's shared expert."""
        return 3 * self.hidden * self.shared_ffn

    def forward_flops(self, seq_len: int) -> Flops:
        """Of one token, on average over a row of `seq_len` tokens that is one document."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        projections = 2.0 * self.hidden * (2 * queries + 2 * keys)
        scores = 2 * 2 * (seq_len / 2) * queries
        experts = 2.0 * (self.experts_per_token * self.expert_weights + self.experts * self.hidden)
        shared, dense = 2.0 * self.shared_weights, 2.0 * 3 * self.hidden * self.dense_ffn
        head = 2.0 * self.vocab_size * self.hidden
        moe_layers = self.layers - self.dense_layers
        mtp_block = projections + scores + shared + experts + 2.0 * 2 * self.hidden * self.hidden + head
        return Flops(
            projections=self.layers * projections,
            scores=self.layers * scores,
            mlp=self.dense_layers * dense + moe_layers * shared,
            experts=moe_layers * experts,
            head=head,
            mtp=self.mtp_layers * mtp_block,
        )

    def flops_per_token(self, seq_len: int, *, learned_mtp: bool = True) -> float:
        """Of training: forward, and twice that for the gradients of inputs and weights. For model FLOPs utilisation.

        learned_mtp  with the block that predicts ahead; a run that gives its loss no weight may leave it out
        """
        forward = self.forward_flops(seq_len)
        return 3 * (sum(forward) - (0.0 if learned_mtp else forward.mtp))

    def kv_cache_bytes(self, tokens: int, bytes_per_value: int = 2) -> int:
        """Keys and values of all layers but the MTP block's, for a context of `tokens` when generating."""
        return tokens * 2 * self.kv_heads * self.head_dim * self.layers * bytes_per_value
