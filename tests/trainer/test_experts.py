import pytest
import torch

pytestmark = pytest.mark.usefixtures("alone")

TOKENS, HIDDEN, WIDTH, EXPERTS, CHOSEN = 11, 16, 8, 5, 2


def choice() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states `[T, 1, H]`, experts `[T, K]` that leave expert 3 idle, weights `[T, K]`."""
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(TOKENS, 1, HIDDEN, generator=generator)
    busy = torch.tensor([0, 1, 2, 4])
    experts = torch.stack([busy[torch.randperm(4, generator=generator)[:CHOSEN]] for _ in range(TOKENS)])
    return hidden, experts, torch.rand(TOKENS, CHOSEN, generator=generator)


def test_sorted_and_grouped_equals_a_loop_over_tokens(shape: dict) -> None:
    from megatron.core.process_groups_config import ProcessGroupCollection

    from trainer.experts import ExpertDispatcher, StackedExperts
    from trainer.model import transformer_config

    config = transformer_config({**shape, "hidden": HIDDEN, "expert_ffn": WIDTH, "experts": EXPERTS})
    groups = ProcessGroupCollection.use_mpu_process_groups(["ep", "expt_dp"])
    module, dispatcher = StackedExperts(EXPERTS, config, pg_collection=groups), ExpertDispatcher(EXPERTS, groups.ep)
    for weight in (module.gate_up, module.down):
        torch.nn.init.normal_(weight, std=0.06, generator=torch.Generator().manual_seed(2))
    hidden, experts_TK, weights_TK = choice()
    results = []
    for double in (False, True):
        hidden_in = (hidden.double() if double else hidden.clone()).requires_grad_()
        weights_in = (weights_TK.double() if double else weights_TK.clone()).requires_grad_()
        gate_up = module.gate_up.detach().double().requires_grad_() if double else module.gate_up
        down = module.down.detach().double().requires_grad_() if double else module.down
        if double:
            gate, up = gate_up.chunk(2, dim=1)
            rows = []
            for token, (chosen, weights) in enumerate(zip(experts_TK.tolist(), weights_in, strict=True)):
                x = hidden_in[token, 0]
                parts = [down[e] @ (torch.nn.functional.silu(gate[e] @ x) * (up[e] @ x)) for e in chosen]
                rows.append(sum(weight * part for weight, part in zip(weights, parts, strict=True)))
            output = torch.stack(rows)[:, None]
        else:
            copies, weights_out = dispatcher.dispatch_preprocess(hidden_in, experts_TK, weights_in)
            copies, counts, weights_N = dispatcher.dispatch_postprocess(*dispatcher.token_dispatch(copies, weights_out))
            assert counts.tolist()[3] == 0
            combined = dispatcher.combine_preprocess(module(copies, counts, weights_N)[0])
            output = dispatcher.combine_postprocess(dispatcher.token_combine(combined))
        output.square().sum().backward()
        results.append([output, hidden_in.grad, weights_in.grad, gate_up.grad, down.grad])
    for ours, loop in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), loop, rtol=1e-4, atol=1e-7)
    assert module.down.grad[3].abs().max() == 0  # nobody chose it


def test_the_loop_computes_what_the_grouped_product_computes() -> None:
    from trainer.experts import _grouped, _loop

    generator = torch.Generator().manual_seed(4)
    x, weight = torch.randn(TOKENS, HIDDEN, generator=generator), torch.randn(3, WIDTH, HIDDEN, generator=generator)
    counts = torch.tensor([4, 0, 7])
    torch.testing.assert_close(_loop(x, weight, counts), _grouped(x, weight, counts))


def test_a_row_is_the_same_bits_however_few_chose_its_expert() -> None:
    from trainer.experts import _grouped

    generator = torch.Generator().manual_seed(5)
    x, weight = torch.randn(40, 128, generator=generator), torch.randn(3, 96, 128, generator=generator)
    whole = _grouped(x, weight, torch.tensor([40, 0, 0]))
    for few in (1, 2, 3, 4, 17):
        assert torch.equal(_grouped(x[:few], weight, torch.tensor([few, 0, 0])), whole[:few])
    mixed = x.clone().requires_grad_()
    counts = torch.tensor([2, 37, 1])
    _grouped(mixed, weight, counts).square().sum().backward()
    plain = x.clone().requires_grad_()
    torch.cat(
        [rows @ matrix.T for rows, matrix in zip(plain.split(counts.tolist()), weight, strict=True)]
    ).square().sum().backward()
    torch.testing.assert_close(mixed.grad, plain.grad, rtol=1e-4, atol=1e-3)


def test_a_width_that_no_kernel_takes_is_refused_with_the_next_one(shape: dict) -> None:
    from megatron.core.process_groups_config import ProcessGroupCollection

    from trainer.experts import StackedExperts
    from trainer.model import transformer_config

    with pytest.raises(ValueError, match="expert_ffn is 20, not a multiple of 8: use 24"):
        StackedExperts(EXPERTS, transformer_config({**shape, "expert_ffn": 20}), pg_collection=ProcessGroupCollection())


def test_an_expert_without_tokens_learns_nothing_whatever_comes_back_for_it() -> None:
    from trainer.experts import _OnlyChosen

    weight = torch.ones(3, 2, 2, requires_grad=True)
    output = _OnlyChosen.apply(weight, torch.tensor([4, 0, 1]))
    assert torch.equal(output, weight)
    output.backward(torch.tensor([2.0, torch.nan, 5.0])[:, None, None].expand(3, 2, 2))
    assert weight.grad is not None
    assert weight.grad[:, 0, 0].tolist() == [2.0, 0.0, 5.0]


def test_no_tokens_at_all_give_none_and_gradients_of_zero() -> None:
    from trainer.experts import _grouped

    x, weight = torch.zeros(0, HIDDEN, requires_grad=True), torch.randn(3, WIDTH, HIDDEN, requires_grad=True)
    output = _grouped(x, weight, torch.tensor([0, 0, 0]))
    assert output.shape == (0, WIDTH)
    output.sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    assert weight.grad.abs().max() == 0
