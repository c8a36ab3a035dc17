"""The measures of the bench on pages whose result is known, and a run without data."""

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from curation.bench import extract as bench_extract


def test_shingles_are_multisets() -> None:
    assert bench_extract.shingles("a b c d a b c d") == Counter(
        {("a", "b", "c", "d"): 2, ("b", "c", "d", "a"): 1, ("c", "d", "a", "b"): 1, ("d", "a", "b", "c"): 1}
    )
    assert bench_extract.shingles("") == Counter({(): 1})
    assert bench_extract.precision_and_recall("a b c d e f", "a b c d e") == (2 / 3, 1.0)


def test_code_counts_when_its_lines_follow_each_other() -> None:
    page = "<pre>a &lt; b\n  c  </pre><pre>one line</pre><pre><b>x</b>\n\ny\xa0z</pre>"
    assert bench_extract.code_blocks(page) == ["a < b\n  c", "x\n\ny z"]
    assert bench_extract.kept_code(page, "text\na < b\n  c\ntext\nx\ny z") == (1, 2)
    assert bench_extract.kept_code(page, "text\na < b\nc\nx\n\ny z") == (1, 2)


def test_formulas_count_without_white_space() -> None:
    page = r"<p>\(x &lt; 1\) and \[ y <br> z \] and \(w\)</p>"
    assert bench_extract.kept_formulas(page, "\\(x<1\\)\n\\[ y\nz \\]") == (2, 3)


def test_without_data_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_extract.main(["--data", str(tmp_path)]) == 0
    assert "no extraction and no mathhtml and no wiki" in capsys.readouterr().out


def archive(path: Path, pages: dict[str, str]) -> None:
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as files:
        for name, page in pages.items():
            member = tarfile.TarInfo(name)
            member.size = len(page.encode())
            files.addfile(member, io.BytesIO(page.encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labelled pages, one with formulas, and one with code in lines that extractors join."""
    article = "A sentence that belongs to the text of this page, with a comma. " * 5
    (tmp_path / "extraction" / "html").mkdir(parents=True)
    for name in ("a", "b"):
        page = f"<html><head></head><body><nav>Home</nav><article><p>{article}{name}</p><p>The end.</p></article></body></html>"
        (tmp_path / "extraction" / "html" / f"{name}.html.gz").write_bytes(gzip.compress(page.encode()))
    truth = {name: {"articleBody": f"{article}{name} The end."} for name in ("a", "b")}
    (tmp_path / "extraction" / "ground-truth.json").write_text(json.dumps(truth))
    page = f"<html><head></head><body><p>{article}</p><p>Let \\(x^2\\) be.</p><pre>a\n\n  b</pre><p>{article}end</p></body></html>"
    archive(
        tmp_path / "mathhtml" / "mpmath.tar.gz",
        {"a.html": page, "b.txt": "no page", "c.html": "<p>nothing to keep</p>"},
    )
    archive(tmp_path / "wiki" / "sqlite3-doc.tar.gz", {f"{number}.html": page for number in range(5)})
    return tmp_path


def test_a_run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_extract, "MAX_OVERHEAD", 1e9)
    assert bench_extract.main(["--data", str(data), "--repeat", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:7] == ["tokenloom", "1.000", "1.000", "1.000", "100.0%", "100.0%", "100.0%"]
    assert lines[2].split()[:6] == ["trafilatura", "1.000", "1.000", "1.000", "0.0%", "0.0%"]
    monkeypatch.setattr(bench_extract, "MAX_OVERHEAD", 0.0)
    assert bench_extract.main(["--data", str(data), "--repeat", "1"]) == 1


def test_pages_are_thinned_out_evenly(data: Path) -> None:
    assert len(bench_extract.archived_pages(data / "mathhtml" / "mpmath.tar.gz", 9)) == 1
    assert [len(bench_extract.archived_pages(data / "wiki" / "sqlite3-doc.tar.gz", most)) for most in (1, 2, 3, 9)] == [
        1,
        2,
        3,
        5,
    ]
