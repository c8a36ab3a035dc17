"""TransformerEngine's attention, without TransformerEngine: a stand-in (`installed/`) has its signature and its checks."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

from curriculum.feed import SiteError
from curriculum.parallel import Parallel
from curriculum.plan import Plan
from tests.trainer.conftest import packed_of, stage
from tests.trainer.forked import forked
from trainer import transformer_engine
from trainer.attention import Attend, _flash, _mistake, _per_run, choose
from trainer.documents import Runs, context_part, documents, padded
from trainer.layout import ALONE
from trainer.run import train

if TYPE_CHECKING:
    from trainer.layout import Layout

MakePlan = Callable[..., Plan]
INSTALLED = Path(__file__).with_name("installed")
HEADS, GROUPS, DIM = 6, 2, 16
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SIZES: dict[str, Any] = {"heads": HEADS, "groups": GROUPS, "head_dim": DIM}


def forget() -> None:
    """As in a process that has not asked for TransformerEngine yet."""
    transformer_engine.misfit.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformer_engine"]:
        del sys.modules[name]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NVTE_UNFUSED_ATTN", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    forget()
    yield
    forget()
    torch.use_deterministic_algorithms(deterministic)
    os.environ.pop("NVTE_UNFUSED_ATTN", None)


@pytest.fixture
def installed(absent: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The stand-in's `transformer_engine.pytorch`."""
    monkeypatch.syspath_prepend(INSTALLED)
    import transformer_engine.pytorch as stand_in

    return stand_in


def broken(folder: Path, source: str) -> str:
    """A folder for sys.path with a `transformer_engine` whose `pytorch` has this source."""
    package = folder / "transformer_engine" / "pytorch"
    package.mkdir(parents=True)
    (folder / "transformer_engine" / "__init__.py").write_text('__version__ = "2.8.0"\n')
    (package / "__init__.py").write_text(source)
    return str(folder)


def runs_of(lengths: list[int], rank: int, size: int) -> Runs:
    layout = ALONE._replace(parallel=Parallel(context=size), context_rank=rank)
    whole = padded(packed_of(lengths), document=2 * size, total=2 * size)
    part = context_part(whole, rank, size) if size > 1 else packed_of(lengths)
    return documents(part, rope_base=1e4, rotary_dim=8, layout=layout).runs


def drawn(runs: Runs, heads: int = HEADS, groups: int = GROUPS) -> list[torch.Tensor]:
    """Query, key and value; the last two as halves of one tensor, as context parallelism gathers them."""
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(sum(runs.query_lengths), heads, DIM, generator=generator).requires_grad_()
    both = torch.randn(sum(runs.key_lengths), groups, 2 * DIM, generator=generator).requires_grad_()
    return [query, both]


def derived(attend: Attend, query: torch.Tensor, both: torch.Tensor, runs: Runs) -> list[torch.Tensor]:
    output = attend(query, *both.chunk(2, dim=-1), runs, 0.3)
    return [output, *torch.autograd.grad(output.square().sum(), (query, both))]


