"""Histories out of packages that are installed in two releases."""

import subprocess
from pathlib import Path

import pytest

from datapipe.sample.budget import Account, SampleError
from datapipe.sample.environment import Package, packages
from datapipe.sample.history import Commit, commits, releases, write_bundle, write_history


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def installed() -> list[Package]:
    return packages()


def test_what_pip_vendors_and_is_installed_is_found(installed: list[Package]) -> None:
    found = {release.package.name: release for release in releases(installed)}
    assert "packaging" in found
    history = list(commits(found["packaging"]))
    assert len(history) > 3
    assert all(
        path.endswith((".py", ".pyi", ".md", ".rst", ".toml")) or "LICENSE" in path for path in history[0].changes
    )
    for commit in history[1:]:
        ((path, text),) = commit.changes.items()
        assert found["packaging"].vendored[path] != text == found["packaging"].installed[path]


def test_a_bundle_holds_the_commits(tmp_path: Path) -> None:
    made = [
        Commit("First\n\nBody é\n", {"a/b.py": "x = 1\n", "é.md": "no end"}),
        Commit("Second\n", {"a/b.py": "x = 2\n"}),
    ]
    for name in ("one", "two"):
        write_bundle(tmp_path / f"{name}.bundle", made)
    assert (tmp_path / "one.bundle").read_bytes() == (tmp_path / "two.bundle").read_bytes()
    git("clone", "--quiet", "--bare", str(tmp_path / "one.bundle"), str(tmp_path / "one.git"))
    log = git("-C", str(tmp_path / "one.git"), "log", "--reverse", "--format=%B%ct %an", "main")
    assert log == "First\n\nBody é\n1577836800 Sample\nSecond\n1577840400 Sample\n"
    assert git("-C", str(tmp_path / "one.git"), "show", "HEAD:a/b.py", "HEAD~:é.md") == "x = 2\nno end"


def test_the_budget_is_kept_and_what_does_not_fit_is_counted(installed: list[Package], tmp_path: Path) -> None:
    account = Account("history", 120_000, None, max_item_share=1 / 2)
    written = write_history(tmp_path / "history", account, installed)
    assert 0 < account.bytes <= 120_000
    assert len(written) == account.documents
    assert account.skipped["too large for the budget"] > 0


def test_a_machine_without_git_is_told_so(
    installed: list[Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SampleError, match=r"git: no such program.*install git"):
        write_history(tmp_path, Account("history", 10_000_000, None), installed)
