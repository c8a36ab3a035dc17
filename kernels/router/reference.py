"""The sigmoid router in plain torch. This file defines the op; other implementations are measured against it in float64.

    s = sigmoid(logits)                     in float32 or wider
    chosen = the top_k experts by s + bias, ties to the lowest index, in falling order
    weights = s[chosen] / (sum(s[chosen]) + 1e-20) * scale

The bias balances the load without a loss (Wang et al. 2024, arXiv:2408.15664): it selects, and enters neither weights nor
gradient. Scores, renormalisation and 1e-20 are those of DeepSeek-V3 (arXiv:2412.19437, section 2.1.2) and GLM-4.5
(arXiv:2508.06471).

Unusual: a stable sort instead of torch.topk, whose order among ties is unspecified and differs between devices; it costs
O(E log E) per token. A NaN logit sorts first and makes the token's weights NaN, so it is seen.
Legend: T tokens, E experts, K experts per token, S sources.
"""

from typing import NamedTuple

import torch

EPSILON = 1e-20


class Routing(NamedTuple):
    """Where tokens go. Only `weights_TK` carries a gradient."""

    weights_TK: torch.Tensor  # float32 (float64 for float64 logits); a row sums to scale
    experts_TK: torch.Tensor  # int64; experts of a token by falling biased score
    counts_SE: torch.Tensor  # int64; (token, choice) pairs per source and expert


def route(
    logits_TE: torch.Tensor,
    bias_E: torch.Tensor,
    *,
    top_k: int,
    scale: float,
    sources_T: torch.Tensor | None = None,
    num_sources: int = 1,
) -> Routing:
    """See `kernels.route`, which has checked the arguments."""
    compute_dtype = torch.promote_types(logits_TE.dtype, torch.float32)
    scores_TE = torch.sigmoid(logits_TE.to(compute_dtype))
    with torch.no_grad():
        preference_TE = scores_TE + bias_E.to(compute_dtype)
        experts_TK = preference_TE.sort(dim=1, descending=True, stable=True).indices[:, :top_k].contiguous()
        counts_SE = _count(experts_TK, sources_T, num_sources, logits_TE.shape[1])
    chosen_TK = scores_TE.gather(1, experts_TK)
    weights_TK = chosen_TK / (chosen_TK.sum(dim=1, keepdim=True) + EPSILON) * scale
    return Routing(weights_TK, experts_TK, counts_SE)


def _count(
    experts_TK: torch.Tensor, sources_T: torch.Tensor | None, num_sources: int, num_experts: int
) -> torch.Tensor:
    """Choices per source and expert, (S, E). No boolean indexing and no bincount: both would synchronise the device."""
    counts = torch.zeros(num_sources * num_experts, dtype=torch.int64, device=experts_TK.device)
    if sources_T is None:
        slots_TK, counted_TK = experts_TK, torch.ones_like(experts_TK)
    else:
        valid_T = (sources_T >= 0) & (sources_T < num_sources)
        slots_TK = torch.where(valid_T, sources_T.long(), 0)[:, None] * num_experts + experts_TK
        counted_TK = valid_T.long()[:, None].expand_as(experts_TK)
    counts.scatter_add_(0, slots_TK.flatten(), counted_TK.flatten())
    return counts.view(num_sources, num_experts)
