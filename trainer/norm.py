"""RMSNorm for every norm slot of the model.

Megatron's local norm (`WrappedTorchNorm`, transformer/torch_norm.py:32) refuses sequence parallelism; this one does not.
On CUDA torch has one kernel for it. On a CPU it composes seven operations and differentiates each; written out, forward
and backward take half the time (3.4 ms to 1.5 ms for 2,048 tokens of width 128), which is 5 % of the tiny model's step.
"""

from typing import Any

import torch
from megatron.core.transformer.transformer_config import TransformerConfig


class RMSNorm(torch.nn.Module):
    """y = x / rms(x) * weight over the last axis (arXiv 1910.07467)."""

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype))
        # read by finalize_model_grads
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type == "cpu":
            return _RMSNorm.apply(x, self.weight, self.eps)
        return torch.nn.functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class _RMSNorm(torch.autograd.Function):
    """With n = x / rms(x): dx = (g w - n mean(g w n)) / rms(x), dw = sum(g n)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        grad_weight = (grad * normed).flatten(0, -2).sum(dim=0)
        grad_normed = grad * weight
        along = (grad_normed * normed).mean(dim=-1, keepdim=True)
        return torch.addcmul(grad_normed, normed, along, value=-1).mul_(scale), grad_weight, None
