"""The gate of a mixture-of-experts layer: sigmoid scores, top-k by score + bias, and two ways of keeping experts busy.

Loss-free balance (arXiv 2408.15664): a bias per expert takes part in the choice and never in the weights; once per step
megatron's `finalize_model_grads` moves it by `moe_router_bias_update_rate` towards the mean load of the global batch.
Sequence balance (DeepSeek-V3, arXiv 2412.19437, equations 17-20): a small loss per *document* here, weighted by its
length. Megatron takes it per packed row, where the documents of a row may hide each other's imbalance; for a row that
is one document both agree.

Under sequence and context parallelism a document lies on several ranks: they add up how often each expert was chosen
in it, and every rank's tokens enter the loss with these shares.

The choice itself is `kernels.route`. Megatron's own gate cannot run without TransformerEngine in 0.16.1:
`router_gating_linear` reads a name that only TE's import defines (transformer/moe/moe_utils.py:1192, NameError).

S: tokens on this rank, E: experts, K: experts per token, D: documents, C: sources (corpora).
"""

import torch
import torch.distributed as dist
from megatron.core.process_groups_config import ProcessGroupCollection
from megatron.core.transformer.moe.moe_utils import MoEAuxLossAutoScaler
from megatron.core.transformer.moe.router import Router
from megatron.core.transformer.transformer_config import TransformerConfig

import kernels
from trainer.documents import Documents
from trainer.experts import count


class BalancedRouter(Router):
    """`hidden [S, 1, H]` -> weights `[S, K]` (float32, they sum to the router scale) and experts `[S, K]` for ExpertDispatcher."""

    expert_bias: torch.Tensor
    local_tokens_per_expert: torch.Tensor

    def __init__(self, config: TransformerConfig, pg_collection: ProcessGroupCollection | None = None) -> None:
        super().__init__(config=config, pg_collection=pg_collection)
        zeros_E = torch.zeros(config.num_moe_experts, dtype=torch.float32)
        self.register_buffer("expert_bias", zeros_E)
        self.register_buffer("local_tokens_per_expert", zeros_E.clone(), persistent=False)
        self.documents: Documents | None = None  # set by the layer before every micro-batch
        # Over the micro-batches of a step, on this rank; None at its start.
        self.loads_CE: torch.Tensor | None = None  # choices that fell on each expert
        self.balance_sum: torch.Tensor | None = None  # balance loss times tokens

    def gating(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden.float(), self.weight.float())

    def routing(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits_SE = logits.view(-1, self.num_experts)
        config, documents = self.config, self.documents
        routing = kernels.route(
            logits_SE,
            self.expert_bias,
            top_k=config.moe_router_topk,
            scale=config.moe_router_topk_scaling_factor,
            sources_T=None if documents is None else documents.sources_S,
            num_sources=1 if documents is None else documents.num_sources,
        )
        weights_SK = routing.weights_TK
        if torch.is_grad_enabled():  # not again when activations are recomputed, nor in validation
            self.local_tokens_per_expert += routing.counts_SE.sum(dim=0)
            self.loads_CE = routing.counts_SE if self.loads_CE is None else self.loads_CE + routing.counts_SE
            if documents is not None:
                group = self.tp_cp_group if self.tp_cp_group.size() > 1 else None
                balance = balance_loss(logits_SE, documents, top_k=config.moe_router_topk, group=group)
                detached = balance.detach()
                self.balance_sum = detached if self.balance_sum is None else self.balance_sum + detached
                weights_SK = MoEAuxLossAutoScaler.apply(weights_SK, balance * documents.balance_scale)
        return weights_SK, routing.experts_TK

    def forward(
        self, hidden: torch.Tensor, padding_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.routing(self.gating(hidden))


def balance_loss(
    logits_SE: torch.Tensor, documents: Documents, *, top_k: int, group: dist.ProcessGroup | None = None
) -> torch.Tensor:
    """This rank's part of the sum over documents of length * sum_i f_i P_i, which divided by the tokens is 1 at perfect balance.

    f_i: the share of a document's top-k choices (without the bias) that falls on expert i, times E.
    P_i: the mean over the document of expert i's score, scores normalised to sum to 1.
    `group` holds the ranks among which documents are split.
    """
    ids_S, lengths_S = documents.ids_S, documents.lengths_S
    num_experts, num_documents = logits_SE.shape[1], documents.num_documents + 1  # the last one is padding
    scores_SE = logits_SE.sigmoid()
    shares_SE = scores_SE / (scores_SE.sum(dim=1, keepdim=True) + 1e-20)
    with torch.no_grad():
        chosen_SK = logits_SE.topk(top_k, dim=1).indices
        slots_SK = ids_S[:, None] * num_experts + chosen_SK
        counts_DE = count(slots_SK.flatten(), num_documents * num_experts).view(num_documents, num_experts)
        if group is not None:
            dist.all_reduce(counts_DE, group=group)
        frequencies_SE = counts_DE[ids_S] * (num_experts / top_k / lengths_S)[:, None]
    return (shares_SE * frequencies_SE).sum()
