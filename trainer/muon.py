"""Muon: momentum whose every matrix is orthogonalised before the step (Moonlight, arXiv 2502.16982).

    M <- mu M + G        U = G + mu M        W <- (1 - lr wd) W - lr * rms * sqrt(max(m, n)) * NewtonSchulz(U)

Matrices that a layer keeps fused are taken apart first: query, key and value; gate and up; the experts of a stack.
Equal shapes of the whole model are orthogonalised as one batch. torch.optim.Muon takes neither stacks nor fused
matrices; megatron's needs the package emerging_optimizers. For the tiny model of 3 M weights a step is 0.1 s of one CPU
core.

Matrices that tensor-parallel ranks hold in parts are orthogonalised whole, so the step is that of one process. The
ranks deal the matrices of a batch out among them: an all-to-all brings each together on one rank, a second one takes the
parts of the result back. Work and working memory are divided by the ranks; with an all-gather, which moves as much for
two ranks and more for others, every rank would do all of it.

Newton-Schulz runs on the Gram matrix: X X^T is formed once and the iteration stays among m x m matrices (m <= n), which
saves three quarters of the work for an output head of 32:1. In float32 it agrees with the plain iteration to 3e-4 of
the result; in bfloat16 it would not.

Not covered: weights in half precision (give it their float32 masters), stacks that are split over tensor-parallel ranks.
B: matrices of a batch, m <= n: their sides, P: tensor-parallel ranks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Keller Jordan's quintic: steep at 0, singular values end in about 0.7..1.2
BATCH_ELEMENTS = 1 << 24  # orthogonalised at once on a rank; bounds the working memory to a few times 64 MiB

Rows = slice | torch.Tensor


class _Part(NamedTuple):
    """One matrix (or stack of them) inside a parameter."""

    parameter: torch.nn.Parameter
    rows: Rows
    tall: bool  # the whole matrix is higher than wide
    axis: int | None  # of the matrix laid wide: along it the ranks hold parts; None: each has it whole


class Muon(torch.optim.Optimizer):
    """`blocks[p]` names the rows (last but one axis) of each matrix fused in p; a parameter not there is one matrix.

    `splits[p]` is the axis along which the ranks of `tensor_group` hold equal parts of the matrix p, of all its blocks
    the same share; `blocks[p]` then names rows of this rank's part. All of them give the same parameters in the same order.
    """

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
        splits: Mapping[torch.nn.Parameter, int] | None = None,
        tensor_group: dist.ProcessGroup | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "ns_steps": ns_steps,
            "update_rms": update_rms,
            "weight_decay": weight_decay,
        }
        super().__init__(parameters, defaults)
        self._tensor_group = tensor_group
        ranks = tensor_group.size() if tensor_group else 1
        shared = dict(splits or {}) if ranks > 1 else {}
        for group in self.param_groups:
            for parameter in group["params"]:
                _check(parameter, is_split=parameter in shared)
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        self._batches = [list(_batches(group["params"], blocks or {}, shared, ranks)) for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("Muon.step takes no closure: compute the loss before")
        for parameter in (p for group in self.param_groups for p in group["params"] if p.grad is None):
            raise ValueError(
                f"a parameter of shape {tuple(parameter.shape)} has no gradient: it takes no part in the loss"
            )
        for group, batches in zip(self.param_groups, self._batches, strict=True):
            for parameter in group["params"]:
                self.state[parameter]["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            for parts in batches:
                self._update(parts, group)

    def _update(self, parts: Sequence[_Part], group: Mapping[str, Any]) -> None:
        matrices = [self._nesterov(part, group["momentum"]) for part in parts]
        steps = group["ns_steps"]
        if parts[0].axis is None or self._tensor_group is None:
            stacked_Bmn = newton_schulz(torch.cat(matrices), steps)
            changes, longer = list(stacked_Bmn.split([len(m) for m in matrices])), max(stacked_Bmn.shape[1:])
        else:
            axes = [part.axis for part in parts if part.axis is not None]
            changes, longer = _orthogonalised_whole(matrices, axes, steps, self._tensor_group)
        size = -group["lr"] * group["update_rms"] * longer**0.5
        for part, change in zip(parts, changes, strict=True):
            change = change.mT if part.tall else change
            weight = part.parameter.view(-1, *part.parameter.shape[-2:])
            weight[:, part.rows] += size * change

    def _nesterov(self, part: _Part, momentum: float) -> torch.Tensor:
        """G + mu M of the part, its matrices laid wide: `[B, m, n]`, or this rank's share of that."""
        parameter = part.parameter
        assert parameter.grad is not None
        shape = (-1, *parameter.shape[-2:])
        averaged = self.state[parameter]["momentum"].view(shape)[:, part.rows]
        update = parameter.grad.view(shape)[:, part.rows] + averaged.mul(momentum)
        return update.mT if part.tall else update


