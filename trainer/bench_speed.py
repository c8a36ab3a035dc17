"""Training on one GPU, by the wall clock: `python -m trainer.bench speed OUT`.

A shape of 1.8 billion weights, of which 0.22 are active, with the ratios of GLM-4.5-Air in all but depth, learns the rows
of OUT in bf16. The first way is the same megatron-core model with nothing of ours that is there for speed: the router in plain
torch, experts one after the other (megatron's SequentialMLP), all logits at once (its vocab_parallel_cross_entropy), attention
document by document.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import torch

import kernels
from curriculum.feed import Feed, Site
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from trainer import attention, experts, model
from trainer.checkpoint import Checkpoints
from trainer.documents import IGNORED
from trainer.learn import Run, trainer_options
from trainer.loop import Trainer

if TYPE_CHECKING:
    from trainer.layout import Layout

AIR_2B = ModelShape(
    name="air_2b",
    vocab_size=37_888,
    layers=12,
    dense_layers=1,
    hidden=1024,
    heads=24,
    kv_heads=2,
    head_dim=128,
    dense_ffn=2736,
    experts=128,
    experts_per_token=8,
    expert_ffn=352,
    shared_ffn=352,
    router_scale=1.0,
    qk_norm=False,
    qkv_bias=True,
    rotary_fraction=0.5,
    mtp_layers=1,
    norm_eps=1e-5,
    init_std=0.02,
)


class Way(NamedTuple):
    name: str
    site: Site
    router: str = "auto"
    is_plain: bool = False


WAYS = (
    Way("megatron, nothing of ours", Site(attention="torch", compile="off"), router="reference", is_plain=True),
    Way("our modules", Site(attention="torch", compile="off"), router="reference"),
    Way("and kernels", Site(attention="torch", compile="off")),
    Way("and compiled", Site(attention="torch")),
    Way("not deterministic", Site(deterministic=False)),
)


def bench_speed(plan: Plan, out: str, steps: range, layout: "Layout", *, small: bool) -> None:
    """small: with the plan's own model, as a trial without a GPU."""
    if not small:
        vocab_size = max(AIR_2B.vocab_size, plan.model["vocab_size"])
        plan = dataclasses.replace(plan, model={**dataclasses.asdict(AIR_2B), "vocab_size": vocab_size})
    dtype = trainer_options(Site(), layout.device)["dtype"]
    print(f"{plan.model['name']} on {layout.device}, {dtype}, {len(steps)} steps of stage {plan.stages[0].name!r}")
    print(f"{'':26} tokens/s   utilisation   waiting")
    asked = torch.are_deterministic_algorithms_enabled()
    for way in WAYS:
        lines: list[dict[str, Any]] = []
        kernels.select("router", way.router)
        torch.use_deterministic_algorithms(way.site.deterministic or layout.device.type == "cpu")
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.closing(Checkpoints(Path(folder), layout)) as checkpoints,
            _plain() if way.is_plain else contextlib.nullcontext(),
        ):
            trainer = Trainer(plan, layout, **trainer_options(way.site, layout.device))
            Run(Path(folder), Feed(plan, out), trainer, checkpoints, lines.append).learn(steps, save=False)
        warm = [line["speed"] for line in lines[len(lines) // 4 :]]
        rate, share = (_median([each[key] for each in warm]) for key in ("tokens_per_second", "waiting_share"))
        used = [each["flops_utilization"] for each in warm if each["flops_utilization"] is not None]
        shown = f"{100 * _median(used):.1f} % of peak" if used else "not known"
        print(f"{way.name:26} {rate:8.0f} {shown:>13} {100 * share:7.2f} %", flush=True)
    kernels.select("router", "auto")
    torch.use_deterministic_algorithms(asked)


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    one_by_one = attention.Choice(attention.OP, "scaled_dot_product_attention", "for the bench")
    with (
        mock.patch.object(experts, "_grouped", experts._loop),
        mock.patch.object(model, "linear_cross_entropy", _cross_entropy),
        mock.patch.object(model, "choose", return_value=(attention._per_run, one_by_one)),
    ):
        yield


def _cross_entropy(
    hidden_TH: torch.Tensor, weight_VH: torch.Tensor, labels_T: torch.Tensor, weights_T: torch.Tensor, *_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """`trainer.loss.linear_cross_entropy` with all logits at once, in float32."""
    logits_TV = (hidden_TH @ weight_VH.T).float()
    losses_T = torch.nn.functional.cross_entropy(logits_TV, labels_T, ignore_index=IGNORED, reduction="none")
    return (losses_T * weights_T).sum(), losses_T.detach()


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
