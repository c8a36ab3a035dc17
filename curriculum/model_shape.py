"""The shape of a GLM-4.5-like mixture of experts, and its exact parameter counts (GLM-4.5 report, table 1)."""

import dataclasses
from typing import NamedTuple


class Parameters(NamedTuple):
    """Counts of weights. `total` and `active` include the MTP block and leave out both vocabulary matrices, as the report counts them."""

    total: int
    active: int
    mtp: int
    embedding: int  # word embedding and output head together


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
        attention = self._attention()
        norms = 2 * self.hidden
        router = self.experts * self.hidden
        expert = 3 * self.hidden * self.expert_ffn
        shared = 3 * self.hidden * self.shared_ffn
        dense_layer = attention + norms + 3 * self.hidden * self.dense_ffn
        moe_layer = attention + norms + router + shared + self.experts * expert
        moe_active = attention + norms + router + shared + self.experts_per_token * expert
        moe_layers = self.layers - self.dense_layers
        mtp_extra = (
            2 * self.hidden * self.hidden + 3 * self.hidden
        )  # projection of [h; embedding], its two norms, the final one
        mtp = self.mtp_layers * (moe_layer + mtp_extra)
        body = self.dense_layers * dense_layer + self.hidden  # with the final norm
        return Parameters(
            total=body + moe_layers * moe_layer + mtp,
            active=body + moe_layers * moe_active + self.mtp_layers * (moe_active + mtp_extra),
            mtp=mtp,
            embedding=2 * self.vocab_size * self.hidden,
        )

    def _attention(self) -> int:
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        weights = self.hidden * (2 * queries + 2 * keys)
        return weights + (queries + 2 * keys if self.qkv_bias else 0) + (2 * self.head_dim if self.qk_norm else 0)
