"""Plans by hand: sources, mixtures and shards for tests that need no build."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from curriculum import mixture
from curriculum.plan import BatchSegment, MixtureSegment, Source, Stage


def make_source(name: str, rows: int, num_shards: int = 1, **changes: Any) -> Source:
    """A source of one bucket, "all". Its shards lie in a folder of its name."""
    settings: dict[str, Any] = {
        "folder": f"shards/{name}",
        "seed": sum(map(ord, name)),
        "first_rank": 0,
        "rows_planned": 0,
        "tokens_planned": 0,
        **changes,
    }
    return Source(f"{name}/all", name, "all", rows=rows, num_shards=num_shards, **settings)


def constant_mixture(shares: Sequence[Fraction]) -> tuple[MixtureSegment, ...]:
    """One segment with these shares."""
    return (MixtureSegment(0, tuple(mixture.bounds(shares)), (0,) * len(shares)),)


def make_stage(
    sources: Sequence[Source],
    shares: Sequence[Fraction],
    *,
    name: str = "stage",
    seq_len: int = 4096,
    steps: int = 1 << 20,
    batch: Sequence[BatchSegment] = (BatchSegment(0, 1 << 20),),
    **changes: Any,
) -> Stage:
    """A stage with constant shares; the planned rows of its sources follow from them."""
    settings: dict[str, Any] = {"rope_base": 1e4, "bias_rate": 1e-3, "mtp_weight": 0.3, "seed": 1, **changes}
    mix = constant_mixture(shares)
    stage = Stage(name, seq_len, "best_fit", steps, tuple(batch), tuple(sources), mix, **settings)
    planned = mixture.rank_before(stage.rows, mix[0].bounds, mixture.offset(stage.seed))
    drawn = tuple(_planned(source, rows, seq_len) for source, rows in zip(sources, planned, strict=True))
    return Stage(name, seq_len, "best_fit", steps, tuple(batch), drawn, mix, **settings)


def _planned(source: Source, rows: int, seq_len: int) -> Source:
    fields = {**vars(source), "rows_planned": rows, "tokens_planned": rows * seq_len}
    return Source(**fields)
