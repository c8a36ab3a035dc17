import bz2
import gzip
import io
import lzma
import os
import re
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers.compression import Member, MemberError, find_all, find_member, open_decompressed, sniff

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
ANY_CODEC = pytest.mark.parametrize("name", COMPRESS)
CONTENTS = [b"WARC/one" * 20_000, b"WARC/" + os.urandom(300_000), b"WARC/", bytes(5_000_000), b"end"]


@ANY_CODEC
def test_members_end_where_the_next_begins(name: str) -> None:
    packed = [COMPRESS[name](content) for content in CONTENTS]
    stream = io.BytesIO(b"".join(packed))
    codec = sniff(stream)
    assert codec
    assert codec.name == name
    position = 0
    for content, member_bytes in zip(CONTENTS, map(len, packed), strict=True):
        for num_read in (0, 3, len(content)):
            member = Member(stream, position, codec)
            assert io.BufferedReader(member).read(num_read) == content[:num_read]
            assert member.skip_to_end() == position + member_bytes
        position += member_bytes


@ANY_CODEC
def test_all_members_as_one_stream(name: str) -> None:
    packed = b"".join(COMPRESS[name](content) for content in CONTENTS)
    assert open_decompressed(io.BytesIO(packed)).read() == b"".join(CONTENTS)


def test_a_plain_stream_is_itself() -> None:
    for content in (b"", b"B", b"plain"):
        assert open_decompressed(io.BytesIO(content)).read() == content


@ANY_CODEC
def test_a_cut_is_told_from_damage_and_an_end(name: str) -> None:
    first, second = COMPRESS[name](CONTENTS[0]), COMPRESS[name](CONTENTS[1])
    for cut in (1, 17, len(second) // 2, len(second) - 1):
        stream = open_decompressed(io.BytesIO(first + second[:cut]))
        assert stream.read(len(CONTENTS[0])) == CONTENTS[0]
        with pytest.raises(MemberError) as error:
            stream.read()
        assert (error.value.offset, error.value.reason) == (len(first), "truncated")
    with pytest.raises(MemberError) as error:
        open_decompressed(io.BytesIO(first + b"no member")).read()
    assert (error.value.offset, error.value.reason) == (len(first), "damaged")


@ANY_CODEC
def test_the_next_member_is_found_behind_damage(name: str) -> None:
    first, second = COMPRESS[name](CONTENTS[1]), COMPRESS[name](CONTENTS[0])
    codec = sniff(io.BytesIO(first))
    assert codec
    lure = COMPRESS[name](b"not the content looked for") + first[:8]
    stream = io.BytesIO(first + b"junk" + lure + second)
    assert find_member(stream, 1, codec, re.compile(b"WARC/")) == len(first) + 4 + len(lure)
    assert find_member(stream, len(stream.getvalue()) - 5, codec, re.compile(b"WARC/")) is None


@given(st.lists(st.integers(0, 3_000_000), max_size=6, unique=True), st.integers(0, 2_000_000))
def test_find_all_misses_nothing_at_block_borders(places: list[int], start: int) -> None:
    data = bytearray(3_000_010)
    for place in places:
        data[place : place + 5] = b"magic"
    pattern = re.compile(b"magic")
    expected = [match.start() for match in pattern.finditer(bytes(data)) if match.start() >= start]
    assert list(find_all(io.BytesIO(bytes(data)), start, pattern)) == expected


def test_damage_is_an_error_and_not_silence() -> None:
    for name, compress in COMPRESS.items():
        data = bytearray(compress(CONTENTS[1]))
        data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
        if name == "zstd":  # without a checksum, raw blocks may change unnoticed
            continue
        with pytest.raises(MemberError):
            open_decompressed(io.BytesIO(bytes(data))).read()


SAMPLES = [f"WARC/1.0 record {number} of http://x.org/{number % 7} ".encode() * 4 for number in range(500)]
DICTIONARY = zstandard.train_dictionary(4000, SAMPLES)


def skippable(data: bytes, number: int = 0xD) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize("pack", [bytes, zstandard.compress])
def test_a_dictionary_at_the_beginning(pack: Callable[[bytes], bytes]) -> None:
    compress = zstandard.ZstdCompressor(dict_data=DICTIONARY, write_checksum=True).compress
    packed = [skippable(pack(DICTIONARY.as_bytes())), *map(compress, SAMPLES[:9]), skippable(b"an extension", 3)]
    stream = io.BytesIO(b"".join(packed))
    assert open_decompressed(stream).read() == b"".join(SAMPLES[:9])
    codec = sniff(stream)
    assert codec
    assert Member(stream, len(packed[0]), codec).read() == SAMPLES[0]
    assert Member(stream, 0, codec).skip_to_end() == len(packed[0])
    assert find_member(stream, 1, codec, re.compile(b"WARC/")) == len(packed[0])


@pytest.mark.parametrize(
    "dictionary", [b"", b"\x28\xb5\x2f\xfdnot zstd", b"some other dictionary", b"\x37\xa4\x30\xec" + bytes(20)]
)
def test_a_broken_dictionary_damages_what_needs_it(dictionary: bytes) -> None:
    needs = zstandard.ZstdCompressor(dict_data=DICTIONARY, write_checksum=True).compress(SAMPLES[0])
    stream = io.BytesIO(skippable(dictionary) + needs + zstandard.compress(b"WARC/"))
    start = len(skippable(dictionary))
    codec = sniff(stream)
    assert codec
    with pytest.raises(MemberError) as error:
        Member(stream, start, codec).read()
    assert (error.value.offset, error.value.reason) == (start, "damaged")


def test_a_cut_dictionary() -> None:
    with pytest.raises(MemberError) as error:
        open_decompressed(io.BytesIO(skippable(DICTIONARY.as_bytes())[:-9])).read()
    assert (error.value.offset, error.value.reason) == (0, "truncated")


def test_a_frame_of_a_large_window() -> None:
    window = bytes([(31 - 10) << 3])  # 2 GiB, as `zstd --long=31` writes (RFC 8878 §3.1.1.1.2)
    frame = b"\x28\xb5\x2f\xfd\x00" + window + ((5 << 3) | 1).to_bytes(3, "little") + b"WARC/"
    assert open_decompressed(io.BytesIO(frame * 2)).read() == b"WARC/WARC/"


def test_a_bomb_is_read_in_pieces() -> None:
    packed = zstandard.compress(bytes(400_000_000))
    stream = open_decompressed(io.BytesIO(packed + zstandard.compress(b"end")))
    tracemalloc.start()
    num_bytes = 0
    while piece := stream.read(1 << 20):
        num_bytes += len(piece)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_bytes == 400_000_003
    assert peak_bytes < 40 << 20
