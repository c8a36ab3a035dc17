import json
from pathlib import Path

import pytest
import torch

from tests.trainer.forked import forked
from trainer import muon
from trainer.muon import Muon, newton_schulz

RATE = 0.01


def plain_newton_schulz(x: torch.Tensor, steps: int) -> torch.Tensor:
    """The published form (Moonlight, appendix A), in float64."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x.double() / (x.double().norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


@pytest.mark.parametrize("shape", [(8, 8), (16, 64), (32, 512)])
@pytest.mark.parametrize("rank", [None, 4])
def test_gram_form_equals_the_published_iteration(shape: tuple[int, int], rank: int | None) -> None:
    generator = torch.Generator().manual_seed(7)
    height, width = shape
    if rank is None:
        x = torch.randn(3, height, width, generator=generator)
    else:  # early gradients are of low rank
        x = torch.randn(3, height, rank, generator=generator) @ torch.randn(3, rank, width, generator=generator)
        x += 1e-4 * torch.randn(3, height, width, generator=generator)
    expected = torch.stack([plain_newton_schulz(matrix, 5) for matrix in x])
    error = (newton_schulz(x, 5).double() - expected).norm() / expected.norm()
    assert error < 1e-3


def test_update_is_near_orthogonal() -> None:
    x = torch.randn(1, 64, 256, generator=torch.Generator().manual_seed(8))
    singular = torch.linalg.svdvals(newton_schulz(x, 5)[0])
    assert singular.min() > 0.6
    assert singular.max() < 1.25


@pytest.mark.parametrize("shape", [(96, 96), (256, 64), (64, 256), (32, 1024), (3, 48, 80)])
def test_update_has_the_rms_of_glm45(shape: tuple[int, ...]) -> None:
    """Update RMS 0.15 to 0.22 times the rate, which AdamW's has too: one rate fits both."""
    weight = torch.nn.Parameter(torch.zeros(shape))
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(8))
    Muon([weight], lr=RATE, weight_decay=0.0).step()
    for matrix in weight.detach().view(-1, *shape[-2:]):
        assert 0.15 < matrix.square().mean().sqrt() / RATE < 0.22


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_equals_torchs_muon_on_a_plain_matrix(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(9)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([ours], lr=RATE, weight_decay=0.1)
    reference = torch.optim.Muon(
        [theirs], lr=RATE, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() / moved < 0.02  # torch iterates in bfloat16


def test_fused_and_stacked_matrices_move_as_if_apart() -> None:
    generator = torch.Generator().manual_seed(10)
    fused, gradient = torch.randn(3, 20, 12, generator=generator), torch.randn(3, 20, 12, generator=generator)
    blocks = (torch.tensor([0, 1, 2, 9, 8]), slice(10, 20), torch.tensor([3, 4, 5, 6, 7]))
    together = torch.nn.Parameter(fused.clone())
    together.grad = gradient.clone()
    Muon([together], lr=RATE, blocks={together: blocks}).step()
    for expert in range(3):
        for rows in blocks:
            alone = torch.nn.Parameter(fused[expert][rows].clone())
            alone.grad = gradient[expert][rows].clone()
            Muon([alone], lr=RATE).step()
            torch.testing.assert_close(together[expert][rows], alone, rtol=1e-5, atol=1e-6)


def test_state_resumes_bit_for_bit() -> None:
    def make() -> tuple[torch.nn.Parameter, Muon]:
        weight = torch.nn.Parameter(torch.ones(4, 6))
        return weight, Muon([weight], lr=RATE)

    gradients = torch.randn(4, 4, 6, generator=torch.Generator().manual_seed(11))
    weight, muon = make()
    for step, gradient in enumerate(gradients):
        if step == 2:
            kept_weight, kept_state = weight.detach().clone(), muon.state_dict()
            weight, muon = make()
            weight.data.copy_(kept_weight)
            muon.load_state_dict(kept_state)
        weight.grad = gradient
        muon.step()
    straight, muon = make()
    for gradient in gradients:
        straight.grad = gradient
        muon.step()
    assert torch.equal(weight, straight)


def test_a_matrix_outside_the_loss_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6\) has no gradient"):
        Muon([torch.nn.Parameter(torch.ones(4, 6))], lr=RATE).step()


def test_small_batches_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    def learned() -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(12)
        weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in [(8, 12), (12, 8), (3, 8, 12), (8, 12)]]
        made = Muon(weights, lr=RATE)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        made.step()
        return [weight.detach() for weight in weights]

    together = learned()
    monkeypatch.setattr(muon, "BATCH_ELEMENTS", 200)
    for one, other in zip(together, learned(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_a_batch_of_shared_matrices_has_one_for_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large they are: a rank without one would wait for the others."""
    monkeypatch.setattr(muon, "BATCH_ELEMENTS", 1)
    weights = [torch.nn.Parameter(torch.zeros(2, 12)) for _ in range(10)]
    batches = muon._batches(weights, {}, dict.fromkeys(weights[:9], 0), 4)
    assert [len(batch) for batch in batches] == [4, 4, 1, 1]


def test_parts_on_many_ranks_move_as_the_whole_matrix(tmp_path: Path) -> None:
    """Fused or not, split by rows or by columns, tall or wide, fewer matrices than ranks or more."""
    forked("muon_worker.py", 4, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {"2", "4", "4, small batches"}
    for ranks, differences in found.items():
        assert len(differences) == 10
        for name, difference in differences.items():
            assert difference < 1e-6, (ranks, name)


def test_what_muon_does_not_take_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6\) is torch.bfloat16: give Muon its float32 master"):
        Muon([torch.nn.Parameter(torch.ones(4, 6, dtype=torch.bfloat16))], lr=RATE)
    with pytest.raises(ValueError, match=r"\(6,\) is not for Muon"):
        Muon([torch.nn.Parameter(torch.ones(6))], lr=RATE)
