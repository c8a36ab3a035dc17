"""How fast a step was, against what the chip could do: tokens per second, model FLOPs utilisation, the share spent waiting.

Model FLOPs are those of the shape (`curriculum.model_shape`), for rows that are one document each; recomputed activations and
padding do not count (PaLM, arXiv 2204.02311, appendix B). The peaks are dense bf16 figures of NVIDIA's data sheets. A
CPU has none here, so its utilisation is not given.
"""

from collections.abc import Mapping
from typing import Any

import torch

from curriculum.model_shape import ModelShape

PEAK_FLOPS = {
    "GB200": 2500e12,
    "B200": 2250e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
}


def speed(line: Mapping[str, Any], shape: ModelShape, world: int, peak_flops: float | None) -> dict[str, float | None]:
    """Of a line of metrics with its `seconds`; utilisation over all `world` processes, None where the peak is not known."""
    seconds = line["seconds"]
    tokens = line["rows"] * line["seq_len"]
    flops = tokens * shape.flops_per_token(line["seq_len"]) / seconds["step"]
    return {
        "tokens_per_second": tokens / seconds["step"],
        "flops_utilization": flops / (world * peak_flops) if peak_flops else None,
        "waiting_share": seconds["wait"] / seconds["step"],
    }


def peak_flops(device: torch.device) -> float | None:
    """Of one chip, per second, in bf16; None where it is not in the table, whose first match counts."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for chip, peak in PEAK_FLOPS.items() if chip in name), None)
