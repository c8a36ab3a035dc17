import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers.archive import MAX_HEADER_BYTES, BadRecord, records

BODY = b"hello"


def record(*lines: str, version: str = "WARC/1.0", end: str = "\r\n", body: bytes = BODY) -> bytes:
    head = [version, *(lines or ("WARC-Type: resource", "WARC-Target-URI: http://x/", f"Content-Length: {len(body)}"))]
    return (end.join(head) + end * 2).encode() + body + (end * 2).encode()


def read(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers and blocks, from a seekable stream and from one that is not, which must agree."""
    stream, found = io.BufferedReader(io.BytesIO(data)), []
    for one in records(stream, len(data)):
        block = stream.read(one.block_bytes)
        assert data[one.block_start :][: one.block_bytes] == block
        found.append((one.headers, block))
    unread = [one.headers for one in records(io.BufferedReader(io.BytesIO(data)))]
    assert unread == [headers for headers, _ in found]
    return found


@pytest.mark.parametrize(
    "version", ["WARC/0.9", "WARC/0.16", "WARC/0.17", "WARC/0.18", "WARC/1.0", "WARC/1.1", "WARC/2.0 "]
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_versions_and_line_ends(version: str, end: str) -> None:
    assert [block for _, block in read(record(version=version, end=end) * 3)] == [BODY] * 3


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (("warc-type: resource", "content-length: 5"), "warc-type", "resource"),
        (("WARC-TYPE:resource", "CONTENT-LENGTH:5"), "warc-type", "resource"),
        (("Content-Length: 5", "X: a", "  b", "\tc"), "x", "a b c"),
        (("Content-Length: 5", "X: a", "X: b", " c"), "x", "a"),
        (("Content-Length: 5", "no colon", " more", "X: ü"), "x", "ü"),
        (("Content-Length: 5 ", "X:"), "x", ""),
    ],
)
def test_headers(lines: tuple[str, ...], name: str, value: str) -> None:
    ((headers, block),) = read(record(*lines))
    assert (headers[name], block) == (value, BODY)


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\n" * 20, b"\r\n" * 900])
def test_blank_lines_between_records(between: bytes) -> None:
    data = record()[:-4] + between
    assert [block for _, block in read(between + data * 3)] == [BODY] * 3


@pytest.mark.parametrize(
    ("bad", "is_cut"),
    [
        (b"junk", False),
        (b"<html>\n", False),
        (b"\n" * 2000, False),
        (b"WARC/1", True),
        (b"WARC/1.0\r\nWARC-Type: reso", True),
        (b"http://x.org 1.1.1", True),
        (record("WARC-Type: resource"), False),
        (record("Content-Length: -1"), False),
        (record("Content-Length: 1e9"), False),
        (record("Content-Length: 500"), True),
        (record("Content-Length: 999999999999999"), True),
        (record("Content-Length: 5", *["X: y"] * (MAX_HEADER_BYTES // 5)), False),
        (b"WARC/1.0\r\nContent-Length: 5\r\n" + b"x" * 2 * MAX_HEADER_BYTES, False),
    ],
)
def test_bad_records(bad: bytes, is_cut: bool) -> None:
    good = record()
    for end in (None, len(good + bad)):
        found = []
        with pytest.raises(BadRecord) as refusal:
            found += [one.start for one in records(io.BufferedReader(io.BytesIO(good + bad)), end)]
        assert refusal.value.is_cut == is_cut
        assert refusal.value.start >= len(good)


@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_a_bad_one(data: bytes) -> None:
    with contextlib.suppress(BadRecord):
        read(data)
