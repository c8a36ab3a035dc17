"""Papers as arXiv hands them out: single, packed, by the thousand, and broken."""

import gzip
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from datapipe.readers import latex
from datapipe.readers.latex import arxiv_number, read
from datapipe.readers.split import Input

PAPER = b"\\documentclass{article}\n\\title{%s}\n\\begin{document}\nWe see \\input{part}$x^2$.\n\\end{document}\n"
PART = b"a part, "


def tar(*members: tuple[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def sources(title: bytes = b"T") -> bytes:
    return tar(("paper.tex", PAPER % title), ("part.tex", PART), ("fig.pdf", b"%PDF"), ("refs.bib", b"@a{}"))


def rows(folder: Path, name: str, data: bytes, **options: Any) -> list[dict[str, Any]]:
    path = folder / name.replace("/", "_")
    path.write_bytes(data)
    return list(read(Input(str(path), name, len(data), ""), **options))


def reasons(found: list[dict[str, Any]]) -> list[str | None]:
    return [row.get("drop_reason") for row in found]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("2401/2401.01234.gz", "2401.01234"),
        ("arXiv-src/0704.0001v2.tar.gz", "0704.0001v2"),
        ("9901/hep-th9901001.gz", "hep-th/9901001"),
        ("hep-th/9901001v3.gz", None),  # a number alone is none: the name of its file does not say the archive
        ("math.AG_0305123.tar.gz", "math.AG/0305123"),
        ("2401.01234/main.tex", "2401.01234"),
        ("arxiv_src_2401_001.tar", None),
        ("paper.tex", None),
        ("2401.012345678.gz", None),
    ],
)
def test_numbers_stand_in_names(name: str, number: str | None) -> None:
    assert arxiv_number(name) == number


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["tar", "tex"])
def test_a_file_that_is_one_paper(tmp_path: Path, kind: str, packed: bool) -> None:
    data = sources() if kind == "tar" else PAPER % b"T"
    (row,) = rows(tmp_path, "2401.01234v2.gz", gzip.compress(data) if packed else data)
    assert row["origin"] == "arxiv:2401.01234v2"
    assert row["text"] == f"\\title{{T}}\n\nWe see {'a part, ' * (kind == 'tar')}$x^2$.\n"
    assert row["license"] is None
    assert row["raw"]["file"] == "2401.01234v2.gz"
    about = {
        "title": "T",
        "main": "paper.tex",
        "files": 1 + (kind == "tar"),
        "missing": int(kind == "tex"),
        "macros": 0,
    }
    assert json.loads(row["meta"]) == {"type": "paper", **about}


@pytest.mark.parametrize(
    ("head", "encoding", "word"),
    [
        ("", "latin-1", "Ångström"),
        ("\\usepackage[T2A,cp1251]{inputenc}", "cp1251", "Россия"),
        ("\\usepackage [latin2] {inputenc}", "iso8859-2", "Łódź"),
        ("\\usepackage[utf8]{inputenc}", "utf-8", "Łódź"),
        ("\\begin{CJK*}{GBK}{song}", "gb18030", "中文"),
        ("\n\\usepackage[latin1]{inputenc}\n%\\usepackage[applemac]{inputenc} % on a Mac\n", "latin-1", "Ångström"),
    ],
)
def test_a_source_says_how_it_is_encoded(tmp_path: Path, head: str, encoding: str, word: str) -> None:
    main = f"\\documentclass{{x}}{head}\\begin{{document}}\\input{{a}}".encode(encoding)
    (row,) = rows(tmp_path, "x.tar", tar(("m.tex", main), ("a.tex", word.encode(encoding))))
    assert row["text"] == f"{word}\n"


