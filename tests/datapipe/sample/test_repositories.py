import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from datapipe.sample.budget import Account
from datapipe.sample.repositories import Repository, allotments, repository_path, source_files, write_repository


@given(st.lists(st.integers(0, 10**8), max_size=40), st.integers(0, 10**8), st.integers(1, 10**8))
def test_shares_stay_within_total_cap_and_size_and_grow_with_size(sizes: list[int], total: int, cap: int) -> None:
    shares = allotments(sizes, total, cap)
    assert sum(shares) <= total
    assert all(share <= min(size, cap) for share, size in zip(shares, sizes, strict=True))
    by_size = [share for _, share in sorted(zip(sizes, shares, strict=True))]
    assert by_size == sorted(by_size)
    if sum(min(size, cap) for size in sizes) <= total:
        assert shares == [min(size, cap) for size in sizes]


def test_licences_of_the_metadata_folder_move_to_the_root() -> None:
    assert repository_path("thing-1.0.dist-info/licenses/LICENSE") == "LICENSE"
    assert repository_path("thing-1.0.dist-info/METADATA") == ""
    assert repository_path("thing/core.py") == "thing/core.py"


def test_sources_are_text_within_the_share_whole_folders_first(tmp_path: Path) -> None:
    sizes = {
        "p/__init__.py": 10,
        "p/zz/a.py": 40,
        "p/zz/b.py": 40,
        "p/_vendor/six.py": 100,
        "p/data.bin": 5,
        "p/big.py": 600_000,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"#" * size)
    (tmp_path / "p/latin.py").write_bytes(b"# \xe9")
    account = Account("repos", 1_000_000)
    found = [(str(path.relative_to(tmp_path)), path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    files = tuple(source_files(found, account))
    assert [file.name for file in files] == [
        "p/__init__.py",
        "p/latin.py",
        "p/_vendor/six.py",
        "p/zz/a.py",
        "p/zz/b.py",
    ]
    repo = Repository("p", "1.0", None, "a thing", ("README.md", ""), files)
    used = write_repository(tmp_path / "out", repo, 155, account)
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert written == ["p/__init__.py", "p/_vendor/six.py", "p/zz/a.py", "repo.json"]
    assert used == 150 + (tmp_path / "out/repo.json").stat().st_size
    assert json.loads((tmp_path / "out/repo.json").read_text())["license"] is None
    assert account.skipped == {
        "file over 512 KiB": 1,
        "file not UTF-8 text": 1,
        "file beyond its repository's share": 1,
    }
