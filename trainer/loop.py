"""One step: rows in, weights moved, a line of metrics out.

The objective is a mean over the learned tokens of the *global* batch, whatever the number of ranks and micro-batches:

    sum(w * loss) / sum(w)  +  mtp_weight * (the same, one token further)  +  sequence_balance_weight * (balance, each layer)

so ranks first agree on the denominators, then compute, then add up gradients. A stage switch changes what
`schedule.settings` says from one step to the next (sequence length, rows, RoPE base, bias rate, MTP weight, learning
rate); weights and optimiser state stay.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.pipeline_parallel import get_forward_backward_func

from curriculum.feed import SiteError
from curriculum.plan import Plan, Stage
from trainer import pointwise
from trainer.documents import Packed, documents, micro_batches
from trainer.initial import put_weights
from trainer.layout import Layout
from trainer.model import DocumentModel, Losses, build_model, rotary_dim
from trainer.optimizer import Optimizers
from trainer.schedule import StepSettings
from trainer.spikes import SpikeWatch
from trainer.tally import Tally
from trainer.together import together
from trainer.weights import Weights, WeightsError

if TYPE_CHECKING:
    from curriculum.feed import Batch

MICRO_TOKENS = 8_192  # positions computed at once on a rank; 1 GB of activations for the tiny model


class Diverged(ArithmeticError):
    """A step went wrong in a way that ends the run. The message says where, what, and how to go on."""


class Objective(NamedTuple):
    """What a step's sums are divided by and multiplied with; of the global batch, equal on all ranks. K: prediction depths."""

    factors_K: list[float]  # of the weighted loss sums
    weights_K: np.ndarray  # sums of the loss weights, 1 where nothing is learned
    num_tokens: float


