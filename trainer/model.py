"""A GLM-4.5-shaped mixture of experts out of megatron-core's modules (GLM-4.5 report, arXiv 2508.06471, section 2.1).

Pre-norm blocks of grouped-query attention (heads * head_dim need not equal the hidden size) with QK-norm, QKV bias and
partial rotary embedding; the first blocks dense SwiGLU, the others sigmoid-gated experts with one shared expert; untied
embeddings; one more block that predicts the token after next (multi-token prediction).

The block specification is written out here instead of edited from megatron's: its norm, attention, router, experts,
dispatcher and losses are ours (each module says why), everything else is megatron's. Not covered: tensor, expert,
pipeline and context parallelism.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
from megatron.core.transformer.attention import SelfAttention, SelfAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.mlp import MLP, MLPSubmodules
from megatron.core.transformer.moe.moe_layer import MoELayer, MoESubmodules
from megatron.core.transformer.moe.shared_experts import SharedExpertMLP
from megatron.core.transformer.multi_token_prediction import (
    MultiTokenPredictionBlock,
    MultiTokenPredictionBlockSubmodules,
    MultiTokenPredictionLayer,
    MultiTokenPredictionLayerSubmodules,
)
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer, TransformerLayerSubmodules

from trainer.attention import DocumentAttention
from trainer.documents import Documents
from trainer.experts import LocalDispatcher, StackedExperts
from trainer.loss import linear_cross_entropy
from trainer.norm import RMSNorm
from trainer.router import BalancedRouter


class Losses(NamedTuple):
    """Of one micro-batch. K: prediction depths, the main head first. T: tokens."""

    sums_K: list[torch.Tensor]  # weighted sums, differentiable scalars
    tokens_KT: list[torch.Tensor]  # per token, without gradient


def transformer_config(shape: Mapping[str, Any]) -> TransformerConfig:
    """Megatron's configuration of a model shape (`plan.model`, see curriculum.model_shape.ModelShape)."""
    moe_layers = shape["layers"] - shape["dense_layers"]
    return TransformerConfig(
        num_layers=shape["layers"],
        hidden_size=shape["hidden"],
        num_attention_heads=shape["heads"],
        num_query_groups=shape["kv_heads"],
        kv_channels=shape["head_dim"],
        ffn_hidden_size=shape["dense_ffn"],
        add_bias_linear=False,
        add_qkv_bias=shape["qkv_bias"],
        qk_layernorm=shape["qk_norm"],
        normalization="RMSNorm",
        layernorm_epsilon=shape["norm_eps"],
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        init_method_std=shape["init_std"],
        hidden_dropout=0.0,
        attention_dropout=0.0,
        num_moe_experts=shape["experts"],
        moe_router_topk=shape["experts_per_token"],
        moe_ffn_hidden_size=shape["expert_ffn"],
        moe_shared_expert_intermediate_size=shape["shared_ffn"],
        moe_layer_freq=[0] * shape["dense_layers"] + [1] * moe_layers,
        moe_router_score_function="sigmoid",
        moe_router_enable_expert_bias=True,
        moe_router_topk_scaling_factor=shape["router_scale"],
        moe_router_dtype="fp32",
        moe_router_load_balancing_type="none",  # BalancedRouter has its own
        moe_token_dispatcher_type="allgather",  # replaced by LocalDispatcher; alltoall would ask for a CUDA stream
        mtp_num_layers=shape["mtp_layers"] or None,
        calculate_per_token_loss=True,  # gradients are summed over ranks, the loss is a mean over the tokens of the global batch
        params_dtype=torch.float32,
        use_cpu_initialization=True,  # the same weights on every device
        gradient_accumulation_fusion=False,
        bias_dropout_fusion=False,
        persist_layer_norm=False,
        cuda_graph_scope=[],  # the default, "full", warns that it is deprecated
    )


def build_model(shape: Mapping[str, Any], *, max_seq_len: int) -> "DocumentModel":
    """The model with freshly drawn weights (torch's default generator), on the CPU."""
    config = transformer_config(shape)
    dense, moe = _block(config, mlp=_dense_mlp()), _block(config, mlp=_moe_mlp())
    layers = [moe if is_moe else dense for is_moe in config.moe_layer_freq]
    model = DocumentModel(
        config=config,
        transformer_layer_spec=TransformerBlockSubmodules(layer_specs=layers, layer_norm=RMSNorm),
        vocab_size=shape["vocab_size"],
        max_sequence_length=max_seq_len,
        share_embeddings_and_output_weights=False,
        position_embedding_type="none",  # DocumentAttention rotates
        mtp_block_spec=_mtp_blocks(moe, shape["mtp_layers"]) if shape["mtp_layers"] else None,
    )
    for module in model.modules():
        if isinstance(module, MoELayer):
            module.token_dispatcher = LocalDispatcher(shape["experts"])
    return model


