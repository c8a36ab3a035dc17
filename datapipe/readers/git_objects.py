"""Objects of a git repository that nobody vouches for: trees and blobs through `git cat-file`, no work tree and no checkout.

Unusual: git does not run in the repository. It runs in an empty one of our own whose objects are the repository's
(`GIT_OBJECT_DIRECTORY`). So nothing of the repository's configuration, hooks, attributes, replace refs, grafts or commit graph is in
effect, nothing is fetched, no owner is asked after, and the user's own configuration and `GIT_*` variables do not count either. In the
repository itself git only looks up what a ref names, with all transports forbidden.

Two processes serve a repository, one for sizes and one for contents; a request and its answer cost about 30 us. A process that dies of a
damaged object is started again behind it. Alternates, packs of any kind, shallow and partial clones and sha256 work as in git itself, 2.32
or newer. A folder's list over 64 MiB, or a folder with a path over 4,096 bytes, is not read: names packed small would fill the memory.
A pipe, socket or device in the place of a ref, an object or `info/alternates` would hold git up for ever: it is refused before git runs.
Not covered: the hash of an object is not computed again (zlib's checksum is); special files in alternates that stand in quotes.
"""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from datapipe import store

BATCH = 50  # requests at once: 65 bytes each are less than the smallest pipe, so that neither side waits for the other
PIPE_BYTES = 1 << 20
SHA1_HEX = 40
MAX_PATH_BYTES = 4096  # of a folder, as in Linux; what lies deeper no checkout could have
MAX_TREE_BYTES = 64 << 20  # of a folder's list; one of a million files has some 40 MB
LOOKUP_SECONDS = 120  # for what takes milliseconds, unless the configuration includes a pipe or a device
LOOKUP_FILES = ("HEAD", "commondir", "config", "config.worktree", "packed-refs", "shallow")  # opened to look up a ref
MAX_ALTERNATES = 1000  # of one repository; git follows five in a row
MAX_ALTERNATES_BYTES = 1 << 20
MAX_DEATHS = 1000  # of processes; what is asked for after that counts as damaged
NO_REF = "Needed a single revision"  # what git says of a ref that names nothing
_CONFIG = "[core]\n\tbare = true\n\trepositoryformatversion = 1\n\tcommitGraph = false\n\tbigFileThreshold = 1m\n"
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0")
_NO_GIT = store.StoreError("git", "the program is not installed", "install git 2.32 or newer, and see that PATH has it")


class GitError(Exception):
    """What git answered in the place of a result."""


class Named(NamedTuple):
    """What a ref of a repository names, and where its parts lie."""

    commit: str  # or an annotated tag of it
    objects: str
    shallow: str
    config: str


class Blob(NamedTuple):
    """A leaf of a tree. `mode` tells files (100644, 100755), links (120000) and submodules (160000); a folder (40000) could not be read."""

    path: bytes
    mode: bytes
    id: str


def environment(**ours: str) -> dict[str, str]:
    """For a git process: none of the user's configuration, no network, no prompts, English messages."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    fixed = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "none",
    }
    never = {
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    return {**inherited, **fixed, **never, "LC_ALL": "C", **ours}


def run(*arguments: str, env: Mapping[str, str], timeout_s: float | None = None) -> str:
    """What a git command prints. Raises GitError with what it says when it fails, or that it did not end."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
    except FileNotFoundError as error:
        raise _NO_GIT from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"no answer within {timeout_s:g} seconds") from error
    if done.returncode:
        raise GitError(done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}")
    return os.fsdecode(done.stdout)


