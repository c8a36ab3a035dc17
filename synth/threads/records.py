"""What a partition sends: one row per record of the `github` and `git` readers, cleaned and cut, with what it names.

A row is bounded whatever its record is: so is the memory of a receiver, per record. Nothing is decided here that needs another
record; a reason to leave a message out travels with it, since a later version of the same message may have none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import xxhash

from datapipe.schema import DOCUMENT
from synth.joined import text_sha
from synth.threads import clean, diffs, links, noise

TYPES = ("issue", "pull", "comment", "review", "review_comment", "commit")
MAX_FILES = 1_000  # paths of one record
_KEPT = ("state", "labels", "base_sha", "head_sha", "merge_sha", "path", "line", "reply_to", "parents", "is_merge")

RECORDS = pa.schema(
    [
        ("key", pa.uint64()),  # hash of the repository: all of it meets in one receiver
        ("repo", pa.string()),  # normalised: `links.repository`
        ("name", pa.string()),  # as the record writes it
        ("origin", pa.string()),  # of the object; equal for its versions
        ("type", pa.string()),
        ("number", pa.int64()),
        ("sha", pa.string()),
        ("time", pa.string()),
        ("updated", pa.string()),
        ("author", pa.string()),
        ("title", pa.large_string()),  # of a commit its subject
        ("text", pa.large_string()),  # the rest of what the person wrote
        ("diff", pa.large_string()),  # of a review comment the hunk it is about
        ("details", pa.large_string()),  # JSON: what is rare, `files`, and `mentions` as [number, closes] pairs
        ("reason", pa.string()),
        ("document", pa.string()),  # its id, and xxh3-128 of its text
        ("document_sha", pa.string()),
        ("license", pa.string()),
        ("raw", DOCUMENT.field("raw").type),
    ]
)


def emit(
    docs: pa.Table,
    *,
    bots: Sequence[str] = noise.BOTS,
    min_comment_chars: int = 20,
    min_letters: float = 0.25,
    max_lines: int = 100,
    last_lines: int = 20,
    max_line_chars: int = 1_000,
    max_text_chars: int = 20_000,
    max_diff_chars: int = 60_000,
    max_file_diff_chars: int = 20_000,
    max_hunk_chars: int = 10_000,
) -> pa.Table:
    """The records of one partition (`RECORDS`). Documents of other kinds are none: a corpus of files may be among those read.

    `max_lines` and `last_lines` are StarCoder 2's (Lozhkov et al. 2024, section 2.2; there descriptions of pull requests have 80
    lines and 1,000 characters), as are `max_hunk_chars` and `min_comment_chars` (section 2.3; here for issues too). A quarter of
    letters is after its rule for files, a quarter of letters and digits. The other limits are ours.
    """
    texts = {
        "max_lines": max_lines,
        "last_lines": last_lines,
        "max_chars": max_text_chars,
        "max_word_chars": max_line_chars,
    }
    diff = {"max_chars": max_diff_chars, "max_file_chars": max_file_diff_chars, "max_line_chars": max_line_chars}
    names = frozenset(name.lower() for name in bots)
    rows = []
    for row, meta in _described(docs):
        found = _record(row, meta)
        found["reason"] = _reason(found, meta, names, min_comment_chars, min_letters)
        found["text"] = clean.cut(found["text"], **texts)
        found["title"] = found["title"][:max_line_chars] if found["title"] else found["title"]
        if found["type"] == "review_comment":
            hunk = meta.get("diff_hunk") or ""
            found["diff"] = hunk if len(hunk) <= max_hunk_chars else None
        elif found["diff"]:
            found["diff"] = diffs.shown(found["diff"], **diff)
        rows.append(found)
    return pa.Table.from_pylist(rows, schema=RECORDS)


def _described(docs: pa.Table) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Documents that are records, with their description."""
    for row in docs.select(["id", "text", "origin", "license", "raw", "meta"]).to_pylist():
        meta = json.loads(row["meta"] or "{}")
        known = meta.get("sha" if meta.get("type") == "commit" else "number")
        if meta.get("type") in TYPES and isinstance(meta.get("repo"), str) and known:
            yield row, meta


def _record(row: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the text cleaned and not yet cut."""
    repo, kind = links.repository(meta["repo"]), meta["type"]
    title, text, diff = _parts(row["text"] or "", kind, meta)
    named = links.mentions(f"{title or ''}\n\n{text}", repo) + links.in_branch(meta.get("head_ref") or "")
    paths = meta.get("files") or sorted({change.path for change in diffs.changes(diff or "")} - {""})
    details = {key: meta[key] for key in _KEPT if meta.get(key) is not None}
    details |= {"files": paths[:MAX_FILES]} if paths else {}
    details |= {"mentions": [list(mention) for mention in named]} if named else {}
    return {
        "key": xxhash.xxh3_64_intdigest(repo.encode()),
        "repo": repo,
        "name": meta["repo"],
        "origin": f"{repo}@{meta['sha']}" if kind == "commit" else repo + row["origin"][len(meta["repo"]) :],
        "type": kind,
        **{name: meta.get(name) for name in ("number", "sha", "time", "author")},
        "updated": meta.get("updated") or meta.get("time"),
        "title": title,
        "text": text,
        "diff": diff,
        "details": json.dumps(details, ensure_ascii=False, sort_keys=True),
        "document": row["id"],
        "document_sha": text_sha(row["text"] or ""),
        "license": row["license"],
        "raw": row["raw"],
    }


def _parts(text: str, kind: str, meta: Mapping[str, Any]) -> tuple[str | None, str, str | None]:
    """Title, message and diff of a record, as its reader put them into text and meta."""
    diff = meta.get("diff")
    if kind == "commit":
        if (message_chars := meta.get("message_chars")) is not None:
            text, diff = text[:message_chars], text[message_chars:].lstrip("\n")
        title, _, body = clean.commit(text).partition("\n")
        return title, body.strip("\n"), diff
    if kind not in ("issue", "pull"):
        return None, clean.message(text), diff
    title, _, body = text.partition("\n")
    return title, clean.message(body), diff


def _reason(
    found: Mapping[str, Any], meta: Mapping[str, Any], bots: frozenset[str], min_comment_chars: int, min_letters: float
) -> str | None:
    if noise.is_bot(found["author"], meta.get("author_type"), bots):
        return "threads.bot"
    if found["type"] == "review" and not found["text"] and meta.get("state") not in ("approved", "changes_requested"):
        return "threads.empty"  # GitHub makes a review around every comment on a line
    said = "\n\n".join(filter(None, [found["title"], found["text"]]))
    return noise.reason(found["type"], said, min_comment_chars=min_comment_chars, min_letters=min_letters)
