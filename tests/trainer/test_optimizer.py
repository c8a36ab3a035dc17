from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from curriculum.plan import Plan

if TYPE_CHECKING:
    from trainer.layout import Layout

MakePlan = Callable[..., Plan]


def trainer(plan: Plan, layout: "Layout") -> Any:
    from trainer.loop import Trainer

    return Trainer(plan, layout)


def test_muon_takes_every_matrix_but_the_word_embeddings(alone: "Layout", make_plan: MakePlan) -> None:
    made = trainer(make_plan(), alone)
    parts = made.optimizers._parts
    owner = {id(p): name for name, part in parts.items() for group in part.param_groups for p in group["params"]}
    by_name = {name: owner[id(parameter)] for name, parameter in made.model.named_parameters()}
    assert len(by_name) == len(owner)
    for name, rule in by_name.items():
        is_vector = any(kind in name for kind in ("norm", "bias"))
        assert rule == ("adamw" if is_vector or name == "embedding.word_embeddings.weight" else "muon"), name
    assert by_name["output_layer.weight"] == "muon"
    decays = {g["weight_decay"]: {p.dim() for p in g["params"]} for g in parts["adamw"].param_groups}
    assert decays == {0.1: {2}, 0.0: {1}}


def test_the_switch_gives_everything_to_adamw(alone: "Layout", make_plan: MakePlan) -> None:
    made = trainer(make_plan(training={"optimizer": "adamw"}), alone)
    assert list(made.optimizers._parts) == ["adamw"]
    groups = made.optimizers._parts["adamw"].param_groups
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in made.model.parameters())


def test_query_key_and_value_rows_are_where_megatron_reads_them(alone: "Layout", make_plan: MakePlan) -> None:
    from trainer.optimizer import qkv_rows

    plan = make_plan(model={**make_plan().model, "qk_norm": False, "qkv_bias": False})
    attention = trainer(plan, alone).model.decoder.layers[0].self_attention
    shape = plan.model
    hidden = torch.randn(5, 1, shape["hidden"])
    read = attention.get_query_key_value_tensors(hidden)
    for rows, tensor in zip(qkv_rows(shape["heads"], shape["kv_heads"], shape["head_dim"]), read, strict=True):
        expected = torch.nn.functional.linear(hidden, attention.linear_qkv.weight[rows])
        torch.testing.assert_close(tensor.flatten(2), expected)


def test_every_fused_matrix_is_taken_apart(alone: "Layout", make_plan: MakePlan) -> None:
    from trainer.optimizer import fused_blocks

    made = trainer(make_plan(), alone)
    names = {id(parameter): name for name, parameter in made.model.named_parameters()}
    blocks = {names[id(parameter)]: rows for parameter, rows in fused_blocks(made.model).items()}
    fused = ("linear_qkv.weight", "linear_fc1.weight", "experts.gate_up")
    assert set(blocks) == {name for name in names.values() if name.endswith(fused)}
    assert all(len(blocks[name]) == (3 if "qkv" in name else 2) for name in blocks)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e9])
def test_gradients_are_clipped_together(alone: "Layout", make_plan: MakePlan, max_norm: float) -> None:
    made = trainer(make_plan(), alone)
    gradients = [p.main_grad for p in made.model.parameters()]
    for gradient in gradients:
        gradient.normal_()
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert made.optimizers.clip(max_norm) == pytest.approx(norm, rel=1e-5)
    after = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert after == pytest.approx(max_norm if 0 < max_norm < norm else norm, rel=1e-5)


def test_a_resumed_optimiser_takes_its_settings_from_the_plan(alone: "Layout", make_plan: MakePlan) -> None:
    plan = make_plan()
    old = trainer(plan, alone)
    for parameter in old.model.parameters():
        parameter.main_grad.normal_()
    old.optimizers.step(0.01)
    edited = make_plan(training={"weight_decay": 0.5, "muon": {**plan.training["muon"], "update_rms": 0.3}})
    new = trainer(edited, alone)
    new.optimizers.load_state_dict(old.optimizers.state_dict())
    groups = [group for part in new.optimizers._parts.values() for group in part.param_groups]
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 0.5, 0.5]
    assert {group.get("update_rms", 0.3) for group in groups} == {0.3}
    momenta = (made.optimizers._parts["muon"].state_dict()["state"] for made in (old, new))
    assert all(torch.equal(a["momentum"], b["momentum"]) for a, b in zip(*(m.values() for m in momenta), strict=True))
