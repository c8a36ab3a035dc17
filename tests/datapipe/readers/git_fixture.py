"""Repositories for tests, made with git itself: the same commits on every machine."""

import os
import subprocess
from pathlib import Path

ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada L"), ("EMAIL", "a@b.c"))
    },
    **dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "1700000000 +0200"),
    **{"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
}


def git(folder: Path, *arguments: str | bytes, data: bytes | None = None, **env: str) -> str:
    """What a git command in the folder prints."""
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "protocol.file.allow=always",
        "-c",
        "init.defaultBranch=main",
        *arguments,
    ]
    return (
        subprocess.run(command, env={**ENV, **env}, input=data, capture_output=True, check=True).stdout.decode().strip()
    )


def commit(folder: Path, message: str, files: dict[str, bytes | str | None] | None = None, **env: str) -> str:
    """Write files (None removes one) and commit everything, in a repository that is made if it is not there; the commit."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "-q")
    for name, content in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message, **env)
    return git(folder, "rev-parse", "HEAD")


def remove_object(folder: Path, name: str) -> Path:
    """Remove a loose object; where it lay."""
    path = folder / ".git" / "objects" / name[:2] / name[2:]
    path.chmod(0o600)
    path.unlink()
    return path
