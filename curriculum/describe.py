"""What a model shape is and needs, on paper: `tokenloom describe`. Touches no data, needs neither torch nor a GPU.

`describe` makes one nested dict of plain values (the JSON of the command); `curriculum.show` prints it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curriculum.document import ManifestError
from curriculum.fields import did_you_mean
from curriculum.footprint import Settings, checkpoint_bytes, stage_memory
from curriculum.manifest import MANIFESTS
from curriculum.model_shape import ModelShape
from curriculum.parallel import Parallel
from curriculum.shape_file import read_shape
from curriculum.units import parse_count
from datapipe.site import Site, load_site

MAX_TOKENS = 131_072  # GLM-4.5's longest context (its report, section 2.3)


@dataclasses.dataclass(frozen=True)
class Machines:
    """How a model is to be spread: a layout, the number of GPUs (None: the fewest it can run on) and their memory."""

    parallel: Parallel
    gpus: int | None = None
    gpu_memory_bytes: int = 80 * 10**9
    named: str = "layout"  # where the sizes were written, for messages


def from_options(
    model: str,
    *,
    site: str | None,
    layout: Mapping[str, int | None],
    settings: Mapping[str, Any],
    gpus: int | None,
    gpu_memory: str,
) -> dict[str, Any]:
    """`describe` for what a command line said; None was not said. Raises ManifestError and SiteError."""
    shape, from_site = load_shape(model), load_site(site) if site else Site()
    asked = {name: value for name, value in layout.items() if value is not None}
    chosen = {
        "micro_tokens": from_site.micro_tokens,
        "precision": "bf16" if from_site.precision == "auto" else from_site.precision,
        "recompute": from_site.recompute,
        **{name: value for name, value in settings.items() if value is not None},
    }
    rules = ("muon", "adamw")
    for name, known in (("recompute", ("none", "full")), ("optimizer", rules), ("head", rules)):
        if chosen[name] not in known:
            raise ManifestError([f"--{name} {chosen[name]}: {did_you_mean(chosen[name], known)}"])
    try:
        memory_bytes = parse_count(gpu_memory)
    except ValueError as error:
        raise ManifestError([f"--gpu-memory: {error}"]) from error
    machines = Machines(
        parallel=dataclasses.replace(Parallel.of_site(from_site), **asked),
        gpus=gpus or (from_site.nodes * from_site.processes_per_node if from_site.processes_per_node else None),
        gpu_memory_bytes=memory_bytes,
        named=site or "layout",
    )
    is_spread = site or gpus or asked
    return describe(shape, Settings(**chosen), machines if is_spread else None)


def load_shape(name: str) -> ModelShape:
    """The shape in a YAML file, or a shipped one by name (`glm45`). Raises ManifestError that says what to write."""
    shipped = {path.stem: path for path in sorted((MANIFESTS / "models").glob("*.yaml"))}
    path = Path(name)
    if name in shipped:
        path = shipped[name]
    elif not path.is_file():
        remedy = f"{did_you_mean(name, shipped)} Or give the path of a YAML file."
        raise ManifestError([f"{name}: neither a shipped model nor a file.\n    {remedy}"])
    return read_shape(path)


def describe(shape: ModelShape, settings: Settings, machines: Machines | None = None) -> dict[str, Any]:
    """Everything that `tokenloom describe` says, bytes and counts as numbers; "layout" and "memory" only with `machines`.

    Raises ManifestError for a layout that cannot run.
    """
    counts, forward = shape.parameters(), shape.forward_flops(settings.seq_len)
    said: dict[str, Any] = {
        "model": shape.name,
        "shape": dataclasses.asdict(shape),
        "parameters": {
            "total": counts.total,
            "active": counts.active,
            "without_mtp": {"total": counts.total - counts.mtp, "active": counts.active - counts.active_mtp},
            "parts": {name: dict(zip(("total", "active"), pair, strict=True)) for name, pair in _parts(shape).items()},
        },
        "flops_per_token": {
            "seq_len": settings.seq_len,
            "forward": {**forward._asdict(), "total": sum(forward)},
            "training": shape.flops_per_token(settings.seq_len),
            "training_without_mtp": shape.flops_per_token(settings.seq_len, learned_mtp=False),
        },
        "kv_cache": {
            "bytes_per_token": shape.kv_cache_bytes(1),
            "tokens": MAX_TOKENS,
            "bytes": shape.kv_cache_bytes(MAX_TOKENS),
        },
    }
    return {**said, **_spread(shape, settings, machines)} if machines else said


def _parts(shape: ModelShape) -> dict[str, tuple[int, int]]:
    """Weights of every part, and those that a token uses."""
    counts, parts = shape.parameters(), shape.parts()._asdict()
    active = {
        **parts,
        "routed_experts": parts["routed_experts"] // shape.experts * shape.experts_per_token,
        "mtp": counts.active_mtp,
        "word_embeddings": shape.hidden,
    }
    return {name: (count, active[name]) for name, count in parts.items()}


def _spread(shape: ModelShape, settings: Settings, machines: Machines) -> dict[str, Any]:
    sizes = machines.parallel
    gpus = machines.gpus or sizes.fewest()
    if problems := sizes.problems(dataclasses.asdict(shape), gpus):
        raise ManifestError([f"{machines.named}: {problem}" for problem in problems])
    stages = stage_memory(shape, sizes, gpus, settings)
    worst = max(range(len(stages)), key=lambda stage: stages[stage].total)
    return {
        "layout": {
            **dataclasses.asdict(sizes),
            "gpus": gpus,
            "data": sizes.data(gpus),
            "expert_data": sizes.expert_data(gpus),
            "stage_layers": list(sizes.stage_layers(shape.layers)),
            "experts_per_gpu": shape.experts // sizes.expert,
            **dataclasses.asdict(settings),
            "positions": settings.positions,
        },
        "memory": {
            "stages": [{**stage._asdict(), "total": stage.total} for stage in stages],
            "worst_stage": worst,
            "bytes": stages[worst].total,
            "gpu_memory_bytes": machines.gpu_memory_bytes,
            "fits": stages[worst].total <= machines.gpu_memory_bytes,
            "checkpoint_bytes": checkpoint_bytes(shape, settings),
        },
    }
