"""The gate of a mixture-of-experts layer: sigmoid scores, top-k by score + bias, and two ways of keeping experts busy.

Loss-free balance (arXiv 2408.15664): a bias per expert takes part in the choice and never in the weights; once per step
megatron's `finalize_model_grads` moves it by `moe_router_bias_update_rate` towards the mean load of the global batch.
Sequence balance (DeepSeek-V3, arXiv 2412.19437, equations 17-20): a small loss per *document* here, weighted by its
length. Megatron takes it per packed row, where the documents of a row may hide each other's imbalance; for a row that
is one document both agree.

The choice itself is `kernels.route`. Megatron's own gate cannot run without TransformerEngine in 0.16.1:
`router_gating_linear` reads a name that only TE's import defines (transformer/moe/moe_utils.py:1192, NameError).

T: tokens, E: experts, K: experts per token, D: documents.
"""

import torch
from megatron.core.process_groups_config import ProcessGroupCollection
from megatron.core.transformer.moe.moe_utils import MoEAuxLossAutoScaler
from megatron.core.transformer.moe.router import Router
from megatron.core.transformer.transformer_config import TransformerConfig

import kernels
from trainer.documents import Documents
from trainer.experts import count


class BalancedRouter(Router):
    """`hidden [T, 1, H]` -> weights `[T, K]` (float32, they sum to the router scale) and experts `[T, K]` for LocalDispatcher."""

    expert_bias: torch.Tensor
    local_tokens_per_expert: torch.Tensor

    def __init__(self, config: TransformerConfig, pg_collection: ProcessGroupCollection | None = None) -> None:
        super().__init__(config=config, pg_collection=pg_collection)
        zeros_E = torch.zeros(config.num_moe_experts, dtype=torch.float32)
        self.register_buffer("expert_bias", zeros_E)
        self.register_buffer("local_tokens_per_expert", zeros_E.clone(), persistent=False)
        self.documents: Documents | None = None  # set by the model before every micro-batch
        self.balance_sum: torch.Tensor | float = 0.0  # balance loss times tokens, over the micro-batches of a step

    def gating(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden.float(), self.weight.float())

    def routing(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits_TE = logits.view(-1, self.num_experts)
        config = self.config
        routing = kernels.route(
            logits_TE,
            self.expert_bias,
            top_k=config.moe_router_topk,
            scale=config.moe_router_topk_scaling_factor,
        )
        weights_TK = routing.weights_TK
        if torch.is_grad_enabled():  # not again when activations are recomputed under no_grad
            self.local_tokens_per_expert += routing.counts_SE[0]
            if self.documents is not None:
                balance = balance_loss(logits_TE, self.documents, top_k=config.moe_router_topk)
                self.balance_sum = self.balance_sum + balance.detach()
                weights_TK = MoEAuxLossAutoScaler.apply(weights_TK, balance)
        return weights_TK, routing.experts_TK

    def forward(
        self, hidden: torch.Tensor, padding_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.routing(self.gating(hidden))


def balance_loss(logits_TE: torch.Tensor, documents: Documents, *, top_k: int) -> torch.Tensor:
    """Sum over documents of length * sum_i f_i P_i. Divided by the tokens, that is 1 at perfect balance and E/K at worst.

    f_i: the share of a document's top-k choices (without the bias) that falls on expert i, times E.
    P_i: the mean over the document of expert i's score, scores normalised to sum to 1.
    """
    ids_T, lengths_T = documents.ids_T, documents.lengths_T
    num_experts, num_documents = logits_TE.shape[1], len(documents.lengths)
    scores_TE = logits_TE.sigmoid()
    shares_TE = scores_TE / (scores_TE.sum(dim=1, keepdim=True) + 1e-20)
    with torch.no_grad():
        chosen_TK = logits_TE.topk(top_k, dim=1).indices
        slots_TK = ids_T[:, None] * num_experts + chosen_TK
        counts_DE = count(slots_TK.flatten(), num_documents * num_experts).view(num_documents, num_experts)
        frequencies_TE = counts_DE[ids_T] * (num_experts / top_k / lengths_T)[:, None]
    return (shares_TE * frequencies_TE).sum()