@pytest.mark.parametrize(("rank", "size"), [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_it_computes_what_the_loop_over_documents_computes(installed: ModuleType, rank: int, size: int) -> None:
    runs = runs_of([8, 3, 17, 1], rank, size)
    tensors = drawn(runs)
    for ours, theirs in zip(
        derived(transformer_engine.PackedAttention(), *tensors, runs), derived(_per_run, *tensors, runs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    (call,) = installed.calls
    assert (call["max_q"], call["max_kv"]) == (64, 64)


def test_one_token_of_one_head_is_laid_out_as_all_others(installed: ModuleType) -> None:
    """A slice of one row counts as contiguous wherever it lies: an empty micro-batch on a rank with one key head."""
    runs = runs_of([1], 0, 1)
    attend = transformer_engine.PackedAttention()
    output = attend(*torch.randn(1, 3, DIM).split(1, dim=1), runs, 0.3)
    assert output.shape == (1, 1, DIM)


@pytest.mark.parametrize("asked", [False, True])
def test_it_is_deterministic_where_torch_is_to_be(installed: ModuleType, asked: bool) -> None:
    runs = runs_of([8, 3], 0, 1)
    torch.use_deterministic_algorithms(asked)
    derived(transformer_engine.PackedAttention(), *drawn(runs), runs)
    assert installed.calls[-1]["deterministic"] is asked


def test_deterministic_it_must_be_requested_by_name(installed: ModuleType) -> None:
    torch.use_deterministic_algorithms(True)
    reason = r"on cuda in bfloat16; deterministic = true in [training] of the site file, which leaves TransformerEngine unused"
    assert choose("auto", device=GPU, dtype=torch.bfloat16, **SIZES)[1] == ("attention", "varlen_attn", reason)


def test_without_a_kernel_it_says_what_to_write(installed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVTE_FUSED_ATTN", "0")
    runs = runs_of([8], 0, 1)
    with pytest.raises(ValueError, match="No dot product attention backend") as raised:
        derived(transformer_engine.PackedAttention(), *drawn(runs), runs)
    assert 'write deterministic = false, or attention = "torch"' in raised.value.__notes__[0]
    assert _mistake(transformer_engine.PackedAttention(), device=CPU, dtype=torch.bfloat16, **SIZES)
    monkeypatch.setenv("NVTE_UNFUSED_ATTN", "1")  # a user's own choice stays
    derived(transformer_engine.PackedAttention(), *drawn(runs), runs)


def top_left(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, runs: Runs, scale: float) -> torch.Tensor:
    """With the first query at the first key, where it should be the last at the last."""
    keep = [torch.arange(queries) + start for queries, start in zip(runs.query_lengths, runs.key_borders, strict=False)]
    kept = torch.cat(keep)
    same = runs.__class__(runs.query_lengths, runs.query_lengths, runs.query_borders, runs.query_borders, None)
    return _per_run(query, key[kept], value[kept], same, scale)


class Tripled(torch.autograd.Function):
    """Nothing forwards, and three times the gradient backwards."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return 3 * grad


def wrong_value(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> torch.Tensor:
    return _per_run(query, key, Tripled.apply(value), *rest)


def no_number(*arguments: Any) -> torch.Tensor:
    return _per_run(*arguments) * torch.nan


def raises(*_: Any) -> torch.Tensor:
    raise RuntimeError("CUDNN_STATUS_NOT_SUPPORTED")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_trial_finds_nothing_wrong_with_what_is_right(installed: ModuleType, dtype: torch.dtype) -> None:
    before = torch.get_rng_state()
    for attend in (transformer_engine.PackedAttention(), _per_run):
        assert _mistake(attend, device=CPU, dtype=dtype, **SIZES) is None
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("attend", "told"),
    [
        (top_left, "the output is up to .* off"),
        (wrong_value, "the gradient of the value is up to .* off"),
        (no_number, "the output is up to nan off"),
        (raises, r"cannot compute it here \(RuntimeError: CUDNN_STATUS_NOT_SUPPORTED\)"),
    ],
)
def test_the_trial_finds_mistakes(attend: Attend, told: str) -> None:
    wrong = _mistake(attend, device=CPU, dtype=torch.bfloat16, **SIZES)
    assert wrong
    assert re.search(told, wrong), wrong


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What the trial on the GPU, which is not here, finds: the last entry."""
    found: list[str | None] = [None]
    monkeypatch.setattr("trainer.attention._mistake", lambda attend, **_: found[-1])
    return found


@pytest.mark.parametrize(
    ("requested", "device", "dtype", "way", "reason"),
    [
        ("auto", CPU, torch.bfloat16, "scaled_dot_product_attention", "on cpu in bfloat16"),
        ("torch", CPU, torch.float32, "scaled_dot_product_attention", "on cpu in float32"),
        ("auto", GPU, torch.float32, "scaled_dot_product_attention", "on cuda in float32"),
        ("auto", GPU, torch.bfloat16, "transformer_engine", "on cuda in bfloat16; TransformerEngine 2.20.2"),
        ("transformer_engine", GPU, torch.float16, "transformer_engine", "requested .*; TransformerEngine 2.20.2"),
        ("torch", GPU, torch.bfloat16, "varlen_attn", 'attention = "torch"'),
    ],
)
def test_one_way_is_chosen_and_told(
    installed: ModuleType,
    tried: list[str | None],
    caplog: pytest.LogCaptureFixture,
    requested: str,
    device: torch.device,
    dtype: torch.dtype,
    way: str,
    reason: str,
) -> None:
    with caplog.at_level(logging.INFO, logger="tokenloom.kernels"):
        attend, choice = choose(requested, device=device, dtype=dtype, **SIZES)
    assert (choice.op, choice.implementation) == ("attention", way)
    assert re.match(reason, choice.reason), choice.reason
    assert caplog.messages == [f"attention runs on the {way} implementation: {choice.reason}"]
    functions = {"varlen_attn": _flash, "scaled_dot_product_attention": _per_run}
    assert attend is functions.get(way, attend)
    assert isinstance(attend, transformer_engine.PackedAttention) == (way == "transformer_engine")


def test_by_name_it_must_be_possible(installed: ModuleType, tried: list[str | None]) -> None:
    for device, dtype, where in ((CPU, torch.bfloat16, "cpu in bfloat16"), (GPU, torch.float32, "cuda in float32")):
        with pytest.raises(SiteError, match=rf'attention = "transformer_engine".*on {where}\n    write "auto"'):
            choose("transformer_engine", device=device, dtype=dtype, **SIZES)


Prepare = Callable[[Path, list[str | None], pytest.MonkeyPatch], None]


def not_there(*_: Any) -> None:
    pass


def for_another_torch(folder: Path, _: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken(folder, 'raise ImportError("undefined symbol: _ZN3c10")'))


def too_old(folder: Path, _: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken(folder, ""))
    (folder / "transformer_engine" / "__init__.py").write_text('__version__ = "1.13.0+cu12"\n')


def mistaken(_: Path, tried: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(INSTALLED)
    tried.append("computes it otherwise than torch")


@pytest.mark.parametrize(
    ("prepare", "level", "told"),
    [
        (not_there, logging.INFO, "it is not installed"),
        (
            for_another_torch,
            logging.INFO,
            r"it is installed but does not import \(ImportError: undefined symbol: _ZN3c10\)",
        ),
        (too_old, logging.WARNING, r"version 1\.13\.0\+cu12 is older than 2\.4"),
        (mistaken, logging.WARNING, "2.20.2 computes it otherwise than torch"),
    ],
)
def test_where_it_is_of_no_use_torch_computes_unless_it_was_asked_for(
    absent: None,
    tried: list[str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    prepare: Prepare,
    level: int,
    told: str,
) -> None:
    prepare(tmp_path, tried, monkeypatch)
    with caplog.at_level(logging.INFO, logger="tokenloom.kernels"):
        attend, choice = choose("auto", device=GPU, dtype=torch.bfloat16, **SIZES)
    assert attend is _flash
    assert choice.implementation == "varlen_attn"
    assert re.search(told, choice.reason), choice.reason
    assert [record.levelno for record in caplog.records] == [level]
    with pytest.raises(
        SiteError, match=rf'attention = "transformer_engine": .*{told}(.|\n)*\n    write "auto" or "torch"'
    ):
        choose("transformer_engine", device=GPU, dtype=torch.bfloat16, **SIZES)


def test_a_run_records_the_way_and_obeys_the_site_file(tmp_path: Path, make_plan: MakePlan) -> None:
    make_plan()
    site = tmp_path / "site.toml"
    site.write_text('[training]\nattention = "transformer_engine"\n')
    with pytest.raises(SiteError, match="this run is on cpu in float32"):
        train(str(tmp_path), site=str(site), stop_after=1)
    assert train(str(tmp_path), stop_after=1)["kernels"][0] == {
        "op": "attention",
        "implementation": "scaled_dot_product_attention",
        "reason": "on cpu in float32",
    }


def test_where_megatron_sees_it_the_model_learns_the_same(
    alone: "Layout", tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megatron's branches for TransformerEngine, and its attention forwards and backwards, whole documents and cut ones."""
    from tests.trainer.layout_worker import MICRO_TOKENS, learn
    from trainer.loop import Trainer

    stages = (
        stage(tmp_path, "short", seq_len=32, steps=2, rows=4),
        stage(tmp_path, "long", seq_len=64, steps=2, rows=2, rope_base=1e6, bias_rate=0.0, mtp_weight=0.1),
    )
    trainer = Trainer(make_plan(stages=stages), alone, micro_tokens=MICRO_TOKENS)
    reference, weights = learn(trainer, tmp_path), sorted(trainer.model.state_dict())
    monkeypatch.setenv("NVTE_FLASH_ATTN", "0")  # a user has turned a backend off, which megatron by itself refuses
    forked("transformer_engine_worker.py", 2, tmp_path, tmp_path / "found.json", timeout=300, beside=INSTALLED)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.pop("have_te").count(True) >= 12  # of megatron's modules
    assert found["data transformer_engine"]["masks"] == ["padding_causal"]
    assert found["context transformer_engine"]["masks"] == ["padding_causal_bottom_right"]
    for name, run in found.items():
        assert run["weights"] == weights, name  # none of TransformerEngine's, and checkpoints fit each other
        for line, expected in zip(run["lines"], reference, strict=True):
            for key in ("loss", "mtp_loss", "balance_loss", "grad_norm"):
                tolerance = (1e-6 if line["step"] < 2 else 2e-3) * (20 if key == "grad_norm" else 1)
                assert line[key] == pytest.approx(expected[key], rel=tolerance), (name, line["step"], key)
