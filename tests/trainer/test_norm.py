from typing import Any

import pytest
import torch

pytestmark = pytest.mark.usefixtures("alone")


@pytest.mark.parametrize("size", [(5, 1, 32), (3, 1, 4, 16), (1, 8)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_values_and_gradients_are_torchs(shape: dict[str, Any], size: tuple[int, ...], scale: float) -> None:
    from trainer.model import transformer_config
    from trainer.norm import RMSNorm

    generator = torch.Generator().manual_seed(12)
    norm = RMSNorm(transformer_config(shape), size[-1], eps=1e-5)
    norm.weight.data.uniform_(-2, 2, generator=generator)
    x = (torch.randn(size, generator=generator) * scale).requires_grad_()
    direction = torch.randn(size, generator=generator)
    reference, weight = x.detach().double().requires_grad_(), norm.weight.detach().double().requires_grad_()
    output = norm(x)
    expected = torch.nn.functional.rms_norm(reference, size[-1:], weight, 1e-5)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-6)
    (output * direction).sum().backward()
    (expected * direction.double()).sum().backward()
    torch.testing.assert_close(x.grad.double(), reference.grad, rtol=1e-4, atol=1e-5 / scale)
    torch.testing.assert_close(norm.weight.grad.double(), weight.grad, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_exact(shape: dict[str, Any]) -> None:
    from trainer.norm import _RMSNorm

    generator = torch.Generator().manual_seed(13)
    x = torch.randn(3, 2, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(6, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, w: _RMSNorm.apply(a, w, 1e-5), (x, weight))
