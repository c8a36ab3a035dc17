"""A GLM-4.5-shaped mixture of experts out of megatron-core's modules (GLM-4.5 report, arXiv 2508.06471, section 2.1).

Pre-norm blocks of grouped-query attention (heads * head_dim need not equal the hidden size) with QK-norm, QKV bias and
partial rotary embedding; the first blocks dense SwiGLU, the others sigmoid-gated experts with one shared expert; untied
embeddings; one more block that predicts the token after next (multi-token prediction).

The block specification is written out here instead of edited from megatron's: its norm, attention, router, experts,
dispatcher and losses are ours (each module says why), everything else is megatron's. A process builds its part of the
model: its pipeline stage, its shards of the matrices, its experts. The block that predicts ahead lies on the last stage,
with a copy of the word embeddings.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.tensor_parallel.random import checkpoint as recomputed
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

from curriculum.feed import SiteError
from kernels import Choice
from trainer.attention import Attend, DocumentAttention, choose
from trainer.documents import Documents
from trainer.experts import ExpertDispatcher, StackedExperts
from trainer.initial import draw_weights
from trainer.layout import ALONE, Layout
from trainer.loss import linear_cross_entropy
from trainer.norm import RMSNorm
from trainer.router import BalancedRouter
from trainer.swiglu import SwiGLU
from trainer.together import together


class Losses(NamedTuple):
    """Of one micro-batch. K: prediction depths, the main head first. T: tokens."""

    sums_K: list[torch.Tensor]  # weighted sums, differentiable scalars
    tokens_KT: list[torch.Tensor]  # per token, without gradient


def transformer_config(
    shape: Mapping[str, Any],
    *,
    layout: Layout = ALONE,
    dtype: torch.dtype = torch.float32,
    recompute: bool = False,
) -> TransformerConfig:
    """Megatron's configuration of a model shape (`plan.model`, see curriculum.model_shape.ModelShape).

    recompute  keeps only the input of every layer and computes the rest again when going back
    """
    sizes, moe_layers = layout.parallel, shape["layers"] - shape["dense_layers"]
    config = TransformerConfig(
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
        use_te_activation_func=True,  # that is: the one of the specification, which is ours
        init_method_std=shape["init_std"],
        perform_initialization=False,  # draw_weights does
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
        moe_token_dispatcher_type="allgather",  # replaced by ExpertDispatcher; alltoall would ask for a CUDA stream
        mtp_num_layers=shape["mtp_layers"] or None,
        tensor_model_parallel_size=sizes.tensor,
        sequence_parallel=sizes.tensor > 1,
        pipeline_model_parallel_size=sizes.pipeline,
        num_layers_in_first_pipeline_stage=sizes.first_stage_layers,
        num_layers_in_last_pipeline_stage=sizes.last_stage_layers,
        context_parallel_size=sizes.context,
        expert_model_parallel_size=sizes.expert,
        expert_tensor_parallel_size=1,
        calculate_per_token_loss=True,  # gradients are summed over ranks, the loss is a mean over the tokens of the global batch
        params_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        pipeline_dtype=dtype,
        recompute_granularity="full" if recompute else None,
        recompute_method="uniform" if recompute else None,
        recompute_num_layers=1 if recompute else None,
        use_cpu_initialization=True,  # the same weights on every device
        gradient_accumulation_fusion=False,
        bias_dropout_fusion=False,
        persist_layer_norm=False,
        cuda_graph_scope=[],  # the default, "full", warns that it is deprecated
    )
    # Stages tell each other how long a micro-batch is. Set here, because megatron refuses it together with the dispatcher that we replace.
    config.variable_seq_lengths = sizes.pipeline > 1
    return config


def build_model(
    shape: Mapping[str, Any],
    *,
    seed: int,
    layout: Layout = ALONE,
    dtype: torch.dtype = torch.float32,
    recompute: bool = False,
    attention: str = "auto",
) -> "DocumentModel":
    """This process's part of the model with freshly drawn weights, on the CPU, to be moved to the layout's device.

    attention  how it is computed there, see `trainer.attention.choose`; raises SiteError where that is not possible
    """
    config = transformer_config(shape, layout=layout, dtype=dtype, recompute=recompute)
    tensor = layout.parallel.tensor
    sizes = {"heads": shape["heads"] // tensor, "groups": shape["kv_heads"] // tensor, "head_dim": shape["head_dim"]}
    with together(layout, SiteError):  # before the stages that share the word embeddings wait for each other
        attend, choice = choose(attention, device=layout.device, dtype=dtype, **sizes)
    dense, moe = (_block(config, attend, mlp=mlp) for mlp in (_dense_mlp(), _moe_mlp()))
    layers = [moe if is_moe else dense for is_moe in config.moe_layer_freq]
    counts = layout.parallel.stage_layers(shape["layers"])
    first = sum(counts[: layout.pipeline_rank])
    has_mtp = shape["mtp_layers"] and layout.is_last_stage
    model = DocumentModel(
        config=config,
        transformer_layer_spec=TransformerBlockSubmodules(
            layer_specs=layers[first : first + counts[layout.pipeline_rank]], layer_norm=RMSNorm
        ),
        vocab_size=shape["vocab_size"],
        max_sequence_length=0,  # nothing of the model depends on it: DocumentAttention rotates
        pre_process=layout.is_first_stage,
        post_process=layout.is_last_stage,
        share_embeddings_and_output_weights=False,
        position_embedding_type="none",
        mtp_block_spec=_mtp_blocks(moe, shape["mtp_layers"]) if has_mtp else None,
    )
    for module in model.modules():
        if isinstance(module, MoELayer):
            module.token_dispatcher = ExpertDispatcher(shape["experts"], module.ep_group)
    model.attention = choice
    draw_weights(model, seed, layout)
    return model


def rotary_dim(shape: Mapping[str, Any]) -> int:
    """Rotated dimensions of a head."""
    return int(shape["head_dim"] * shape["rotary_fraction"])


class DocumentModel(GPTModel):
    """GPTModel whose losses respect documents. Call: see `GPTModel.forward`; `packed_seq_params` is a `Documents`.

    With labels `[K, T]` and loss weights `[K, T]` (as `loss_mask`) it returns `Losses`; without, the logits `[1, T, vocabulary]`
    (with tensor parallelism this rank's part of the vocabulary). Stages but the last return their hidden states.
    """

    attention: Choice  # how it is computed, for the run's record

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.routers = [module for module in self.modules() if isinstance(module, BalancedRouter)]

    def _set_attention_backend(self) -> None:
        """Megatron's refuses a user's NVTE_FLASH_ATTN, NVTE_FUSED_ATTN or NVTE_UNFUSED_ATTN, with TransformerEngine or without."""

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
        if not self.post_process:
            return hidden_states
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
        weight_VH, group = self.output_layer.weight, None
        if self.config.tensor_model_parallel_size > 1:
            group = self.pg_collection.tp
            depths = [
                gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=True) for hidden in depths
            ]
        if labels is None or loss_mask is None:
            return torch.nn.functional.linear(depths[0], weight_VH).transpose(0, 1)
        sums_K, tokens_KT = [], []
        learned_KL = packed_seq_params.learned_KL
        for hidden, labels_T, weights_T, learned_L in zip(depths, labels, loss_mask, learned_KL, strict=True):
            total, losses_T = linear_cross_entropy(hidden.squeeze(1), weight_VH, labels_T, weights_T, learned_L, group)
            sums_K.append(total)
            tokens_KT.append(losses_T)
        return Losses(sums_K, tokens_KT)


class DocumentLayer(TransformerLayer):
    """Megatron's layer, which hands the documents to its router too, also when it is computed again on the way back."""

    def forward(self, *args: Any, packed_seq_params: Documents, **kwargs: Any) -> Any:
        if isinstance(self.mlp, MoELayer):
            self.mlp.router.documents = packed_seq_params
        return super().forward(*args, packed_seq_params=packed_seq_params, **kwargs)


class DocumentMTPLayer(MultiTokenPredictionLayer):
    """Megatron's prediction block with the tokens ahead from the host instead of a Python loop over documents (`roll_tensor`)."""

    def _get_embeddings(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        embedding: Any,
        hidden_states: torch.Tensor,
        packed_seq_params: Documents,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        ahead = packed_seq_params.ahead_KT[self.layer_number - 1][None]
        return ahead, position_ids, embedding(input_ids=ahead, position_ids=position_ids), hidden_states

    def _checkpointed_forward(self, forward_func: Callable[..., torch.Tensor], **kwargs: Any) -> torch.Tensor:
        """Megatron's tries to keep every argument as a tensor."""
        inputs = kwargs.pop("hidden_states"), kwargs.pop("decoder_input")

        def forward(hidden_states: torch.Tensor, decoder_input: torch.Tensor) -> torch.Tensor:
            return forward_func(hidden_states=hidden_states, decoder_input=decoder_input, **kwargs)

        return recomputed(forward, False, *inputs)


def _block(config: TransformerConfig, attend: Attend, *, mlp: ModuleSpec) -> ModuleSpec:
    qk_norm = RMSNorm if config.qk_layernorm else IdentityOp
    attention = SelfAttentionSubmodules(
        linear_qkv=ColumnParallelLinear,
        core_attention=ModuleSpec(module=DocumentAttention, params={"attend": attend}),
        linear_proj=RowParallelLinear,
        q_layernorm=qk_norm,
        k_layernorm=qk_norm,
    )
    return ModuleSpec(
        module=DocumentLayer,
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
    return MLPSubmodules(linear_fc1=ColumnParallelLinear, linear_fc2=RowParallelLinear, activation_func=SwiGLU)


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
