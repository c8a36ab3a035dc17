"""SwiGLU (arXiv 2002.05202): silu(gate) * up, of a projection that holds both halves side by side.

N: copies of tokens, F: width of an expert.
"""

import torch
from megatron.core.transformer.module import MegatronModule

from trainer.pointwise import pointwise


@pointwise
def swiglu(both: torch.Tensor) -> torch.Tensor:
    """`[..., 2F]`, the gates first, -> `[..., F]`."""
    gate, up = both.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


@pointwise
def weighted_swiglu(both_NF: torch.Tensor, weights_N: torch.Tensor) -> torch.Tensor:
    """`[N, 2F]` -> `[N, F]`, each row times its weight."""
    gate_NF, up_NF = both_NF.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate_NF) * up_NF * weights_N[:, None].to(up_NF.dtype)


class SwiGLU(MegatronModule):
    """The activation of megatron's MLP, in the slot that it has for one of TransformerEngine's."""

    def forward(self, both: torch.Tensor) -> torch.Tensor:
        return swiglu(both)
