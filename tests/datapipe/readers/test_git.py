import json
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import readers, store
from datapipe.readers import git as git_reader
from datapipe.readers import git_objects, source_file
from datapipe.readers.git import name_of
from tests.datapipe.readers.git_fixture import commit, git, remove_object

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "git", "paths": ["repos/*"]}
FILES = {
    "README.md": "# A\n",
    "pyproject.toml": '[project]\nlicense = "MIT"\n',
    "a/core.py": "x = 1\n",
    "logo.png": b"\x89PNG\0",
}


def reasons(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {row["origin"].rpartition(":")[2]: row["drop_reason"] for row in rows}


def split_of(root: Path, **source: Any) -> readers.Split:
    (split,) = readers.list_splits({**SOURCE, **source}, str(root))
    return split


def test_files_of_a_work_tree(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    sha = commit(repo, "first", FILES)
    git(repo, "remote", "add", "origin", "https://user:secret@github.com/Owner/Repo.git")
    (repo / "a/core.py").write_text("not committed")
    rows = read_rows(tmp_path, **SOURCE)
    place = f"github.com/Owner/Repo@{sha}"
    assert {row["origin"]: (row["text"], row["lang"], row["license"], row["drop_reason"]) for row in rows} == {
        f"{place}:README.md": ("# A\n", "markdown", "MIT", None),
        f"{place}:a/core.py": ("x = 1\n", "python", "MIT", None),
        f"{place}:logo.png": ("", None, None, "file.not_source"),
        f"{place}:pyproject.toml": (FILES["pyproject.toml"], "toml", "MIT", None),
    }
    core = next(row for row in rows if row["origin"].endswith("core.py"))
    assert core["raw"] == {"file": "repos/x/a/core.py", "offset": 0, "length": 6}
    assert json.loads(core["meta"]) == {"role": "source", "license_from": "metadata", "license_confidence": 1.0}
    assert "secret" not in json.dumps(rows)


def test_every_form_of_a_repository_gives_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows, s3: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    repo = tmp_path / "repos/x"
    commit(repo, "first", FILES)
    commit(repo, "second", {"a/more.py": "y = 2\n"})
    expected = read_rows(tmp_path, **SOURCE)
    forms = tmp_path / "forms"
    forms.mkdir()
    git(repo, "clone", "-q", "--bare", ".", str(forms / "1/x.git"))
    git(repo, "clone", "-q", "--shared", ".", str(forms / "2/x"))  # alternates
    git(repo, "clone", "-q", "--depth=1", f"file://{repo}", str(forms / "3/x"))
    git(repo, "worktree", "add", "-q", "--detach", str(forms / "4/x"))
    git(forms / "1/x.git", "gc", "-q", "--aggressive")  # packed objects and refs
    (forms / "5").mkdir()
    git(repo, "bundle", "create", "-q", str(forms / "5/x.bundle"), "main")
    for path in (forms / "1").rglob("*"):
        if path.is_file():
            store.write_bytes(f"{s3}/git/{path.relative_to(forms)}", path.read_bytes())
    store.write_bytes(f"{s3}/git/5/x.bundle", (forms / "5/x.bundle").read_bytes())
    splits = [split_of(forms, paths=[f"{number}/*"]) for number in "12345"]
    assert {split.inputs[0].fingerprint for split in splits} == {git(repo, "rev-parse", "HEAD")}
    assert len({split.inputs[0].size_bytes for split in splits[:4]}) == 1, "not how it is packed, but what it holds"
    sources: list[tuple[object, dict[str, Any]]] = [(forms, {"paths": [f"{number}/*"]}) for number in "12345"]
    sources += [(f"{s3}/git", {"paths": ["1/*"]}), (f"{s3}/git", {"paths": ["5/*.bundle"]})]
    for root, source in sources:
        rows = read_rows(root, reader="git", **source)
        assert [(row["id"], row["text"], row["meta"]) for row in rows] == [
            (row["id"], row["text"], row["meta"]) for row in expected
        ], source
    assert not list(temporary.iterdir()), "copies are cleaned up"


def test_a_bucket_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows, s3: str
) -> None:
    private = tmp_path / "private"
    commit(private, "first", {"a.py": "secret = 1\n"})
    git(private, "clone", "-q", "--bare", "--shared", ".", str(tmp_path / "x.git"))
    for path in (tmp_path / "x.git").rglob("*"):
        if path.is_file():
            store.write_bytes(f"{s3}/hostile/x.git/{path.relative_to(tmp_path / 'x.git')}", path.read_bytes())
    store.write_bytes(f"{s3}/hostile/x.git/objects/../../escaped", b"x")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    [row] = read_rows(f"{s3}/hostile", reader="git", paths=["*.git"])
    assert (row["drop_reason"], row["text"]) == ("git.damaged", "")
    assert not list(temporary.iterdir()), "nor does it write beside its copy"


def test_a_ref_is_read_at_the_commit_that_was_found(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    first = commit(repo, "first", {"a.py": "1"})
    git(repo, "tag", "-a", "v1", "-m", "a tag object")
    commit(repo, "second", {"a.py": "2"})
    [row] = read_rows(tmp_path, **SOURCE, ref="v1")
    assert (row["origin"], row["text"]) == (f"x@{first}:a.py", "1")
    split = split_of(tmp_path)
    commit(repo, "third", {"a.py": "3"})
    assert [table["text"].to_pylist() for table in readers.read(split, "c")] == [["2"]]
    git(repo, "checkout", "-q", first)
    assert read_rows(tmp_path, **SOURCE)[0]["text"] == "1", "a detached HEAD"
    assert reasons(read_rows(tmp_path, **SOURCE, ref="v9")) == {"repos/x": "git.no_ref"}


def test_a_bundle_without_head(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "x"
    commit(repo, "first", {"a.py": "1"})
    git(repo, "branch", "a-side")
    commit(repo, "second", {"a.py": "2"})
    git(repo, "bundle", "create", "-q", str(tmp_path / "x.bundle"), "a-side", "main")
    source = {"reader": "git", "paths": ["*.bundle"]}
    assert [row["text"] for row in read_rows(tmp_path, **source)] == ["2"]
    assert [row["text"] for row in read_rows(tmp_path, **source, ref="a-side")] == ["1"]
    git(repo, "bundle", "create", "-q", str(tmp_path / "x.bundle"), "a-side")
    assert [row["text"] for row in read_rows(tmp_path, **source)] == ["1"]
    assert reasons(read_rows(tmp_path, **source, ref="v9")) == {"x.bundle": "git.no_ref"}


def test_sha256(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "--object-format=sha256")
    sha = commit(repo, "first", FILES)
    git(repo, "bundle", "create", "-q", str(tmp_path / "repos/y.bundle"), "HEAD")
    origins = {row["origin"] for row in read_rows(tmp_path, **SOURCE) if not row["drop_reason"]}
    assert len(sha) == 64
    assert origins == {f"{name}@{sha}:{path}" for name in "xy" for path in FILES if path != "logo.png"}


def test_what_is_no_source_file_is_counted(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    commit(tmp_path / "sub", "sub", {"b.py": "1"})
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit(
        repo,
        "first",
        {"big.js": "x" * 2000, "lfs.py": pointer, "e.py": " ", "z.py": "a\0", "l1.py": b"\xe9", "ok.py": "1"},
    )
    os.symlink("ok.py", repo / "link.py")
    git(repo, "submodule", "add", "-q", str(tmp_path / "sub"), "deps/sub")
    commit(repo, "second")
    assert reasons(read_rows(tmp_path, **SOURCE, max_file_bytes=1000)) == {
        ".gitmodules": None,
        "big.js": "file.too_large",
        "deps/sub": "file.submodule",
        "e.py": "file.empty",
        "l1.py": "file.not_utf8",
        "lfs.py": "file.lfs_pointer",
        "link.py": "file.link",
        "ok.py": None,
        "z.py": "file.binary",
    }


def test_names_that_are_no_utf8_stay_apart(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    commit(repo, "first", {os.fsdecode(b"caf\xe9.py"): "1", os.fsdecode(b"caf\xe8.py"): "2", "café.py": "3"})
    rows = read_rows(tmp_path, **SOURCE)
    assert {row["origin"].rpartition(":")[2]: row["text"] for row in rows} == {
        "caf\\xe9.py": "1",
        "caf\\xe8.py": "2",
        "café.py": "3",
    }
    assert len({row["id"] for row in rows}) == 3


def test_repositories_of_which_nothing_can_be_read(tmp_path: Path, read_rows: ReadRows) -> None:
    git(tmp_path, "init", "-q", "repos/empty")
    commit(tmp_path / "repos/rootless", "first", {"a.py": "1"})
    remove_object(tmp_path / "repos/rootless", git(tmp_path / "repos/rootless", "rev-parse", "HEAD^{tree}"))
    commit(tmp_path / "repos/odd", "first", {"a.py": "1"})
    (tmp_path / "repos/odd/.git/HEAD").write_text("nonsense")
    commit(tmp_path / "repos/good", "first", {"a.py": "1"})
    git(tmp_path / "repos/good", "bundle", "create", "-q", str(tmp_path / "repos/cut.bundle"), "HEAD")
    git(tmp_path / "repos/good", "bundle", "create", "-q", str(tmp_path / "repos/other.bundle"), "main")
    whole = (tmp_path / "repos/cut.bundle").read_bytes()
    (tmp_path / "repos/cut.bundle").write_bytes(whole[:-30])
    (tmp_path / "repos/junk.bundle").write_bytes(b"junk")
    (tmp_path / "repos/plain").mkdir()
    rows = read_rows(tmp_path, **SOURCE)
    found = {row["raw"]["file"]: row["drop_reason"] for row in rows}
    assert found == {
        "repos/cut.bundle": "git.damaged",
        "repos/empty": "git.empty",
        "repos/good/a.py": None,
        "repos/junk.bundle": "git.damaged",
        "repos/odd": "git.damaged",
        "repos/other.bundle/a.py": None,
        "repos/rootless": "git.damaged",
    }
    said = {row["raw"]["file"]: json.loads(row["meta"]).get("said", "") for row in rows}
    assert "not a git repository" in said["repos/odd"]
    assert "tree" in said["repos/rootless"]


def test_no_repository_matches(tmp_path: Path) -> None:
    (tmp_path / "repos/x/below").mkdir(parents=True)
    with pytest.raises(store.StoreError, match=r"1 folders match.*none is a git repository"):
        readers.list_splits(SOURCE, str(tmp_path))


def test_the_rest_of_a_damaged_repository_is_read(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    commit(repo, "first", {f"{folder}/{i}.py": f"{folder}{i}\n" * 30 for folder in "abc" for i in range(60)})
    remove_object(repo, git(repo, "rev-parse", "HEAD:a/7.py"))
    path = remove_object(repo, git(repo, "rev-parse", "HEAD:a/9.py"))
    path.write_bytes(b"junk")
    name = git(repo, "rev-parse", "HEAD:b/5.py")
    path = remove_object(repo, name)
    data = zlib.compress(b"blob 90\0" + os.urandom(90))
    path.write_bytes(data[:60])  # its size can be read and its content not
    remove_object(repo, git(repo, "rev-parse", "HEAD:c"))
    found = reasons(read_rows(tmp_path, **SOURCE))
    assert {path: reason for path, reason in found.items() if reason} == dict.fromkeys(
        ("a/7.py", "a/9.py", "b/5.py", "c"), "file.damaged"
    )
    assert len(found) == 121


def test_a_partial_clone_fetches_nothing(tmp_path: Path, read_rows: ReadRows) -> None:
    origin = tmp_path / "origin"
    commit(origin, "first", {"a.py": "1", "b.py": "2"})
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{origin}", "repos/x")
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": "file.missing", "b.py": "file.missing"}
    before = split_of(tmp_path).identity()
    git(tmp_path / "repos/x", "cat-file", "-p", "HEAD:a.py")  # fetches it
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": None, "b.py": "file.missing"}
    assert split_of(tmp_path).identity() != before


def test_nothing_of_a_hostile_repository_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    """Configuration, hooks, attributes, replace refs, and variables of the environment that would run a program or change what is read."""
    repo = tmp_path / "repos/x"
    commit(repo, "first", {"a.py": "1\n", ".gitattributes": "*.py diff=evil filter=evil\n"})
    commit(repo, "second", {"a.py": "2\n"})
    head, attributes, blob = git(repo, "rev-parse", "HEAD", "HEAD:.gitattributes", "HEAD:a.py").split()
    witness = tmp_path / "witness"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {witness}\n")
    program.chmod(0o755)
    keys = (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.gitProxy",
        "core.askPass",
        "diff.external",
        "diff.evil.textconv",
    )
    more = (
        "diff.evil.command",
        "filter.evil.smudge",
        "filter.evil.clean",
        "gpg.program",
        "core.alternateRefsCommand",
    )
    for key in (*keys, *more, "uploadpack.packObjectsHook", "alias.cat-file", "log.showSignature"):
        git(
            repo,
            "config",
            key,
            "true" if key.startswith("log.") else f"!{program}" if key.startswith("alias") else str(program),
        )
    git(repo, "config", "remote.origin.promisor", "true")
    git(repo, "config", "remote.origin.url", f"ext::{program}")
    git(repo, "replace", git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "HEAD~"))
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (repo / ".git/hooks").mkdir(exist_ok=True)
        (repo / ".git/hooks" / hook).symlink_to(program)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_SSH_COMMAND", "GIT_PAGER", "GIT_ASKPASS"):
        monkeypatch.setenv(name, str(program))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    remove_object(repo, attributes)
    rows = read_rows(tmp_path, **SOURCE)
    assert {row["origin"].rpartition(":")[2]: row["text"] for row in rows} == {"a.py": "2\n", ".gitattributes": ""}
    assert any(row["drop_reason"] is None for row in read_rows(tmp_path, **SOURCE, unit="commit"))
    remove_object(repo, head)
    assert reasons(read_rows(tmp_path, **SOURCE, ref="HEAD~")) == {"repos/x": "git.no_ref"}
    assert not witness.exists()
    assert not (tmp_path / "trace").exists()
    git(repo, "cat-file", "--textconv", "--path=a.py", blob)
    assert witness.exists(), "git itself would have run it"


def test_another_owner_does_not_matter(tmp_path: Path, read_rows: ReadRows) -> None:
    if os.getuid():
        pytest.skip("only root can give a folder away")
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    subprocess.run(["chown", "-R", "12345", str(tmp_path / "repos")], check=True)
    assert [row["text"] for row in read_rows(tmp_path, **SOURCE)] == ["1"]


def test_git_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(store.StoreError, match=r"git: the program is not installed\n.*install git"):
        readers.list_splits(SOURCE, str(tmp_path))


def test_a_tree_of_trees_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows) -> None:
    """Ten folders of ten folders of ..., ten levels deep: 10^10 files from ten objects."""
    repo = tmp_path / "repos/x"
    commit(repo, "first", {"a.py": "1"})
    entry = f"100644 blob {git(repo, 'rev-parse', 'HEAD:a.py')}"
    for _ in range(10):
        tree = git(repo, "mktree", data="".join(f"{entry}\t{i}\n" for i in range(10)).encode())
        entry = f"040000 tree {tree}"
    git(repo, "update-ref", "HEAD", git(repo, "commit-tree", "-m", "bomb", tree))
    monkeypatch.setattr(git_reader, "MAX_FILES", 5000)
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"repos/x": "git.too_many_files"}


def test_a_tree_that_does_not_parse(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    commit(repo, "first", {"a.py": "1"})
    whole = b"100644 a.py\0" + bytes.fromhex(git(repo, "rev-parse", "HEAD:a.py"))
    bad = git(repo, "hash-object", "--literally", "-w", "-t", "tree", "--stdin", data=whole + b"100644 b.py\0short")
    top = git(repo, "hash-object", "-w", "-t", "tree", "--stdin", data=whole + b"40000 folder\0" + bytes.fromhex(bad))
    git(repo, "update-ref", "HEAD", git(repo, "commit-tree", "-m", "x", top))
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": None, "folder": "file.damaged"}


def test_folders_that_are_too_large_or_too_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    """A name of megabytes before each of a million names would take memory that the repository does not."""
    repo = tmp_path / "repos/x"
    commit(repo, "first", {"a.py": "1"})
    blob = git(repo, "rev-parse", "HEAD:a.py")
    inner = git(repo, "mktree", data=f"100644 blob {blob}\ta.py\n".encode())
    wide = git(repo, "mktree", data="".join(f"100644 blob {blob}\t{number}.py\n" for number in range(99)).encode())
    listed = f"040000 tree {inner}\t{'d' * 5000}\n040000 tree {inner}\tfolder\n040000 tree {wide}\twide\n"
    git(repo, "update-ref", "HEAD", git(repo, "commit-tree", "-m", "x", git(repo, "mktree", data=listed.encode())))
    assert reasons(read_rows(tmp_path, **SOURCE))["d" * 5000] == "file.damaged"
    assert len(read_rows(tmp_path, **SOURCE)) == 101
    monkeypatch.setattr(git_objects, "MAX_TREE_BYTES", 2000)
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"repos/x": "git.damaged"}, "the root has a name of 5,000 bytes"
    monkeypatch.setattr(git_objects, "MAX_PATH_BYTES", 3)
    monkeypatch.setattr(git_objects, "MAX_TREE_BYTES", 1 << 20)
    assert reasons(read_rows(tmp_path, **SOURCE)) == {
        "d" * 5000: "file.damaged",
        "folder": "file.damaged",
        "wide": "file.damaged",
    }


def test_a_path_twice_in_a_tree(tmp_path: Path, read_rows: ReadRows) -> None:
    repo = tmp_path / "repos/x"
    commit(repo, "first", {"a.py": "1"})
    blob = bytes.fromhex(git(repo, "rev-parse", "HEAD:a.py"))
    tree = git(repo, "hash-object", "--literally", "-w", "-t", "tree", "--stdin", data=(b"100644 a.py\0" + blob) * 2)
    git(repo, "update-ref", "HEAD", git(repo, "commit-tree", "-m", "x", tree))
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == [None, "file.repeated"]


def test_a_repository_in_a_work_tree_is_one_of_its_own(tmp_path: Path, read_rows: ReadRows) -> None:
    commit(tmp_path / "repos/x/deps/y", "first", {"b.py": "2"})
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    rows = read_rows(tmp_path, reader="git", paths=["repos/*", "repos/x/deps/*"])
    assert {row["raw"]["file"]: row["drop_reason"] for row in rows} == {
        "repos/x/a.py": None,
        "repos/x/deps/y": "file.submodule",
        "repos/x/deps/y/b.py": None,
    }


def test_objects_are_not_mixed_up_when_an_answer_is_not_read_to_its_end(tmp_path: Path) -> None:
    repo = tmp_path / "repos/x"
    commit(repo, "first", {f"{i}.py": f"{i}" for i in range(120)})
    named = git_objects.resolve(str(repo / ".git"), "HEAD")
    with git_objects.empty_repository(named.commit, named.objects) as env, git_objects.Objects(env) as objects:
        names = [f"HEAD:{i}.py" for i in range(120)]
        ids = git(repo, "rev-parse", *names).split()
        for _ in objects.contents(ids):
            break
        assert list(objects.contents(ids)) == [f"{i}".encode() for i in range(120)]
        assert list(objects.sizes(ids)) == [len(f"{i}") for i in range(120)]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/repo.git", "github.com/owner/repo"),
        ("https://user:pa@ss@GitHub.com/owner/repo/", "github.com/owner/repo"),
        ("git@github.com:owner/repo.git", "github.com/owner/repo"),
        ("ssh://git@host.example:2222/group/sub/repo.git", "host.example/group/sub/repo"),
        ("git://kernel.example.org/pub/linux.git?x=1", "kernel.example.org/pub/linux"),
        ("/srv/git/repo.git", "x"),
        ("../repo", "x"),
        ("file:///srv/repo.git", "x"),
        ("C:\\repos\\x", "x"),
        ("", "x"),
        (None, "x"),
    ],
)
def test_names(url: str | None, name: str) -> None:
    assert name_of(url, "repos/x.git") == name
    assert name_of(None, "s3://b/x.bundle") == name_of(None, "x/.git") == "x"


def test_readable_paths_are_text_and_differ() -> None:
    assert source_file.readable(b"a/\xff\xc3\xa9") == "a/\\xffé"
