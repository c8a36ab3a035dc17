"""Shards: what is written is read back, in any order and by any Arrow reader; what is damaged is named."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe import store
from datapipe.arrow_file import ArrowInput
from datapipe.shards import (
    BATCH_TOKENS,
    BatchCache,
    ChecksumError,
    Piece,
    ShardError,
    ShardReader,
    ShardWriter,
    docs_path,
    read_layout,
    tokens_path,
)

Row = tuple[np.ndarray, list[Piece]]
SOURCES = ("web/high", "books/all")


def random_rows(seq_len: int, count: int, seed: int = 0) -> list[Row]:
    """Rows of tokens up to 2**24 - 1, each with up to four pieces, some with loss spans, some with padding behind."""
    rng = np.random.default_rng(seed)
    rows = []
    for row in range(count):
        cuts = np.unique(np.append(0, rng.integers(0, seq_len + 1, rng.integers(1, 5)))).tolist()
        pieces = []
        for start, end in pairwise(cuts):
            middle = (start + end) // 2
            spans = [
                None,
                (),
                ((start, end - start),),
                ((start, 1), (middle, end - middle)) if middle > start else None,
            ]
            place = {"origin": f"https://é.example/{row}", "source": int(rng.integers(2)), "offset": 2 * start}
            pieces.append(Piece(f"{seed}/{row}/{start}", start, end - start, spans[rng.integers(4)], **place))
        rows.append((rng.integers(0, 2**24, seq_len).astype(np.uint32), pieces))
    return rows


def write(prefix: object, rows: list[Row], seq_len: int) -> str:
    with ShardWriter(str(prefix), seq_len=seq_len, sources=SOURCES) as writer:
        for tokens, pieces in rows:
            writer.add(tokens, pieces)
    return str(prefix)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([1, 7, 256, 1000, 4096, 3 * 32_768]), st.integers(0, 2**32), st.data())
def test_rows_come_back_in_any_order(tmp_path: Path, seq_len: int, seed: int, data: st.DataObject) -> None:
    rows = random_rows(seq_len, data.draw(st.integers(1, 3 * BATCH_TOKENS // max(seq_len, 500))), seed)
    reader = ShardReader(write(tmp_path / "shard", rows, seq_len))
    assert (reader.rows, reader.seq_len) == (len(rows), seq_len)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=20))
    assert (reader.read(np.array(wanted)) == np.stack([rows[row][0] for row in wanted])).all()
    assert [reader.pieces(row) for row in wanted] == [rows[row][1] for row in wanted]
    layout = reader.layout(np.array(wanted))
    begin, end = layout.pieces.flat(seq_len)
    pieces = [
        (k * seq_len + p.start, k * seq_len + p.start + p.length) for k, row in enumerate(wanted) for p in rows[row][1]
    ]
    assert list(zip(begin.tolist(), end.tolist(), strict=True)) == pieces
    learned = np.zeros(len(wanted) * seq_len, bool)
    for low, high in zip(*(each.tolist() for each in layout.learned.flat(seq_len)), strict=True):
        assert not learned[low:high].any()
        learned[low:high] = True
    expected = [position for k, row in enumerate(wanted) for position in learned_positions(rows[row][1], k * seq_len)]
    assert np.flatnonzero(learned).tolist() == sorted(expected)


def learned_positions(pieces: list[Piece], row_begin: int) -> list[int]:
    """Position t learns token t + 1 when both are of one piece and the token is in a span."""
    found = []
    for piece in pieces:
        spans = ((piece.start, piece.length),) if piece.loss_spans is None else piece.loss_spans
        wanted = {token for start, length in spans for token in range(start, start + length)}
        found += [row_begin + t for t in range(piece.start, piece.start + piece.length - 1) if t + 1 in wanted]
    return found


def test_any_arrow_reader_opens_them(tmp_path: Path) -> None:
    rows = random_rows(4096, 40)
    prefix = write(tmp_path / "shard", rows, 4096)
    with pa.ipc.open_file(tokens_path(prefix)) as file:
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        assert file.schema.metadata == {b"seq_len": b"4096", b"sources": b'["web/high", "books/all"]'}
    assert [batch.num_rows for batch in batches] == [BATCH_TOKENS, BATCH_TOKENS, 40 * 4096 - 2 * BATCH_TOKENS]
    assert batches[0].schema.types == [pa.uint16(), pa.uint8()]
    table = pa.Table.from_batches(batches)
    lo, hi = table["lo"].to_numpy(), table["hi"].to_numpy()
    assert (lo + hi.astype(np.uint32) * 65_536 == np.concatenate([tokens for tokens, _ in rows])).all()
    with pa.ipc.open_file(docs_path(prefix)) as file:
        docs = file.read_all().to_pylist()
    assert [(d["row"], d["start"]) for d in docs] == [
        (row, p.start) for row, (_, pieces) in enumerate(rows) for p in pieces
    ]
    assert [(d["doc"], d["origin"], d["source"], d["offset"]) for d in docs] == [
        (p.doc, p.origin, p.source, p.offset) for _, pieces in rows for p in pieces
    ]


def test_info_is_of_the_files_and_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = random_rows(256, 700)
    writers = []
    for name in ("first", "second"):
        with ShardWriter(str(tmp_path / name), seq_len=256, sources=SOURCES) as writer:
            for tokens, pieces in rows:
                writer.add(tokens, pieces)
        writers.append(writer)
    info = writers[0].close()  # a second close changes nothing
    assert info == writers[1].info
    files = [Path(path(str(tmp_path / "first"))).read_bytes() for path in (tokens_path, docs_path)]
    assert [info.sha256_tokens, info.sha256_docs] == [hashlib.sha256(data).hexdigest() for data in files]
    assert info.bytes == sum(map(len, files))
    assert (info.rows, info.pieces) == (700, sum(len(pieces) for _, pieces in rows))
    assert info.tokens == sum(piece.length for _, pieces in rows for piece in pieces)


def test_a_shard_of_no_rows(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "empty", [], 64))
    assert reader.rows == 0
    with pytest.raises(IndexError, match="has 0 rows; row 0"):
        reader.read(np.array([0]))


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "shard", random_rows(4096, 20), 4096))
    for wrong in (20, 31, 32, 10**9, -1):
        with pytest.raises(IndexError, match=f"shard has 20 rows; row {wrong} "):
            reader.read(np.array([3, wrong]))
        with pytest.raises(IndexError, match=f"row {wrong} "):
            reader.pieces(wrong)


def test_each_batch_is_decoded_once_while_it_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[str, int]] = []
    original = ArrowInput._checked
    monkeypatch.setattr(
        ArrowInput, "_checked", lambda self, i, read: decoded.append((self.path, i)) or original(self, i, read)
    )
    prefix = write(tmp_path / "shard", random_rows(1024, 64 * 6), 1024)
    everything = np.random.default_rng(0).permutation(64 * 6)
    cache = BatchCache(100 << 20)
    for reader in (ShardReader(prefix, cache=cache), ShardReader(prefix, cache=cache)):
        for rows in np.split(everything, 12):
            reader.read(rows)
            reader.layout(rows)
    assert sorted(decoded) == sorted([(tokens_path(prefix), i) for i in range(6)] + [(docs_path(prefix), 0)])

    small = ShardReader(prefix, cache=BatchCache(3 * 4 * BATCH_TOKENS))
    for _ in range(2):
        np.testing.assert_array_equal(small.read(everything), reader.read(everything))


def test_reading_is_metered(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "shard", random_rows(4096, 40), 4096))
    reader.read(np.arange(40))
    assert reader.meter.fetch > 0
    assert reader.meter.decode > 0


def test_nothing_is_visible_before_the_end_and_nothing_stays_behind(tmp_path: Path) -> None:
    rows = random_rows(4096, 40)
    broken = [*rows, (np.zeros(5, np.uint32), [])]
    with pytest.raises(ValueError, match="tokens are"):
        write(tmp_path / "shard", broken, 4096)
    assert list(tmp_path.iterdir()) == []

    writer = ShardWriter(str(tmp_path / "shard"), seq_len=4096, sources=SOURCES)
    for tokens, pieces in rows:
        writer.add(tokens, pieces)
    assert not store.glob(str(tmp_path / "*"))
    writer.close()
    assert [Path(info.path).name for info in store.glob(str(tmp_path))] == ["shard.docs.arrow", "shard.tokens.arrow"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([Piece("a", 1, 3)], "must start at token 0"),
        ([Piece("a", 0, 3), Piece("b", 4, 2)], "must start at token 3"),
        ([Piece("a", 0, 0)], "not be empty"),
        ([Piece("a", 0, 9)], "end at token 9, the row at 8"),
        ([Piece("a", 0, 4, ((3, 2),))], r"loss span \(3, 2\) must lie in tokens 0 to 4"),
        ([Piece("a", 0, 4), Piece("b", 4, 4, ((3, 2),))], "must lie in tokens 4 to 8"),
        ([Piece("a", 0, 8, ((0, 3), (2, 3)))], "must lie in tokens 3 to 8"),
        ([Piece("a", 0, 8, ((2, 0),))], "not empty"),
    ],
)
def test_pieces_that_cannot_be_are_refused(tmp_path: Path, pieces: list[Piece], message: str) -> None:
    with pytest.raises(ValueError, match=f"shard, row 0: .*{message}"):
        write(tmp_path / "shard", [(np.zeros(8, np.uint32), pieces)], 8)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for tokens in (np.zeros(7, np.uint32), np.zeros(8, np.int64)):
        with pytest.raises(ValueError, match=r"tokens are u?int\d\d \(\d,\), not uint32 \(8,\)"):
            write(tmp_path / "shard", [(tokens, [])], 8)
    with pytest.raises(ValueError, match="token 16777216 does not fit 24 bits"):
        write(tmp_path / "shard", [(np.full(8, 2**24, np.uint32), [])], 8)
    with pytest.raises(ValueError, match="seq_len is 0"):
        ShardWriter(str(tmp_path / "shard"), seq_len=0, sources=SOURCES)


@pytest.mark.parametrize("path", [tokens_path, docs_path])
def test_a_damaged_byte_never_passes(tmp_path: Path, path: object) -> None:
    """Whatever byte changes, a read gives what was written or says which shard (and mostly which batch) is damaged."""
    rows = random_rows(1024, 64 * 3)
    prefix = write(tmp_path / "shard", rows, 1024)
    file = Path(path(prefix))  # type: ignore[operator]
    good, everything = file.read_bytes(), np.arange(len(rows))
    caught = 0
    for place in np.random.default_rng(1).integers(0, len(good), 60).tolist():
        file.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            reader = ShardReader(prefix)
            tokens, pieces = reader.read(everything), [reader.pieces(row) for row in range(0, len(rows), 16)]
            reader.layout(everything)
        except ShardError as error:
            caught += str(file) in str(error)
        else:
            assert (tokens == np.stack([tokens for tokens, _ in rows])).all()
            assert pieces == [pieces for _, pieces in rows[::16]]
    assert caught > 50


def test_a_damaged_batch_is_named_and_the_others_can_be_read(tmp_path: Path) -> None:
    rows = random_rows(4096, 48)
    prefix = write(tmp_path / "shard", rows, 4096)
    file = Path(tokens_path(prefix))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1  # in the middle of three batches
    file.write_bytes(data)
    with pytest.raises(ChecksumError, match=r"shard\.tokens\.arrow: record batch 1 is damaged"):
        ShardReader(prefix).read(np.array([17]))
    assert (ShardReader(prefix).read(np.array([0, 47])) == np.stack([rows[0][0], rows[47][0]])).all()


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.999])
def test_a_file_cut_short_is_named(tmp_path: Path, keep: float) -> None:
    prefix = write(tmp_path / "shard", random_rows(1024, 100), 1024)
    file = Path(tokens_path(prefix))
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    with pytest.raises(ShardError, match=r"shard\.tokens\.arrow: not a whole Arrow file"):
        ShardReader(prefix)


def test_other_files_are_told_from_shards(tmp_path: Path) -> None:
    with pytest.raises(store.StoreError, match="no such file"):
        ShardReader(str(tmp_path / "absent"))
    prefix = write(tmp_path / "shard", random_rows(64, 3), 64)
    with pa.ipc.new_file(tokens_path(prefix), pa.schema([("x", pa.int32())])) as other:
        other.write_batch(pa.record_batch({"x": pa.array([1], pa.int32())}))
    with pytest.raises(ShardError, match=r"has columns \['x'\], not those of a shard"):
        ShardReader(prefix)


def test_a_shard_in_s3(s3: str) -> None:
    rows = random_rows(4096, 40)
    prefix = write(store.join(s3, "shards", "web"), rows, 4096)
    wanted = np.array([39, 0, 17, 17])
    reader = ShardReader(prefix)
    assert (reader.read(wanted) == np.stack([rows[row][0] for row in wanted])).all()
    assert reader.pieces(39) == rows[39][1]
    with (
        pytest.raises(RuntimeError, match="stop"),
        ShardWriter(store.join(s3, "shards", "code"), seq_len=64, sources=SOURCES),
    ):
        raise RuntimeError("stop")
    assert not store.glob(store.join(s3, "shards", "code*"))


def test_the_ranges_of_rows_are_those_of_the_record_batches_they_lie_in(tmp_path: Path) -> None:
    """Rows of 30,000 tokens: 34 of them share a record batch of docs."""
    reader = ShardReader(prefix := write(tmp_path / "shard", random_rows(30_000, 36), 30_000))
    ranges = list(reader.byte_ranges(np.array([35, 1])))  # tokens from 1,050,000 and 30,000 on: record batches 16 and 0
    assert [path for path, _, _ in ranges] == [tokens_path(prefix)] * 2 + [docs_path(prefix)] * 2
    for path, start, stop in ranges:
        assert 0 < start < stop < Path(path).stat().st_size
    everything = list(reader.byte_ranges(np.arange(36)))
    assert set(ranges) < set(everything)
    assert len(everything) == len({(path, start) for path, start, _ in everything}) == 17 + 2


def test_sources_are_numbered_as_the_caller_knows_them(tmp_path: Path) -> None:
    rows = random_rows(256, 20)
    readers = [ShardReader(write(tmp_path / name, rows, 256)) for name in ("a", "b")]
    assert readers[0].sources == SOURCES
    numbers = [np.array([5, 7], np.int32), np.array([9, 5], np.int32)]
    layout = read_layout(readers, np.array([1, 0]), np.array([3, 4]), numbers)
    expected = [[9, 5][p.source] for p in rows[3][1]] + [[5, 7][p.source] for p in rows[4][1]]
    assert layout.source.tolist() == expected


def test_a_source_that_has_lost_its_name_is_told(tmp_path: Path) -> None:
    prefix = write(tmp_path / "shard", random_rows(256, 20), 256)
    path = Path(docs_path(prefix))
    path.write_bytes(path.read_bytes().replace(b'["web/high", "books/all"]', b'["web/high"             ]'))
    with pytest.raises(ShardError, match=r"docs\.arrow: record batch 0 has a source without a name"):
        ShardReader(prefix).layout(np.arange(20))
    path.write_bytes(path.read_bytes().replace(b'["web/high" ', b'["web/high, '))
    with pytest.raises(ShardError, match=r"docs\.arrow: its schema does not note its sources"):
        ShardReader(prefix)
