"""What the trainer really builds, as JSON: weights of every rank, tensors kept for the way back, FLOPs counted by torch.

Started by test_footprint.py: megatron keeps global state, and ranks are faked (torch's `fake` backend: groups, but no other process).
argv: a model shape, layouts as [Parallel's fields, world] (both JSON), tokens of a row, file for what was found.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils.flop_counter import FlopCounterMode

from curriculum.feed import Batch
from curriculum.parallel import Parallel
from trainer import mcore_compat

mcore_compat.install()

from megatron.core import parallel_state  # noqa: E402
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig  # noqa: E402

from trainer import experts  # noqa: E402
from trainer.documents import documents, pack  # noqa: E402
from trainer.layout import Layout, joined  # noqa: E402
from trainer.model import build_model, rotary_dim  # noqa: E402
from trainer.optimizer import Optimizers  # noqa: E402

TRAINING: dict[str, Any] = {
    "optimizer": "muon",
    "head": "muon",
    "weight_decay": 0.1,
    "muon": {"momentum": 0.95, "ns_steps": 5, "update_rms": 0.2},
    "adam": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
}


def main() -> None:
    shape, layouts, seq_len = json.loads(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    with joined(1):
        types = {"fp32": torch.float32, "bf16": torch.bfloat16}
        kept = {precision: kept_bytes(shape, seq_len, dtype) for precision, dtype in types.items()}
        found = {"kept": kept, "flops": counted_flops(shape, seq_len)}
    ranks = [
        [weights_of_rank(shape, Parallel(**sizes), world, rank) for rank in range(world)] for sizes, world in layouts
    ]
    Path(sys.argv[4]).write_text(json.dumps({"ranks": ranks, **found}))


def weights_of_rank(shape: dict[str, Any], sizes: Parallel, world: int, rank: int) -> dict[str, Any]:
    """Sizes of all weights that `rank` holds, those of experts apart, of the groups it belongs to, and of its optimiser state."""
    with fake_rank(sizes, world, rank) as layout:
        model = build_model(shape, seed=1, layout=layout, dtype=torch.bfloat16)
        config = DistributedDataParallelConfig(grad_reduce_in_fp32=True)
        optimizers = Optimizers(DistributedDataParallel(model.config, config, model), TRAINING)
        kept = [tensor for _, _, tensor in optimizers._tensors()]
        weights = [(p.numel(), not getattr(p, "allreduce", True)) for p in model.parameters()]
        return {
            "stage": layout.pipeline_rank,
            "data": layout.data,
            "state": sum(tensor.nbytes for tensor in kept),
            "expert_data": parallel_state.get_expert_data_parallel_world_size(),
            "dense": sorted(numel for numel, is_expert in weights if not is_expert),
            "experts": sorted(numel for numel, is_expert in weights if is_expert),
        }


@contextlib.contextmanager
def fake_rank(sizes: Parallel, world: int, rank: int) -> Iterator[Layout]:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world))
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    with joined(1, sizes) as layout:
        yield layout
    dist.destroy_process_group()


def one_document(shape: dict[str, Any], seq_len: int) -> tuple[Any, Any]:
    tokens = np.random.default_rng(0).integers(0, shape["vocab_size"], (1, seq_len))
    labels = np.append(tokens[:, 1:], [[-100]], axis=1)
    further = np.append(labels[:, 1:], [[-100]], axis=1)
    borders = np.array([0, seq_len], np.int32)
    batch = Batch(
        tokens=tokens.astype(np.uint32),
        labels=labels,
        mtp_labels=further[None],
        source_ids=np.zeros(1, np.int32),
        cu_seqlens=borders,
    )
    packed = pack(batch, 0, 1)
    return packed, documents(packed, rope_base=1e4, rotary_dim=rotary_dim(shape))


def kept_bytes(shape: dict[str, Any], seq_len: int, dtype: torch.dtype) -> list[int]:
    """Bytes that each layer keeps for the way back, weights left out."""
    model, (_, about) = build_model(shape, seed=1, dtype=dtype), one_document(shape, seq_len)
    weights, found = {p.untyped_storage().data_ptr() for p in model.parameters()}, []
    for layer in model.decoder.layers:
        kept: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, torch.UntypedStorage] = kept) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage
            return tensor

        hidden = torch.randn(seq_len, 1, shape["hidden"], dtype=dtype, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = layer(hidden, attention_mask=None, packed_seq_params=about)
        found.append(sum(storage.nbytes() for storage in kept.values()))
        del output
    return found


def counted_flops(shape: dict[str, Any], seq_len: int) -> dict[str, float]:
    """Of a forward and a backward pass over one document; attention counts half its square, as the mask leaves."""
    experts.MIN_ROWS = 1  # the rows of zeros that keep bits alike on a CPU are none of the model's
    model, (packed, about) = build_model(shape, seed=1), one_document(shape, seq_len)
    aten = torch.ops.aten

    def grouped(a: tuple[int, ...], b: tuple[int, ...], *_: Any, **__: Any) -> int:
        return 2 * math.prod(a) * b[-1]  # every row of a meets one matrix of b

    def attention(query: tuple[int, ...], *_: Any, **__: Any) -> int:
        _, heads, length, dim = query
        return 2 * heads * length * length * dim

    def attention_backward(grad: tuple[int, ...], *rest: Any, **__: Any) -> int:
        return 2 * attention(grad)

    def added(_: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...], **__: Any) -> int:
        return 2 * math.prod(a) * b[-1]

    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten.addmm_: added,
            aten._grouped_mm: grouped,
            aten._scaled_dot_product_flash_attention_for_cpu: attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
        },
    )
    with counter:
        losses = model(
            torch.from_numpy(packed.tokens_T)[None],
            torch.from_numpy(packed.positions_T)[None],
            None,
            labels=torch.from_numpy(packed.labels_KT),
            loss_mask=torch.from_numpy(packed.weights_KT),
            packed_seq_params=about,
        )
        torch.stack(losses.sums_K).sum().backward()
    by_operation = counter.get_flop_counts()["Global"]
    return {str(operation): flops for operation, flops in by_operation.items()}


if __name__ == "__main__":
    main()
