"""What git says of each commit of a history: message, list of changes, diff; from two `git diff-tree` that are asked commit by commit.

The first lists what a commit changes. Commits whose files are too large or not there are refused before the second, which makes diffs,
opens any: git would hold both sides of a file in memory. A commit that a process dies of is `damaged`, and another goes on behind it.
About 1 ms a commit. Not covered: octopus diffs, notes, signatures.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from datapipe.readers import git_objects
from datapipe.readers.git_objects import Objects

MAX_FILE_BYTES = 8 << 20
MAX_CHANGES = 10_000  # files of a commit
MAX_RECORD_BYTES = 16 << 20  # of what git prints of a commit
MAX_RENAMED = 100  # files among which renames are looked for: each is compared with each
GROUP = 500  # commits between which processes are started
BATCH = 25  # commits asked at once: 130 bytes each are less than the smallest pipe, so that neither side waits for the other
FORMAT = "tformat:%H%x00%P%x00%an%x00%ae%x00%at%x00%B%x00"
_SIDES = re.compile(rb":(\d{6}) (\d{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ")


class History(NamedTuple):
    """The commits up to `tip`, newest first, from the `first` on."""

    tip: str
    is_first_parent: bool
    first: int = 0
    num_commits: int | None = None

    def arguments(self) -> list[str]:
        """For `git rev-list`."""
        line = ["--first-parent"] if self.is_first_parent else []
        count = [] if self.num_commits is None else [f"--max-count={self.num_commits}"]
        return ["rev-list", *line, f"--skip={self.first}", *count, self.tip]


def count(history: History, env: Mapping[str, str]) -> int:
    """How many commits the history has. Raises GitError when one cannot be read."""
    command, *rest = history.arguments()
    return int(git_objects.run(command, "--count", *rest, env=env))


def records(history: History, env: Mapping[str, str], *, context_lines: int) -> Iterator[tuple[str, bytes | str]]:
    """Each commit's hash, and what git prints of it: FORMAT, the changes as `--raw -z`, their diffs. Or the reason why there is none:
    `shallow`, `damaged`, `too_large`. The last one is (`tip`, `history_damaged`) when the history cannot be walked to its end."""
    listing = git_objects.start(*history.arguments(), env=env)
    output, _ = listing.communicate()
    shas = output.decode().split()
    merges = f"--diff-merges={'first-parent' if history.is_first_parent else 'off'}"
    compare = ("diff-tree", "--stdin", "--root", "--always", "-r", "--raw", "-z", merges, "--no-abbrev")
    list_changes = (*compare, "--no-renames")
    renames = ("-M", f"-l{MAX_RENAMED}", "--submodule=short", "--no-ext-diff", "--no-textconv")
    show = (*compare, *renames, "-p", f"--unified={context_lines}", "--encoding=UTF-8", f"--pretty={FORMAT}")
    with Objects(env) as objects:
        for start in range(0, len(shas), GROUP):
            group = shas[start : start + GROUP]
            refused = dict(_refused(zip(group, _asked(group, list_changes, env), strict=True), objects, _shallow(env)))
            shown = _asked([sha for sha in group if sha not in refused], show, env)
            yield from ((sha, refused[sha] if sha in refused else next(shown)) for sha in group)
    if listing.returncode:
        yield history.tip, "history_damaged"


def _shallow(env: Mapping[str, str]) -> frozenset[str]:
    """Commits whose parents were not fetched."""
    file = Path(env["GIT_DIR"], "shallow")
    return frozenset(file.read_text().split()) if file.exists() else frozenset()


def _refused(
    listed: Iterator[tuple[str, bytes | str]], objects: Objects, shallow: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """The commits that are not to be shown, each with its reason."""
    for sha, changes in listed:
        if sha in shallow:
            yield sha, "shallow"
        elif isinstance(changes, str):
            yield sha, changes
        elif reason := _unshown(_SIDES.findall(changes), objects):
            yield sha, reason


def _unshown(sides: list[tuple[bytes, bytes, bytes, bytes]], objects: Objects) -> str | None:
    if len(sides) > MAX_CHANGES:
        return "too_large"
    both = {side for old_mode, new_mode, old, new in sides for side in ((old_mode, old), (new_mode, new))}
    sizes = list(objects.sizes(sorted(id.decode() for mode, id in both if mode.startswith(b"1") and mode != b"160000")))
    if any(isinstance(size, str) for size in sizes):
        return "damaged"
    return "too_large" if any(isinstance(size, int) and size > MAX_FILE_BYTES for size in sizes) else None


def _asked(shas: list[str], command: tuple[str, ...], env: Mapping[str, str]) -> Iterator[bytes | str]:
    """What the process prints of each commit."""
    waiting = shas
    while waiting:
        process = git_objects.start(*command, env=env)
        num_read = 0
        try:
            for record in _until_death(process, waiting):
                num_read += 1
                yield record
        finally:
            git_objects.stop(process)
        if num_read < len(waiting):
            yield "damaged"
        waiting = waiting[num_read + 1 :]


def _until_death(process: subprocess.Popen[bytes], shas: list[str]) -> Iterator[bytes | str]:
    """What a process prints of the commits as long as it lives.

    Each commit is asked for with a line that git, which does not know it, repeats behind the commit: a mark that no commit can
    contain, since it has the commit's own hash.
    """
    assert process.stdin
    assert process.stdout
    buffer = bytearray()
    waiting = iter(shas)
    while batch := list(islice(waiting, BATCH)):
        with contextlib.suppress(BrokenPipeError):  # then the first record will not end
            process.stdin.write("".join(f"{sha}\nend {sha}\n" for sha in batch).encode())
            process.stdin.flush()
        for sha in batch:
            mark = f"end {sha}\n".encode()
            searched, is_cut = 0, False
            while (end := buffer.find(mark, searched)) < 0:
                if len(buffer) > MAX_RECORD_BYTES:
                    is_cut = True
                    del buffer[: -len(mark)]
                searched = max(0, len(buffer) - len(mark))
                piece = os.read(process.stdout.fileno(), git_objects.PIPE_BYTES)
                if not piece:
                    return
                buffer += piece
            yield "too_large" if is_cut else bytes(memoryview(buffer)[:end])
            del buffer[: end + len(mark)]
