"""The shapes that need a cluster, in the layouts of their site files: every pipeline stage is built as it is there, without memory."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from curriculum.describe import load_shape
from curriculum.footprint import stage_weights
from curriculum.parallel import Parallel
from datapipe.site import load_site
from trainer import mcore_compat

SITES = sorted((Path(__file__).parents[2] / "manifests" / "sites").glob("*.toml"))


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mcore_compat.install()
    from trainer import initial, model

    monkeypatch.setattr(model, "draw_weights", lambda built, seed, layout: initial.mark_shards(built))
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_every_stage_holds_what_describe_says(path: Path, ranks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.layout import joined
    from trainer.model import build_model

    site, shape = load_site(str(path)), load_shape(path.stem)
    sizes, world = Parallel.of_site(site), site.nodes * site.processes_per_node
    whole = 0
    for stage in range(sizes.pipeline):
        rank = stage * world // sizes.pipeline
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world))
        # torch's `fake` backend has groups, but no other processes.
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
        with joined(1, sizes) as layout, torch.device("meta"):
            assert layout.pipeline_rank == stage
            built = build_model(dataclasses.asdict(shape), seed=1, layout=layout, dtype=torch.bfloat16)
        dist.destroy_process_group()
        found = sorted((p.numel(), not getattr(p, "allreduce", True)) for p in built.parameters())
        assert found == sorted((weight.numel, weight.is_expert) for weight in stage_weights(shape, sizes, stage))
        for parameter in built.parameters():
            is_expert, is_shard = not getattr(parameter, "allreduce", True), parameter.tensor_model_parallel
            # The last stage has a copy of the word embeddings, for the block that predicts ahead.
            is_copy = stage > 0 and getattr(parameter, "shared", False)
            parts = sizes.expert if is_expert else sizes.tensor if is_shard else 1
            whole += 0 if is_copy else parameter.numel() * parts
    counted = shape.parameters()
    assert whole == counted.total + counted.embedding
