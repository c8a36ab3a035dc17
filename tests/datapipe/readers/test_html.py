import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

ReadRows = Callable[..., list[dict[str, Any]]]


def test_real_pages(shared_data: Path, read_rows: ReadRows) -> None:
    rows = read_rows(shared_data, reader="html", paths=["extraction/html"])
    truth = json.loads((shared_data / "extraction" / "ground-truth.json").read_bytes())
    assert sorted(row["origin"].rpartition("/")[2].removesuffix(".html.gz") for row in rows) == sorted(truth)
    assert {row["drop_reason"] for row in rows} == {None}
    for row in rows:
        assert row["raw"]["file"] == row["origin"]
        data = gzip.decompress((shared_data / row["origin"]).read_bytes())
        assert row["text"] == data.decode(json.loads(row["meta"])["charset"], "replace").replace("\0", "")
        assert row["text"].count("\ufffd") < 20


def test_a_folder_of_everything(tmp_path: Path, read_rows: ReadRows) -> None:
    page = b"<html>" + b"words " * 50
    files = {
        "a.html": page,
        "b/c.HTM": "<meta charset=shift_jis>日本語".encode("shift_jis"),
        "b/d.html.gz": gzip.compress(page),
        "e.xhtml.zst": zstandard.compress(page),
        "f.html": b"",
        "g.html.gz": gzip.compress(page)[:-9],
        "h.html": page * 40,
        "i.html.gz": gzip.compress(page)[:10] + b"\xff" * 20,
        "j.html": gzip.compress(page),  # compressed in spite of its name
        "notes.txt": b"not a page",
    }
    for name, content in files.items():
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / name).write_bytes(content)
    rows = read_rows(tmp_path, reader="html", paths=["pages"], max_bytes=4000)
    outcomes = {row["origin"].removeprefix("pages/"): row["drop_reason"] or row["text"] for row in rows}
    assert outcomes == {
        "a.html": page.decode(),
        "b/c.HTM": "<meta charset=shift_jis>日本語",
        "b/d.html.gz": page.decode(),
        "e.xhtml.zst": page.decode(),
        "f.html": "html.empty",
        "g.html.gz": "html.truncated",
        "h.html": "html.too_large",
        "i.html.gz": "html.damaged",
        "j.html": page.decode(),
    }
