import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from datapipe import store
from datapipe.readers import package

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "package", "paths": ["*"]}
PROJECT = b'[project]\nname = "alpha"\nversion = "1.2"\nlicense = "MIT"\n'
FILES = {
    "alpha-1.2/alpha/core.py": b"x = 1\n",
    "alpha-1.2/README.rst": b"Alpha\n=====\n",
    "alpha-1.2/pyproject.toml": PROJECT,
    "alpha-1.2/picture.png": b"\x89PNG",
}


def tar(files: dict[str, bytes], mode: str = "w:gz", extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return stream.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def reasons(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {row["origin"].partition(":")[2] or row["origin"]: row["drop_reason"] for row in rows}


@pytest.mark.parametrize("held_bytes", [0, 64 << 20])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar.gz", tar(FILES)),
        ("a.tgz", tar(FILES)),
        ("a.tar.bz2", tar(FILES, "w:bz2")),
        ("a.tar.xz", tar(FILES, "w:xz")),
        ("a.tar.zst", zstandard.compress(tar(FILES, "w:"))),
        ("a.tar", tar(FILES, "w:")),
        ("a.zip", zipped(FILES)),
    ],
)
def test_every_form_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows, name: str, data: bytes, held_bytes: int
) -> None:
    monkeypatch.setattr(package, "HELD_BYTES", held_bytes)
    (tmp_path / name).write_bytes(data)
    rows = read_rows(tmp_path, **SOURCE)
    assert {row["origin"]: (row["text"], row["lang"], row["license"], row["drop_reason"]) for row in rows} == {
        "alpha@1.2:alpha/core.py": ("x = 1\n", "python", "MIT", None),
        "alpha@1.2:README.rst": ("Alpha\n=====\n", "restructuredtext", "MIT", None),
        "alpha@1.2:pyproject.toml": (PROJECT.decode(), "toml", "MIT", None),
        "alpha@1.2:picture.png": ("", None, None, "file.not_source"),
    }
    assert rows[0]["raw"]["file"] == f"{name}/{rows[0]['origin'].partition(':')[2]}"
    assert json.loads(rows[0]["meta"])["license_from"] == "metadata"


def test_from_s3(s3: str, read_rows: ReadRows) -> None:
    store.write_bytes(f"{s3}/packages/a.tar.gz", tar(FILES))
    store.write_bytes(f"{s3}/packages/b.zip", zipped(FILES))
    assert [row["drop_reason"] for row in read_rows(f"{s3}/packages", **SOURCE)] == [
        None,
        None,
        None,
        "file.not_source",
    ] * 2


def test_a_wheel_has_no_top_folder(tmp_path: Path, read_rows: ReadRows) -> None:
    files = {"b/x.py": b"1", "b-3.dist-info/METADATA": b"Name: b\nVersion: 3\n", "b-3.dist-info/licenses/LICENSE": b"x"}
    (tmp_path / "b-3-py3-none-any.whl").write_bytes(zipped(files))
    assert reasons(read_rows(tmp_path, **SOURCE))["b/x.py"] is None


def test_what_nobody_states_comes_from_the_file(tmp_path: Path, read_rows: ReadRows) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.tar.gz").write_bytes(tar({f"{name}/a.py": name.encode()}))
    one, two = (row["origin"] for row in read_rows(tmp_path, **SOURCE))
    assert one.startswith("one@")
    assert two.startswith("two@")
    assert one.partition("@")[2] != two.partition("@")[2]


def test_links_and_names_that_lead_elsewhere(tmp_path: Path, read_rows: ReadRows) -> None:
    extra = []
    for kind, name in (
        (tarfile.SYMTYPE, "s.py"),
        (tarfile.LNKTYPE, "h.py"),
        (tarfile.CHRTYPE, "c.py"),
        (tarfile.FIFOTYPE, "f.py"),
    ):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        extra.append(info)
    files = {
        "a.py": b"1",
        "/abs.py": b"1",
        "../up.py": b"1",
        "x/../../y.py": b"1",
        "x..y/..z.py": b"1",
        "big.js": b"x" * 2000,
    }
    (tmp_path / "a.tar.gz").write_bytes(tar({**files, "a.py ": b"2"}, extra=tuple(extra)))
    unsafe, link = "file.unsafe_path", "file.link"
    assert reasons(read_rows(tmp_path, **SOURCE, max_file_bytes=1000)) == {
        **{"a.py": None, "a.py ": "file.not_source", "/abs.py": unsafe, "../up.py": unsafe, "x/../../y.py": unsafe},
        **{"x..y/..z.py": None, "big.js": "file.too_large", "s.py": link, "h.py": link, "c.py": link, "f.py": link},
    }


def test_a_zip_with_links_folders_and_the_same_name_twice(tmp_path: Path, read_rows: ReadRows) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "a.py")
        archive.writestr("folder/", "")
        archive.writestr("a.py", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.py", "2")
    rows = read_rows(tmp_path, **SOURCE)
    assert [(row["drop_reason"], row["text"]) for row in rows] == [
        ("file.link", ""),
        (None, "1"),
        ("file.repeated", ""),
    ]


def source_files(num: int) -> dict[str, bytes]:
    draw = random.Random(0)
    return {f"a-1/{i:02}.py": draw.randbytes(300).hex().encode() for i in range(num)}


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w:"])
def test_what_stands_before_damage_is_kept(tmp_path: Path, read_rows: ReadRows, mode: str) -> None:
    data = bytearray(tar(source_files(1000), mode))
    middle = len(data) // 2 // 512 * 512 + 148  # of a tar: the sum of a header, or text
    data[middle : middle + 2000] = b"\xff" * 2000
    (tmp_path / "a.tar.gz").write_bytes(data)
    found = [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)]
    assert found[-1] == "package.damaged"
    assert found[:250] == [None] * 250 or mode in ("w:xz", "w:bz2")
    assert len(found) < 750


