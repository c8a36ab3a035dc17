"""The feed: the same rows for any number of ranks, from any step, and labels, positions and borders as a loop would make them."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum import mixture
from curriculum.feed import IGNORED, Batch, Feed
from curriculum.plan import BatchSegment, Plan, Shard, Source, Stage
from datapipe import store
from datapipe.shards import ChecksumError, Piece, ShardError, ShardWriter, tokens_path

EOS = 7
Rows = dict[tuple[str, int], tuple[np.ndarray, list[Piece]]]  # (shard, row) -> what was written


def write_rows(root: object, name: str, count: int, seq_len: int, rows: Rows) -> Shard:
    rng = np.random.default_rng([len(rows), seq_len])
    with ShardWriter(store.join(str(root), name), seq_len=seq_len) as writer:
        for row in range(count):
            cuts = np.unique(np.append(0, rng.integers(1, seq_len + 1, rng.integers(1, 4)))).tolist()
            pieces = []
            for start, end in pairwise(cuts):
                spans = [None, None, (), ((start + (end - start) // 2, end - start - (end - start) // 2),)]
                pieces.append(Piece(f"{name}/{row}/{start}", start, end - start, spans[rng.integers(4)]))
            tokens = rng.integers(8, 2**20, seq_len).astype(np.uint32)
            tokens[cuts[-1] :] = EOS
            writer.add(tokens, pieces)
            rows[name, row] = tokens, pieces
    return Shard(name, count)


def make_stage(
    name: str, root: Path, rows: Rows, *, seq_len: int, steps: int, batch: tuple[BatchSegment, ...]
) -> Stage:
    sizes = {"web": (Fraction(6, 10), [70, 33]), "code": (Fraction(3, 10), [50]), "math": (Fraction(1, 10), [5, 1, 9])}
    sources = []
    for (corpus, (_, counts)), bound in zip(
        sizes.items(), mixture.bounds([share for share, _ in sizes.values()]), strict=True
    ):
        shards = tuple(write_rows(root, f"{name}-{corpus}-{n}", c, seq_len, rows) for n, c in enumerate(counts))
        sources.append(Source(f"{corpus}/all", corpus, "all", bound, shards, 0))
    return Stage(name, seq_len, "best_fit", steps, batch, tuple(sources), 1e4, 1e-3, 0.3, seed=len(rows))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, str, Rows]:
    """Two stages; the batch of the first ramps from 4 to 12 rows."""
    root, rows = tmp_path_factory.mktemp("shards"), {}
    ramp = (BatchSegment(0, 4), BatchSegment(5, 7), BatchSegment(9, 12))
    stages = (
        make_stage("short", root, rows, seq_len=64, steps=40, batch=ramp),
        make_stage("long", root, rows, seq_len=1024, steps=6, batch=(BatchSegment(0, 5),)),
    )
    return Plan("test", "1", 1, "", "", {}, {}, {}, stages), str(root), rows


def same(a: Batch, b: Batch) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) and getattr(a, name).dtype == getattr(b, name).dtype
        for name in ("tokens", "labels", "loss_weights", "position_ids", "source_ids", "cu_seqlens")
    )


def joined(parts: list[Batch]) -> Batch:
    """The batch of all ranks' rows."""
    columns = ("tokens", "labels", "loss_weights", "position_ids", "source_ids")
    borders, base = [np.zeros(1, np.int32)], 0
    for part in parts:
        borders.append(part.cu_seqlens[1:] + np.int32(base))
        base += part.tokens.size
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return Batch(**arrays, cu_seqlens=np.concatenate(borders))


