import collections
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe import readers, store
from datapipe.readers import warc
from datapipe.readers.split import Input

ReadRows = Callable[..., list[dict[str, Any]]]
REAL_FILES = ("archiveorg-2008.warc.gz", "issue-493.warc", "example.txt.warc.gz")


def record(
    block: bytes, *, type: str = "response", uri: str = "http://x.org/", content_type: str | None = None, **headers: str
) -> bytes:
    """A WARC/1.1 record."""
    kinds = {"response": "application/http; msgtype=response", "conversion": "text/plain", "resource": "text/html"}
    fields = {
        "WARC-Type": type,
        "WARC-Target-URI": uri,
        "WARC-Date": "2026-01-02T03:04:05Z",
        "Content-Type": content_type or kinds.get(type, "application/warc-fields"),
        "Content-Length": str(len(block)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return b"WARC/1.1\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(body: bytes, content_type: str = "text/html", status: int = 200, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{more}\r\n".encode() + body


def with_line_feeds(data: bytes) -> bytes:
    """The record with bare line feeds in its own header."""
    head, end, block = data.partition(b"\r\n\r\n")
    return (head + end).replace(b"\r\n", b"\n") + block


def page(number: int) -> bytes:
    body = f"<html><body>page {number} {'word ' * (number * 37 % 101)}</body></html>".encode()
    return record(http(body), uri=f"http://x.org/{number}")


PAGES = [page(number) for number in range(12)]
PACKINGS: dict[str, Callable[[list[bytes]], bytes]] = {
    "plain": b"".join,
    "gzip": lambda records: b"".join(map(gzip.compress, records)),
    "zstd": lambda records: b"".join(map(zstandard.compress, records)),
}
ANY_PACKING = pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    return list(warc.read(Input(str(path), path.name, path.stat().st_size, "print"), **options))


def read_bytes(folder: Path, data: bytes, **options: Any) -> list[dict[str, Any]]:
    path = folder / "x.warc"
    path.write_bytes(data)
    return read(path, **options)


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows if not row.get("drop_reason")]


def reasons(rows: list[dict[str, Any]]) -> list[str]:
    return [row["drop_reason"] for row in rows if row.get("drop_reason")]


@pytest.fixture(scope="module")
def page_texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    found = texts(read_bytes(tmp_path_factory.mktemp("pages"), b"".join(PAGES)))
    assert len(found) == len(PAGES)
    return found


@pytest.mark.parametrize("name", REAL_FILES)
def test_counts_agree_with_another_reader(shared_data: Path, name: str) -> None:
    fastwarc = pytest.importorskip("fastwarc.warc")
    expected: collections.Counter[str] = collections.Counter()
    pages = []
    kinds = fastwarc.WarcRecordType.response | fastwarc.WarcRecordType.revisit
    with open(shared_data / "warc" / name, "rb") as stream:
        for each in fastwarc.ArchiveIterator(stream, record_types=kinds, parse_http=True, auto_decode="all"):
            body = each.reader.read()
            if each.record_type == fastwarc.WarcRecordType.revisit:
                expected["warc.revisit"] += 1
            elif each.is_http and each.http_headers.status_code != 200:
                expected["warc.status"] += 1
            elif not body.strip():
                expected["warc.empty"] += 1
            elif not each.is_http or each.http_content_type != "text/html":
                expected["warc.not_html"] += 1
            else:
                pages.append((each.headers["WARC-Target-URI"], body))
    rows = read(shared_data / "warc" / name)
    assert collections.Counter(reasons(rows)) == expected
    kept = [row for row in rows if not row.get("drop_reason")]
    assert [row["origin"] for row in kept] == [uri for uri, _ in pages]
    for row, (_, body) in zip(kept, pages, strict=True):
        assert row["text"] == body.decode(json.loads(row["meta"])["charset"], "replace").replace("\0", "")


@pytest.mark.parametrize("name", REAL_FILES)
def test_raw_cuts_the_record_out_again(shared_data: Path, tmp_path: Path, name: str) -> None:
    data = (shared_data / "warc" / name).read_bytes()
    for row in read(shared_data / "warc" / name)[::10]:
        assert row["raw"]["file"] == name
        (again,) = read_bytes(tmp_path, data[row["raw"]["offset"] :][: row["raw"]["length"]])
        assert (again["origin"], again["text"]) == (row["origin"], row["text"])
        assert again["raw"]["length"] == row["raw"]["length"]


@pytest.mark.parametrize("name", REAL_FILES[:2])
@pytest.mark.parametrize("thousandths", [1, 90, 333, 500, 667, 900, 999])
def test_a_cut_real_file_keeps_what_is_before_the_cut(
    shared_data: Path, tmp_path: Path, name: str, thousandths: int
) -> None:
    data = (shared_data / "warc" / name).read_bytes()
    whole = read(shared_data / "warc" / name)
    cut = len(data) * thousandths // 1000
    rows = read_bytes(tmp_path, data[:cut])
    before = [row for row in whole if row["raw"]["offset"] + row["raw"]["length"] <= cut]
    assert texts(rows)[: len(texts(before))] == texts(before)
    assert len(texts(rows)) <= len(texts(before)) + 1
    assert reasons(rows)[-1:] == ["warc.truncated"]


@ANY_PACKING
def test_every_cut_keeps_every_record_before_it(
    tmp_path: Path, page_texts: list[str], pack: Callable[[list[bytes]], bytes]
) -> None:
    data = pack(PAGES[:3])
    ends = [len(pack(PAGES[:count])) for count in range(4)]
    for cut in range(8, len(data), 7):  # fewer bytes do not tell the compression
        rows = read_bytes(tmp_path, data[:cut])
        num_whole = sum(end <= cut for end in ends[1:])
        assert texts(rows)[:num_whole] == page_texts[:num_whole]
        if cut in ends:
            assert reasons(rows) == []
        elif pack is not PACKINGS["plain"]:
            assert (len(rows), reasons(rows)) == (num_whole + 1, ["warc.truncated"])
            assert rows[-1]["raw"]["offset"] == json.loads(rows[-1]["meta"])["offset"] == ends[num_whole]


def test_a_plain_record_is_lost_only_if_the_cut_is_in_it(tmp_path: Path, page_texts: list[str]) -> None:
    end = len(PAGES[0])
    for cut, expected in (
        (end + 30, ["warc.truncated"]),
        (end + len(PAGES[1]) - 20, ["warc.truncated"]),
        (end + len(PAGES[1]) - 2, []),
    ):
        rows = read_bytes(tmp_path, b"".join(PAGES[:2])[:cut])
        assert texts(rows) == page_texts[: 1 if expected else 2]
        assert reasons(rows) == expected


@ANY_PACKING
@pytest.mark.parametrize("depth", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_damage_costs_one_record(
    tmp_path: Path, page_texts: list[str], pack: Callable[[list[bytes]], bytes], depth: float
) -> None:
    before, hurt, after = pack(PAGES[:5]), bytearray(pack([PAGES[5]])), pack(PAGES[6:])
    at = int(len(hurt) * depth)
    hurt[at : at + 5] = b"\xff\x00\xff\x00\xff"
    rows = read_bytes(tmp_path, before + hurt + after)
    others = [text for text in texts(rows) if text in page_texts]
    assert [text for text in page_texts if text in others and text != page_texts[5]] == page_texts[:5] + page_texts[6:]
    if pack is PACKINGS["gzip"]:  # which has a checksum
        assert reasons(rows) == ["warc.damaged"]
        assert len(rows) == len(PAGES)


@ANY_PACKING
@pytest.mark.parametrize(
    "junk", [b"\0" * 5000, b"<html>not a record</html>\r\n", b"\x1f\x8b\x08\x00", b"WARC/1.1\r\n\r\n"]
)
def test_junk_between_records_is_one_damage(
    tmp_path: Path, page_texts: list[str], pack: Callable[[list[bytes]], bytes], junk: bytes
) -> None:
    rows = read_bytes(tmp_path, pack(PAGES[:4]) + junk + pack(PAGES[4:]))
    assert texts(rows) == page_texts
    assert reasons(rows) == ["warc.damaged"]


def test_a_length_that_lies_costs_its_own_record(tmp_path: Path, page_texts: list[str]) -> None:
    length = f"Content-Length: {len(PAGES[1].partition(b'HTTP/')[2]) + 1}".encode()
    for lie in (b"Content-Length: 3", b"Content-Length: 99999999", b"Content-Length: 12x", b"X-Length: 9"):
        lying = PAGES[1].replace(length, lie)
        lying = (
            lying if lying != PAGES[1] else PAGES[1].replace(b"Content-Length", b"Content-Length: 99999999\r\nX-Old")
        )
        rows = read_bytes(tmp_path, b"".join([PAGES[0], lying, *PAGES[2:]]))
        assert texts(rows) == [page_texts[0], *page_texts[2:]]
        assert "warc.damaged" in reasons(rows)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage_never_stops_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    pack = PACKINGS[data.draw(st.sampled_from(sorted(PACKINGS)))]
    raw = bytearray(pack(PAGES[:6]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    rows = read_bytes(tmp_path, bytes(raw))
    assert all(row["origin"] for row in rows)
    assert len(rows) <= 20


def test_all_packings_hold_the_same(tmp_path: Path, page_texts: list[str]) -> None:
    packed = {name: pack(PAGES) for name, pack in PACKINGS.items()}
    packed["one gzip member"] = gzip.compress(b"".join(PAGES))
    for name, data in packed.items():
        rows = read_bytes(tmp_path, data)
        assert texts(rows) == page_texts, name
        assert not reasons(rows)


def test_a_cut_single_member_keeps_the_records_before(tmp_path: Path, page_texts: list[str]) -> None:
    data = gzip.compress(b"".join(PAGES), compresslevel=0)
    rows = read_bytes(tmp_path, data[: len(data) * 2 // 3])
    assert texts(rows) == page_texts[: len(texts(rows))]
    assert len(texts(rows)) >= 6
    assert reasons(rows) == ["warc.truncated"]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"])
def test_a_large_record_is_never_held(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    huge = record(http(b"<html>" + b"\0" * 100_000_000), uri="http://x.org/huge")
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(map(compress, [PAGES[0], huge, PAGES[1]])))
    del huge
    tracemalloc.start()
    rows = read(path, max_record_bytes=1 << 20)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reasons(rows) == ["warc.too_large"]
    assert len(texts(rows)) == 2
    assert peak_bytes < 48 << 20


def test_a_body_that_decodes_to_too_much(tmp_path: Path) -> None:
    bomb = record(http(gzip.compress(bytes(50_000_000)), more="Content-Encoding: gzip\r\n"))
    tracemalloc.start()
    rows = read_bytes(tmp_path, bomb, max_record_bytes=1 << 20)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reasons(rows) == ["warc.too_large"]
    assert peak_bytes < 8 << 20


HTML = b"<html>hi</html>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record(http(HTML, status=301)), "warc.status"),
        (record(http(HTML, status=404)), "warc.status"),
        (record(http(HTML, status=206)), "warc.status"),
        (record(http(b"x", content_type="image/png")), "warc.not_html"),
        (record(http(b"x", content_type="text/plain")), "warc.not_html"),
        (record(b"x.org 1.2.3.4", content_type="text/dns"), "warc.not_html"),
        (record(b"HTTP/1.1 200 OK\r\n\r\nplain words"), "warc.not_html"),
        (record(http(b"")), "warc.empty"),
        (record(http(b" \r\n ")), "warc.empty"),
        (record(b""), "warc.empty"),
        (record(b"", type="revisit"), "warc.revisit"),
        (record(b"not http at all"), "warc.damaged"),
        (
            record(http(gzip.compress(b"x")[:10] + b"\xff" * 60, more="Content-Encoding: gzip\r\n")),
            "warc.damaged",
        ),
        (record(http(HTML), type="continuation", WARC_Segment_Number="2"), "warc.segment"),
        (record(http(HTML), WARC_Segment_Number="1"), "warc.segment"),
        (record(http(HTML), type="screenshot"), "warc.unknown"),
        (record(http(HTML)).replace(b"WARC-Type", b"Warped-Type"), "warc.damaged"),
        (record(http(zstandard.compress(HTML)[:4] + b"\xff" * 40, more="Content-Encoding: zstd\r\n")), "warc.damaged"),
        (record(http(HTML, more="X: y\r\n" * 50_000)), "warc.damaged"),
        (record(b"", type="conversion"), "warc.empty"),
        (record(b"%PDF", type="resource", content_type="application/pdf"), "warc.not_html"),
        (record(b"a: b", type="metadata"), None),
        (record(b"GET / HTTP/1.1\r\n\r\n", type="request"), None),
    ],
)
def test_what_is_no_page(tmp_path: Path, data: bytes, reason: str | None) -> None:
    rows = read_bytes(tmp_path, PAGES[0] + data + PAGES[1])
    assert reasons(rows) == ([reason] if reason else [])
    assert len(texts(rows)) == 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (record(http(HTML, content_type="Text/HTML; charset=utf-8")), "<html>hi</html>"),
        (record(http(HTML, content_type="application/xhtml+xml")), "<html>hi</html>"),
        (record(b"HTTP/1.1 200 OK\r\n\r\n <!DOCTYPE html>no type"), " <!DOCTYPE html>no type"),
        (record(b"HTTP/1.0 200 OK\nContent-Type: text/html\n\n<p>bare line ends"), "<p>bare line ends"),
        (record(b"<p>saved", type="resource"), "<p>saved"),
        (record(b"HTTP/2 200\r\ncontent-type: text/html\r\n\r\n<p>two"), "<p>two"),
        (record(b"<html>without status line"), "<html>without status line"),
        (record(http(HTML), content_type="Application/HTTP;msgtype=response"), "<html>hi</html>"),
        (record(http(HTML)).replace(b"WARC/1.1", b"WARC/0.17"), "<html>hi</html>"),
        (with_line_feeds(record(http(HTML))), "<html>hi</html>"),
        (record(http(HTML)).replace(b"WARC-Type", b"warc-type").replace(b"Content-Length", b"content-length"), "<html>hi</html>"),
        (record("wörter".encode(), type="conversion"), "wörter"),
        (record(http("<p>schön".encode("latin-1"), content_type="text/html; charset=ISO-8859-1")), "<p>schön"),
        (record(http("<meta charset=shift_jis>日本語".encode("shift_jis"))), "<meta charset=shift_jis>日本語"),
        (record(http(b"<p>\0nul")), "<p>nul"),
    ],
)  # fmt: skip
def test_what_is_a_page(tmp_path: Path, data: bytes, text: str) -> None:
    (row,) = read_bytes(tmp_path, data)
    assert not row.get("drop_reason")
    assert row["text"].replace("\0", "") == text


def test_licence_date_and_charset_are_kept(tmp_path: Path) -> None:
    (row,) = read_bytes(tmp_path, record(http(HTML), uri="<http://x.org/a>", X_License="MIT"))
    assert (row["license"], row["origin"]) == ("MIT", "http://x.org/a")
    assert json.loads(row["meta"]) == {"charset": "utf-8", "date": "2026-01-02T03:04:05Z"}


def test_what_the_crawler_cut_is_told(tmp_path: Path) -> None:
    (row,) = read_bytes(tmp_path, record(http(HTML), WARC_Truncated="length"))
    assert (row["text"], json.loads(row["meta"])["truncated"]) == ("<html>hi</html>", "length")


def test_records_of_one_member_are_told_apart(tmp_path: Path) -> None:
    nameless = [one.replace(b"WARC-Target-URI", b"X-Other") for one in PAGES[:3]]
    rows = read_bytes(tmp_path, gzip.compress(b"".join(nameless)) + gzip.compress(nameless[0]))
    offset = len(gzip.compress(b"".join(nameless)))
    assert [row["origin"] for row in rows] == ["x.warc#0", "x.warc#0.1", "x.warc#0.2", f"x.warc#{offset}"]
    assert [json.loads(row["meta"]).get("record", 0) for row in rows] == [0, 1, 2, 0]
    assert [row["raw"]["length"] is None for row in rows] == [True, True, True, False]


@pytest.mark.parametrize("edit", [
    lambda data: data.replace(b"WARC/1.1", b"WARC/0.18"),
    lambda data: data.replace(b"WARC-", b"warc-").replace(b"Content-", b"content-"),
    with_line_feeds,
], ids=["draft", "lower case", "line feeds"])  # fmt: skip
@ANY_PACKING
def test_reading_goes_on_behind_damage_in_every_dialect(
    tmp_path: Path, page_texts: list[str], pack: Callable[[list[bytes]], bytes], edit: Callable[[bytes], bytes]
) -> None:
    pages = [edit(one) for one in PAGES[:6]]
    rows = read_bytes(tmp_path, pack(pages[:3]) + b"\0junk" * 9 + pack(pages[3:]))
    assert texts(rows) == page_texts[:6]
    assert reasons(rows) == ["warc.damaged"]


def test_a_dictionary_of_the_file(tmp_path: Path, page_texts: list[str]) -> None:
    dictionary = zstandard.train_dictionary(2000, [page(number) for number in range(300)])
    compress = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True).compress
    data = zstandard.compress(dictionary.as_bytes())
    first = b"\x5d\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data
    members = list(map(compress, PAGES))
    rows = read_bytes(tmp_path, first + b"".join(members))
    assert texts(rows) == page_texts
    assert not reasons(rows)
    assert rows[1]["raw"] == {"file": "x.warc", "offset": len(first) + len(members[0]), "length": len(members[1])}
    members[3] = members[3][:-6] + bytes(6)
    rows = read_bytes(tmp_path, first + b"".join(members))
    assert texts(rows) == page_texts[:3] + page_texts[4:]
    assert reasons(rows) == ["warc.damaged"]


def test_text_of_a_real_crawl_as_wet(shared_data: Path, tmp_path: Path) -> None:
    pages = [row for row in read(shared_data / "warc" / REAL_FILES[0]) if not row.get("drop_reason")]
    data = [gzip.compress(record(row["text"].encode(), type="conversion", uri=row["origin"])) for row in pages]
    (tmp_path / "x.warc.wet.gz").write_bytes(b"".join(data))
    rows = read(tmp_path / "x.warc.wet.gz")
    assert [(row["origin"], row["text"]) for row in rows] == [(row["origin"], row["text"]) for row in pages]


@pytest.mark.parametrize("name", REAL_FILES)
def test_every_dropped_record_says_where_and_why(shared_data: Path, name: str) -> None:
    data = (shared_data / "warc" / name).read_bytes()
    rows = read(shared_data / "warc" / name)
    starts = (b"\x1f\x8b\x08", b"WARC/")
    assert all(data[row["raw"]["offset"] :].startswith(starts) for row in rows)
    dropped = [json.loads(row["meta"]) for row in rows if row.get("drop_reason") in ("warc.status", "warc.not_html")]
    assert all("status" in meta or "content_type" in meta for meta in dropped)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b"") == []


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    assert reasons(read_bytes(tmp_path, b"<Error>AccessDenied</Error>")) == ["warc.damaged"]
    assert reasons(read_bytes(tmp_path, gzip.compress(b"<html>"))) == ["warc.damaged"]


def test_s3_and_local_read_alike(s3: str, tmp_path: Path, read_rows: ReadRows) -> None:
    data = PACKINGS["gzip"](PAGES * 50)
    store.write_bytes(f"{s3}/crawl/a.warc.gz", data[:-3])
    store.write_bytes(f"{tmp_path}/crawl/a.warc.gz", data[:-3])
    there, here = (read_rows(root, reader="warc", paths=["crawl/*.gz"]) for root in (s3, tmp_path))
    assert there == here
    assert len(there) == 600


def test_an_outage_is_not_damage(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = io.BytesIO(b"".join(PAGES) + record(http(bytes(9 << 20))) * 3)
    store.write_bytes(f"{s3}/outage/a.warc", noise.getvalue())
    (split,) = readers.list_splits({"reader": "warc", "paths": ["outage/a.warc"]}, s3)
    rows = warc.read(split.inputs[0])
    next(rows)
    store.remove_tree(f"{s3}/outage")
    with pytest.raises(store.StoreError):
        list(rows)
