"""Megatron's .bin/.idx: what we write megatron-core reads, what it writes we read, and damage is named."""

import contextlib
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe import megatron_file, store
from datapipe.megatron_file import DTYPES, HEADER, MegatronFile, MegatronFileError, megatron_output

Documents = list[list[np.ndarray]]  # sequences of documents
THREE: Documents = [[np.arange(3)], [np.arange(5), np.arange(2)], [np.arange(4)]]  # boundaries 0, 1, 3, 4


def write_pair(prefix: str, documents: Documents, dtype: np.dtype, *, gap: int = 0) -> None:
    """The pair as the format says, by hand; `gap` bytes that belong to nobody before every sequence."""
    sequences = [sequence.astype(dtype) for document in documents for sequence in document]
    begins = [gap + k * gap + sum(each.nbytes for each in sequences[:k]) for k in range(len(sequences))]
    boundaries = np.cumsum([0, *map(len, documents)])
    code = next(code for code, known in DTYPES.items() if known == dtype)
    index = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, len(sequences), boundaries.size)
    index += np.array([each.size for each in sequences], "<i4").tobytes()
    index += np.array(begins, "<i8").tobytes() + boundaries.astype("<i8").tobytes()
    Path(f"{prefix}.bin").write_bytes(b"".join(b"\xee" * gap + each.tobytes() for each in sequences))
    Path(f"{prefix}.idx").write_bytes(index)