def rotary_dim(shape: Mapping[str, Any]) -> int:
    """Rotated dimensions of a head."""
    return int(shape["head_dim"] * shape["rotary_fraction"])


class DocumentModel(GPTModel):
    """GPTModel whose losses respect documents. Call: see `GPTModel.forward`; `packed_seq_params` is a `Documents`.

    With labels `[K, T]` and loss weights `[K, T]` (as `loss_mask`) it returns `Losses`; without, the logits `[1, T, vocabulary]`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.routers = [module for module in self.modules() if isinstance(module, BalancedRouter)]

    def forward(self, *args: Any, packed_seq_params: Documents, **kwargs: Any) -> Losses | torch.Tensor:
        for router in self.routers:
            router.documents = packed_seq_params
        return super().forward(*args, packed_seq_params=packed_seq_params, **kwargs)

    def _postprocess(
        self,
        hidden_states: torch.Tensor,
        *,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        labels: torch.Tensor | None,
        loss_mask: torch.Tensor | None,
        packed_seq_params: Documents,
        **_: Any,
    ) -> Losses | torch.Tensor:
        depths = [hidden_states]
        if self.mtp_process and labels is not None:
            stacked = self.mtp(
                input_ids=input_ids,
                position_ids=position_ids,
                hidden_states=hidden_states,
                attention_mask=None,
                packed_seq_params=packed_seq_params,
                embedding=self.embedding,
            )
            depths = list(stacked.chunk(1 + self.config.mtp_num_layers))
        weight_VH = self.output_layer.weight
        if labels is None or loss_mask is None:
            return torch.nn.functional.linear(hidden_states, weight_VH).transpose(0, 1)
        sums_K, tokens_KT = [], []
        for hidden, labels_T, weights_T in zip(depths, labels, loss_mask, strict=True):
            total, losses_T = linear_cross_entropy(hidden.squeeze(1), weight_VH, labels_T, weights_T)
            sums_K.append(total)
            tokens_KT.append(losses_T)
        return Losses(sums_K, tokens_KT)


class DocumentMTPLayer(MultiTokenPredictionLayer):
    """Megatron's prediction block with its inputs shifted by one mask instead of a Python loop over documents (`roll_tensor`)."""

    def _get_embeddings(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        embedding: Any,
        hidden_states: torch.Tensor,
        packed_seq_params: Documents,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        shifted = input_ids.roll(-1, dims=-1).masked_fill(packed_seq_params.last_T, 0)
        return shifted, position_ids, embedding(input_ids=shifted, position_ids=position_ids), hidden_states


def _block(config: TransformerConfig, *, mlp: ModuleSpec) -> ModuleSpec:
    qk_norm = RMSNorm if config.qk_layernorm else IdentityOp
    attention = SelfAttentionSubmodules(
        linear_qkv=ColumnParallelLinear,
        core_attention=DocumentAttention,
        linear_proj=RowParallelLinear,
        q_layernorm=qk_norm,
        k_layernorm=qk_norm,
    )
    return ModuleSpec(
        module=TransformerLayer,
        submodules=TransformerLayerSubmodules(
            input_layernorm=RMSNorm,
            self_attention=ModuleSpec(
                module=SelfAttention, params={"attn_mask_type": AttnMaskType.causal}, submodules=attention
            ),
            self_attn_bda=get_bias_dropout_add,
            pre_mlp_layernorm=RMSNorm,
            mlp=mlp,
            mlp_bda=get_bias_dropout_add,
        ),
    )


def _linears() -> MLPSubmodules:
    return MLPSubmodules(linear_fc1=ColumnParallelLinear, linear_fc2=RowParallelLinear)


def _dense_mlp() -> ModuleSpec:
    return ModuleSpec(module=MLP, submodules=_linears())


def _moe_mlp() -> ModuleSpec:
    shared = ModuleSpec(module=SharedExpertMLP, submodules=_linears())
    return ModuleSpec(
        module=MoELayer,
        submodules=MoESubmodules(
            experts=ModuleSpec(module=StackedExperts), shared_experts=shared, router=BalancedRouter
        ),
    )


def _mtp_blocks(transformer_layer: ModuleSpec, count: int) -> ModuleSpec:
    layer = ModuleSpec(
        module=DocumentMTPLayer,
        submodules=MultiTokenPredictionLayerSubmodules(
            enorm=RMSNorm,
            hnorm=RMSNorm,
            eh_proj=ColumnParallelLinear,
            transformer_layer=transformer_layer,
            layer_norm=RMSNorm,
        ),
    )
    return ModuleSpec(
        module=MultiTokenPredictionBlock, submodules=MultiTokenPredictionBlockSubmodules(layer_specs=[layer] * count)
    )
