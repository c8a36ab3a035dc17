import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe.readers import git_objects
from tests.datapipe.readers.git_fixture import commit, git

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "git", "paths": ["repos/*"]}


def reasons(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {row["origin"].rpartition(":")[2]: row["drop_reason"] for row in rows}


@pytest.mark.parametrize(
    "place", ["HEAD", "config", "packed-refs", "refs/heads/x", "objects/info/alternates", "objects/pack/x.idx"]
)
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "socket"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows, place: str, kind: str
) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    special = tmp_path / "repos/x/.git" / place
    special.parent.mkdir(exist_ok=True)
    special.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(special)
    elif kind == "socket":
        monkeypatch.chdir(special.parent)  # the names of sockets are short
        socket.socket(socket.AF_UNIX).bind(special.name)
    else:
        special.symlink_to("/dev/tty")
    [row] = read_rows(tmp_path, **SOURCE)
    said = f"{place.removeprefix('objects/')} is a pipe, socket or device"
    assert (row["drop_reason"], json.loads(row["meta"])) == ("git.damaged", {"said": said})


def test_a_pipe_in_an_alternate_is_found_and_alternates_may_lead_in_circles(
    tmp_path: Path, read_rows: ReadRows
) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    (tmp_path / "other/info").mkdir(parents=True)
    (tmp_path / "repos/x/.git/objects/info/alternates").write_text("# a comment\n\n../../../../other\n/no\0where\n")
    (tmp_path / "other/info/alternates").write_text(f"{tmp_path}/repos/x/.git/objects\n")
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": None}
    (tmp_path / "other/ab").mkdir()
    for name in ("f" * 38, "c" * 38, "d" * 38):
        os.mkfifo(tmp_path / "other/ab" / name)
    [row] = read_rows(tmp_path, **SOURCE)
    assert row["drop_reason"] == "git.damaged"
    assert json.loads(row["meta"]) == {"said": f"ab/{'c' * 38} is a pipe, socket or device"}


def test_sockets_that_git_does_not_open_and_links_that_lead_nowhere_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    (tmp_path / "repos/x/.git/objects/info/alternates").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path / "repos/x/.git")
    socket.socket(socket.AF_UNIX).bind("fsmonitor--daemon.ipc")
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": None}


def test_more_alternates_than_any_repository_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    (tmp_path / "repos/x/.git/objects/info/alternates").write_text("\n".join(f"{tmp_path}/{i}" for i in range(9)))
    assert reasons(read_rows(tmp_path, **SOURCE)) == {"a.py": None}
    monkeypatch.setattr(git_objects, "MAX_ALTERNATES", 5)
    [row] = read_rows(tmp_path, **SOURCE)
    assert json.loads(row["meta"]) == {"said": "its alternates are over 5 folders"}
    monkeypatch.setattr(git_objects, "MAX_ALTERNATES_BYTES", 5)
    [row] = read_rows(tmp_path, **SOURCE)
    assert json.loads(row["meta"]) == {"said": "info/alternates is over 5 bytes"}


def test_a_pipe_that_the_configuration_includes_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    commit(tmp_path / "repos/x", "first", {"a.py": "1"})
    os.mkfifo(tmp_path / "pipe")
    git(tmp_path / "repos/x", "config", "include.path", str(tmp_path / "pipe"))
    monkeypatch.setattr(git_objects, "LOOKUP_SECONDS", 0.2)
    [row] = read_rows(tmp_path, **SOURCE)
    assert (row["drop_reason"], json.loads(row["meta"])) == ("git.damaged", {"said": "no answer within 0.2 seconds"})
