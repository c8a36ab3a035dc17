"""Which packages are whole, free of compiled parts, licensed and tested; and that what is written can be imported."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from datapipe.sample.budget import Account
from datapipe.sample.environment import Package, packages
from datapipe.sample.packages import ALL_TESTS_BYTES, MAX_TEST_BYTES, choose, write_packages

INFO = "pack-1.0.dist-info"
FILES = {
    "pack/__init__.py": "x = 1\n",
    "pack/tests/__init__.py": "",
    "pack/tests/test_x.py": "def test(): pass\n",
    f"{INFO}/LICENSE": "MIT",
}


def package(folder: Path, files: dict[str, str], license: str | None = "MIT") -> Package:
    (folder / INFO).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / INFO / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    dist = Distribution.at(folder / INFO)
    return Package("pack", "1.0", license, "", (), "", "text/plain", dist)


def names(found: Package) -> Sequence[str]:
    chosen = choose(found, Account("packages", 10**7))
    return [] if chosen is None else [file.name for file in chosen.files]


def test_a_small_package_is_written_whole(tmp_path: Path) -> None:
    account = Account("packages", 10**6)
    write_packages(tmp_path / "out", account, [package(tmp_path / "in", FILES)])
    written = {
        path.relative_to(tmp_path / "out/pack-1.0").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert written == {"pack/__init__.py", "pack/tests/test_x.py", "LICENSE", "repo.json"}
    assert json.loads((tmp_path / "out/pack-1.0/repo.json").read_text())["license"] == "MIT"
    assert (account.documents, account.licenses["MIT"]) == (1, 1)


@pytest.mark.parametrize(
    ("files", "license"),
    [(FILES, None), ({**FILES, "pack/fast.so": ""}, "MIT"), ({"pack/__init__.py": "x = 1\n"}, "MIT"),
     ({**FILES, "pack/tests/test_x.py": "#" * (MAX_TEST_BYTES + 1)}, "MIT")],
)  # fmt: skip
def test_a_package_that_is_left_out(files: dict[str, str], license: str | None, tmp_path: Path) -> None:
    assert names(package(tmp_path, files, license)) == []


def test_of_many_tests_a_stable_share_is_taken(tmp_path: Path) -> None:
    many = {f"pack/tests/test_{number}.py": "#" * 40_000 for number in range(9)}
    taken = [name for name in names(package(tmp_path, {**FILES, **many})) if "/test_" in name]
    assert len(taken) in (ALL_TESTS_BYTES // 40_000, ALL_TESTS_BYTES // 40_000 + 1)
    assert taken == [name for name in names(package(tmp_path / "again", {**FILES, **many})) if "/test_" in name]


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    account = Account("packages", 40)
    write_packages(tmp_path / "out", account, [replace(package(tmp_path / "in", FILES), name="large")])
    assert account.documents == 0
    assert account.skipped == {"too large for the budget": 1}


def test_an_installed_package_can_be_imported_from_where_it_was_written(tmp_path: Path) -> None:
    found = [one for one in packages() if one.name == "mpmath"]
    if not found:
        pytest.skip("mpmath is not installed")
    write_packages(tmp_path, Account("packages", 4_000_000, max_item_share=1), found)
    (folder,) = tmp_path.iterdir()
    done = subprocess.run(
        [sys.executable, "-c", "import mpmath; print(mpmath.__file__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(folder))
