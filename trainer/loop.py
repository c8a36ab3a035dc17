"""One step: rows in, weights moved, a line of metrics out.

The objective is a mean over the learned tokens of the *global* batch, whatever the number of ranks and micro-batches:

    sum(w * loss) / sum(w)  +  mtp_weight * (the same, one token further)  +  sequence_balance_weight * (balance, each layer)

so ranks first agree on the denominators, then compute, then add up gradients. A stage switch changes what
`schedule.settings` says from one step to the next (sequence length, rows, RoPE base, bias rate, MTP weight, learning
rate); weights and optimiser state stay.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.transformer.moe.moe_utils import MoEAuxLossAutoScaler

from curriculum.plan import Plan, Stage
from trainer.documents import Packed, documents, micro_batches
from trainer.layout import Layout
from trainer.mcore_compat import buffers_on
from trainer.model import DocumentModel, Losses, build_model, rotary_dim
from trainer.optimizer import Optimizers
from trainer.schedule import StepSettings
from trainer.tally import Tally

if TYPE_CHECKING:
    from curriculum.feed import Batch

MICRO_TOKENS = 8_192  # positions computed at once on a rank; 1 GB of activations for the tiny model


class Diverged(ArithmeticError):
    """The loss or the gradients are not finite. The message says where, and how to see what was learned there."""


class Trainer:
    """The model, its optimisers and the step. The same plan, ranks and threads give the same bits."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.plan, self.layout = plan, layout
        torch.manual_seed(plan.seed % 2**63)
        longest = max(stage.seq_len for stage in plan.stages)
        self.model: DocumentModel = build_model(plan.model, max_seq_len=longest).to(layout.device)
        with buffers_on(layout.device):
            ddp_config = DistributedDataParallelConfig(grad_reduce_in_fp32=True)
            self.ddp = DistributedDataParallel(self.model.config, ddp_config, self.model)
        self.optimizers = Optimizers(self.ddp, plan.training)

    def step(self, now: StepSettings, stage: Stage, batch: "Batch") -> dict[str, Any]:
        """Learn this rank's share of a global batch. Returns the step's line of metrics.jsonl, but for `seconds`.

        `stage` is the one of the feed's plan: where a build is followed, `self.plan` may not know its sources yet.
        """
        packs = list(micro_batches(batch, max_tokens=MICRO_TOKENS))
        weights_K, num_tokens = self._denominators(packs)
        tally = self._gradients(now, packs, weights_K, num_tokens, num_sources=len(stage.sources))
        loads_LE, balance = self._expert_load(num_tokens)
        self.model.config.moe_router_bias_update_rate = now.bias_rate
        finalize_model_grads([self.ddp])  # adds gradients up over ranks and moves the routers' biases
        grad_norm = self.optimizers.clip(self.plan.training["clip_norm"])
        losses_K = tally.losses_K / weights_K
        _check_finite(now, stage, [*losses_K, grad_norm])
        self.optimizers.step(now.lr)
        return {
            "step": now.step,
            "stage": stage.name,
            "stage_step": now.stage_step,
            "tokens": now.tokens,
            "rows": now.rows,
            "seq_len": now.seq_len,
            "loss": float(losses_K[0]),
            "mtp_loss": float(losses_K[1:].mean()) if losses_K.size > 1 else None,
            "balance_loss": balance,
            **_by_source(stage, tally),
            "lr": now.lr,
            "grad_norm": grad_norm,
            "rope_base": now.rope_base,
            "bias_rate": now.bias_rate,
            "mtp_weight": now.mtp_weight,
            "max_violation": max_violation(loads_LE),
        }

    def _denominators(self, packs: Sequence[Packed]) -> tuple[np.ndarray, float]:
        """(sum of loss weights per depth, computed tokens) of the global batch; 1 where nothing is learned."""
        local = np.append(
            np.sum([pack.weight_sums_K for pack in packs], axis=0), sum(pack.tokens_T.size for pack in packs)
        )
        sums = self._sum_over_ranks(local)
        sums[sums == 0] = 1.0
        return sums[:-1], float(sums[-1])

    def _gradients(
        self, now: StepSettings, packs: Sequence[Packed], weights_K: np.ndarray, num_tokens: float, *, num_sources: int
    ) -> Tally:
        """Add the gradients of all micro-batches into DDP's buffers."""
        tally = Tally.zeros(weights_K.size, num_sources)
        balance_weight = self.plan.training["sequence_balance_weight"]
        MoEAuxLossAutoScaler.set_loss_scale(torch.tensor(balance_weight / num_tokens, device=self.layout.device))
        factors_K = [1.0] + [now.mtp_weight / (weights_K.size - 1)] * (weights_K.size - 1)
        self.ddp.zero_grad_buffer()
        for number, packed in enumerate(packs, start=1):
            losses = self._forward(now, packed)
            terms = zip(losses.sums_K, factors_K, weights_K.tolist(), strict=True)
            objective = torch.stack([total * (factor / weight) for total, factor, weight in terms]).sum()
            with contextlib.nullcontext() if number == len(packs) else self.ddp.no_sync():
                objective.backward()
            tally.add(packed, losses.tokens_KT)
        return tally.from_flat(self._sum_over_ranks(tally.flat()))

    def _forward(self, now: StepSettings, packed: Packed) -> Losses:
        device = self.layout.device
        layout = documents(packed, rope_base=now.rope_base, rotary_dim=rotary_dim(self.plan.model), device=device)
        return self.ddp(
            torch.from_numpy(packed.tokens_T)[None].to(device),
            torch.from_numpy(packed.positions_T)[None].to(device),
            None,
            labels=torch.from_numpy(packed.labels_KT).to(device),
            loss_mask=torch.from_numpy(packed.weights_KT).to(device),
            packed_seq_params=layout,
        )

    def _expert_load(self, num_tokens: float) -> tuple[np.ndarray, float]:
        """(tokens per layer and expert of the global batch, balance loss averaged over layers)."""
        routers = self.model.routers
        if not routers:
            return np.ones((1, 1)), 0.0
        loads_LE = torch.stack([router.local_tokens_per_expert for router in routers]).double().cpu().numpy()
        balance = sum(float(router.balance_sum) for router in routers)
        for router in routers:
            router.balance_sum = 0.0
        sums = self._sum_over_ranks(np.append(loads_LE.ravel(), balance))
        return sums[:-1].reshape(loads_LE.shape), float(sums[-1]) / num_tokens / len(routers)

    def _sum_over_ranks(self, values: np.ndarray) -> np.ndarray:
        return self.layout.sum(torch.from_numpy(values).to(self.layout.device)).cpu().numpy()


