import contextlib
import gzip
import tracemalloc
import zlib

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers.http_response import BodyError, parse

BODY = b"<html>" + b"some words and more words " * 40 + b"</html>"
BROTLI = pa.Codec("brotli").compress(BODY, asbytes=True)
LIMIT = 1 << 20


def chunked(body: bytes, size: int = 100) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def gzipped(body: bytes) -> bytes:
    """The same bytes at any time: they are in the names of tests."""
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("headers", "stored"),
    [
        ("X-Other: 1", BODY),
        ("Content-Encoding: identity", BODY),
        ("Content-Encoding: gzip", gzipped(BODY)),
        ("content-encoding: X-GZIP", gzipped(BODY)),
        ("Content-Encoding: deflate", zlib.compress(BODY)),
        ("Content-Encoding: deflate", raw_deflate(BODY)),
        ("Content-Encoding: br", BROTLI),
        ("Content-Encoding: zstd", zstandard.compress(BODY)),
        ("Content-Encoding: zstd", zstandard.compress(BODY[:100]) + zstandard.compress(BODY[100:])),
        ("Content-Encoding: gzip", gzipped(BODY[:100]) + gzipped(BODY[100:]) + b"trailing"),
        ("Content-Encoding: gzip, gzip", gzipped(gzipped(BODY))),
        ("Transfer-Encoding: chunked", chunked(BODY)),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", chunked(gzipped(BODY))),
        ("Transfer-Encoding: chunked", BODY),  # from here on: stored decoded, under the original header
        ("Content-Encoding: gzip", BODY),
        ("Content-Encoding: deflate", BODY),
        ("Content-Encoding: br", BODY),
        ("Content-Encoding: zstd", BODY),
        ("Content-Encoding: utf-8", BODY),  # servers mean the charset
        ("Transfer-Encoding: chunked\r\nContent-Encoding: br", BODY),
    ],
)
def test_codings_are_undone(headers: str, stored: bytes) -> None:
    response = parse(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{headers}\r\n\r\n".encode() + stored, LIMIT)
    assert response
    assert (response.status, response.headers["content-type"], response.body) == (200, "text/html", BODY)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress", "dcb"])
def test_a_broken_coding_is_an_error(coding: str) -> None:
    begin = {
        "gzip": gzip.compress(BODY)[:12],
        "deflate": b"\x78\x9c",
        "br": BROTLI[:20],
        "zstd": zstandard.compress(BODY)[:9],
    }
    stored = begin.get(coding, b"\x1f\x9d") + b"\xff\x01" * 30
    with pytest.raises(BodyError):
        parse(f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode() + stored, LIMIT)


def test_a_cut_body_gives_what_came() -> None:
    for headers, stored in (
        ("Content-Encoding: gzip", gzip.compress(BODY, 0)),
        ("Transfer-Encoding: chunked", chunked(BODY)),
    ):
        response = parse(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + stored[: len(stored) // 2], LIMIT)
        assert response
        assert len(BODY) // 3 < len(response.body) < len(BODY)
        assert BODY.startswith(response.body)


def test_a_large_body_is_cut_one_byte_over_the_limit() -> None:
    content = bytes(10_000_000)
    brotli = pa.Codec("brotli").compress(content, asbytes=True)
    for coding, bomb in (
        ("gzip", gzip.compress(content)),
        ("gzip", gzip.compress(content[:600]) * 100),
        ("gzip", gzip.compress(content[:1001]) + gzip.compress(content)),
        ("deflate", zlib.compress(content)),
        ("br", brotli),
        ("zstd", zstandard.compress(content)),
    ):
        tracemalloc.start()
        response = parse(f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode() + bomb, 1000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert response
        assert response.body == bytes(1001)
        assert peak_bytes < 2_000_000


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.0 404 Not Found\nA: b\n c\n\n", (404, {"a": "b c"})),
        (b"HTTP/2 200\r\n\r\n", (200, {})),
        (b"HTTP/2.0 200 \r\nA: b\r\n\r\n", (200, {"a": "b"})),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nL: 1\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n",
            (200, {"a": "b"}),
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n", (100, {})),
        (b"ICY 200 OK\r\nA:b\r\n\r\n", (200, {"a": "b"})),
        (b"HTTP/1.1 200 \xe9\r\nA: \xe9\r\nno colon\r\nA: second\r\n\r\n", (200, {"a": "é"})),
    ],
)
def test_heads(head: bytes, expected: tuple[int, dict[str, str]]) -> None:
    response = parse(head + b"body", LIMIT)
    assert response
    assert ((response.status, response.headers), response.body) == (expected, b"body")


@pytest.mark.parametrize("block", [b"", b"<html>", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"\r\n\r\n"])
def test_what_is_no_response(block: bytes) -> None:
    assert parse(block, LIMIT) is None


def test_headers_without_an_end() -> None:
    response = parse(b"HTTP/1.1 200 OK\r\nA: b", LIMIT)
    assert response
    assert (response.headers, response.body) == ({"a": "b"}, b"")
    with pytest.raises(BodyError, match="HTTP headers of more than 262144 bytes"):
        parse(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000, LIMIT)


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "Transfer-Encoding: chunked", "Content-Encoding: zstd, gzip, deflate, br"]),
)
def test_any_body_is_parsed_or_refused(body: bytes, header: str) -> None:
    with contextlib.suppress(BodyError):
        assert parse(f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode() + body, LIMIT)


def test_a_line_of_text_is_no_size_of_a_chunk() -> None:
    body = b"Dear reader, welcome.<br>\nA second line."  # stored decoded; D is a hexadecimal digit
    response = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 1000)
    assert response is not None
    assert response.body == body