def bulk() -> bytes:
    return tar(
        ("2401/2401.00001.gz", gzip.compress(sources(b"A"))),
        ("2401/2401.00002.pdf", b"%PDF-1.5 ..."),
        ("2401/2401.00003.gz", gzip.compress(PAPER % b"C")),
        ("2401/2401.00004.gz", gzip.compress(PAPER)[:10] + b"\xff" * 200),
        ("2401/2401.00005.gz", gzip.compress(sources(b"E"))[:-40]),
        ("2401/2401.00006.gz", gzip.compress(b"%!PS-Adobe")),
        ("2401/2401.00007.gz", gzip.compress(b"Only words.")),
        ("2401/2401.00008.gz", gzip.compress(tar(("fig.eps", b"x")))),
        ("2401/2401.00009.gz", gzip.compress(b"\\section{A part of something}")),
        ("2401/2401.00010.gz", gzip.compress(b"")),
        ("9901/hep-th9901001.gz", gzip.compress(PAPER.replace(b"We see", b"Sch\xf6n:") % b"K")),
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_tar_of_papers(tmp_path: Path, packed: bool) -> None:
    data = bulk()
    found = rows(tmp_path, "src/arXiv_src_2401_001.tar", gzip.compress(data) if packed else data)
    wanted = [
        None,
        "no_source",
        None,
        "damaged",
        "truncated",
        "no_source",
        "no_source",
        "no_source",
        "no_main",
        "empty",
        None,
    ]
    assert reasons(found) == [reason and f"latex.{reason}" for reason in wanted]
    assert [row["origin"] for row in found[:-1]] == [f"arxiv:2401.{number:05d}" for number in range(1, 11)]
    assert found[-1]["origin"] == "arxiv:hep-th/9901001"
    assert "Schön: $x^2$" in found[-1]["text"]
    raw = found[2]["raw"]
    if packed:
        assert raw["offset"] == 0
    else:
        assert gzip.decompress(data[raw["offset"] :][: raw["length"]]) == PAPER % b"C"


def test_damage_between_papers_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    papers = [(f"2401/2401.0000{n}.gz", gzip.compress(PAPER % b"%d" % n)) for n in range(1, 5)]
    data = bytearray(tar(*papers))
    start = data.index(b"2401/2401.00002")
    data[start : start + 512] = b"\xff" * 512
    found = rows(tmp_path, "bulk.tar", bytes(data))
    assert [row["origin"] for row in found] == [
        "arxiv:2401.00001",
        "bulk.tar#1024",
        "arxiv:2401.00003",
        "arxiv:2401.00004",
    ]
    assert reasons(found) == [None, "latex.damaged", None, None]


def test_what_ends_too_early_keeps_what_was_read(tmp_path: Path) -> None:
    data = bulk()
    assert reasons(rows(tmp_path, "bulk.tar", data[:700])) == ["latex.truncated"]
    found = rows(tmp_path, "bulk.tar", data[:4_000])
    assert reasons(found)[0] is None
    assert reasons(found)[-1] == "latex.truncated"
    found = rows(tmp_path, "bulk.tar.gz", gzip.compress(data, 0)[:4_000])
    assert reasons(found)[0] is None
    assert reasons(found)[-1] == "latex.truncated"


def test_bombs_are_too_large(tmp_path: Path) -> None:
    zeros = b"\\begin{document}" + bytes(3 << 20)
    start = time.process_time()
    for name, data in (
        ("a.tex.gz", gzip.compress(zeros)),
        ("a.tar.gz", gzip.compress(tar(("a.tex", zeros)))),
        ("a.tar", tar(("fig.eps", zeros), ("a.tex", PAPER))),
        ("bulk.tar", tar(("2401/2401.00001.gz", gzip.compress(zeros)))),
        ("bulk.tar", tar(("2401/2401.00001.gz", gzip.compress(tar(("a.tex", zeros)))))),
        ("bulk.tar", tar(("2401/2401.00001.gz", zeros))),
    ):
        assert reasons(rows(tmp_path, name, data, max_paper_bytes=1 << 20)) == ["latex.too_large"]
    assert time.process_time() - start < 2


def test_after_what_is_too_large_only_a_packed_tar_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have no end; a tar that is not packed has that of its file."""
    paper = gzip.compress(PAPER)
    for large in ("large.bin", "2401/2401.00002.gz"):
        data = tar(("2401/2401.00001.gz", paper), (large, bytes(2_000)), ("2401/2401.00003.gz", paper))
        lost = ["latex.too_large"]
        assert reasons(rows(tmp_path, "a.tar.gz", gzip.compress(data), max_paper_bytes=1_000)) == [None, *lost]
        found = reasons(rows(tmp_path, "a.tar", data, max_paper_bytes=1_000))
        assert found == ([None, *lost, None] if "2401" in large else [None, None, *lost])
    loose = [(f"{n}.bin", bytes(400)) for n in range(3)]
    many = gzip.compress(tar(("2401/2401.00001.gz", paper), *loose, ("2401/2401.00003.gz", paper)))
    assert reasons(rows(tmp_path, "a.tar.gz", many, max_paper_bytes=1_000)) == [None, "latex.too_large"]
    sizes: list[int] = []

    def noted(_: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        sizes.append(member.size)
        return paper

    monkeypatch.setattr(latex, "_content", noted)
    rows(tmp_path, "a.tar", data, max_paper_bytes=1_000)
    assert sizes == [len(paper)] * 2  # the large one is not even read


def test_files_without_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latex, "MAX_FILES", 5)
    many = tar(*((f"{n}.tex", PAPER) for n in range(6)))
    assert reasons(rows(tmp_path, "a.tar", many)) == ["latex.too_large"]
    assert reasons(rows(tmp_path, "a.tar", tar(("2401/2401.00001.gz", gzip.compress(many))))) == ["latex.too_large"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.tar", tar(("a.png", b"x")), "no_source"),
        ("a.tex", b"", "empty"),
        ("a.gz", gzip.compress(b"<!DOCTYPE html>", mtime=0), "no_source"),
        ("a.tex", b"Words alone.", "no_source"),
        ("a.gz", b"\x1f\x8b\x08\x00", "truncated"),
    ],
)
def test_what_is_no_paper(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (row,) = rows(tmp_path, name, data)
    assert row["drop_reason"] == f"latex.{reason}"
    assert row["origin"] == name


def test_links_folders_and_odd_names_do_no_harm(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", encoding="latin-1") as archive:
        for name, kind in (
            ("../../evil.tex", tarfile.SYMTYPE),
            ("folder", tarfile.DIRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("b\xf6se.tex", "/abs.tex"):
            info = tarfile.TarInfo(name)
            info.size = len(PAPER)
            archive.addfile(info, io.BytesIO(PAPER))
    (row,) = rows(tmp_path, "a.tar", sink.getvalue())
    assert row.get("drop_reason") is None
    assert json.loads(row["meta"])["main"] in ("/abs.tex", "b?se.tex")
