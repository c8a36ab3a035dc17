from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from curriculum.plan import Plan
from tests.trainer.conftest import TRAINING

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


def state_of(made: Any) -> dict[str, Any]:
    """What `load_state_dict` takes: the sharded state with tensors in the place of shards."""
    sharded = made.optimizers.sharded_state_dict(made.model.sharded_state_dict())
    steps = sharded.pop("steps")
    return {
        "steps": steps,
        **{kind: {name: shard.data.clone() for name, shard in shards.items()} for kind, shards in sharded.items()},
    }


def test_a_resumed_optimiser_takes_its_settings_from_the_plan(alone: "Layout", make_plan: MakePlan) -> None:
    plan = make_plan()
    old = trainer(plan, alone)
    for parameter in old.model.parameters():
        parameter.main_grad.normal_()
    old.optimizers.step(0.01)
    edited = make_plan(training={"weight_decay": 0.5, "muon": {**plan.training["muon"], "update_rms": 0.3}})
    new = trainer(edited, alone)
    state = state_of(old)
    new.optimizers.load_state_dict(state)
    groups = [group for part in new.optimizers._parts.values() for group in part.param_groups]
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 0.5, 0.5]
    assert {group.get("update_rms", 0.3) for group in groups} == {0.3}
    assert set(state) == {"steps", "momentum", "exp_avg", "exp_avg_sq"}
    again = state_of(new)
    assert again["steps"] == state["steps"] == 1
    for kind in ("momentum", "exp_avg", "exp_avg_sq"):
        assert again[kind].keys() == state[kind].keys()
        assert all(torch.equal(again[kind][name], value) for name, value in state[kind].items())
        assert all(value.any() for value in state[kind].values())


def test_a_loaded_optimiser_goes_on_bit_for_bit(alone: "Layout", make_plan: MakePlan) -> None:
    """AdamW's count of steps too, which its bias correction reads."""
    straight, resumed = trainer(make_plan(), alone), trainer(make_plan(), alone)
    generator = torch.Generator().manual_seed(3)
    for step in range(4):
        for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
            a.main_grad.normal_(generator=generator)
            b.main_grad.copy_(a.main_grad)
        straight.optimizers.step(0.01)
        if step == 1:
            resumed.model.load_state_dict(straight.model.state_dict())
            resumed.optimizers.load_state_dict(state_of(straight))
        elif step > 1:
            resumed.optimizers.step(0.01)
    pairs = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_state_of_another_rule_is_an_error(alone: "Layout", make_plan: MakePlan) -> None:
    state = state_of(trainer(make_plan(), alone))
    other = trainer(make_plan(training={"head": "adamw"}), alone)
    with pytest.raises(KeyError, match=r"no exp_avg of output_layer\.weight"):
        other.optimizers.load_state_dict(state)


def test_the_head_can_go_to_adamw(alone: "Layout", make_plan: MakePlan) -> None:
    made = trainer(make_plan(training={"head": "adamw"}), alone)
    state = state_of(made)
    assert "output_layer.weight" in state["exp_avg"]
    assert "output_layer.weight" not in state["momentum"]
    assert "decoder.layers.0.self_attention.linear_proj.weight" in state["momentum"]


@pytest.mark.parametrize("rule", ["muon", "adamw"])
def test_steps_too_small_for_bfloat16_add_up(alone: "Layout", make_plan: MakePlan, rule: str) -> None:
    """Weights of 1 change in bfloat16 by 2^-9 = 0.002 or not at all; the step is a tenth of that, or less."""
    from trainer.loop import Trainer

    plan = make_plan(training={"optimizer": rule, "weight_decay": 0.0, "adam": {**TRAINING["adam"], "eps": 1e-30}})
    whole, half = Trainer(plan, alone), Trainer(plan, alone, dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(6)
    for a, b in zip(whole.model.parameters(), half.model.parameters(), strict=True):
        a.data.fill_(1.0)
        b.data.fill_(1.0)
        a.main_grad.normal_(generator=generator)
        b.main_grad.copy_(a.main_grad)
    masters = [weight.master for weight in half.optimizers._weights]
    assert all(master.dtype == torch.float32 for master in masters)
    for master in masters:
        master.data.fill_(1.0)
    for step in range(100):
        whole.optimizers.step(2e-4)
        half.optimizers.step(2e-4)
        if step == 0:
            assert all((weight == 1).all() for weight in half.model.parameters())
    for a, b in zip(whole.model.parameters(), half.model.parameters(), strict=True):
        assert b.dtype == torch.bfloat16
        assert torch.equal(a.detach().bfloat16(), b.detach())
        assert (b != 1).float().mean() > 0.3
