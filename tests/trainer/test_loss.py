import pytest
import torch

from trainer import loss
from trainer.documents import IGNORED
from trainer.loss import linear_cross_entropy


def case(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    hidden = (torch.randn(13, 8, generator=generator) * 3).to(dtype)
    weight = torch.randn(29, 8, generator=generator).to(dtype)
    labels = torch.randint(0, 29, (13,), generator=generator)
    labels[[0, 5, 12]] = IGNORED
    weights = torch.rand(13, generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), labels, weights


def learned(labels: torch.Tensor) -> torch.Tensor:
    return (labels != IGNORED).nonzero().squeeze(1)


@pytest.mark.parametrize("chunk_logits", [1, 29 * 3, 1 << 20])
def test_values_and_gradients_are_those_of_the_plain_loss(monkeypatch: pytest.MonkeyPatch, chunk_logits: int) -> None:
    monkeypatch.setattr(loss, "CPU_CHUNK_LOGITS", chunk_logits)
    monkeypatch.setattr(loss, "MIN_CHUNK", 1)
    hidden, weight, labels, weights = case(torch.float32)
    total, losses = linear_cross_entropy(hidden, weight, labels, weights, learned(labels))
    reference_hidden, reference_weight, _, _ = case(torch.float64)
    expected = torch.nn.functional.cross_entropy(
        reference_hidden @ reference_weight.T, labels, reduction="none", ignore_index=IGNORED
    )
    torch.testing.assert_close(losses.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    (3 * total).backward()  # the gradient of the sum need not be 1
    (3 * expected * weights).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad[labels == IGNORED].abs().max() == 0
    for mine, reference in ((hidden, reference_hidden), (weight, reference_weight)):
        torch.testing.assert_close(mine.grad.double(), reference.grad.double(), rtol=1e-4, atol=1e-5)


def test_great_logits_stay_finite() -> None:
    hidden, weight = torch.full((2, 4), 1e4), torch.eye(4)
    total, losses = linear_cross_entropy(hidden, weight, torch.tensor([0, 1]), torch.ones(2), torch.arange(2))
    assert losses.tolist() == pytest.approx([1.3862944, 1.3862944])
    assert total == pytest.approx(2 * 1.3862944)


def test_nothing_to_learn_is_zero_with_zero_gradients() -> None:
    hidden, weight, labels, weights = case(torch.float32)
    total, losses = linear_cross_entropy(hidden, weight, torch.full_like(labels, IGNORED), weights, labels[:0])
    total.backward()
    assert total == 0
    assert losses.abs().max() == 0
    assert weight.grad is not None
    assert weight.grad.abs().max() == 0


def test_evaluation_needs_no_gradients() -> None:
    hidden, weight, labels, weights = case(torch.float32)
    with torch.no_grad():
        total, _ = linear_cross_entropy(hidden, weight, labels, weights, learned(labels))
    assert not total.requires_grad
    with_gradients, _ = linear_cross_entropy(hidden, weight, labels, weights, learned(labels))
    torch.testing.assert_close(total, with_gradients.detach())
