"""The feed: the same rows for any number of ranks, from any step, and what it says of where they come from."""

import dataclasses
import os
import signal
import threading
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.collate import IGNORED, PADDING, context_part, flatten
from curriculum.feed import Batch, Feed, Site
from curriculum.follow import BuildStalled
from curriculum.plan import BatchSegment, Plan, PlanError, Source, Stage, archived
from curriculum.plan_changes import PlanChanged
from datapipe import store
from datapipe.shards import ChecksumError, Piece, ShardError, ShardWriter, tokens_path
from tests.plans import make_source, make_stage
from tests.written_stages import FIELDS, Rows, plan_of, same, write_shard, write_stage


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, str, Rows]:
    """Two stages; the batch of the first ramps from 4 to 12 rows."""
    root, rows = tmp_path_factory.mktemp("shards"), {}
    ramp = [BatchSegment(0, 4), BatchSegment(5, 8), BatchSegment(9, 12)]
    plan = plan_of(
        write_stage("short", root, rows, seq_len=64, steps=40, batch=ramp),
        write_stage("long", root, rows, seq_len=1024, steps=6, batch=[BatchSegment(0, 8)]),
    )
    (root / "plan.json").write_text(plan.to_json())
    return plan, str(root), rows


def joined(parts: list[Batch]) -> Batch:
    """The batch of all ranks' rows."""
    borders, base = [np.zeros(1, np.int32)], 0
    for part in parts:
        borders.append(part.cu_seqlens[1:] + np.int32(base))
        base += part.tokens.size
    columns = ("tokens", "labels", "source_ids")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    mtp_labels = np.concatenate([part.mtp_labels for part in parts], axis=1)
    return Batch(**arrays, mtp_labels=mtp_labels, cu_seqlens=np.concatenate(borders))


def test_a_batch_holds_the_rows_that_lineage_names(built: tuple[Plan, str, Rows]) -> None:
    plan, root, rows = built
    feed = Feed(plan, root)
    for stage, step in ((0, 0), (0, 8), (0, 39), (1, 3)):
        batch, seq_len = feed.batch(stage, step, mtp_depths=2), plan.stages[stage].seq_len
        names = [source.name for source in plan.stages[stage].sources]
        sources = []
        for k, line in enumerate(feed.lineage(stage, step)):
            tokens, pieces = rows[line["shard"], line["shard_row"]]
            assert (batch.tokens[k] == tokens).all()
            of_row, known = [line["source"], "code/all"], ("doc", "origin", "offset", "start", "length")
            found = [{key: piece[key] for key in known} for piece in line["pieces"]]
            assert found == [{key: getattr(piece, key) for key in known} for piece in pieces]
            assert [piece["source"] for piece in line["pieces"]] == [of_row[piece.source] for piece in pieces]
            sources += [names.index(of_row[piece.source]) for piece in pieces]
            used = sum(piece.length for piece in pieces)
            sources += [PADDING] if used < seq_len else []
            for piece in pieces:
                spans = ((piece.start, piece.length),) if piece.loss_spans is None else piece.loss_spans
                learned = {t for low, count in spans for t in range(low, low + count)} - {piece.start}
                inside = range(piece.start, piece.start + piece.length)
                assert [t + 1 for t in inside if batch.labels[k, t] != IGNORED] == sorted(learned)
                assert [t + 3 for t in inside if batch.mtp_labels[1, k, t] != IGNORED] == sorted(
                    learned - {piece.start + 1, piece.start + 2}
                )
        assert batch.source_ids.tolist() == sources
        dtypes = [getattr(batch, name).dtype for name in FIELDS]
        assert dtypes == [np.uint32, np.int32, np.float32, np.int32, np.int32, np.int32, np.int32]