class Trainer:
    """The model, its optimisers and the step. The same plan, layout and threads give the same bits."""

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        *,
        micro_tokens: int = MICRO_TOKENS,
        dtype: torch.dtype = torch.float32,
        recompute: bool = False,
        attention: str = "auto",
        compile: str = "auto",
        weights: Weights | None = None,
    ) -> None:
        """Raises on all ranks together SiteError and WeightsError, where one of them cannot.

        attention, compile  see `trainer.attention.choose` and `trainer.pointwise.choose`
        weights             of a whole model, to begin from; without them they are drawn
        """
        self.plan, self.layout, self.micro_tokens = plan, layout, micro_tokens
        torch.manual_seed(plan.seed % 2**63)
        options: dict[str, Any] = {"dtype": dtype, "recompute": recompute, "attention": attention}
        model = build_model(plan.model, seed=plan.seed, layout=layout, **options)
        with together(layout, SiteError, WeightsError):
            self.pointwise = pointwise.choose(compile, layout.device)
            if weights:
                put_weights(model, weights, layout)
        self.model: DocumentModel = model.to(layout.device)
        self.ddp = DistributedDataParallel(
            self.model.config, DistributedDataParallelConfig(grad_reduce_in_fp32=True), self.model
        )
        self.optimizers = Optimizers(self.ddp, plan.training)
        self._stage, self._watch = -1, SpikeWatch(plan.training["spikes"])

    def resume(self, stage: int, lines: Sequence[Mapping[str, Any]]) -> None:
        """Know the lines of metrics of the steps that were learned of `stage` before."""
        self._stage, self._watch = stage, SpikeWatch(self.plan.training["spikes"], lines)

    def step(self, now: StepSettings, stage: Stage, batch: "Batch") -> dict[str, Any]:
        """Learn this rank's share of a global batch. Returns the step's line of metrics.jsonl, but for `seconds`.

        `stage` is the one of the feed's plan: where a build is followed, `self.plan` may not know its sources yet.
        """
        packs = self._packs(now, batch)
        objective = self._objective(now, packs)
        tally = Tally.zeros(len(objective.factors_K), len(stage.sources))
        self.ddp.zero_grad_buffer()
        self._run(now, packs, objective, tally, learn=True)
        tally = tally.from_flat(self._sum_over_ranks(tally.flat()))
        loads_CLE, balance = self._expert_load(len(stage.sources), objective.num_tokens)
        biases = [router.expert_bias.clone() for router in self.model.routers]
        self.model.config.moe_router_bias_update_rate = now.bias_rate
        finalize_model_grads([self.ddp])  # adds gradients up over ranks and moves the routers' biases
        grad_norm = self.optimizers.clip(self.plan.training["clip_norm"])
        losses_K = tally.losses_K / objective.weights_K
        loss, mtp_loss = float(losses_K[0]), float(losses_K[1:].mean()) if losses_K.size > 1 else None
        is_learned = bool(tally.source_weights_S.any())
        spike, skipped = self._judge(now, stage, loss, mtp_loss, grad_norm, is_learned=is_learned)
        if skipped:
            for router, bias in zip(self.model.routers, biases, strict=True):
                router.expert_bias.copy_(bias)
        else:
            self.optimizers.step(now.lr)
        return {
            "step": now.step,
            "stage": stage.name,
            "stage_step": now.stage_step,
            "tokens": now.tokens,
            "rows": now.rows,
            "seq_len": now.seq_len,
            "loss": loss if is_learned else None,
            "mtp_loss": mtp_loss if is_learned else None,
            "balance_loss": balance,
            **_by_source(stage, tally),
            "lr": now.lr,
            "grad_norm": grad_norm,
            "rope_base": now.rope_base,
            "bias_rate": now.bias_rate,
            "mtp_weight": now.mtp_weight,
            "max_violation": max_violation(loads_CLE.sum(axis=0)),
            "max_violation_by_source": {
                source.name: max_violation(loads_LE)
                for source, loads_LE in zip(stage.sources, loads_CLE, strict=True)
                if loads_LE.any()
            },
            "spike": spike,
            "skipped": skipped,
        }

    def evaluate(self, now: StepSettings, stage: Stage, batch: "Batch") -> dict[str, Any]:
        """The loss of held-out rows, of which `batch` is this rank's share, in all and by source; weights stay as they are."""
        with torch.no_grad():
            packs = self._packs(now, batch)
            objective = self._objective(now, packs)
            tally = Tally.zeros(len(objective.factors_K), len(stage.sources))
            self._run(now, packs, objective, tally, learn=False)
        tally = tally.from_flat(self._sum_over_ranks(tally.flat()))
        is_learned = bool(tally.source_weights_S.any())
        return {
            "loss": float(tally.losses_K[0] / objective.weights_K[0]) if is_learned else None,
            "loss_by_source": _by_source(stage, tally)["loss_by_source"],
        }

    def _judge(
        self,
        now: StepSettings,
        stage: Stage,
        loss: float,
        mtp_loss: float | None,
        grad_norm: float,
        *,
        is_learned: bool,
    ) -> tuple[str | None, bool]:
        """(what is wrong with the step, whether it is skipped); raises Diverged where that ends the run.

        A step in which nothing is learned has no loss, and counts for nothing.
        """
        if now.stage != self._stage:
            self.resume(now.stage, ())
        values = (loss, grad_norm, mtp_loss)
        spike = self._watch.judge(*values)
        if spike and self._watch.ends(*values):
            raise Diverged(
                f"step {now.step} (stage {stage.name!r}, its step {now.stage_step}): {spike}. {self._watch.remedy(now.lr)}, and the "
                "same command continues from the last checkpoint."
            )
        skipped = spike is not None and self._watch.policy == "skip"
        if is_learned:
            self._watch.count(*values, skipped=skipped)
        return spike, skipped

    def _packs(self, now: StepSettings, batch: "Batch") -> list[Packed]:
        """This rank's micro-batches: as many on all ranks, because experts exchange tokens across them."""
        most_rows = int(self.layout.max(len(batch.tokens)))
        return list(micro_batches(batch, max_tokens=self.micro_tokens, layout=self.layout, most_rows=most_rows))

    def _objective(self, now: StepSettings, packs: Sequence[Packed]) -> Objective:
        local = np.append(np.sum([pack.weight_sums_K for pack in packs], axis=0), sum(p.num_tokens for p in packs))
        if self.layout.tensor_rank or self.layout.pipeline_rank:
            local[:] = 0.0  # these ranks read the same rows as the first of their group
        sums = self._sum_over_ranks(local)
        sums[sums == 0] = 1.0
        weights_K = sums[:-1]
        ahead = weights_K.size - 1
        shares_K = [1.0, *([now.mtp_weight / ahead] * ahead if ahead else ())]
        factors_K = [share / weight for share, weight in zip(shares_K, weights_K.tolist(), strict=True)]
        return Objective(factors_K, weights_K, float(sums[-1]))

    def _run(
        self, now: StepSettings, packs: Sequence[Packed], objective: Objective, tally: Tally, *, learn: bool
    ) -> None:
        """Send all micro-batches through the pipeline, forwards and (`learn`) backwards; gradients add up in DDP's buffers."""

        def forward(
            iterator: Iterator[Packed], model: torch.nn.Module
        ) -> tuple[Losses | torch.Tensor, Callable[[Losses], tuple[torch.Tensor, torch.Tensor, None]]]:
            packed = next(iterator)

            def loss(losses: Losses) -> tuple[torch.Tensor, torch.Tensor, None]:
                if self.layout.tensor_rank == 0:
                    tally.add(packed, losses.tokens_KT)
                terms = [total * factor for total, factor in zip(losses.sums_K, objective.factors_K, strict=True)]
                return torch.stack(terms).sum(), torch.zeros([], dtype=torch.int, device=self.layout.device), None

            return self._forward(now, packed, objective, len(tally.source_losses_S)), loss

        get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=iter(packs),
            model=[self.ddp],
            num_microbatches=len(packs),
            seq_length=now.seq_len,  # of no effect: stages tell each other the length
            micro_batch_size=1,
            forward_only=not learn,
        )

    def _forward(
        self, now: StepSettings, packed: Packed, objective: Objective, num_sources: int
    ) -> Losses | torch.Tensor:
        upload = self.layout.upload
        about = documents(
            packed,
            rope_base=now.rope_base,
            rotary_dim=rotary_dim(self.plan.model),
            layout=self.layout,
            num_sources=num_sources,
            balance_scale=self.plan.training["sequence_balance_weight"] / objective.num_tokens,
        )
        return self.ddp(
            upload(packed.tokens_T)[None],
            upload(packed.positions_T)[None],
            None,
            labels=upload(packed.labels_KT),
            loss_mask=upload(packed.weights_KT),
            packed_seq_params=about,
        )

    def _expert_load(self, num_sources: int, num_tokens: float) -> tuple[np.ndarray, float]:
        """(choices per source, layer and expert of the global batch, balance loss averaged over layers); begins to count anew.

        Layers are those of the whole model that have experts, the prediction blocks last.
        """
        shape = self.plan.model
        num_layers = shape["layers"] - shape["dense_layers"] + shape["mtp_layers"]
        if num_layers == 0:
            return np.ones((num_sources, 1, 1)), 0.0
        sizes = (num_sources, num_layers, shape["experts"])
        sums = torch.zeros(math.prod(sizes) + 1, dtype=torch.float64, device=self.layout.device)
        loads_CLE = sums[:-1].view(sizes)
        for router in self.model.routers:
            if router.loads_CE is not None and router.balance_sum is not None:
                loads_CLE[:, router.layer_number - 1 - shape["dense_layers"]] = router.loads_CE.double()
                sums[-1] += router.balance_sum
            router.loads_CE = router.balance_sum = None
        found = self.layout.sum(sums).cpu().numpy()
        return found[:-1].reshape(sizes), float(found[-1]) / num_tokens / num_layers

    def _sum_over_ranks(self, values: np.ndarray) -> np.ndarray:
        return self.layout.sum(self.layout.upload(values)).cpu().numpy() if self.layout.world > 1 else values


def max_violation(loads_LE: np.ndarray) -> float:
    """(greatest load - mean) / mean of the worst layer (MaxVio of arXiv 2408.15664)."""
    means_L = np.maximum(loads_LE.mean(axis=1), 1e-9)
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