def flat(documents: Documents) -> list[int]:
    return [int(token) for document in documents for sequence in document for token in sequence]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indices in pieces of four entries, and lengths of more than two documents in a temporary file."""
    monkeypatch.setattr(megatron_file, "CHUNK", 4)
    monkeypatch.setattr(megatron_file, "SPOOL_BYTES", 8)


@pytest.mark.parametrize("vocab_size", [65_536, 65_537])
@pytest.mark.usefixtures("small_chunks")
def test_megatron_reads_what_we_write(tmp_path: Path, vocab_size: int) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    rng, prefix = np.random.default_rng(vocab_size), str(tmp_path / "new" / "pair")
    lengths = rng.integers(1, 30, 19)
    tokens = rng.integers(0, vocab_size, lengths.sum()).astype(np.uint32)
    tokens[-1] = vocab_size - 1
    with megatron_output(prefix, vocab_size=vocab_size) as output:
        for low, high in ((0, 7), (7, 7), (7, 19)):
            output.add(tokens[lengths[:low].sum() : lengths[:high].sum()], lengths[low:high])
    dataset = IndexedDataset(prefix)
    assert len(dataset) == 19
    assert dataset.index.dtype == (np.uint16 if vocab_size == 65_536 else np.int32)
    assert dataset.sequence_lengths.tolist() == lengths.tolist()
    assert dataset.document_indices.tolist() == list(range(20))
    ends = np.cumsum(lengths)
    for k, (begin, end) in enumerate(pairwise([0, *ends.tolist()])):
        assert dataset[k].tolist() == tokens[begin:end].tolist()
    with MegatronFile(prefix) as file:
        assert file.lengths.tolist() == lengths.tolist()
        assert (file.read(0, 19) == tokens).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
def test_we_read_what_megatron_writes(tmp_path: Path, dtype: type[np.number]) -> None:
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    prefix = str(tmp_path / "pair")
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
    for document in THREE:
        builder.add_document(torch.from_numpy(np.concatenate(document)), [each.size for each in document])
    builder.finalize(f"{prefix}.idx")
    with MegatronFile(prefix) as file:
        assert (file.documents, file.sequences, file.dtype) == (3, 4, np.dtype(dtype))
        assert file.lengths.tolist() == [3, 7, 4]
        assert file.read(1, 3).tolist() == flat(THREE[1:])


@st.composite
def documents(draw: st.DrawFn) -> Documents:
    """Documents of no, one or several sequences, some of them empty."""
    lengths = draw(st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=12))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return [[rng.integers(0, 128, length) for length in document] for document in lengths]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=documents(), code=st.sampled_from(sorted(DTYPES)), gap=st.integers(0, 2), data=st.data())
@pytest.mark.usefixtures("small_chunks")
def test_any_range_of_documents(
    tmp_path_factory: pytest.TempPathFactory, written: Documents, code: int, gap: int, data: st.DataObject
) -> None:
    prefix = str(tmp_path_factory.mktemp("any") / "pair")
    write_pair(prefix, written, DTYPES[code], gap=gap)
    first = data.draw(st.integers(0, len(written)))
    end = data.draw(st.integers(first, len(written)))
    with MegatronFile(prefix) as file:
        assert file.lengths.dtype == np.int64
        assert file.lengths.tolist() == [sum(each.size for each in document) for document in written]
        tokens = file.read(first, end)
        assert tokens.dtype == np.uint32
        assert tokens.tolist() == flat(written[first:end])
        for wrong in ((-1, 0), (0, len(written) + 1), (1, 0)):
            with pytest.raises(IndexError, match=f"has documents 0 to {len(written)}"):
                file.read(*wrong)


@pytest.mark.parametrize(
    ("code", "value"),
    [(2, -1), (3, -7), (4, 1 << 24), (5, 1 << 40), (5, -(1 << 63)), (6, 2.5), (7, np.nan), (7, np.inf)],
)
def test_what_is_no_token_is_named_with_its_document(tmp_path: Path, code: int, value: float) -> None:
    prefix = str(tmp_path / "pair")
    values = [np.array([1, 2], DTYPES[code]), np.array([3, value], DTYPES[code]), np.array([4], DTYPES[code])]
    write_pair(prefix, [[values[0]], [values[2], values[1]], [values[2]]], DTYPES[code], gap=1)
    with MegatronFile(prefix) as file:
        with pytest.raises(
            MegatronFileError, match=rf"pair\.bin, document 1: {str(values[1][1]).replace('+', '.')} is no"
        ):
            file.read(0, 3)
        assert file.read(2, 3).tolist() == [4]


def test_the_largest_token(tmp_path: Path) -> None:
    write_pair(str(tmp_path / "pair"), [[np.array([(1 << 24) - 1, 0])]], DTYPES[7])
    assert MegatronFile(str(tmp_path / "pair")).read(0, 1).tolist() == [(1 << 24) - 1, 0]


def patched(offset: int, data: bytes) -> Callable[[bytearray], None]:
    def damage(index: bytearray) -> None:
        index[offset : offset + len(data)] = data

    return damage


def without_end(index: bytearray) -> None:
    del index[-3:]


LENGTHS, BEGINS, BOUNDARIES = HEADER.size, HEADER.size + 4 * 4, HEADER.size + 4 * 12


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        (patched(0, b"PK"), r"pair\.idx: begins with b'PKID"),
        (patched(9, struct.pack("<Q", 2)), r"pair\.idx: has version 2, only 1 is known"),
        (patched(17, b"\x09"), r"pair\.idx: has dtype code 9, only 1 to 8 are known"),
        (
            patched(18, struct.pack("<Q", 5)),
            r"pair\.idx: has 114 bytes where 5 sequences and 4 document boundaries take 126",
        ),
        (patched(18, b"\xff" * 16), "bytes where 18446744073709551615 sequences"),
        (without_end, r"pair\.idx: has 111 bytes where .* take 114; it was cut short"),
        (lambda index: index.extend(bytes(4)), "mode per sequence, so it is multimodal"),
        (lambda index: index.__delitem__(slice(20, None)), r"pair\.idx: has 20 bytes, and a header alone 34"),
        (bytearray.clear, r"pair\.idx: has 0 bytes"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, damage: Callable[[bytearray], Any], answer: str) -> None:
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[8])
    index = bytearray((tmp_path / "pair.idx").read_bytes())
    damage(index)
    (tmp_path / "pair.idx").write_bytes(index)
    with pytest.raises(MegatronFileError, match=answer):
        MegatronFile(str(tmp_path / "pair"))


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        (
            patched(LENGTHS + 4, struct.pack("<i", -1)),
            "document 1: a sequence of -1 uint16 tokens at byte 6 does not lie",
        ),
        (
            patched(LENGTHS + 12, struct.pack("<i", 5)),
            "document 2: a sequence of 5 uint16 tokens at byte 20 does not lie",
        ),
        (
            patched(BEGINS + 16, struct.pack("<q", 26)),
            r"document 1: .* at byte 26 does not lie in .*pair\.bin of 28 bytes",
        ),
        (patched(BEGINS, struct.pack("<q", -2)), "document 0: a sequence of 3 uint16 tokens at byte -2"),
        (patched(BOUNDARIES, struct.pack("<q", 1)), "document 0 begins with sequence 1"),
        (patched(BOUNDARIES + 8, struct.pack("<q", 9)), "document 1 begins with sequence 9"),
        (patched(BOUNDARIES + 16, struct.pack("<q", 0)), "document 2 begins with sequence 0"),
        (patched(BOUNDARIES + 16, struct.pack("<q", -(1 << 63))), "document 2 begins with sequence -9"),
        (patched(BOUNDARIES + 24, struct.pack("<q", 3)), "document 3 begins with sequence 3, but .* 0 to 4 in order"),
    ],
)
def test_a_damaged_index_is_found_where_it_is_read(
    tmp_path: Path, damage: Callable[[bytearray], Any], answer: str
) -> None:
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[8])
    index = bytearray((tmp_path / "pair.idx").read_bytes())
    damage(index)
    (tmp_path / "pair.idx").write_bytes(index)
    with MegatronFile(str(tmp_path / "pair")) as file:
        with pytest.raises(MegatronFileError, match=answer):
            file.read(0, 3)
        with pytest.raises(MegatronFileError, match=answer):
            _ = file.lengths


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, HEADER.size + 4 * 12 + 4 * 8 - 1), bits=st.integers(1, 255))
def test_no_damage_to_an_index_leads_anywhere_else(tmp_path: Path, at: int, bits: int) -> None:
    """Some bits make another index that is as good; all others are errors about this file."""
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[8])
    index = bytearray((tmp_path / "pair.idx").read_bytes())
    index[at] ^= bits
    (tmp_path / "pair.idx").write_bytes(index)
    with contextlib.suppress(MegatronFileError), MegatronFile(str(tmp_path / "pair")) as file:
        assert file.read(0, file.documents).size == file.lengths.sum()


def test_a_bin_cut_short_is_found(tmp_path: Path) -> None:
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[4])
    file = tmp_path / "pair.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with MegatronFile(str(tmp_path / "pair")) as pair:
        assert pair.read(0, 2).tolist() == flat(THREE[:2])
        with pytest.raises(MegatronFileError, match="document 2: a sequence of 4 int32 tokens at byte 40 does not lie"):
            pair.read(1, 3)


def test_a_bin_that_shrinks_while_it_is_open_is_found(tmp_path: Path) -> None:
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[4])
    with MegatronFile(str(tmp_path / "pair")) as pair:
        (tmp_path / "pair.bin").write_bytes(bytes(20))
        with pytest.raises(MegatronFileError, match=r"pair\.bin: ends at byte 20, was longer when it was opened"):
            pair.read(1, 2)


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    write_pair(str(tmp_path / "pair"), THREE, DTYPES[4])
    (tmp_path / "pair.bin").unlink()
    with pytest.raises(store.StoreError, match=r"pair\.bin: no such file"):
        MegatronFile(str(tmp_path / "pair"))


def write_ten(prefix: str, tokens: list[int], lengths: list[int]) -> None:
    """Documents of a vocabulary of 10, the first one by itself."""
    with megatron_output(prefix, vocab_size=10) as output:
        for part, sizes in ((tokens[: lengths[0]], lengths[:1]), (tokens[lengths[0] :], lengths[1:])):
            output.add(np.array(part, np.uint32), np.array(sizes))


def test_the_writer_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    prefix = str(tmp_path / "pair")
    for tokens, lengths, answer in (
        ([1, 2, 10], [1, 1, 1], r"pair, document 3 has the token 10; ids of a vocabulary of 10 end at 9"),
        ([1, 2], [2, 0], r"pair, document 2 has 0 tokens; a document has at least 1"),
        ([1, 2], [1, 2], r"documents of 3 tokens in all, but tokens of the shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=answer):
            write_ten(prefix, [9, *tokens], [1, *lengths])
        assert list(tmp_path.iterdir()) == []


def test_an_old_index_never_describes_a_new_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies between the two files leaves no index, also where one was."""
    prefix = str(tmp_path / "pair")
    write_ten(prefix, [1, 2], [1, 1])
    monkeypatch.setattr(megatron_file.MegatronWriter, "write_index", lambda self, index: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_ten(prefix, [3, 4], [1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["pair.bin"]
    assert (tmp_path / "pair.bin").read_bytes() == b"\3\0\4\0"


def test_no_documents(tmp_path: Path) -> None:
    with megatron_output(str(tmp_path / "pair"), vocab_size=10):
        pass
    with MegatronFile(str(tmp_path / "pair")) as file:
        assert (file.documents, file.lengths.tolist(), file.read(0, 0).tolist()) == (0, [], [])


def test_a_pair_in_s3(s3: str) -> None:
    prefix, tokens = f"{s3}/megatron/pair", np.arange(200, dtype=np.uint32)
    with megatron_output(prefix, vocab_size=70_000) as output:
        output.add(tokens, np.array([150, 50]))
    with MegatronFile(prefix) as file:
        assert file.lengths.tolist() == [150, 50]
        assert (file.read(1, 2) == tokens[150:]).all()