def start(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A git process that answers on pipes."""
    try:
        return subprocess.Popen(
            ["git", *arguments],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=PIPE_BYTES,
        )
    except FileNotFoundError as error:
        raise _NO_GIT from error


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def resolve(git_dir: str, ref: str) -> Named:
    """What `ref` names in the repository at `git_dir`. Raises GitError."""
    _refuse_special(git_dir, (f"{git_dir}/{name}" for name in LOOKUP_FILES))
    _refuse_special(
        git_dir, (entry.path for folder, *_ in os.walk(f"{git_dir}/refs") for entry in _odd_entries(folder))
    )
    where = ("--path-format=absolute", "--git-path", "objects", "--git-path", "shallow", "--git-path", "config")
    answer = run(
        "rev-parse",
        *where,
        "--verify",
        "--end-of-options",
        ref,
        env=environment(GIT_DIR=git_dir),
        timeout_s=LOOKUP_SECONDS,
    )
    lines = answer.splitlines()
    if len(lines) != 4:
        raise GitError("its path has a line break")
    _refuse_special_objects(lines[0])
    return Named(lines[3], *lines[:3])


def _refuse_special_objects(objects: str) -> None:
    """`_refuse_special` for what git opens in a folder of objects and in its alternates. A loose object costs about 1 us."""
    left, seen = [objects], set[str]()
    while left and len(seen) < MAX_ALTERNATES:
        if (folder := os.path.realpath(left.pop())) in seen:
            continue
        seen.add(folder)
        places = (f"{folder}/{name}" for name in _names(folder))
        _refuse_special(folder, (entry.path for place in places for entry in _odd_entries(place)))
        left += _alternates(folder)
    if left:
        raise GitError(f"its alternates are over {MAX_ALTERNATES:,} folders")


def _alternates(objects: str) -> list[str]:
    """The folders that `info/alternates` names; a line that git would skip names one that is not there."""
    try:
        with open(f"{objects}/info/alternates", "rb") as file:
            data = file.read(MAX_ALTERNATES_BYTES + 1)
    except OSError:
        return []
    if len(data) > MAX_ALTERNATES_BYTES:
        raise GitError(f"info/alternates is over {MAX_ALTERNATES_BYTES:,} bytes")
    return [os.path.join(objects, os.fsdecode(line)) for line in data.split(b"\n") if line and b"\0" not in line]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _odd_entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder and is neither file nor folder itself; telling them costs no call to the system."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                yield entry


def _refuse_special(folder: str, paths: Iterable[str]) -> None:
    """Raise GitError for a path that leads to a pipe, socket or device; of several, the first by name."""
    for path in sorted(paths):
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise GitError(f"{os.path.relpath(path, folder)} is a pipe, socket or device")


def origin_url(config: str) -> str | None:
    """`remote.origin.url` of a repository's configuration file; nothing that it includes is read."""
    try:
        return (
            run(
                "config", "--file", config, "--get", "remote.origin.url", env=environment(), timeout_s=LOOKUP_SECONDS
            ).strip()
            or None
        )
    except GitError:
        return None


@contextlib.contextmanager
def empty_repository(
    object_id: str, objects: str | None = None, shallow: str | None = None
) -> Iterator[dict[str, str]]:
    """The environment of git processes in a repository of our own, with the objects at `objects`; it goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="tokenloom-git-") as folder:
        for name in ("refs", "objects/pack", "objects/info"):
            Path(folder, name).mkdir(parents=True)
        Path(folder, "HEAD").write_text("ref: refs/heads/none\n")
        Path(folder, "config").write_text(_CONFIG + (_SHA256 if len(object_id) > SHA1_HEX else ""))
        if shallow and os.path.isfile(shallow):
            Path(folder, "shallow").write_bytes(Path(shallow).read_bytes())
        yield environment(GIT_DIR=folder, GIT_OBJECT_DIRECTORY=objects or str(Path(folder, "objects")))


class Objects:
    """The objects of one repository, read in batches. A context: its processes end with it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._num_deaths = 0
        is_partial = any(Path(env["GIT_OBJECT_DIRECTORY"], "pack").glob("*.promisor"))
        self._absent = "missing" if is_partial else "damaged"

    def __enter__(self) -> "Objects":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            stop(process)

    def sizes(self, names: Iterable[str]) -> Iterator[int | str]:
        """The size in bytes of each object; or `missing`, in a partial clone, or `damaged`."""
        return (answer if isinstance(answer, str) else answer[0] for answer in self._ask("--batch-check", names))

    def contents(self, names: Iterable[str]) -> Iterator[bytes | str]:
        """The bytes of each object, or as `sizes`. Each is held whole: ask for sizes first."""
        return (answer if isinstance(answer, str) else answer[1] for answer in self._ask("--batch", names))

    def _ask(self, mode: str, names: Iterable[str]) -> Iterator[tuple[int, bytes] | str]:
        waiting = iter(names)
        while batch := list(islice(waiting, BATCH)):
            while batch:
                num_answered = 0
                try:
                    for answer in self._answers(mode, batch):
                        num_answered += 1
                        yield answer
                finally:
                    if num_answered < len(batch) and mode in self._processes:  # it died, or nobody wants the rest
                        stop(self._processes.pop(mode))
                if num_answered < len(batch):
                    self._num_deaths += 1
                    num_answered += 1
                    yield "damaged"
                batch = batch[num_answered:]

    def _answers(self, mode: str, names: list[str]) -> Iterator[tuple[int, bytes] | str]:
        """Answers until the process dies."""
        if self._num_deaths > MAX_DEATHS:
            return
        if mode not in self._processes:
            self._processes[mode] = start("cat-file", mode, env=self._env)
        process = self._processes[mode]
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):  # then the first answer will not come
            process.stdin.write("".join(f"{name}\n" for name in names).encode())
            process.stdin.flush()
        for _ in names:
            head = process.stdout.readline().split()
            if not head:
                return
            if len(head) < 3:
                yield self._absent
                continue
            size_bytes = int(head[2])
            data = process.stdout.read(size_bytes + 1) if mode == "--batch" else b"\n"
            if not data.endswith(b"\n") or (mode == "--batch" and len(data) <= size_bytes):
                return
            yield size_bytes, data[:-1]


