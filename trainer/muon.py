"""Muon: momentum whose every matrix is orthogonalised before the step (Moonlight, arXiv 2502.16982).

    M <- mu M + G        U = G + mu M        W <- (1 - lr wd) W - lr * rms * sqrt(max(m, n)) * NewtonSchulz(U)

Matrices that a layer keeps fused are taken apart first: query, key and value; gate and up; the experts of a stack.
Equal shapes of the whole model are orthogonalised as one batch. torch.optim.Muon takes neither stacks nor fused
matrices; megatron's needs the package emerging_optimizers. Every rank does all of it: 0.1 s of one CPU core for the
tiny model of 3 M weights.

Newton-Schulz runs on the Gram matrix: X X^T is formed once and the iteration stays among m x m matrices (m <= n), which
saves three quarters of the work for an output head of 32:1. In float32 it agrees with the plain iteration to 3e-4 of
the result; in bfloat16 it would not.

Not covered: matrices split over tensor-parallel ranks, sharded state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Keller Jordan's quintic: steep at 0, singular values end in about 0.7..1.2
BATCH_ELEMENTS = 1 << 24  # orthogonalised at once; bounds the working memory to a few times 64 MiB

Rows = slice | torch.Tensor


class _Part(NamedTuple):
    """One matrix (or stack of them) inside a parameter."""

    parameter: torch.nn.Parameter
    rows: Rows
    tall: bool


class Muon(torch.optim.Optimizer):
    """`blocks[p]` names the rows (last but one axis) of each matrix fused in p; a parameter not there is one matrix."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.95,
        ns_steps: int = 5,
        update_rms: float = 0.2,
        weight_decay: float = 0.1,
        blocks: Mapping[torch.nn.Parameter, tuple[Rows, ...]] | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "ns_steps": ns_steps,
            "update_rms": update_rms,
            "weight_decay": weight_decay,
        }
        super().__init__(parameters, defaults)
        self._batches = [list(_batches(group["params"], blocks or {})) for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("Muon.step takes no closure: compute the loss before")
        for group, batches in zip(self.param_groups, self._batches, strict=True):
            updates = {parameter: self._momentum(parameter, group["momentum"]) for parameter in group["params"]}
            for parameter in group["params"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            for parts in batches:
                _update(parts, updates, group)

    def _momentum(self, parameter: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        if parameter.grad is None:
            raise ValueError(
                f"a parameter of shape {tuple(parameter.shape)} has no gradient: it takes no part in the loss"
            )
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return parameter.grad + state["momentum"].mul_(momentum).add_(parameter.grad).mul(momentum)


def _update(parts: list[_Part], updates: Mapping[torch.nn.Parameter, torch.Tensor], group: Mapping[str, Any]) -> None:
    matrices = [_wide(updates[part.parameter], part) for part in parts]
    orthogonal_Bmn = newton_schulz(torch.cat(matrices), group["ns_steps"])
    size = -group["lr"] * group["update_rms"] * max(orthogonal_Bmn.shape[1:]) ** 0.5
    for part, change in zip(parts, orthogonal_Bmn.split([len(m) for m in matrices]), strict=True):
        change = change.mT if part.tall else change
        weight = part.parameter.view(-1, *part.parameter.shape[-2:])
        weight[:, part.rows] += size * change


def _wide(update: torch.Tensor, part: _Part) -> torch.Tensor:
    """The part's matrices as `[B, m, n]` with m <= n."""
    stack = update.view(-1, *update.shape[-2:])[:, part.rows]
    return stack.mT if part.tall else stack


def _batches(
    parameters: Iterable[torch.nn.Parameter], blocks: Mapping[torch.nn.Parameter, tuple[Rows, ...]]
) -> Iterator[list[_Part]]:
    """Parts of equal shape together, at most BATCH_ELEMENTS of them (but at least one part)."""
    by_shape: dict[tuple[int, ...], list[_Part]] = {}
    for parameter in parameters:
        for rows in blocks.get(parameter, (slice(None),)):
            height, width = parameter.view(-1, *parameter.shape[-2:])[0, rows].shape
            by_shape.setdefault((min(height, width), max(height, width)), []).append(
                _Part(parameter, rows, height > width)
            )
    for (height, width), parts in by_shape.items():
        batch: list[_Part] = []
        elements = 0
        for part in parts:
            more = part.parameter.numel() // part.parameter.shape[-1] // part.parameter.shape[-2] * height * width
            if batch and elements + more > BATCH_ELEMENTS:
                yield batch
                batch, elements = [], 0
            batch.append(part)
            elements += more
        yield batch


def newton_schulz(x_Bmn: torch.Tensor, steps: int) -> torch.Tensor:
    """Roughly U V^T of each matrix U S V^T, m <= n: singular values above 1e-3 of the norm end in about 0.7..1.2.

    With P_k the product of the polynomials so far, X_k = P_k X, and X_k X_k^T = P_k G P_k for G = X X^T: all of them
    commute. Float32 inside.
    """
    a, b, c = COEFFICIENTS
    x_Bmn = x_Bmn.float()
    x_Bmn = x_Bmn / (x_Bmn.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    gram_Bmm = x_Bmn @ x_Bmn.mT
    product_Bmm = None
    for step in range(steps):
        factor_Bmm = torch.baddbmm(gram_Bmm, gram_Bmm, gram_Bmm, beta=b, alpha=c)
        factor_Bmm.diagonal(dim1=1, dim2=2).add_(a)
        product_Bmm = factor_Bmm if product_Bmm is None else factor_Bmm @ product_Bmm
        if step + 1 < steps:
            gram_Bmm = factor_Bmm @ gram_Bmm @ factor_Bmm
    return x_Bmn if product_Bmm is None else product_Bmm @ x_Bmn
