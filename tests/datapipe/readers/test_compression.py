import bz2
import gzip
import io
import lzma
import os
import re
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
    assert find_member(stream, 1, codec, b"WARC/") == len(first) + 4 + len(lure)
    assert find_member(stream, len(stream.getvalue()) - 5, codec, b"WARC/") is None


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
