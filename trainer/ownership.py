"""Who learns what: of the ranks that hold a weight alike, one owns it.

The owner alone keeps the optimiser state and the float32 master of the weight, computes its step and hands the result to
the others (ZeRO stage 1, arXiv 1910.02054, by whole weights: an orthogonalised matrix cannot be cut at will). Weights
are dealt out by size, the largest first, each to the rank that has least so far. All tensor-parallel ranks of one
replica own parts of the same weights, which Muon needs: they are dealt out by the order and shapes of the weights alone.

Costs the memory of the state divided by the replicas where there are several weights for each, and one broadcast of all
weights per step in few messages. Not covered: a single weight that is larger than a rank's share (it stays whole on one
rank), overlap of the broadcasts with the step.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.distributed as dist

BROADCAST_ELEMENTS = 1 << 26  # weights sent at once: 128 MiB in bfloat16


def owners(costs: Sequence[int], ranks: int) -> list[int]:
    """The rank that owns each of these weights; the same wherever it is called."""
    found, loads = [0] * len(costs), [0] * ranks
    for number in sorted(range(len(costs)), key=lambda n: -costs[n]):
        found[number] = loads.index(min(loads))
        loads[found[number]] += costs[number]
    return found


class Replicas:
    """Weights that all ranks of `group` hold alike. `costs`: what the state of each takes to keep, in any one unit.

    All ranks of the group give weights of the same shapes in the same order.
    """

    def __init__(self, costs: Mapping[torch.nn.Parameter, int], group: dist.ProcessGroup) -> None:
        self._group = group
        self._weights: list[list[torch.nn.Parameter]] = [[] for _ in range(group.size())]
        for weight, owner in zip(costs, owners(list(costs.values()), group.size()), strict=True):
            self._weights[owner].append(weight)

    @property
    def owned(self) -> list[torch.nn.Parameter]:
        """The weights that this rank learns."""
        return self._weights[self._group.rank()]

    @torch.no_grad()
    def share(self) -> None:
        """Give every rank the owners' weights."""
        if self._group.size() == 1:
            return
        for owner, weights in enumerate(self._weights):
            for some in _messages(weights):
                self._broadcast(some, owner)

    def _broadcast(self, weights: Sequence[torch.nn.Parameter], owner: int) -> None:
        source = dist.get_global_rank(self._group, owner)
        if len(weights) == 1:
            dist.broadcast(weights[0].data, source, group=self._group)
            return
        is_mine = owner == self._group.rank()
        flats = [weight.detach().flatten() for weight in weights]
        flat = torch.cat(flats) if is_mine else flats[0].new_empty(sum(len(some) for some in flats))
        dist.broadcast(flat, source, group=self._group)
        if not is_mine:
            for weight, values in zip(weights, flat.split([len(some) for some in flats]), strict=True):
                weight.copy_(values.view_as(weight))


def _messages(weights: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """The weights in order, as many at once as BROADCAST_ELEMENTS allows (but at least one), of one type each."""
    message: list[torch.nn.Parameter] = []
    for weight in weights:
        elements = sum(some.numel() for some in message) + weight.numel()
        if message and (elements > BROADCAST_ELEMENTS or weight.dtype != message[0].dtype):
            yield message
            message = []
        message.append(weight)
    if message:
        yield message
