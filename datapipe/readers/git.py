"""Git repositories, read from their object database (git_objects.py): work trees with `.git`, bare repositories, bundles; also in S3.

`unit: file`: a document per file of the commit that `ref` names (source_file.py), the commit being its version. `unit: commit`: a
document per commit up to that one (commits.py). A repository is named as its `remote.origin.url` has it, `github.com/owner/repo` without
credentials, or by its folder. An input is identified by the commit, so the same history is built once however git packs it.

From S3 a repository (without its alternates) or bundle is copied to the folder for temporary files while it is read; a bundle is unpacked
there in any case, which checks every object's hash. Counted as one row: `git.empty` (no commit yet), `git.no_ref` (not this ref),
`git.damaged` (no tree can be read; `meta.said` has git's words), `git.too_many_files`. Not covered: bundles that build on others
(`git.damaged`), submodules' content.
"""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from datapipe import store
from datapipe.readers import commits, git_history, git_objects, repository, source_file
from datapipe.readers.git_history import History
from datapipe.readers.git_objects import Blob, GitError, Named, Objects
from datapipe.readers.repository import Repository
from datapipe.readers.source_file import MAX_FILES, File
from datapipe.readers.split import Input, Pattern, Row

BUNDLE = ".bundle"
MAX_BUNDLE_HEADER_BYTES = 16 << 20
COMMITS_PER_INPUT = 8192  # long histories are read by several tasks
BYTES_PER_COMMIT = 4096  # typical, with 10 lines of context; only the sizes of splits depend on it
NAMES_OF_HEAD = ("HEAD", "refs/heads/main", "refs/heads/master")  # in a bundle, which need not have HEAD
_FILE_MODE = b"100"  # how the modes of files begin: 100644, 100755, in old histories others
_REASONS = {b"120000": "link", b"160000": "submodule", b"40000": "damaged"}
_URL = re.compile(
    r"(?:[a-z+]+://)?(?:[^/]*@)?([\w-]+(?:\.[\w-]+)+)(?::\d+(?=/))?[:/]/*([^?#]+?)(?:\.git)?/*(?:[?#].*)?"
)


class Unreadable(Exception):
    """A repository of which nothing can be read: the drop reason, and what git said."""

    def __init__(self, reason: str, said: str = "") -> None:
        super().__init__(reason, said)
        self.reason, self.said = reason, said


class Repo(NamedTuple):
    """A repository that can be read: the commit, the environment of git processes that see its objects, and its name."""

    commit: str
    env: dict[str, str]
    name: str


def find(pattern: Pattern, options: Mapping[str, Any]) -> list[Input]:
    """An input per repository and bundle that matches; of long local histories one per 8,192 commits. Other folders are passed over.

    Raises StoreError when folders match, and none is a repository.
    """
    folders = store.folders(pattern.path)
    repositories = [folder for folder in folders if _git_dir(folder)]
    infos = [] if pattern.path in folders else store.glob(pattern.path)
    bundles = [info for info in infos if info.path.endswith(BUNDLE)]
    if folders and not repositories and not bundles:
        answer = f"{len(folders):,} folders match, such as {folders[0]}, and none is a git repository"
        raise store.StoreError(
            pattern.written, answer, "the pattern must match the repositories themselves, such as repos/*"
        )
    found = [_bundle(info, pattern.name(info.path), options["ref"]) for info in bundles]
    for folder in repositories:
        found += _inputs(folder, pattern.name(folder), options)
    return found


def read(
    source: Input,
    *,
    unit: Literal["file", "commit"] = "file",
    ref: str = "HEAD",
    max_file_bytes: int = 1 << 20,
    history: Literal["first_parent", "all"] = "first_parent",
    context_lines: int = 10,
    max_diff_bytes: int = 1 << 20,
) -> Iterator[Row]:
    """The documents of one repository, or of a range of its commits."""
    try:
        with _opened(source, ref) as repo:
            if unit == "file":
                yield from _files(repo, source.name, max_file_bytes)
            else:
                of = History(repo.commit, history == "first_parent", source.first or 0, source.count)
                about = _described(repo)
                options = commits.Options(context_lines, max_diff_bytes)
                yield from commits.read(of, about, repo.env, source.name, options)
    except Unreadable as refusal:
        meta = json.dumps({"said": refusal.said} if refusal.said else {})
        raw = {"file": source.name, "offset": None, "length": None}
        yield {"origin": source.name, "raw": raw, "drop_reason": refusal.reason, "meta": meta}


def name_of(url: str | None, path: str) -> str:
    """`host/owner/repo` of a remote's URL, without user, password, port and `.git`; the folder's name when it is no host's."""
    if match := _URL.fullmatch(url or ""):
        return f"{match[1].lower()}/{match[2]}"
    return path.removesuffix("/.git").rpartition("/")[2].removesuffix(BUNDLE).removesuffix(".git")


