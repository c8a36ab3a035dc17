import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from datapipe import readers, s3_reads, store
from datapipe.readers import places
from datapipe.readers.places import Place

ReadRows = Callable[..., list[dict[str, Any]]]
REAL_FILES = ("archiveorg-2008.warc.gz", "issue-493.warc", "example.txt.warc.gz")


def page(number: int) -> bytes:
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>page {number} {'word ' * number}".encode()
    head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: {len(body)}\r\n"
    uri = f"WARC-Target-URI: http://x.org/{number}\r\n" if number % 3 else ""
    return f"{head}{uri}\r\n".encode() + body + b"\r\n\r\n"


def with_dictionary(records: list[bytes]) -> bytes:
    dictionary = zstandard.train_dictionary(2000, [bytes(page(number)) for number in range(200)])
    pack = zstandard.ZstdCompressor(dict_data=dictionary).compress
    data = dictionary.as_bytes()
    return b"\x5d\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data + b"".join(map(pack, records))


PAGES = [page(number) for number in range(30)]
LINES = [json.dumps({"text": f"<p>line {number}", "id": number}).encode() for number in range(100)]
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "plain.warc": ("warc", lambda: b"".join(PAGES)),
    "each.warc.gz": ("warc", lambda: b"".join(map(gzip.compress, PAGES))),
    "one-member.warc.gz": ("warc", lambda: gzip.compress(b"".join(PAGES))),
    "both.warc.gz": ("warc", lambda: gzip.compress(b"".join(PAGES[:9])) + b"".join(map(gzip.compress, PAGES[9:]))),
    "each.warc.zst": ("warc", lambda: b"".join(map(zstandard.compress, PAGES))),
    "dictionary.warc.zst": ("warc", lambda: with_dictionary(PAGES)),
    "x.html.gz": ("html", lambda: gzip.compress("<meta charset=koi8-r>страница".encode("koi8-r"))),
    "x.jsonl": ("jsonl", lambda: b"\n".join(LINES)),
    "x.jsonl.gz": ("jsonl", lambda: gzip.compress(b"\n".join(LINES[:50]) + b"\n") + gzip.compress(b"\n".join(LINES[50:]))),
}  # fmt: skip
ANY_FILE = pytest.mark.parametrize("name", FILES)