def test_a_batch_is_what_a_loop_over_its_rows_makes(built: tuple[Plan, str, Rows]) -> None:
    plan, root, rows = built
    feed = Feed(plan, root)
    for stage, step in ((0, 0), (0, 8), (0, 39), (1, 3)):
        batch, seq_len = feed.batch(stage, step), plan.stages[stage].seq_len
        borders = [0]
        for k, line in enumerate(feed.lineage(stage, step)):
            tokens, pieces = rows[line["shard"], line["shard_row"]]
            assert (batch.tokens[k] == tokens).all()
            assert plan.stages[stage].sources[batch.source_ids[k]].name == line["source"]
            assert line["pieces"] == [{"doc": p.doc, "start": p.start, "length": p.length} for p in pieces]
            labels, positions = np.full(seq_len, IGNORED), np.zeros(seq_len, int)
            used = sum(piece.length for piece in pieces)
            for piece in [*pieces, *([Piece("", used, seq_len - used, ())] if used < seq_len else [])]:
                spans = ((piece.start, piece.length),) if piece.loss_spans is None else piece.loss_spans
                for t in range(piece.start, piece.start + piece.length):
                    positions[t] = t - piece.start
                    inside = any(start <= t + 1 < start + length for start, length in spans)
                    if t + 1 < piece.start + piece.length and inside:
                        labels[t] = tokens[t + 1]
                borders.append(k * seq_len + piece.start + piece.length)
            assert batch.labels[k].tolist() == labels.tolist()
            assert batch.position_ids[k].tolist() == positions.tolist()
            assert batch.loss_weights[k].tolist() == (labels != IGNORED).astype(float).tolist()
        assert batch.cu_seqlens.tolist() == borders
        assert [batch.tokens.dtype, batch.labels.dtype, batch.position_ids.dtype] == [np.uint32, np.int64, np.int64]
        assert [batch.loss_weights.dtype, batch.source_ids.dtype, batch.cu_seqlens.dtype] == [
            np.float32,
            np.int32,
            np.int32,
        ]