def max_violation(loads_LE: np.ndarray) -> float:
    """(greatest load - mean) / mean of the worst layer (MaxVio of arXiv 2408.15664)."""
    means_L = loads_LE.mean(axis=1)
    return float(((loads_LE.max(axis=1) - means_L) / means_L).max())


def _by_source(stage: Stage, tally: Tally) -> dict[str, dict[str, Any]]:
    names = [source.name for source in stage.sources]
    losses, weights = tally.source_losses_S.tolist(), tally.source_weights_S.tolist()
    return {
        "loss_by_source": {
            name: loss / weight for name, loss, weight in zip(names, losses, weights, strict=True) if weight
        },
        "tokens_by_source": dict(zip(names, tally.source_tokens_S.astype(int).tolist(), strict=True)),
    }


def _check_finite(now: StepSettings, stage: Stage, values: Sequence[float]) -> None:
    if not all(math.isfinite(value) for value in values):
        shown = ", ".join(f"{value:g}" for value in values)
        raise Diverged(
            f"step {now.step} (stage {stage.name!r}, its step {now.stage_step}) is not finite: the losses and the gradient "
            f"norm are {shown}. `tokenloom inspect` shows the documents of a step. Lower training.lr.peak (the rate here is "
            f"{now.lr:.3g}), and the same command continues from the last checkpoint."
        )
