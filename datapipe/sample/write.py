"""Writes a sample into a folder: once, and again only when it is unfinished or belongs to another installation.

    OUT/web/pages-000.warc.gz ...       OUT/math/formulas-000.warc.gz ...
    OUT/repos/<name>-<version>/...      OUT/books/books-000.jsonl.gz ...
    OUT/history/<name>.bundle               OUT/packages/<name>-<version>/...
    OUT/sample.json                     written last: counts, licences, what was left out and why, what it was made from

While it is being written, OUT/sample.partial marks the folder as ours, so that an interrupted sample may be removed and redone, and
a folder that holds somebody's own data is never touched.
"""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datapipe.sample import formulas
from datapipe.sample.budget import Account, Progress, SampleError
from datapipe.sample.environment import identity, packages
from datapipe.sample.history import write_history
from datapipe.sample.manuals import write_books
from datapipe.sample.packages import write_packages
from datapipe.sample.pages import render_modules, write_pages
from datapipe.sample.repositories import write_repositories
from datapipe.sample.warc import write_file

FORMAT = 5  # raise it when the same installation gives other bytes
MIN_BYTES = 1_000_000
SHARES = {
    "web": 18 / 69,
    "math": 8 / 69,
    "repos": 19 / 69,
    "books": 12 / 69,
    "history": 3 / 69,
    "packages": 9 / 69,
}  # of max_bytes
DONE, PARTIAL = "sample.json", "sample.partial"


@dataclass(frozen=True)
class SampleReport:
    """What a sample holds. `bytes` are raw, before compression; `skipped` counts what was left out, by reason."""

    out: str
    files: int
    bytes: dict[str, int]  # by class
    documents: dict[str, int]  # by class: pages, pages, repositories, volumes, histories
    licenses: dict[str, dict[str, int]]  # by class, then SPDX expression or "unknown"
    skipped: dict[str, dict[str, int]]  # by class, then reason
    reused: bool  # it was there already


def write_sample(out: str, *, max_bytes: int = 69_000_000, progress: Progress | None = None) -> SampleReport:
    """Write at most `max_bytes` raw bytes of documents into the folder `out`, or find them there.

    `progress(class, bytes written, bytes planned)` is called often, one call at a time, also from other threads.
    Raises SampleError when `out` holds something else, or `max_bytes` is too small for every class to have documents.
    """
    if max_bytes < MIN_BYTES:
        raise SampleError(
            f"max_bytes is {max_bytes}, too small for every class to have documents; ask for {MIN_BYTES} or more"
        )
    folder = Path(out)
    environment = identity(max_bytes, FORMAT)
    found = read_finished(folder)
    if found and found["environment"]["fingerprint"] == environment["fingerprint"] and is_complete(folder, found):
        return _report(folder, found, reused=True)
    clear(folder)
    told = _one_at_a_time(progress)
    accounts = {name: Account(name, int(max_bytes * share), told) for name, share in SHARES.items()}
    accounts["books"].max_item_share = 1 / 4
    accounts["history"].max_item_share = 1 / 2
    accounts["packages"].max_item_share = 3 / 4
    write_classes(folder, accounts)
    sample = {"environment": environment, "classes": {name: account.to_json() for name, account in accounts.items()}}
    write_file(folder / DONE, (json.dumps(sample, indent=1) + "\n").encode())
    (folder / PARTIAL).unlink()
    return _report(folder, sample, reused=False)


def write_classes(folder: Path, accounts: dict[str, Account]) -> None:
    """Fill the folders: formulas and module pages in two processes, the rest in this one meanwhile."""
    installed = packages()
    with ThreadPoolExecutor(2) as beside:
        math_files = beside.submit(formulas.run, folder / "math", accounts["math"])
        modules = beside.submit(render_modules, accounts["web"])
        book_files = write_books(folder / "books", accounts["books"], installed)
        write_repositories(folder / "repos", accounts["repos"], installed)
        write_packages(folder / "packages", accounts["packages"], installed)
        bundles = write_history(folder / "history", accounts["history"], installed)
        page_files = write_pages(folder / "web", accounts["web"], installed, modules.result())
        for name, files in (
            ("web", page_files),
            ("math", math_files.result()),
            ("books", book_files),
            ("history", bundles),
        ):
            accounts[name].file_count = len(files)
            accounts[name].files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    for account in accounts.values():
        account.finish()


def read_finished(folder: Path) -> dict[str, Any] | None:
    """The contents of sample.json, None where no sample was finished."""
    path = folder / DONE
    if not path.is_file():
        return None
    try:
        sample = json.loads(path.read_bytes())
    except ValueError:
        return None
    return sample if isinstance(sample, dict) and "fingerprint" in sample.get("environment", {}) else None


def is_complete(folder: Path, sample: dict[str, Any]) -> bool:
    """Whether the files that a finished sample lists are still there, in their size, and all repositories and packages."""
    files = {name: size for told in sample["classes"].values() for name, size in told["files"].items()}
    trees = all(
        sum(1 for _ in (folder / name).glob("*/repo.json")) == sample["classes"][name]["documents"]
        for name in ("repos", "packages")
    )
    return trees and all(
        (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items()
    )


def clear(folder: Path) -> None:
    """Make `folder` an empty sample: remove what an earlier or interrupted one left, and nothing else."""
    if "://" in str(folder) or ":/" in str(folder):
        raise SampleError(f"a sample is written to a local folder, not to {folder}; copy it there afterwards")
    if folder.exists() and not folder.is_dir():
        raise SampleError(f"{folder} is a file; name a folder")
    ours = (folder / PARTIAL).exists() or read_finished(folder)
    if not ours and folder.exists() and any(folder.iterdir()):
        raise SampleError(f"{folder} holds files that are not a sample; name an empty folder or a new one")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARTIAL).touch()
    (folder / DONE).unlink(missing_ok=True)
    for name in SHARES:
        if (folder / name).exists():
            shutil.rmtree(folder / name)


def _one_at_a_time(progress: Progress | None) -> Progress | None:
    """`progress`, never called by two threads at once."""
    if progress is None:
        return None
    lock = threading.Lock()

    def call(name: str, done_bytes: int, total_bytes: int) -> None:
        with lock:
            progress(name, done_bytes, total_bytes)

    return call


def _report(folder: Path, sample: dict[str, Any], *, reused: bool) -> SampleReport:
    classes = sample["classes"]
    return SampleReport(
        out=str(folder),
        files=sum(told["file_count"] for told in classes.values()),
        bytes={name: told["bytes"] for name, told in classes.items()},
        documents={name: told["documents"] for name, told in classes.items()},
        licenses={name: told["licenses"] for name, told in classes.items()},
        skipped={name: told["skipped"] for name, told in classes.items()},
        reused=reused,
    )