def test_every_row_of_a_source_comes_once_per_epoch(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    seen: Counter[tuple[str, int, str, int]] = Counter()
    for step in range(plan.stages[0].steps):
        seen.update((line["source"], line["epoch"], line["shard"], line["shard_row"]) for line in feed.lineage(0, step))
    assert set(seen.values()) == {1}
    for source in plan.stages[0].sources:
        epochs = Counter(epoch for name, epoch, _, _ in seen if name == source.name)
        assert all(epochs[epoch] == source.rows_built for epoch in range(max(epochs)))


def test_shares_of_every_prefix_follow_the_plan(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    source = np.concatenate([feed.batch(0, step).source_ids for step in range(40)])
    for index, share in enumerate((0.6, 0.3, 0.1)):
        assert np.abs(np.cumsum(source == index) - share * np.arange(1, source.size + 1)).max() < 4


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stage=st.integers(0, 1), data=st.data())
def test_any_number_of_ranks_shares_the_same_batch(
    built: tuple[Plan, str, Rows], stage: int, data: st.DataObject
) -> None:
    plan, root, _ = built
    step = data.draw(st.integers(0, plan.stages[stage].steps - 1))
    world = data.draw(st.integers(1, min(segment.rows for segment in plan.stages[stage].batch)))
    feed = Feed(plan, root)
    parts = [Feed(plan, root).batch(stage, step, rank=rank, world=world) for rank in range(world)]
    assert same(joined(parts), feed.batch(stage, step))


def test_any_step_can_be_the_first(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    through = {(stage, step): batch for stage, step, batch in Feed(plan, root).stream()}
    assert list(through) == [plan.locate(number) for number in range(plan.steps)]
    for number in (0, 3, 17, 39, 40, 45):
        stage, step, batch = next(Feed(plan, root).stream(number))
        assert (stage, step) == plan.locate(number)
        assert same(batch, through[stage, step])
        assert same(Feed(plan, root).batch(stage, step), batch)
        assert set(batch.seconds) == {"fetch", "decode", "collate", "wait"}


def test_a_batch_belongs_to_who_got_it(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    first = feed.batch(0, 2)
    again = feed.batch(0, 2)
    for array in (first.tokens, first.labels, first.position_ids, first.cu_seqlens):
        array[:] = 0
    assert same(again, Feed(plan, root).batch(0, 2))
    assert same(feed.batch(0, 2), again)
    assert same(feed.batch(0, 3), Feed(plan, root).batch(0, 3))


def test_locating_is_pure_and_agrees_with_lineage(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    stage = plan.stages[0]
    rows = np.random.default_rng(0).permutation(stage.rows)
    source, source_row = Feed(plan, root).locate(0, rows)
    one = [Feed(plan, root).locate(0, np.array([row])) for row in rows[:5]]
    assert [(int(a[0]), int(b[0])) for a, b in one] == list(
        zip(source[:5].tolist(), source_row[:5].tolist(), strict=True)
    )
    (line,) = [line for line in Feed(plan, root).lineage(0, 30) if line["row"] == stage.rows_before(30) + 4]
    where = int(np.flatnonzero(rows == line["row"])[0])
    shards = stage.sources[source[where]].shards
    index = [shard.path for shard in shards].index(line["shard"])
    assert source_row[where] == sum(shard.rows for shard in shards[:index]) + line["shard_row"]


def test_what_is_not_there_is_named(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    with pytest.raises(ValueError, match=r"'short' has rows 0\.\.\d+, not 0\.\.100000"):
        feed.locate(0, np.array([0, 100_000]))
    with pytest.raises(ValueError, match="stage 'short', step 1: rank 0 of 5 has no share of 4 rows"):
        feed.batch(0, 1, rank=0, world=5)
    assert feed.batch(0, 9, rank=4, world=5).tokens.shape == (3, 64)  # of the 12 rows that step 9 has
    with pytest.raises(ValueError, match="rank 2 of 2"):
        feed.batch(1, 0, rank=2, world=2)
    for step in (-1, 40):
        with pytest.raises(ValueError, match=r"'short' has steps 0\.\.40"):
            feed.batch(0, step)


def test_damage_stops_the_batch_that_would_hold_it(tmp_path: Path) -> None:
    rows: Rows = {}
    stage = make_stage("short", tmp_path, rows, seq_len=64, steps=20, batch=(BatchSegment(0, 4),))
    plan = Plan("test", "1", 1, "", "", {}, {}, {}, (stage,))
    file = Path(tokens_path(str(tmp_path / "short-code-0")))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    with pytest.raises(ChecksumError, match=r"short-code-0\.tokens\.arrow: record batch 0 is damaged"):
        Feed(plan, str(tmp_path)).batch(0, 0)
    with pytest.raises(ChecksumError, match=r"short-code-0\.tokens\.arrow"):
        list(Feed(plan, str(tmp_path)).stream())


def test_shards_of_another_build_are_refused(tmp_path: Path) -> None:
    rows: Rows = {}
    stage = make_stage("short", tmp_path, rows, seq_len=64, steps=20, batch=(BatchSegment(0, 4),))
    plan = Plan("test", "1", 1, "", "", {}, {}, {}, (stage,))
    write_rows(tmp_path, "short-web-0", 71, 64, rows)
    with pytest.raises(ShardError, match="71 rows of 64 tokens, where the plan expects 70 of 64"):
        Feed(plan, str(tmp_path)).batch(0, 0)


def test_the_stream_stops_its_thread(built: tuple[Plan, str, Rows]) -> None:
    import threading

    plan, root, _ = built
    stream = Feed(plan, root).stream(rank=1, world=2, depth=3)
    assert [next(stream)[:2] for _ in range(3)] == [(0, 0), (0, 1), (0, 2)]
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]
    assert list(Feed(plan, root).stream(plan.steps)) == []


def test_a_feed_from_s3(s3: str, tmp_path: Path) -> None:
    """The same rows in a bucket and in a folder give the same batches."""
    batch = (BatchSegment(0, 8),)
    stages = [make_stage("short", root, {}, seq_len=64, steps=5, batch=batch) for root in (tmp_path, f"{s3}/feed")]
    assert stages[0] == stages[1]
    plan = Plan("test", "1", 1, "", "", {}, {}, {}, (stages[0],))
    local, remote = Feed(plan, str(tmp_path)), Feed(plan, f"{s3}/feed")
    assert all(same(local.batch(0, step), remote.batch(0, step)) for step in (4, 0, 2))
    assert remote.lineage(0, 3) == local.lineage(0, 3)