# Finding


def _git_dir(folder: str) -> str | None:
    """The repository of a folder: below `.git` (a file in linked work trees and submodules), or the folder itself."""
    if store.exists(store.join(folder, ".git")):
        return store.join(folder, ".git")
    is_bare = all(store.exists(store.join(folder, part)) for part in ("HEAD", "objects"))
    return folder if is_bare else None


def _bundle(info: store.FileInfo, name: str, ref: str) -> Input:
    try:
        identity = _named_in_bundle(info.path, ref)
    except Unreadable as refusal:
        identity = f"{refusal.reason} {store.fingerprint(info)}"
    return Input(info.path, name, info.size_bytes, identity)


def _inputs(folder: str, name: str, options: Mapping[str, Any]) -> list[Input]:
    """A repository as inputs. Sizes follow from its content, because inputs are identified by them too."""
    if store.is_s3(folder):
        infos = store.glob(_git_dir(folder) or folder)
        whole = Input(folder, name, sum(info.size_bytes for info in infos), "")
    else:
        whole = Input(folder, name, 0, "")
    try:
        with _resolved(folder, options["ref"], refs_only=True) as named:
            whole = replace(whole, fingerprint=named.commit)
            if store.is_s3(folder):
                return [whole]
            with git_objects.empty_repository(named.commit, named.objects, named.shallow) as env:
                if options["unit"] == "commit":
                    return _ranges(
                        whole, git_history.count(History(named.commit, options["history"] == "first_parent"), env)
                    )
                with Objects(env) as objects:
                    blobs = _blobs(objects, named.commit)
                    sizes = objects.sizes(blob.id for blob in blobs if blob.mode.startswith(_FILE_MODE))
                    num_bytes = sum(size for size in sizes if isinstance(size, int))
            return [replace(whole, size_bytes=num_bytes)]
    except (Unreadable, GitError) as refusal:
        return [whole if whole.fingerprint else replace(whole, fingerprint=str(refusal.args[0]))]


def _ranges(whole: Input, num_commits: int) -> list[Input]:
    starts = range(0, num_commits, COMMITS_PER_INPUT)
    counts = [min(COMMITS_PER_INPUT, num_commits - start) for start in starts]
    return [whole.range(start, count, count * BYTES_PER_COMMIT) for start, count in zip(starts, counts, strict=True)]


@contextlib.contextmanager
def _resolved(folder: str, ref: str, *, refs_only: bool) -> Iterator[Named]:
    """What `ref` names in a repository; of one in S3 a copy that goes when the block ends, without objects for `refs_only`."""
    git_dir = _git_dir(folder) or folder
    with _local(git_dir, refs_only) if store.is_s3(folder) else contextlib.nullcontext(git_dir) as path:
        try:
            named = git_objects.resolve(path, ref)
        except GitError as error:
            if git_objects.NO_REF not in str(error):
                raise Unreadable("git.damaged", str(error)) from error
            raise Unreadable("git.empty" if ref == "HEAD" else "git.no_ref") from error
        yield named


