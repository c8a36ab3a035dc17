import pytest
import torch

from tests.trainer.conftest import packed_of

pytestmark = pytest.mark.usefixtures("alone")

TOKENS, EXPERTS, CHOSEN = 24, 6, 2


def router_and_layout(shape: dict, lengths: list[int]) -> tuple:
    from megatron.core.process_groups_config import ProcessGroupCollection

    from trainer.model import transformer_config
    from trainer.router import BalancedRouter

    config = transformer_config({**shape, "experts": EXPERTS, "experts_per_token": CHOSEN, "router_scale": 2.5})
    groups = ProcessGroupCollection.use_mpu_process_groups(["tp", "cp", "tp_cp", "tp_dp_cp"])
    router = BalancedRouter(config, groups)
    torch.nn.init.normal_(router.weight, std=0.06, generator=torch.Generator().manual_seed(0))
    return router, documents_of(lengths), config


def documents_of(lengths: list[int]) -> "object":
    from trainer.documents import documents

    return documents(packed_of(lengths), rope_base=1e4, rotary_dim=8)


def test_choice_and_weights_are_megatrons(shape: dict) -> None:
    from megatron.core.transformer.moe.moe_utils import topk_routing_with_score_function

    router, _, config = router_and_layout(shape, [TOKENS])
    router.expert_bias.copy_(torch.linspace(-0.2, 0.2, EXPERTS))
    hidden = torch.randn(TOKENS, 1, config.hidden_size)
    weights_TK, experts_TK = router(hidden)
    probs, routing_map = topk_routing_with_score_function(
        router.gating(hidden).view(TOKENS, EXPERTS),
        CHOSEN,
        scaling_factor=2.5,
        score_function="sigmoid",
        expert_bias=router.expert_bias,
    )
    dense = torch.zeros(TOKENS, EXPERTS).scatter(1, experts_TK, weights_TK)
    torch.testing.assert_close(dense, probs, rtol=1e-6, atol=1e-7)
    assert torch.equal(dense > 0, routing_map)
    torch.testing.assert_close(weights_TK.sum(dim=1), torch.full((TOKENS,), 2.5))
    assert router.local_tokens_per_expert.tolist() == routing_map.sum(dim=0).tolist()


def test_the_bias_chooses_but_does_not_weigh(shape: dict) -> None:
    router, _, config = router_and_layout(shape, [TOKENS])
    hidden = torch.randn(TOKENS, 1, config.hidden_size)
    scores = router.gating(hidden).view(TOKENS, EXPERTS).sigmoid()
    router.expert_bias[4] = 10.0
    weights_TK, experts_TK = router(hidden)
    assert (experts_TK == 4).any(dim=1).all()
    chosen = scores.gather(1, experts_TK)
    torch.testing.assert_close(weights_TK, 2.5 * chosen / chosen.sum(dim=1, keepdim=True))


def test_loads_are_not_counted_without_gradients(shape: dict) -> None:
    router, _, config = router_and_layout(shape, [TOKENS])
    with torch.no_grad():
        router(torch.randn(TOKENS, 1, config.hidden_size))
    assert router.local_tokens_per_expert.sum() == 0


def test_balance_of_one_document_is_megatrons_sequence_loss() -> None:
    from megatron.core.transformer.moe.moe_utils import (
        compute_routing_scores_for_aux_loss,
        switch_load_balancing_loss_func,
    )

    from trainer.router import balance_loss

    logits = torch.randn(TOKENS, EXPERTS, generator=torch.Generator().manual_seed(4))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    balance = balance_loss(ours, documents_of([TOKENS]), top_k=CHOSEN) / TOKENS
    routing_map, scores = compute_routing_scores_for_aux_loss(theirs, CHOSEN, "sigmoid")
    expected = switch_load_balancing_loss_func(scores, routing_map.sum(dim=0), TOKENS, CHOSEN, EXPERTS, 1.0)
    torch.testing.assert_close(balance, expected)
    balance.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_balance_is_a_mean_over_documents_by_length() -> None:
    from trainer.router import balance_loss

    logits = torch.randn(TOKENS, EXPERTS, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    lengths = [5, 16, 3]
    apart = [balance_loss(part, documents_of([len(part)]), top_k=CHOSEN) for part in logits.split(lengths)]
    torch.testing.assert_close(balance_loss(logits, documents_of(lengths), top_k=CHOSEN), sum(apart))


def test_balance_tells_even_from_lopsided() -> None:
    from trainer.router import balance_loss

    even = torch.eye(EXPERTS).repeat(4, 1) * 20 - 10
    lopsided = torch.full((TOKENS, EXPERTS), -10.0)
    lopsided[:, 2] = 10.0
    assert balance_loss(even, documents_of([TOKENS]), top_k=1) / TOKENS == pytest.approx(1.0, abs=1e-3)
    assert balance_loss(lopsided, documents_of([TOKENS]), top_k=1) / TOKENS == pytest.approx(EXPERTS, abs=1e-2)
