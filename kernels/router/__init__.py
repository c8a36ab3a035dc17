"""Sigmoid router of a mixture of experts with a loss-free balance bias: the op's entry.

`reference.py` defines the op, `triton_router.py` runs it on CUDA. The gate's matrix product is the caller's.
"""

import torch

from kernels.dispatch import implementation
from kernels.router.reference import Routing

__all__ = ["Routing", "route"]

MAX_KERNEL_EXPERTS = 512  # a token's row of padded experts lives in registers


def route(
    logits_TE: torch.Tensor,
    bias_E: torch.Tensor,
    *,
    top_k: int,
    scale: float,
    sources_T: torch.Tensor | None = None,
    num_sources: int = 1,
) -> Routing:
    """Choose `top_k` of E experts for each of T tokens and weigh them; `kernels.router.reference` has the formula.

    logits_TE    floating point; the result is differentiable in it, through the weights only
    bias_E       added to the scores for the choice alone; receives no gradient
    scale        what the weights of a token sum to
    sources_T    integer; the row of `counts_SE` a token counts to. A token outside [0, num_sources) is routed but not
                 counted (give padding -1). None counts every token to source 0.

    Raises ValueError for arguments that do not fit together, KernelUnavailable for a choice of implementation that cannot run.
    """
    _check(logits_TE, bias_E, top_k, sources_T, num_sources)
    run = implementation("router", logits_TE.device, _kernel_obstacle(logits_TE))
    return run(logits_TE, bias_E, top_k=top_k, scale=scale, sources_T=sources_T, num_sources=num_sources)


def _kernel_obstacle(logits_TE: torch.Tensor) -> str | None:
    if logits_TE.dtype == torch.float64:
        return "the logits are float64 and the kernel computes in float32; pass float32 or bfloat16"
    if logits_TE.shape[1] > MAX_KERNEL_EXPERTS:
        return f"there are {logits_TE.shape[1]} experts and the kernel takes at most {MAX_KERNEL_EXPERTS}"
    return None


def _check(
    logits_TE: torch.Tensor, bias_E: torch.Tensor, top_k: int, sources_T: torch.Tensor | None, num_sources: int
) -> None:
    if logits_TE.ndim != 2 or not logits_TE.is_floating_point():
        raise ValueError(f"logits_TE: want floats (tokens, experts), got {logits_TE.dtype} {tuple(logits_TE.shape)}.")
    num_tokens, num_experts = logits_TE.shape
    if bias_E.shape != (num_experts,) or bias_E.device != logits_TE.device:
        raise ValueError(
            f"bias_E: want shape ({num_experts},) on {logits_TE.device} like the logits, "
            f"got {tuple(bias_E.shape)} on {bias_E.device}."
        )
    if not 1 <= top_k <= num_experts:
        raise ValueError(f"top_k={top_k}: must lie between 1 and the number of experts, {num_experts}.")
    if num_sources < 1 or (sources_T is None and num_sources != 1):
        raise ValueError(f"num_sources={num_sources}: must be at least 1, and exactly 1 without sources_T.")
    if sources_T is None:
        return
    if sources_T.shape != (num_tokens,) or sources_T.device != logits_TE.device or sources_T.is_floating_point():
        raise ValueError(
            f"sources_T: want integers of shape ({num_tokens},) on {logits_TE.device}, "
            f"got {sources_T.dtype} {tuple(sources_T.shape)} on {sources_T.device}."
        )