@contextlib.contextmanager
def _local(git_dir: str, refs_only: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tokenloom-git-") as folder:
        for needed in ("objects", "refs"):
            Path(folder, needed).mkdir()
        for info in store.glob(git_dir):
            path = info.path.removeprefix(git_dir).lstrip("/")
            top = path.partition("/")[0]
            if ".." in path.split("/") or path == "objects/info/alternates":
                continue  # keys and contents of a bucket that would lead to this machine's own files
            if top in ("HEAD", "config", "packed-refs", "refs", "shallow") or (top == "objects" and not refs_only):
                _copy(info.path, str(Path(folder, path)))
        yield folder


def _copy(source: str, target: str) -> None:
    with store.open_input(source) as stream, store.output_file(target) as file:
        shutil.copyfileobj(stream, file, store.BUFFER_BYTES)


def _named_in_bundle(path: str, ref: str) -> str:
    """The object that a bundle's header has for `ref`. Raises Unreadable."""
    wanted = [ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/{ref}"]
    with store.open_input(path, read_ahead=False) as stream:
        heads = _bundle_heads(stream)
    if not heads:
        raise Unreadable("git.empty")
    found = next((heads[name] for name in (wanted if ref != "HEAD" else NAMES_OF_HEAD) if name in heads), None)
    if found is None and ref == "HEAD":
        return next(iter(heads.values()))
    if found is None:
        raise Unreadable("git.no_ref", f"it has {', '.join(sorted(heads)[:10])}")
    return found


def _bundle_heads(stream: BinaryIO) -> dict[str, str]:
    """Objects by the names of refs, in the bundle's order."""
    heads: dict[str, str] = {}
    if not stream.readline(100).startswith(b"# v"):
        raise Unreadable("git.damaged", "it does not begin as a bundle does")
    while line := stream.readline(MAX_BUNDLE_HEADER_BYTES).rstrip(b"\n"):
        if line[:1] not in (b"@", b"-"):
            id, _, name = line.decode("utf-8", "replace").partition(" ")
            heads[name] = id
        if stream.tell() > MAX_BUNDLE_HEADER_BYTES:
            raise Unreadable("git.damaged", f"its header is over {MAX_BUNDLE_HEADER_BYTES:,} bytes")
    return heads


# Reading


@contextlib.contextmanager
def _opened(source: Input, ref: str) -> Iterator[Repo]:
    """The repository at the commit that `find` saw. Raises Unreadable."""
    with contextlib.ExitStack() as stack:
        if source.path.endswith(BUNDLE) and not _git_dir(source.path):
            commit, url = _named_in_bundle(source.path, ref), None
            env = stack.enter_context(git_objects.empty_repository(commit))
            _unbundle(source.path, env)
        else:
            named = stack.enter_context(_resolved(source.path, ref, refs_only=False))
            commit, url = source.fingerprint, git_objects.origin_url(named.config)
            env = stack.enter_context(git_objects.empty_repository(commit, named.objects, named.shallow))
        try:
            commit = git_objects.run(
                "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}", env=env
            ).strip()
        except GitError as error:
            raise Unreadable("git.damaged", str(error)) from error
        yield Repo(commit, env, name_of(url, source.name))


def _unbundle(path: str, env: Mapping[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        if store.is_s3(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenloom-git-"))
            _copy(path, copied := str(Path(folder, "copy.bundle")))
            path = copied
        try:
            git_objects.run("bundle", "unbundle", path, env=env)
        except GitError as error:
            raise Unreadable("git.damaged", str(error)) from error


def _blobs(objects: Objects, commit: str, *, is_deep: bool = True) -> list[Blob]:
    try:
        return git_objects.leaves(objects, f"{commit}^{{tree}}", max_leaves=MAX_FILES, is_deep=is_deep)
    except GitError as error:
        raise Unreadable("git.damaged", str(error)) from error


def _files(repo: Repo, container: str, max_file_bytes: int) -> Iterator[Row]:
    with Objects(repo.env) as objects:
        blobs = _blobs(objects, repo.commit)
        if len(blobs) > MAX_FILES:
            raise Unreadable("git.too_many_files", f"over {MAX_FILES:,}")
        about = _about(repo, blobs, objects)
        yield from source_file.rows(_contents(objects, blobs, max_file_bytes), about, container)


def _contents(objects: Objects, blobs: list[Blob], max_bytes: int) -> Iterator[File]:
    """Files with their content, a batch ahead in sizes."""
    for start in range(0, len(blobs), git_objects.BATCH):
        batch = blobs[start : start + git_objects.BATCH]
        sizes = objects.sizes(blob.id for blob in batch if blob.mode.startswith(_FILE_MODE))
        files = [_unread(blob, sizes, max_bytes) for blob in batch]
        wanted = objects.contents(blob.id for blob, file in zip(batch, files, strict=True) if not file.reason)
        for file in files:
            if file.reason:
                yield file
                continue
            content = next(wanted)
            yield file._replace(reason=content) if isinstance(content, str) else file._replace(data=content)


def _unread(blob: Blob, sizes: Iterator[int | str], max_bytes: int) -> File:
    path = source_file.readable(blob.path)
    if not blob.mode.startswith(_FILE_MODE):
        return File(path, 0, reason=_REASONS.get(blob.mode, "damaged"))
    size = next(sizes)
    if isinstance(size, str):
        return File(path, 0, reason=size)
    return File(path, size, reason=source_file.unread(path, size, max_bytes))


def _described(repo: Repo) -> Repository:
    """The repository as its root folder describes it."""
    with Objects(repo.env) as objects:
        return _about(repo, _blobs(objects, repo.commit, is_deep=False), objects)


def _about(repo: Repo, blobs: list[Blob], objects: Objects) -> Repository:
    files = ((source_file.readable(blob.path), blob.id) for blob in blobs if blob.mode.startswith(_FILE_MODE))
    ids = {path: id for path, id in files if repository.says(path)}

    def text(path: str) -> str:
        [size] = objects.sizes([ids[path]])
        if isinstance(size, str) or size > repository.MAX_FILE_BYTES:
            return ""
        [content] = objects.contents([ids[path]])
        return "" if isinstance(content, str) else content.decode("utf-8", "replace")

    return Repository(repo.name, repo.commit, repository.describe(ids, text).license)
