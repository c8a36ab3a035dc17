import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import readers
from datapipe.readers import commits, git_history, git_objects
from datapipe.readers import git as git_reader
from tests.datapipe.readers.git_fixture import commit, git, remove_object

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "git", "paths": ["repos/*"], "unit": "commit"}
LINES = "".join(f"line {i}\n" for i in range(40))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return tmp_path / "repos/x"


def reasons(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row["drop_reason"] for row in rows]


def test_a_commit_is_message_and_diff(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    first = commit(
        repo,
        "first",
        {"a.py": LINES, "package.json": '{"license": "MIT"}'},
    )
    sha = commit(repo, "Fix a\n\nend of\nbody: é", {"a.py": LINES.replace("line 20\n", "line twenty\n")})
    [row, root] = read_rows(tmp_path, **SOURCE, context_lines=1)
    message = "Fix a\n\nend of\nbody: é"
    assert row["text"] == (
        f"{message}\n\ndiff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n"
        "@@ -20,3 +20,3 @@ line 18\n line 19\n-line 20\n+line twenty\n line 21\n"
    )
    assert (row["origin"], row["kind"], row["license"], row["lang"]) == (f"x@{sha}", "thread", "MIT", None)
    meta = json.loads(row["meta"])
    assert meta == {
        "type": "commit",
        "repo": "x",
        "sha": sha,
        "parents": [first],
        "author": "Ada L",
        "time": "2023-11-14T22:13:20Z",
        "message_chars": len(message),
        "files": ["a.py"],
        "is_merge": False,
        "left_out": {},
        "license_from": "metadata",
        "license_confidence": 1.0,
    }
    assert row["text"][: meta["message_chars"]] == message
    assert root["text"].startswith("first\n\ndiff --git a/a.py b/a.py\nnew file mode 100644\n--- /dev/null")
    assert json.loads(root["meta"])["parents"] == []


def test_changes_of_every_kind(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    commit(repo, "first", {"old name.py": LINES, "gone.py": "1\n", "run": "x\n", "b": "1\n", "link": "target\n"})
    odd = {'quo"te\n.py': "q\n", os.fsdecode(b"caf\xe9.py"): "c\n", "data.bin": b"\0\1"}
    git(repo, "mv", "old name.py", "new name.py")
    (repo / "run").chmod(0o755)
    (repo / "link").unlink()
    os.symlink("b", repo / "link")
    commit(tmp_path / "sub", "another repository", {"c.py": "1"})
    git(repo, "submodule", "add", "-q", str(tmp_path / "sub"), "sub")
    commit(repo, "second", {"gone.py": None, "big.py": "y\n" * 600_000, **odd})
    row = read_rows(tmp_path, **SOURCE)[0]
    meta = json.loads(row["meta"])
    assert meta["files"] == sorted(
        [
            ".gitmodules",
            "big.py",
            "caf\\xe9.py",
            "data.bin",
            "gone.py",
            "link",
            "new name.py",
            "old name.py",
            'quo"te\n.py',
            "run",
            "sub",
        ]
    )
    assert meta["left_out"] == {"binary": 2}, "what is over 1 MiB counts as binary"
    assert "similarity index 100%\nrename from old name.py\nrename to new name.py\n" in row["text"]
    assert "old mode 100644\nnew mode 100755\n" in row["text"]
    assert "deleted file mode 100644\n--- a/gone.py" in row["text"]
    assert row["text"].count("diff --git a/link b/link\n") == 2
    assert "+Subproject commit" in row["text"]
    assert "big.py" not in row["text"]
    assert "\nindex " not in row["text"]


def test_vendored_and_generated_files_are_left_out(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    commit(repo, "both", {"node_modules/x/index.js": "1\n", "a.py": "1\n", "package-lock.json": "{}\n"})
    commit(repo, "only locks", {"package-lock.json": "{1}\n"})
    locks, both = read_rows(tmp_path, **SOURCE)
    assert locks["drop_reason"] == "commit.empty"
    assert (
        both["text"]
        == "both\n\ndiff --git a/a.py b/a.py\nnew file mode 100644\n--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+1\n"
    )
    meta = json.loads(both["meta"])
    assert meta["left_out"] == {"generated": 1, "vendored": 1}
    assert meta["files"] == ["a.py", "node_modules/x/index.js", "package-lock.json"]


def merged(repo: Path) -> str:
    commit(repo, "first", {"a.py": "1\n"})
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "side", {"b.py": "2\n"})
    git(repo, "checkout", "-q", "main")
    commit(repo, "main", {"a.py": "3\n"})
    git(repo, "merge", "-q", "--no-ff", "-m", "merged", "side")
    return git(repo, "rev-parse", "HEAD")


def test_merges(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    merged(repo)
    rows = read_rows(tmp_path, **SOURCE)
    assert [row["text"].partition("\n")[0] for row in rows] == ["merged", "main", "first"]
    assert "+++ b/b.py" in rows[0]["text"], "a merge brings what was merged"
    rows = read_rows(tmp_path, **SOURCE, history="all")
    assert sorted(row["text"].partition("\n")[0] for row in rows) == ["first", "main", "merged", "side"]
    [merge] = [row for row in rows if row["text"].startswith("merged")]
    assert (merge["text"], json.loads(merge["meta"])["is_merge"], merge["drop_reason"]) == ("merged", True, None)


def test_what_is_dropped(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    commit(repo, "large", {"a.txt": "words\n" * 500})
    commit(repo, "empty")
    commit(repo, "bump", {"b.py": "1\n"}, GIT_AUTHOR_NAME="dependabot[bot]")
    commit(repo, "bump", {"b.py": "2\n"}, GIT_AUTHOR_EMAIL="29139614+renovate[bot]@users.noreply.example")
    commit(repo, "robotics", {"b.py": "3\n"}, GIT_AUTHOR_NAME="Abbott Robot")
    commit(repo, "odd time", {"b.py": "4\n"})
    head = git(repo, "cat-file", "commit", "HEAD").replace(
        "author Ada L <a@b.c> 1700000000", "author A <a> 99999999999999"
    )
    git(
        repo,
        "update-ref",
        "HEAD",
        git(repo, "hash-object", "--literally", "-t", "commit", "-w", "--stdin", data=head.encode()),
    )
    rows = read_rows(tmp_path, **SOURCE, max_diff_bytes=1000)
    assert reasons(rows) == [None, None, "commit.bot", "commit.bot", "commit.empty", "commit.too_large"]
    assert json.loads(rows[0]["meta"])["time"] is None


def test_messages_in_other_encodings(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    commit(repo, "first", {"a.py": "1\n"})
    tree, parent = git(repo, "rev-parse", "HEAD^{tree}", "HEAD").split()
    (repo / "b.py").write_text("2\n")
    git(repo, "add", "-A")
    tree = git(repo, "write-tree")
    encoded = ["-c", "i18n.commitEncoding=ISO-8859-1", "commit-tree", "-p", parent, tree]
    git(repo, "update-ref", "HEAD", git(repo, *encoded, data="gr\u00fcn".encode("latin-1")))
    assert read_rows(tmp_path, **SOURCE)[0]["text"].startswith("grün\n\n")
    head = f"tree {tree}\nparent {parent}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n".encode()
    sha = git(repo, "hash-object", "-t", "commit", "-w", "--stdin", data=head + b"no utf-8: \xfc, no NUL\n")
    git(repo, "update-ref", "HEAD", sha)
    assert read_rows(tmp_path, **SOURCE)[0]["text"].startswith("no utf-8: \ufffd, no NUL\n\n")


def test_a_message_cannot_pretend_to_be_the_next_commit(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    first = commit(repo, "first", {"a.py": "1\n"})
    forged = f"forged\n\nend {first}\n{first}\n:000000 100644 0 1 A\ndiff --git a/x b/x"
    commit(repo, forged, {f"end {first}\n": f"end {first}\n", "diff --git a b": "1\n"})
    row, root = read_rows(tmp_path, **SOURCE)
    assert row["text"].startswith(forged + "\n\ndiff --git ")
    assert json.loads(row["meta"])["files"] == ["diff --git a b", f"end {first}\n"]
    assert root["text"].startswith("first\n\ndiff")


def test_ranges_of_a_long_history_make_the_whole(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    for i in range(7):
        commit(repo, f"number {i}", {"a.py": f"{i}\n"})
    whole = read_rows(tmp_path, **SOURCE)
    monkeypatch.setattr(git_reader, "COMMITS_PER_INPUT", 3)
    monkeypatch.setattr(git_history, "BATCH", 2)
    monkeypatch.setattr(git_history, "GROUP", 5)
    monkeypatch.setattr(git_objects, "PIPE_BYTES", 7)  # marks come in pieces
    splits = readers.list_splits({**SOURCE, "split_bytes": 1}, str(tmp_path))
    assert [(one.first, one.count) for split in splits for one in split.inputs] == [(0, 3), (3, 3), (6, 1)]
    assert [row for split in splits for table in readers.read(split, "test") for row in table.to_pylist()] == whole
    (tmp_path / "again").mkdir()
    git(repo, "clone", "-q", "--mirror", ".", str(tmp_path / "again/x"))
    again = readers.list_splits({**SOURCE, "paths": ["again/*"]}, str(tmp_path))
    assert [split.inputs[0].fingerprint for split in again] == [splits[0].inputs[0].fingerprint]


def test_a_bundle_has_its_commits(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    merged(repo)
    expected = read_rows(tmp_path, **SOURCE, history="all")
    git(repo, "bundle", "create", "-q", str(tmp_path / "x.bundle"), "HEAD")
    rows = read_rows(tmp_path, **{**SOURCE, "paths": ["x.bundle"]}, history="all")
    assert [(row["id"], row["text"]) for row in rows] == [(row["id"], row["text"]) for row in expected]


def test_where_a_shallow_clone_was_cut(tmp_path: Path, read_rows: ReadRows) -> None:
    origin = tmp_path / "origin"
    for i in range(4):
        commit(origin, f"number {i}", {"a.py": f"{i}\n"})
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{origin}", "repos/x")
    assert reasons(read_rows(tmp_path, **SOURCE)) == [None, "commit.shallow"]


def test_damage_costs_the_commits_that_it_is_in(tmp_path: Path, repo: Path, read_rows: ReadRows) -> None:
    for i in range(4):
        commit(repo, f"number {i}", {"a.py": f"{i}\n"})
    remove_object(repo, git(repo, "rev-parse", "HEAD~:a.py"))
    assert reasons(read_rows(tmp_path, **SOURCE)) == ["commit.damaged", "commit.damaged", None, None]
    path = remove_object(repo, git(repo, "rev-parse", "HEAD~3:a.py"))
    path.write_bytes(zlib.compress(b"blob 90\0" + os.urandom(90))[:60])  # its size can be read and its content not
    assert reasons(read_rows(tmp_path, **SOURCE)) == ["commit.damaged"] * 4
    remove_object(repo, git(repo, "rev-parse", "HEAD~2"))
    rows = read_rows(tmp_path, **SOURCE)
    assert reasons(rows) == ["commit.damaged", "commit.history_damaged"]
    assert rows[-1]["origin"] == f"x@{git(repo, 'rev-parse', 'HEAD')}#history"


def test_memory_is_for_one_commit_of_limited_size(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    commit(repo, "small", {"a.py": "1\n"})
    commit(repo, "huge", {f"{i}.txt": f"words {i}\n" * 20_000 for i in range(10)})
    commit(repo, "small again", {"a.py": "2\n"})
    monkeypatch.setattr(git_history, "MAX_RECORD_BYTES", 200_000)
    assert reasons(read_rows(tmp_path, **SOURCE, max_diff_bytes=100 << 20)) == [None, "commit.too_large", None]


def test_a_large_file_is_not_opened(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    commit(repo, "small", {"a.py": "1\n"})
    commit(repo, "adds it", {"big.js": "x" * 3000, "b.py": "2\n"})
    commit(repo, "changes another", {"b.py": "3\n"})
    commit(repo, "removes it", {"big.js": None})
    commit(repo, "many", {f"{i}.py": f"{i}\n" for i in range(30)})
    monkeypatch.setattr(git_history, "MAX_FILE_BYTES", 2000)
    monkeypatch.setattr(git_history, "MAX_CHANGES", 20)
    too_large = "commit.too_large"
    assert reasons(read_rows(tmp_path, **SOURCE)) == [too_large, too_large, None, too_large, None]


def test_changes_and_diffs_belong_together() -> None:
    head = b"sha\0\0A\0a@b\x000\0message\0\0\n"
    change = b":100644 100644 " + b"1" * 40 + b" " + b"2" * 40 + b" M\0a.py\0"
    assert commits._parsed(head + change + b"\0diff --git a/a.py b/a.py\n+1\n")
    assert commits._parsed(head + change * 2 + b"\0diff --git a/a.py b/a.py\n+1\n") is None