def replaced(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kept documents, as a later stage sees them: with another text, in another order, with more in `meta`."""
    kept = [row for row in rows if not row["drop_reason"]]
    return [{**row, "text": "", "meta": json.dumps({**json.loads(row["meta"]), "title": "t"})} for row in kept[::-1]]


def check(source: dict[str, Any], root: object, rows: list[dict[str, Any]]) -> None:
    documents = replaced(rows)
    texts = {row["id"]: row["text"] for row in rows}
    assert documents
    assert readers.read_raw_rows(source, str(root), documents) == [texts[one["id"]] for one in documents]
    for one in documents[:: max(1, len(documents) // 5)]:
        assert readers.read_raw(source, str(root), one) == texts[one["id"]]


@ANY_FILE
def test_every_document_again(tmp_path: Path, read_rows: ReadRows, name: str) -> None:
    reader, content = FILES[name]
    (tmp_path / name).write_bytes(content())
    source = {"reader": reader, "paths": [name]}
    rows = read_rows(tmp_path, **source)
    assert len({row["id"] for row in rows}) == len(rows) == {"warc": 30, "html": 1, "jsonl": 100}[reader]
    check(source, tmp_path, rows)


def test_parquet_rows_again(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(
        pa.table({"html": [f"<p>{number}" for number in range(50)]}), tmp_path / "x.parquet", row_group_size=7
    )
    source = {"reader": "parquet", "paths": ["*.parquet"], "text_key": "html"}
    check(source, tmp_path, read_rows(tmp_path, **source))


@pytest.mark.data
def test_real_crawls_again(shared_data: Path, read_rows: ReadRows) -> None:
    source = {"reader": "warc", "paths": [f"warc/{name}" for name in REAL_FILES]}
    check(source, shared_data, read_rows(shared_data, **source))


@pytest.mark.parametrize("paths", [["{root}/crawl/*.gz"], ["./crawl"], ["{root}/other/*", "crawl/*"], ["all.paths"]])
def test_files_are_found_however_the_manifest_names_them(tmp_path: Path, read_rows: ReadRows, paths: list[str]) -> None:
    for folder, part in (("crawl", PAGES[:5]), ("other", PAGES[5:9])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.warc.gz").write_bytes(b"".join(map(gzip.compress, part)))
    (tmp_path / "all.paths").write_text("crawl.warc.gz")
    source: dict[str, Any] = {"reader": "warc", "paths": [path.format(root=tmp_path) for path in paths]}
    if paths == ["all.paths"]:
        source["base"] = "crawl"
    check(source, tmp_path, read_rows(tmp_path, **source))


def test_a_file_that_changed_is_an_error(tmp_path: Path, read_rows: ReadRows) -> None:
    path, source = tmp_path / "x.warc.gz", {"reader": "warc", "paths": ["x.warc.gz"]}
    path.write_bytes(b"".join(map(gzip.compress, PAGES)))
    documents = read_rows(tmp_path, **source)
    for content in (b"".join(map(gzip.compress, PAGES[::-1])), path.read_bytes()[::-1]):
        path.write_bytes(content)
        with pytest.raises(store.StoreError, match="the file has changed: build the corpus again"):
            readers.read_raw(source, str(tmp_path), documents[4])
    plain = {"reader": "warc", "paths": ["x.warc"]}
    (tmp_path / "x.warc").write_bytes(PAGES[1])
    (before,) = read_rows(tmp_path, **plain)
    (tmp_path / "x.warc").write_bytes(PAGES[1].replace(b"x.org", b"y.org"))
    with pytest.raises(store.StoreError, match=r"holds no page http://x.org/1 at byte or row 0"):
        readers.read_raw(plain, str(tmp_path), before)
    path.write_bytes(b"")
    with pytest.raises(store.StoreError, match=r"ends at byte \d+, \d+ are needed"):
        readers.read_raw(source, str(tmp_path), documents[4])
    path.unlink()
    with pytest.raises(store.StoreError, match="no such file"):
        readers.read_raw(source, str(tmp_path), documents[4])


def test_what_cannot_be_read_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reader 'tree' cannot read a document again"):
        readers.read_raw({"reader": "tree", "paths": ["x"]}, "", {"origin": "x", "raw": None})
    with pytest.raises(ValueError, match="x does not say where it was read from"):
        readers.read_raw({"reader": "warc", "paths": ["x"]}, "", {"origin": "x", "raw": None})


@ANY_FILE
def test_s3(s3: str, read_rows: ReadRows, name: str) -> None:
    reader, content = FILES[name]
    store.write_bytes(f"{s3}/again/{name}", content())
    for paths, root in ((["again/*"], s3), ([f"{s3}/again/{name}"], "/nowhere")):
        source = {"reader": reader, "paths": [path.replace("*", name) for path in paths]}
        check(source, root, read_rows(root, **source))


def test_one_page_from_s3_costs_its_own_bytes(s3: str, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(map(gzip.compress, PAGES))
    store.write_bytes(f"{s3}/one/x.warc.gz", data)
    source = {"reader": "warc", "paths": ["one/x.warc.gz"]}
    documents = replaced(read_rows(s3, **source))
    asked: list[tuple[int, int]] = []
    fetch = s3_reads.read_range
    monkeypatch.setattr(
        s3_reads, "read_range", lambda path, start, stop, **_: asked.append((start, stop)) or fetch(path, start, stop)
    )
    readers.read_raw(source, s3, documents[3])
    raw = documents[3]["raw"]
    assert asked == [(raw["offset"], raw["offset"] + raw["length"])]
    asked.clear()
    readers.read_raw_rows(source, s3, documents)
    assert asked == [(0, len(data))]


def test_neighbours_share_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 40
    (tmp_path / "x").write_bytes(data)
    monkeypatch.setattr(places, "MAX_GAP_BYTES", 10)
    monkeypatch.setattr(places, "MAX_RUN_BYTES", 500)
    asked: list[tuple[int, int]] = []
    fetch = store.read_range
    monkeypatch.setattr(
        store, "read_range", lambda path, start, stop: asked.append((start, stop)) or fetch(path, start, stop)
    )
    wanted = [Place(0, 10), Place(20, 5), Place(36, 4), Place(40, 440), Place(480, 30), Place(3000, 2000)]
    found = dict(places.contents(str(tmp_path / "x"), wanted[::-1]))
    assert found == {place: data[place.offset :][: place.length] for place in wanted}
    assert asked == [(0, 25), (36, 510), (3000, 5000)]
