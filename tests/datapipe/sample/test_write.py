import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

import datapipe
from datapipe.sample import SampleError, write, write_sample

MAX_BYTES = 2_500_000
SCRIPT = f"import sys; from datapipe.sample import write_sample; write_sample(sys.argv[1], max_bytes={MAX_BYTES})"


@pytest.fixture(scope="module")
def progress() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[str, int, int]]) -> Path:
    out = tmp_path_factory.mktemp("sample")
    report = write_sample(str(out), max_bytes=MAX_BYTES, progress=lambda *told: progress.append(told))
    assert not report.reused
    assert 0.8 * MAX_BYTES < sum(report.bytes.values()) <= MAX_BYTES
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_sample_is_redone_to_the_same_bytes_in_any_process(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "sample.partial").touch()
    for leftover in ("web/pages-000.warc.gz", "books/books-009.jsonl.gz.partial", "repos/gone-1.0/repo.json"):
        (tmp_path / leftover).parent.mkdir(parents=True)
        (tmp_path / leftover).write_bytes(b"half")
    elsewhere = {
        "PYTHONHASHSEED": "1",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "HOME": "/",
        "PYTHONPATH": str(Path(datapipe.__file__).parents[1]),
    }
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd="/", env={**os.environ, **elsewhere}, check=True)
    redone, undisturbed = contents(tmp_path), contents(sample)
    assert redone.keys() == undisturbed.keys()
    assert [name for name in redone if redone[name] != undisturbed[name]] == []


def test_a_second_call_finds_the_sample(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "write_classes", lambda *_: pytest.fail("the sample was written again"))
    report = write_sample(str(sample), max_bytes=MAX_BYTES)
    assert report.reused
    assert report.files == len(contents(sample)) - 1
    assert list(report.documents) == ["web", "math", "repos", "books", "history", "packages"]


def test_a_sample_that_lost_a_file_is_not_complete(sample: Path) -> None:
    finished = write.read_finished(sample)
    assert finished is not None
    assert write.is_complete(sample, finished)
    finished["classes"]["math"]["files"]["math/formulas-099.warc.gz"] = 10
    assert not write.is_complete(sample, finished)


def test_warc_files_hold_valid_records_of_pages_and_of_what_else_a_crawl_has(sample: Path) -> None:
    told = json.loads((sample / "sample.json").read_text())["classes"]
    for name in ("web", "math"):
        statuses, pages, licensed, ids = [], 0, 0, []
        for path in sorted((sample / name).glob("*.warc.gz")):
            records = ArchiveIterator(path.open("rb"), parse_http=False)
            kinds = []
            for record in records:
                kinds.append(record.record_type)
                ids.append(record.headers["WARC-Record-ID"])
                if record.record_type != WarcRecordType.response:
                    continue
                assert record.verify_block_digest(consume=False)
                record.parse_http()
                assert record.verify_payload_digest(consume=False)
                assert record.headers["WARC-Target-URI"].partition("/")[0] == "https:"
                assert ".example/" in record.headers["WARC-Target-URI"]
                statuses.append(record.http_headers.status_code)
                if statuses[-1] == 200 and record.http_content_type == "text/html":
                    pages += 1
                    licensed += "X-License" in record.headers
                    page = record.reader.read().decode(record.http_charset)
                    assert "<nav" in page
                    assert "cookies" in page
            assert kinds[0] == WarcRecordType.warcinfo
            assert kinds.count(WarcRecordType.warcinfo) == 1
        assert len(set(ids)) == len(ids)
        assert pages == told[name]["documents"]
        assert licensed == pages - told[name]["licenses"].get("unknown", 0)
        assert {200, 301, 404} <= set(statuses) if name == "web" else set(statuses) == {200}


def test_formulas_stay_latex(sample: Path) -> None:
    text = b"".join(gzip.decompress(path.read_bytes()) for path in sorted((sample / "math").glob("*.warc.gz")))
    assert text.count(b"\\(") > 100
    assert text.count(b"\\[") > 10


def test_repositories_say_what_they_are(sample: Path) -> None:
    folders = sorted((sample / "repos").iterdir())
    assert len(folders) > 50
    for folder in folders:
        facts = json.loads((folder / "repo.json").read_text())
        assert set(facts) == {"name", "version", "license", "summary"}
        assert folder.name == f"{facts['name']}-{facts['version']}"
    licenses = [json.loads((folder / "repo.json").read_text())["license"] for folder in folders]
    assert {"MIT", "Apache-2.0", "BSD-3-Clause", "PSF-2.0"} <= set(licenses)


def test_books_are_long_and_tell_their_origin(sample: Path) -> None:
    books = [
        json.loads(line)
        for path in sorted((sample / "books").glob("*.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert all(
        set(book) == {"text", "title", "origin", "license"} and book["title"] and book["origin"] for book in books
    )
    assert len({book["origin"] for book in books}) == len(books)
    assert max(len(book["text"]) for book in books) > 50_000
    assert any(book["title"].startswith("The Python") and "Lexical analysis" in book["text"] for book in books)


def test_progress_of_every_class_grows_to_its_end(sample: Path, progress: list[tuple[str, int, int]]) -> None:
    for name in write.SHARES:
        steps = [(done, total) for told, done, total in progress if told == name]
        done = [done for done, _ in steps]
        assert done == sorted(done)
        assert steps[-1][0] == steps[-1][1] > 0


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SampleError, match="name an empty folder"):
        write_sample(str(tmp_path))
    assert contents(tmp_path) == {"thesis.txt": b"mine"}
    with pytest.raises(SampleError, match="is a file"):
        write_sample(str(tmp_path / "thesis.txt"))


@pytest.mark.parametrize(
    ("out", "max_bytes", "words"), [("s3://bucket/sample", 5_000_000, "local folder"), ("x", 5, "1000000 or more")]
)
def test_what_cannot_be_a_sample_is_refused(out: str, max_bytes: int, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        write_sample(out, max_bytes=max_bytes)
