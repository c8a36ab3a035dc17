import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers import arc, warc
from datapipe.readers.split import Input

DATE = "20080430204825"
VERSION_BLOCK = (
    b"filedesc://IA-1.arc 0.0.0.0 20080430204825 text/plain 76\n1 1 InternetArchive\n"
    b"URL IP-address Archive-date Content-type Archive-length\n\n"
)
Pack = Callable[[list[bytes]], bytes]
PACKINGS: dict[str, Pack] = {"plain": b"".join, "gzip": lambda records: b"".join(map(gzip.compress, records))}
ANY_PACKING = pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)


def http(number: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>page {number} {'word ' * number}".encode()


def record(block: bytes, uri: str = "http://x.org/", mime: str = "text/html", more: str = "") -> bytes:
    return f"{uri} 10.0.0.1 {DATE} {mime} {more}{len(block)}\n".encode() + block + b"\n"


PAGES = [record(http(number), f"http://x.org/{number}") for number in range(6)]
TEXTS = [f"<p>page {number} {'word ' * number}" for number in range(6)]


def read_bytes(folder: Path, data: bytes, name: str = "x.arc") -> list[dict[str, Any]]:
    (folder / name).write_bytes(data)
    return list(warc.read(Input(str(folder / name), name, len(data), "print")))


def outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("drop_reason") or row["text"] for row in rows]


@ANY_PACKING
def test_pages_with_url_date_and_place(tmp_path: Path, pack: Pack) -> None:
    data = pack([VERSION_BLOCK, *PAGES])
    rows = read_bytes(tmp_path, data)
    assert outcomes(rows) == TEXTS
    assert [row["origin"] for row in rows] == [f"http://x.org/{number}" for number in range(6)]
    assert '"date": "2008-04-30T20:48:25Z"' in rows[0]["meta"]
    for row in rows:
        cut = data[row["raw"]["offset"] :][: row["raw"]["length"]]
        assert outcomes(read_bytes(tmp_path, cut)) == [row["text"]]


def test_version_two_has_five_more_fields(tmp_path: Path) -> None:
    page = record(http(1), "http://x.org/a", "text/html", more="200 ABCD - 1234 IA-1.arc ")
    (row,) = read_bytes(tmp_path, VERSION_BLOCK + page)
    assert (row["origin"], row["text"]) == ("http://x.org/a", TEXTS[1])


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (record(b"x.org. 1.2.3.4", "dns:x.org", "text/dns"), "warc.not_html"),
        (record(b"HTTP/1.0 404 No\n\n", "http://x.org/no"), "warc.status"),
        (record(b"<html>of a server of 1995</html>", "http://x.org/old"), "<html>of a server of 1995</html>"),
        (record(b"\x89PNG", "http://x.org/i.png", "image/png"), "warc.damaged"),
        (record(b"notes", "ftp://x.org/notes.txt", "text/plain"), "notes"),
        (record(http(1), "http://x.org/a b  c", "text/html; charset=utf-8"), TEXTS[1]),
    ],
)
def test_other_records(tmp_path: Path, data: bytes, outcome: str) -> None:
    rows = read_bytes(tmp_path, VERSION_BLOCK + data + PAGES[0])
    assert outcomes(rows) == [outcome, TEXTS[0]]
    assert rows[0]["origin"].encode() == b" ".join(data.split(b" 10.0.0.1 ")[0].split())


@ANY_PACKING
def test_damage_costs_one_record(tmp_path: Path, pack: Pack) -> None:
    before, after = pack([VERSION_BLOCK, *PAGES[:2]]), pack(PAGES[3:])
    bad = b"x" * 60 + b"\n" if pack is PACKINGS["plain"] else pack([PAGES[2]])[:-20]
    rows = read_bytes(tmp_path, before + bad + after)
    assert outcomes(rows) == [*TEXTS[:2], "warc.damaged", *TEXTS[3:]]
    assert rows[2]["raw"] == {"file": "x.arc", "offset": len(before), "length": None}


@ANY_PACKING
def test_a_cut_is_counted_where_it_is(tmp_path: Path, pack: Pack) -> None:
    end = len(pack([VERSION_BLOCK, *PAGES[:2]]))
    for missing in (4, 30):
        rows = read_bytes(tmp_path, pack([VERSION_BLOCK, *PAGES[:3]])[:-missing])
        assert outcomes(rows) == [*TEXTS[:2], "warc.truncated"]
        assert rows[-1]["raw"]["offset"] == end


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"http://x 1.1.1.1 20080430204825 text/html 5", b"http://x 1.1.1.1 2008 text/html 5\n", b"http://x 1 20080430204825 5\n"],
)  # fmt: skip
def test_what_is_no_header(line: bytes) -> None:
    assert arc.headers(line) is None


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"") + b"\n"))
def test_any_line_is_a_header_or_none(line: bytes) -> None:
    found = arc.headers(line)
    assert found is None or found["content-length"].isdigit()


def test_a_long_line_costs_no_square_of_its_length() -> None:
    assert arc.headers(b"a:b" + b" " * 1_000_000 + b"\n") is None
    assert arc.headers(b"http://" + b"a " * 500_000 + b"\n") is None
    text = b"\nhttp://" + b"a" * 200_000 + b" 1" * 50_000
    assert not arc.RECORD_START.search(text)
