"""The figures of a step: against sums by hand, and the peaks against the names that chips give themselves."""

import dataclasses
from typing import Any

import pytest
import torch

from curriculum.model_shape import ModelShape
from trainer.speed import PEAK_FLOPS, peak_flops, speed

CUDA = torch.device("cuda", 0)
SHAPE = ModelShape(
    name="by hand",
    vocab_size=10,
    layers=1,
    dense_layers=1,
    hidden=4,
    heads=2,
    kv_heads=1,
    head_dim=2,
    dense_ffn=8,
    experts=2,
    experts_per_token=1,
    expert_ffn=8,
    shared_ffn=8,
    router_scale=1.0,
    qk_norm=False,
    qkv_bias=True,
    rotary_fraction=1.0,
    mtp_layers=0,
    norm_eps=1e-5,
    init_std=0.02,
)
# Forward, per token of a row of 6: queries and output 4 x 4, keys and values 4 x 2 each, of a multiplication and an addition: 96; half
# of 6 scores in 4 dimensions, twice: 48; gate, up and down 4 x 8: 192; head 4 x 10: 80. Three times that to learn.
FLOPS = 3 * (96 + 48 + 192 + 80)
LINE: dict[str, Any] = {"rows": 5, "seq_len": 6, "seconds": {"step": 0.5, "wait": 0.125, "fetch": 0.4}}


def test_tokens_utilisation_and_waiting_by_hand() -> None:
    """30 tokens in half a second, on two chips of 93,600 operations per second."""
    assert FLOPS == 1248
    assert speed(LINE, SHAPE, 2, 93_600.0) == pytest.approx(
        {"tokens_per_second": 60.0, "flops_utilization": 60 * 1248 / (2 * 93_600), "waiting_share": 0.25}
    )


def test_a_routed_layer_counts_the_experts_of_a_token_and_its_gate() -> None:
    """Instead of the dense layer's 192: one expert of two and the shared one, 192 each, and the gate 4 x 2: 16."""
    routed = dataclasses.replace(SHAPE, dense_layers=0)
    used = speed(LINE, routed, 1, 1e6)["flops_utilization"]
    assert used == pytest.approx(60 * 3 * (96 + 48 + 192 + 192 + 16 + 80) / 1e6)


def test_the_block_that_predicts_ahead_counts_as_one_more_layer_with_its_projection_and_head() -> None:
    """A routed layer of 544 without the head, the projection of two vectors 8 x 4: 64, and the head again."""
    ahead = dataclasses.replace(SHAPE, mtp_layers=1)
    used = speed(LINE, ahead, 1, 1e6)["flops_utilization"]
    assert used == pytest.approx(60 * (FLOPS + 3 * (96 + 48 + 192 + 192 + 16 + 64 + 80)) / 1e6)


def test_without_a_known_peak_there_is_no_utilisation() -> None:
    figures = speed(LINE, SHAPE, 1, None)
    assert figures == {"tokens_per_second": 60.0, "flops_utilization": None, "waiting_share": 0.25}


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA B200", 2250e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H800", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA A800 80GB PCIe", 312e12),
        ("NVIDIA GeForce RTX 4090", None),
        ("NVIDIA H20", None),
        ("AMD Instinct MI300X", None),
    ],
)
def test_the_peak_goes_by_the_name_of_the_chip(monkeypatch: pytest.MonkeyPatch, name: str, peak: float | None) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", {CUDA: name}.__getitem__)
    assert peak_flops(CUDA) == peak


def test_no_entry_hides_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for chip, peak in PEAK_FLOPS.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, chip=chip: f"NVIDIA {chip}")
        assert peak_flops(CUDA) == peak, chip


def test_a_cpu_is_not_asked_for_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: pytest.fail("there may be no driver"))
    assert peak_flops(torch.device("cpu")) is None