@pytest.mark.parametrize("mode", ["w:gz", "w:"])
def test_a_cut_package(tmp_path: Path, read_rows: ReadRows, mode: str) -> None:
    data = tar(source_files(600), mode)
    (tmp_path / "a.tar.gz").write_bytes(data[: len(data) // 2 + 100])
    found = [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)]
    assert found[-1] == "package.damaged"
    assert found.count(None) > 200


def test_damage_in_a_zip(tmp_path: Path, read_rows: ReadRows) -> None:
    data = bytearray(zipped(source_files(9)))
    place = data.index(b"a-1/04.py") + 100
    data[place : place + 20] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(data)
    found = reasons(read_rows(tmp_path, **SOURCE))
    assert found == {f"{i:02}.py": "file.damaged" if i == 4 else None for i in range(9)}
    (tmp_path / "a.zip").write_bytes(data[:-100])
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == ["package.damaged"]


def test_an_encrypted_member(tmp_path: Path, read_rows: ReadRows) -> None:
    data = bytearray(zipped({"a/x.py": b"1", "a/y.py": b"2"}))
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.index(mark) + flags] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"x.py": "file.damaged", "y.py": None}


@pytest.mark.parametrize("content", [b"", b"junk", b"\x1f\x8b\x08\0", b"PK\3\4", b"\0" * 2048, os.urandom(4096)])
def test_what_is_no_archive(tmp_path: Path, read_rows: ReadRows, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    expected = [] if content[:1] == b"\0" else ["package.damaged"]
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == expected


@pytest.mark.parametrize("data", [tar(FILES), tar(FILES, "w:"), zipped(FILES), zipped({**FILES, "é.py": b"1" * 999})])
def test_a_changed_byte_is_never_an_exception(tmp_path: Path, read_rows: ReadRows, data: bytes) -> None:
    draw = random.Random(1)
    for _ in range(100):
        changed = bytearray(data)
        for _ in range(draw.choice((1, 2, 20))):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        (tmp_path / "a.tar.gz").write_bytes(changed[: draw.choice((len(data), draw.randrange(len(data))))])
        read_rows(tmp_path, **SOURCE)


def test_bombs(tmp_path: Path, read_rows: ReadRows) -> None:
    """A file that unpacks to much, and a header that asks for much memory."""
    (tmp_path / "a.tar.gz").write_bytes(tar({"a/a.py": b"1", "a/zeros.py": b"0" * (3 << 20), "a/b.py": b"2"}))
    rows = read_rows(tmp_path, **SOURCE, max_package_bytes=2 << 20)
    assert [row["drop_reason"] for row in rows] == [None, "package.too_large"]
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    first, last = tar({"a/a.py": b"1"}, "w:")[:1024], tar({"a/b.py": b"2"}, "w:")
    name = b"a/" + b"x" * ((2 << 20) - 6) + b".py\0"
    (tmp_path / "a.tar.gz").write_bytes(first + header.tobuf(tarfile.GNU_FORMAT) + name + last)
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == [None, "package.damaged"]


def test_a_bomb_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows) -> None:
    """Names pack well, and those of folders count as well."""
    names = {f"p/{'n' * 40_000}{number}.py": b"1" for number in range(50)}
    (tmp_path / "a.tgz").write_bytes(tar(names))
    monkeypatch.setattr(package, "HELD_BYTES", 1_000_000)
    num_held = 0
    original = package.File

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal num_held
        num_held += 1
        return original(*args, **named)

    monkeypatch.setattr(package, "File", counted)
    rows = read_rows(tmp_path, reader="package", paths=["a.tgz"])
    assert len(rows) == 50
    assert num_held < 80, "few are held at the first reading, all come at the second"
    rows = read_rows(tmp_path, reader="package", paths=["a.tgz"], max_package_bytes=1_000_000)
    assert [row["drop_reason"] for row in rows if row["drop_reason"]] == ["package.too_large"]
    assert 10 < len(rows) < 30
    folders = tuple(tarfile.TarInfo(f"p/{'f' * 40_000}{number}") for number in range(50))
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    (tmp_path / "a.tgz").write_bytes(tar({}, extra=folders))
    rows = read_rows(tmp_path, reader="package", paths=["a.tgz"], max_package_bytes=1_000_000)
    assert [row["drop_reason"] for row in rows] == ["package.too_large"]


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows) -> None:
    monkeypatch.setattr(package, "MAX_FILES", 5)
    (tmp_path / "a.tar.gz").write_bytes(tar(source_files(9)))
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == [None] * 5 + ["package.too_large"]


def test_a_tar_that_begins_with_the_letters_of_a_zip(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "a.tar").write_bytes(tar({"PKG-INFO": b"Name: p\nVersion: 7\n", "x.py": b"1"}, "w:"))
    assert [row["origin"] for row in read_rows(tmp_path, **SOURCE)] == ["p@7:PKG-INFO", "p@7:x.py"]