def test_every_row_of_a_source_comes_once_per_epoch(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    seen: Counter[tuple[str, int, str, int]] = Counter()
    for step in range(plan.stages[0].steps):
        seen.update((line["source"], line["epoch"], line["shard"], line["shard_row"]) for line in feed.lineage(0, step))
    assert set(seen.values()) == {1}
    for source in plan.stages[0].sources:
        epochs = Counter(epoch for name, epoch, _, _ in seen if name == source.name)
        assert all(epochs[epoch] == source.rows for epoch in range(max(epochs)))


def test_the_steps_of_a_row_are_those_whose_lineage_names_it(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    steps: dict[tuple[int, str, int], list[int]] = {}
    for number in range(plan.steps):
        stage, step = plan.locate(number)
        for line in feed.lineage(stage, step):
            steps.setdefault((stage, line["shard"], line["shard_row"]), []).append(number)
    for stage, spec in enumerate(plan.stages):
        for index, source in enumerate(spec.sources):
            for n, shard in enumerate(source.shards):
                for row in range(shard.rows):
                    assert feed.steps_with(stage, index, n, row) == steps.get((stage, shard.path, row), [])


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stage=st.integers(0, 1), data=st.data())
def test_any_number_of_ranks_shares_the_same_batch(
    built: tuple[Plan, str, Rows], stage: int, data: st.DataObject
) -> None:
    plan, root, _ = built
    step = data.draw(st.integers(0, plan.stages[stage].steps - 1))
    world = data.draw(st.integers(1, plan.stages[stage].batch_rows(step)))
    whole = Feed(plan, root).batch(stage, step, mtp_depths=1)
    parts = [Feed(plan, root).batch(stage, step, rank=rank, world=world, mtp_depths=1) for rank in range(world)]
    assert same(joined(parts), whole)


def test_world_sizes_give_bit_identical_global_batches(built: tuple[Plan, str, Rows]) -> None:
    """1, 2, 4 and 8 ranks, streamed, over a ramp of the batch and a stage switch; from step 5 on 8 ranks can share."""
    plan, root, _ = built
    whole = {(stage, step): batch for stage, step, batch in Feed(plan, root).stream(5)}
    for world in (2, 4, 8):
        streams = [Feed(plan, root).stream(5, rank=rank, world=world) for rank in range(world)]
        for parts in zip(*streams, strict=True):
            (place,) = {part[:2] for part in parts}
            assert same(joined([batch for _, _, batch in parts]), whole[place])


def test_context_parallel_ranks_share_the_rows_of_a_data_parallel_rank(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    flat = flatten(feed.batch(0, 8, rank=1, world=2, mtp_depths=1), multiple=8)
    for rank in range(4):
        share = {"rank": 1, "world": 2, "mtp_depths": 1, "cp_rank": rank, "cp_size": 4}
        assert same(feed.batch(0, 8, **share), context_part(flat, rank, 4))
    padded = feed.batch(0, 8, rank=1, world=2, multiple=16)
    assert (padded.cu_seqlens_padded % 16 == 0).all()  # type: ignore[attr-defined]


def test_any_step_can_be_the_first(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    through = {(stage, step): batch for stage, step, batch in Feed(plan, root).stream()}
    assert list(through) == [plan.locate(number) for number in range(plan.steps)]
    for number in range(plan.steps):
        stage, step, batch = next(Feed(plan, root).stream(number))
        assert (stage, step) == plan.locate(number)
        assert same(batch, through[stage, step])
        assert set(batch.seconds) == {"build", "fetch", "decode", "collate", "wait"}


def test_a_batch_belongs_to_who_got_it(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    first = feed.batch(0, 2)
    again = feed.batch(0, 2)
    for array in (first.tokens, first.labels, first.position_ids, first.cu_seqlens, first.source_ids):
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
    drawn: Source = stage.sources[source[where]]
    index = [shard.path for shard in drawn.shards].index(line["shard"])
    assert source_row[where] == drawn.first_row(index) + line["shard_row"]


def test_state_and_resume(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    feed = Feed(plan, root)
    for number in range(plan.steps + 1):
        state = feed.state(number)
        assert feed.resume(state) == number
        if number < plan.steps:
            stage, step = plan.locate(number)
            assert state == {"stage": stage, "row": plan.stages[stage].rows_before(step), "plan": plan.digest()}


def test_an_edited_plan_may_change_the_future_only(
    built: tuple[Plan, str, Rows], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan, _, _ = built
    old = tmp_path / archived(plan.digest())
    old.parent.mkdir()
    old.write_text(plan.to_json())
    first, second = plan.stages
    state = Feed(plan, str(tmp_path)).state(41)
    longer = dataclasses.replace(plan, stages=(first, dataclasses.replace(second, steps=9)))
    assert Feed(longer, str(tmp_path)).resume(state) == 41
    assert "steps: 6 -> 9" in caplog.text
    hotter = dataclasses.replace(plan, stages=(first, dataclasses.replace(second, rope_base=1e6)))
    with pytest.raises(PlanChanged, match=r"rope_base: 10000\.0 -> 1000000\.0"):
        Feed(hotter, str(tmp_path)).resume(state)
    assert Feed(hotter, str(tmp_path)).resume(Feed(plan, str(tmp_path)).state(40)) == 40
    with pytest.raises(PlanError, match="is not there to compare them"):
        Feed(plan, str(tmp_path)).resume({**state, "plan": "0" * 64})


def test_states_of_a_running_and_of_a_finished_build(built: tuple[Plan, str, Rows], tmp_path: Path) -> None:
    """Behind a stage either resumes the other; inside a stage that the running build does not know yet there is nothing to compare."""
    finished, _, _ = built
    first, second = finished.stages
    live = dataclasses.replace(finished, lock="", stages=(first, dataclasses.replace(second, sources=(), mixture=())))
    (tmp_path / "plans").mkdir()
    for plan in (finished, live):
        (tmp_path / archived(plan.digest())).write_text(plan.to_json())
    for step in (0, 7, 40):
        for old, new in ((live, finished), (finished, live)):
            assert Feed(new, str(tmp_path)).resume(Feed(old, str(tmp_path)).state(step)) == step
    with pytest.raises(PlanChanged, match="the build that wrote this plan does not know them yet"):
        Feed(live, str(tmp_path)).resume(Feed(finished, str(tmp_path)).state(41))


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
        with pytest.raises(ValueError, match=r"'short' has steps 0\.\."):
            feed.batch(0, step)


def test_damage_stops_the_batch_that_would_hold_it(tmp_path: Path) -> None:
    stage = write_stage("short", tmp_path, {}, seq_len=64, steps=20, batch=[BatchSegment(0, 4)])
    file = Path(tokens_path(str(tmp_path / "shards/short/code/shard-00000")))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    named = r"code/shard-00000\.tokens\.arrow: record batch 0 is damaged"
    with pytest.raises(ChecksumError, match=named):
        Feed(plan_of(stage), str(tmp_path)).batch(0, 0)
    with pytest.raises(ChecksumError, match=named):
        list(Feed(plan_of(stage), str(tmp_path)).stream())


def test_shards_of_another_build_are_refused(tmp_path: Path) -> None:
    stage = write_stage("short", tmp_path, {}, seq_len=64, steps=20, batch=[BatchSegment(0, 4)])
    write_shard(tmp_path, "shards/short/web/shard-00000", 52, 64, ["web/all"], {})
    with pytest.raises(ShardError, match="52 rows of 64 tokens, where the plan expects 51 of 64"):
        Feed(plan_of(stage), str(tmp_path)).batch(0, 0)


def test_tokens_of_a_source_that_the_stage_does_not_list_are_refused(tmp_path: Path) -> None:
    """A source that is named in the shard and gives nothing is a bucket without documents."""
    stage = make_stage([make_source("web", 6)], [Fraction(1)], seq_len=8, steps=3, batch=[BatchSegment(0, 2)])
    prefix = store.join(str(tmp_path), "shards/web/shard-00000")
    for source, names in ((0, ["web/all", "books/low"]), (1, ["web/all", "books/all"])):
        with ShardWriter(prefix, seq_len=8, sources=names) as writer:
            for row in range(6):
                writer.add(
                    np.arange(8, dtype=np.uint32),
                    [Piece("a", 0, 3), Piece("b", 3, 4, None, source=source * (row == 4))],
                )
        feed = Feed(plan_of(stage), str(tmp_path))
        if source == 0:
            assert feed.batch(0, 0).source_ids.tolist() == [0, 0, PADDING] * 2
        else:
            with pytest.raises(
                ShardError, match=r"web/shard-00000: row 4 holds tokens of books/all, which stage 'stage' does not list"
            ):
                feed.batch(0, 0)


def test_a_stage_of_one_row(tmp_path: Path) -> None:
    """Of a source of one row, in a row length that is no power of two; and two stages of two epochs each of it."""
    source = make_source("web", 1)
    write_shard(tmp_path, source.shard(0).path, 1, 37, ["web/all"], rows := {})
    once = make_stage([source], [Fraction(1)], seq_len=37, steps=1, batch=[BatchSegment(0, 1)])
    twice = make_stage([source], [Fraction(1)], seq_len=37, steps=1, batch=[BatchSegment(0, 2)])
    feed = Feed(plan_of(once, twice), str(tmp_path))
    tokens, _ = rows[source.shard(0).path, 0]
    assert [batch.tokens.tolist() for *_, batch in feed.stream(mtp_depths=3)] == [
        [tokens.tolist()],
        [tokens.tolist()] * 2,
    ]
    assert feed.steps_with(1, 0, 0, 0) == [1, 1]


def test_the_stream_stops_its_thread(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    stream = Feed(plan, root).stream(rank=1, world=2, depth=3)
    assert [next(stream)[:2] for _ in range(3)] == [(0, 0), (0, 1), (0, 2)]
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]
    assert list(Feed(plan, root).stream(plan.steps)) == []


def test_a_build_that_stops_is_told_and_a_waiting_stream_can_be_closed(tmp_path: Path) -> None:
    """A live plan whose shards are whole but for one without a mark: the batches before need it, and wait."""
    stage = write_stage("short", tmp_path, {}, seq_len=64, steps=20, batch=[BatchSegment(0, 4)])
    plan = plan_of(stage, lock="")
    with pytest.raises(
        BuildStalled, match=r"shard shards/short/\w+/shard-0000\d is not there .* is `tokenloom build` still"
    ):
        Feed(plan, str(tmp_path), patience=0.1).batch(0, 0)
    with pytest.raises(BuildStalled):
        Feed(plan, str(tmp_path), site=Site(patience_seconds=0.1)).batch(0, 0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(Feed(plan, str(tmp_path)).stream())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_waiting_for_the_build_is_metered(tmp_path: Path) -> None:
    stage = write_stage("short", tmp_path, {}, seq_len=64, steps=20, batch=[BatchSegment(0, 4)])

    def seal() -> None:
        for source in stage.sources:
            for shard in source.shards:
                (tmp_path / (shard.path + ".json")).write_text("{}")

    threading.Timer(0.3, seal).start()
    batch = Feed(plan_of(stage, lock=""), str(tmp_path)).batch(0, 0)
    assert batch.seconds["build"] > 0.2
    assert same(batch, Feed(plan_of(stage), str(tmp_path)).batch(0, 0))


HELD_OUT = {"web/all": 5, "code/all": 1, "math/all": 4}


def holding_out(stage: Stage) -> Stage:
    sources = [dataclasses.replace(source, held_out=HELD_OUT[source.name]) for source in stage.sources]
    return dataclasses.replace(stage, sources=tuple(sources))


@pytest.fixture(scope="module")
def held(built: tuple[Plan, str, Rows]) -> Plan:
    """The plan of `built` with ten rows of each stage held out."""
    plan, _, _ = built
    return dataclasses.replace(plan, stages=tuple(map(holding_out, plan.stages)))


@pytest.mark.parametrize("stage", [0, 1])
def test_validation_gives_the_rows_held_out_source_by_source(
    built: tuple[Plan, str, Rows], held: Plan, stage: int
) -> None:
    _, root, rows = built
    sources, seq_len = held.stages[stage].sources, held.stages[stage].seq_len
    batch = Feed(held, root).validation(stage, mtp_depths=1)
    expected = [rows[source.shard(0).path, row] for source in sources for row in range(source.held_out)]
    assert batch.tokens.tolist() == [tokens.tolist() for tokens, _ in expected]
    assert len(expected) == held.stages[stage].validation_rows == 10
    names = {source.name: index for index, source in enumerate(sources)}
    ids: list[int] = []
    hosts = [source.name for source in sources for _ in range(source.held_out)]
    for k, (host, (_, pieces)) in enumerate(zip(hosts, expected, strict=True)):
        ids += [names[[host, "code/all"][piece.source]] for piece in pieces]  # fillers count as what they are
        end = pieces[-1].start + pieces[-1].length
        ids += [PADDING] if end < seq_len else []
        for piece in pieces:
            spans = ((piece.start, piece.length),) if piece.loss_spans is None else piece.loss_spans
            learned = {t - 1 for low, count in spans for t in range(low, low + count)} - {piece.start - 1}
            inside = range(piece.start, piece.start + piece.length)
            assert {t for t in inside if batch.labels[k, t] != IGNORED} == learned
            deeper = {t - 1 for t in learned} - {piece.start - 1}
            assert {t for t in inside if batch.mtp_labels[0, k, t] != IGNORED} == deeper
    assert batch.source_ids.tolist() == ids
    assert set(batch.seconds) == {"build", "fetch", "decode", "collate"}


@pytest.mark.parametrize("world", [1, 2, 3, 10, 13])
def test_ranks_share_the_validation_rows_and_some_may_have_none(
    built: tuple[Plan, str, Rows], held: Plan, world: int
) -> None:
    _, root, _ = built
    feed = Feed(held, root)
    whole = feed.validation(0, mtp_depths=2)
    parts = [feed.validation(0, rank=rank, world=world, mtp_depths=2) for rank in range(world)]
    assert [len(part.tokens) for part in parts] == [
        (rank + 1) * 10 // world - rank * 10 // world for rank in range(world)
    ]
    assert same(joined(parts), whole)
    assert all(part.loss_weights.shape == part.position_ids.shape == part.tokens.shape for part in parts)
    for rank in (-1, world):
        with pytest.raises(ValueError, match=f"no rank {rank} of {world}"):
            feed.validation(0, rank=rank, world=world)


def test_what_is_held_out_is_in_no_step(built: tuple[Plan, str, Rows], held: Plan) -> None:
    """And every other row is; an epoch is that much shorter."""
    _, root, _ = built
    feed = Feed(held, root)
    lines = [line for step in range(held.stages[0].steps) for line in feed.lineage(0, step)]
    for index, source in enumerate(held.stages[0].sources):
        mine = [line for line in lines if line["source"] == source.name]
        away = {(source.shard(0).path, row) for row in range(source.held_out)}
        seen = Counter((line["shard"], line["shard_row"]) for line in mine if line["epoch"] == 0)
        assert not away & {(line["shard"], line["shard_row"]) for line in mine}
        assert len(seen) == source.rows - source.held_out
        assert set(seen.values()) == {1}
        assert [feed.steps_with(0, index, 0, row) for row in range(source.held_out)] == [[]] * source.held_out


def test_a_stage_that_holds_nothing_out_has_no_validation_rows(built: tuple[Plan, str, Rows]) -> None:
    plan, root, _ = built
    batch = Feed(plan, root).validation(1, mtp_depths=1)
    assert (batch.tokens.shape, batch.mtp_labels.shape, batch.cu_seqlens.tolist()) == ((0, 1024), (1, 0, 1024), [0])


def test_validation_needs_the_first_shards_only(tmp_path: Path) -> None:
    stage = holding_out(write_stage("short", tmp_path, {}, seq_len=64, steps=20, batch=[BatchSegment(0, 4)]))
    live = Feed(plan_of(stage, lock=""), str(tmp_path), patience=0.1)
    with pytest.raises(BuildStalled, match="shard-00000 is not there"):
        live.validation(0)
    for source in stage.sources:
        (tmp_path / (source.shard(0).path + ".json")).write_text("{}")
    assert same(live.validation(0), Feed(plan_of(stage), str(tmp_path)).validation(0))


def test_a_stage_may_learn_what_loss_spans_leave_out(built: tuple[Plan, str, Rows], held: Plan) -> None:
    """Every token of every document but the first, deeper labels too; validation masks what the stage masks."""
    _, root, _ = built
    first, second = held.stages
    plan = dataclasses.replace(held, stages=(first, dataclasses.replace(first, name="all", learn="all"), second))
    feed = Feed(plan, root)
    pairs = [(feed.batch(stage, 7, mtp_depths=1), feed.validation(stage, mtp_depths=1)) for stage in (0, 1)]
    for spans, everything in zip(*pairs, strict=True):
        assert (spans.tokens == everything.tokens).all()
        last, is_document = everything.cu_seqlens[1:] - 1, everything.source_ids != PADDING
        learned = np.repeat(is_document, np.diff(everything.cu_seqlens))
        learned[last] = False
        assert ((everything.labels != IGNORED).ravel() == learned).all()
        assert (everything.labels.ravel()[:-1][learned[:-1]] == everything.tokens.ravel()[1:][learned[:-1]]).all()
        learned[np.maximum(last - 1, 0)] = False
        assert ((everything.mtp_labels[0] != IGNORED).ravel() == learned).all()
        known = spans.labels != IGNORED
        assert 0 < known.sum() < (everything.labels != IGNORED).sum()
        assert (spans.labels[known] == everything.labels[known]).all()