def _check(parameter: torch.nn.Parameter, *, is_split: bool) -> None:
    shape = tuple(parameter.shape)
    if parameter.dtype != torch.float32:
        raise ValueError(f"a parameter of shape {shape} is {parameter.dtype}: give Muon its float32 master weights")
    if parameter.dim() < 2 or (is_split and parameter.dim() != 2):
        wanted = "a matrix, when ranks hold parts of it" if is_split else "a matrix or a stack of matrices"
        raise ValueError(f"a parameter of shape {shape} is not for Muon: give it {wanted}")


def _batches(
    parameters: Iterable[torch.nn.Parameter],
    blocks: Mapping[torch.nn.Parameter, tuple[Rows, ...]],
    splits: Mapping[torch.nn.Parameter, int],
    ranks: int,
) -> Iterator[list[_Part]]:
    """Parts of equal whole shape together, at most BATCH_ELEMENTS of a rank (but one part, or one for every rank, at least)."""
    by_shape: dict[tuple[int, int, bool], list[tuple[_Part, int]]] = {}
    for parameter in parameters:
        split = splits.get(parameter)
        for rows in blocks.get(parameter, (slice(None),)):
            stack = parameter.view(-1, *parameter.shape[-2:])[:, rows]
            sides = [side * (ranks if axis == split else 1) for axis, side in enumerate(stack.shape[1:])]
            tall = sides[0] > sides[1]
            part = _Part(parameter, rows, tall, 1 - split if tall and split is not None else split)
            by_shape.setdefault((min(sides), max(sides), split is not None), []).append((part, stack.shape.numel()))
    for (_, _, is_split), parts in by_shape.items():
        batch: list[_Part] = []
        elements, fewest = 0, ranks if is_split else 1
        for part, more in parts:
            if len(batch) >= fewest and elements + more > BATCH_ELEMENTS:
                yield batch
                batch, elements = [], 0
            batch.append(part)
            elements += more
        yield batch


def _orthogonalised_whole(
    shards: Sequence[torch.Tensor], axes: Sequence[int], steps: int, group: dist.ProcessGroup
) -> tuple[list[torch.Tensor], int]:
    """(this rank's shares of the orthogonalised matrices, their longer side).

    shards  this rank's `[1, m, n / P]` or `[1, m / P, n]` of every matrix of the batch
    axes    the axis, 0 or 1, along which each matrix is shared
    """
    ranks, rank = group.size(), group.rank()
    dealt = [len(range(first, len(shards), ranks)) for first in range(ranks)]  # matrices that each rank orthogonalises
    mine = slice(sum(dealt[:rank]), sum(dealt[: rank + 1]))
    sent = torch.stack([shard.flatten() for shard in shards])
    received = sent.new_empty(ranks, dealt[rank], sent.shape[1])
    dist.all_to_all_single(received.flatten(0, 1), sent, [dealt[rank]] * ranks, dealt, group=group)
    shapes = [shard.shape[1:] for shard in shards[mine]]
    wholes = [
        torch.cat([share.view(shape) for share in received[:, number]], dim=axis)
        for number, (axis, shape) in enumerate(zip(axes[mine], shapes, strict=True))
    ]
    if wholes:
        for number, (axis, whole) in enumerate(zip(axes[mine], newton_schulz(torch.stack(wholes), steps), strict=True)):
            received[:, number] = torch.stack([share.flatten() for share in whole.chunk(ranks, dim=axis)])
    dist.all_to_all_single(sent, received.flatten(0, 1), dealt, [dealt[rank]] * ranks, group=group)
    changes = [flat.view(shard.shape) for flat, shard in zip(sent, shards, strict=True)]
    sides = list(shards[0].shape[1:])
    sides[axes[0]] *= ranks
    return changes, max(sides)


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
