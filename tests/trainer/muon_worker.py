"""A process that holds its part of some matrices: learns them with Muon, compares with Muon on the whole ones.

Started by test_muon.py (see forked.py). argv: the file to write {case: greatest difference, relative to how far the weight moved}.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from trainer import muon

STEPS = 3
HEADS, GROUPS, HEAD_DIM, WIDTH, INNER = 8, 4, 6, 24, 40
QKV_HEIGHT = (HEADS + 2 * GROUPS) * HEAD_DIM
# Name -> (whole shape, axis that the ranks share or None).
CASES: dict[str, tuple[tuple[int, ...], int | None]] = {
    "query, key, value": ((QKV_HEIGHT, WIDTH), 0),
    "gate, up": ((2 * INNER, WIDTH), 0),
    "column-parallel, wide": ((WIDTH, INNER), 0),
    "column-parallel, tall": ((INNER, WIDTH), 0),
    "row-parallel, wide": ((WIDTH, INNER), 1),
    "row-parallel, tall": ((INNER, WIDTH), 1),
    "column-parallel, square": ((WIDTH, WIDTH), 0),
    "one of its shape": ((12, 60), 1),
    "on all ranks, as large as one that they share": ((WIDTH, WIDTH), None),
    "stack": ((3, 16, WIDTH), None),
}


def rows_of(name: str, ranks: int) -> tuple[muon.Rows, ...]:
    """The rows of the matrices fused in a rank's part, written out: of each group its query heads, its key head, its value head."""
    if name == "gate, up":
        return slice(0, INNER // ranks), slice(INNER // ranks, None)
    if name != "query, key, value":
        return (slice(None),)
    rows: tuple[list[int], list[int], list[int]] = ([], [], [])
    for head in range((HEADS + 2 * GROUPS) // ranks):
        kind = (0,) * (HEADS // GROUPS) + (1, 2)
        rows[kind[head % len(kind)]].extend(range(head * HEAD_DIM, (head + 1) * HEAD_DIM))
    return tuple(torch.tensor(some) for some in rows)


def part(name: str, whole: torch.Tensor, rank: int, ranks: int) -> torch.Tensor:
    axis = CASES[name][1]
    if axis is None:
        return whole.clone()
    blocks = whole.chunk(2) if name == "gate, up" else [whole]
    return torch.cat([block.chunk(ranks, dim=axis)[rank] for block in blocks], dim=axis).clone()


def learned(
    rank: int, ranks: int, group: dist.ProcessGroup | None
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(weights after some steps, the greatest move of each) of rank `rank` of `ranks`."""
    generator = torch.Generator().manual_seed(5)
    wholes = {name: torch.randn(shape, generator=generator) for name, (shape, _) in CASES.items()}
    weights = {name: torch.nn.Parameter(part(name, whole, rank, ranks)) for name, whole in wholes.items()}
    made = muon.Muon(
        weights.values(),
        lr=0.02,
        blocks={weight: rows_of(name, ranks) for name, weight in weights.items()},
        splits={weights[name]: axis for name, (_, axis) in CASES.items() if axis is not None},
        tensor_group=group,
    )
    for _ in range(STEPS):
        for name, (shape, _) in CASES.items():
            weights[name].grad = part(name, torch.randn(shape, generator=generator), rank, ranks)
        made.step()
    moved = {name: (weight - part(name, wholes[name], rank, ranks)).abs().max() for name, weight in weights.items()}
    return {name: weight.detach() for name, weight in weights.items()}, moved


def worst(group: dist.ProcessGroup) -> dict[str, float]:
    """The greatest difference from the whole matrices on any rank of `group`, relative to the greatest move of a weight."""
    rank, ranks = group.rank(), group.size()
    whole, _ = learned(0, 1, None)
    expected = {name: part(name, weight, rank, ranks) for name, weight in whole.items()}
    found, moved = learned(rank, ranks, group)
    differences = torch.stack([(found[name] - expected[name]).abs().max() / moved[name] for name in CASES])
    dist.all_reduce(differences, op=dist.ReduceOp.MAX)
    return dict(zip(CASES, differences.tolist(), strict=True))


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    pair, _ = dist.new_subgroups(2)
    assert pair is not None
    everyone = dist.new_group()
    assert everyone is not None
    found = {"2": worst(pair), "4": worst(everyone)}
    muon.BATCH_ELEMENTS = 1  # batches of as few matrices as there are ranks
    found["4, small batches"] = worst(everyone)
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