def leaves(objects: Objects, root: str, *, max_leaves: int, is_deep: bool = True) -> list[Blob]:
    """The leaves of the tree `root`, sorted by path; at most `max_leaves` and a folder more. Without `is_deep` those of its root folder.

    A folder that cannot be read is a leaf of mode 40000. Raises GitError when that is the root.
    """
    found: list[Blob] = []
    level = [Blob(b"", b"40000", root)]
    while level and len(found) < max_leaves:
        folders: list[Blob] = []
        for folder, data in zip(level, _lists(objects, level), strict=True):
            entries = None if isinstance(data, str) else _entries(data, folder.path, len(root.partition("^")[0]) // 2)
            if entries is None and not folder.path:
                raise GitError(f"the tree of {root} is {data if isinstance(data, str) else 'damaged'}")
            if entries is None:
                found.append(folder)
            for entry in entries or []:
                (folders if entry.mode == b"40000" else found).append(entry)
            if len(found) + len(folders) > max_leaves:
                return sorted([*found, *folders])
        level = folders if is_deep else []
    return sorted(found)


def _lists(objects: Objects, folders: list[Blob]) -> Iterator[bytes | str]:
    """The tree objects of folders; or why one is not read."""
    reasons = [
        size
        if isinstance(size, str)
        else "too large"
        if size > MAX_TREE_BYTES or len(folder.path) > MAX_PATH_BYTES
        else ""
        for folder, size in zip(folders, objects.sizes(folder.id for folder in folders), strict=True)
    ]
    read = objects.contents(folder.id for folder, reason in zip(folders, reasons, strict=True) if not reason)
    yield from (reason or next(read) for reason in reasons)


def _entries(data: bytes, folder: bytes, id_bytes: int) -> list[Blob] | None:
    """What a tree object lists; None when it does not parse."""
    entries, position = [], 0
    prefix = folder + b"/" if folder else b""
    while match := _ENTRY.match(data, position):
        position = match.end() + id_bytes
        entries.append(Blob(prefix + match[2], match[1].lstrip(b"0"), data[match.end() : position].hex()))
    return entries if position == len(data) else None
