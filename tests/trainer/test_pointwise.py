"""The compiled functions against themselves. Needs the C++ compiler with which torch compiles for a CPU."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch

from curriculum.feed import SiteError
from trainer.attention import _rotate
from trainer.pointwise import RECOMPILE_LIMIT, choose
from trainer.swiglu import swiglu, weighted_swiglu

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not there")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", os.environ.get("TORCHDYNAMO_DISABLE", "0"))
    yield
    choose("off", CPU)


def case(name: str, rows: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    if name == "rotate":
        sizes, types = ((rows, 3, 16), (rows, 4), (rows, 4)), (dtype, torch.float32, torch.float32)
    else:
        sizes, types = ((rows, 24), (rows,))[: 1 if name == "swiglu" else 2], (dtype, torch.float32)
    made = [torch.randn(size, generator=generator).to(kind) for size, kind in zip(sizes, types, strict=False)]
    return [made[0].requires_grad_(), *made[1:]]


def values(name: str, rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """(the result, the gradient of the first argument)."""
    function = {"rotate": _rotate, "swiglu": swiglu, "weighted_swiglu": weighted_swiglu}[name]
    arguments = case(name, rows, dtype)
    result = function(*arguments)
    (gradient,) = torch.autograd.grad((result.float() ** 2).sum(), arguments[:1])
    return result, gradient


@pytest.mark.parametrize("name", ["rotate", "swiglu", "weighted_swiglu"])
def test_compiled_it_gives_what_it_gives(name: str, compiled: None) -> None:
    """At any number of rows, none and one among them, and without a new compilation for each."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    sizes = (40, 57, 1, 0, 3, 64, 71, 130)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 2e-2)):
        choose("off", CPU)
        plain = [values(name, rows, dtype) for rows in sizes]
        choose("on", CPU)
        counters.clear()
        for rows, expected in zip(sizes, plain, strict=True):
            for found, wanted in zip(values(name, rows, dtype), expected, strict=True):
                assert found.dtype == wanted.dtype
                near = tolerance * float(wanted.detach().abs().max()) if rows else 0.0
                torch.testing.assert_close(found, wanted, rtol=0, atol=near, msg=f"{name} {dtype} {rows}")
        assert (
            1 <= counters["stats"]["unique_graphs"] <= 4
        )  # one for the first number of rows, one for any, one each for none and one


def test_no_variant_is_left_uncompiled(compiled: None) -> None:
    """Sizes that are equal, one, or none are variants of their own, with gradients and without."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    choose("on", CPU)
    counters.clear()
    for heads in (1, 12):
        for rows in (12, 1, 40, 0, 4, 57):
            x, angles = torch.randn(rows, heads, 16), torch.randn(rows, 4)
            with torch.no_grad():
                _rotate(x, angles, angles)
            _rotate(x.requires_grad_(), angles, angles)
    assert 4 < counters["stats"]["unique_graphs"] < RECOMPILE_LIMIT / 2


def test_what_is_chosen_and_why(compiled: None) -> None:
    assert choose("auto", CPU) == ("pointwise", "torch", "on cpu")
    assert choose("off", CPU).reason == 'compile = "off" in [training] of the site file'
    assert choose("on", CPU).implementation == "compiled"


def test_no_compiler_is_told_before_anything_is_learned(compiled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(SiteError, match=r"a C\+\+ compiler is not there"):
        choose("on", CPU)
