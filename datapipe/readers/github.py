"""What people wrote on GitHub: issues, pull requests, reviews, comments and commits from dumps of its API and from GH Archive.

JSON of any form, plain or compressed: lines, one array, pages one after the other, printed over several lines (`json_values`). Objects of
the REST API (issues, pulls, issue comments, pull request comments, reviews, commits) as `gh api --paginate` gives them, those of
GraphQL and of `gh issue list --json`, with what was said inside (`github_objects`), flat objects of a dump (`user` a name, `labels`
names, `base_sha`, `diff` in the object), and events of GH Archive. One document per object; an event that carries an issue and a
comment is two. The same object may come many times, once per event: its id is the same, and the generator `threads` takes the latest.

    text   of an issue or pull request the title, a blank line, the body; of anything else the body (a review's may be empty)
    origin `owner/repo#12`, `owner/repo#12/comment-345`, `owner/repo@sha`; another host than github.com stands before the owner
    meta   a flat JSON object without nulls:
           type     issue, pull, comment, review, review_comment or commit
           repo, number, author, author_type (User, Bot, ...), time, updated (ISO 8601 UTC), url
           state    open, closed, merged; of a review approved, changes_requested, commented, dismissed
           labels   names, sorted
           base_sha, head_sha, head_ref, merge_sha, diff (unified)      of a pull request
           path, line, diff_hunk, reply_to, review                      of a review comment
           sha, parents, files, diff                                    of a commit
    license the repository's SPDX identifier, where a pull request tells it

Reasons: of a line or value those of JSON Lines (`jsonl.invalid`, `jsonl.not_utf8`, `jsonl.too_long`, `jsonl.truncated`,
`jsonl.damaged`); of a record `github.other_event`, `github.unknown` (no object of these kinds), `github.no_repo`, `github.no_number` (no
issue or pull request that it belongs to, or no sha) and `github.no_text`. An object that holds a whole dump is one value: raise
`max_line_bytes` for one of more than 32 MiB. Not covered: what the API gives without saying what it is about (the files of a pull
request, reactions), discussions, comments on commits, and GitHub's own migration archives. 40 MB per CPU
second, of objects of 3 KB.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import xxhash

from datapipe import store
from datapipe.readers import json_values, jsonl
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.github_events import is_event, objects
from datapipe.readers.github_objects import Found, listed, objects_in, placed
from datapipe.readers.split import Input, Row, sound

HEAD_BYTES = 4_096  # that tell how values lie
MAX_LINE_BYTES = 32 << 20
MAX_NAMES = 1_000  # labels of an issue, files and parents of a commit
_TIME_FORMATS = ("%Y/%m/%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S %Z")


def cut(file: Input) -> list[Input]:
    """Ranges of a file of JSON Lines; one of values over several lines is one input."""
    ranges = jsonl.cut(file)
    return [file] if len(ranges) > 1 and _spans_lines(file.path) else ranges


def read(source: Input, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Row]:
    """The records of one file, or of the lines that begin in a range of its bytes. `max_line_bytes` bounds a value."""
    if source.count is not None or not _spans_lines(source.path):
        yield from jsonl.rows(source, lambda *line: _line_rows(source.name, *line), max_line_bytes)
        return
    with store.open_input(source.path) as stream:
        try:
            for found in json_values.values(open_decompressed(stream), max_line_bytes):
                place = _place(source.name, found.offset, found.length)
                yield from ({**place, **row} for row in _rows(found.value, found.reason and f"jsonl.{found.reason}"))
        except MemberError as error:
            where = json.dumps({"file_offset": error.offset})
            yield {**_place(source.name, error.offset, None), "drop_reason": f"jsonl.{error.reason}", "meta": where}


def _spans_lines(path: str) -> bool:
    """Whether values do not lie one on a line: also when the first line has no end, as many pages one behind the other."""
    head = bytearray()
    with store.open_input(path, read_ahead=False) as stream:
        try:
            content: Any = open_decompressed(stream)
            while piece := content.read1(json_values.PIECE_BYTES):
                head += piece
                if json_values.spans_lines(bytes(head[:HEAD_BYTES])):
                    return True
                if b"\n" in piece or len(head) >= MAX_LINE_BYTES:
                    break
        except MemberError:
            pass  # `read` meets it again, and tells it
    return b"\n" not in head and len(head) >= MAX_LINE_BYTES


def _place(file: str, offset: int, length: int | None) -> Row:
    return {"origin": f"{file}#{offset}", "raw": {"file": file, "offset": offset, "length": length}}


def _line_rows(file: str, line: bytes | bytearray | None, offset: int) -> Iterator[Row]:
    """The documents of a line of one value, or of pages that stand on one line, as `gh api --paginate` writes answers."""
    value, reason = jsonl.parsed(line)
    pages = list(json_values.values(io.BytesIO(line), len(line))) if line and reason == "jsonl.invalid" else []
    for page in pages:
        place = _place(file, offset + page.offset, page.length)
        yield from ({**place, **row} for row in _rows(page.value, page.reason and f"jsonl.{page.reason}"))
    if not pages:
        yield from _rows(value, reason)


def _rows(value: Any, reason: str | None) -> Iterator[Row]:
    """The documents of a JSON value, or why there are none."""
    if reason:
        yield {"drop_reason": reason}
        return
    for one in value if isinstance(value, list) else [value]:
        known = objects(one) if isinstance(one, Mapping) and is_event(one) else list(objects_in(one))
        if known is None:
            yield {"drop_reason": "github.other_event"}
        elif known == []:
            yield {"drop_reason": "github.unknown"}
        else:
            yield from map(_row, known)


def _row(found: Found) -> Row:
    """The document of an object, or why there is none."""
    found = placed(found)
    kind, value, number = found.type, found.value, found.number
    if kind is None:
        return {"drop_reason": "github.unknown"}
    repo = sound(found.repo) if found.repo else None
    sha = _string(value, "sha", "id") if kind == "commit" else None
    if repo is None:
        return {"drop_reason": "github.no_repo"}
    if (sha if kind == "commit" else number) is None:
        return {"drop_reason": "github.no_number"}
    text = _text(kind, value)
    if text is None:
        return {"drop_reason": "github.no_text"}
    author, author_type = _author(value.get("user", value.get("author")))
    meta = {
        "type": kind,
        "repo": repo,
        "number": number if kind != "commit" else None,
        "author": author or found.author,
        "author_type": author_type,
        "time": _time(_string(value, "created_at", "submitted_at") or _committed(value) or found.time),
        "updated": _time(_string(value, "updated_at", "submitted_at", "created_at") or found.time),
        "url": _string(value, "html_url", "url"),
        "state": _state(value),
        **_details(kind, value),
        "sha": sha,
    }
    meta = {key: _sound(entry) for key, entry in meta.items() if entry not in (None, [], "")}
    return {
        "text": text,
        "origin": _origin(kind, meta, value, text),
        "license": _license(value),
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
    }


def _text(kind: str, value: Mapping[str, Any]) -> str | None:
    """What a person wrote, None where that is nothing."""
    if kind in ("issue", "pull"):
        title, body = " ".join((_string(value, "title") or "").split()), _string(value, "body") or ""
        return sound(f"{title}\n\n{body}".rstrip()) if title or body.strip() else None
    if kind == "commit":
        commit = value.get("commit")
        text = _string(commit if isinstance(commit, Mapping) else value, "message")
    else:
        text = _string(value, "body")
    if kind == "review" and text is None:
        return "" if _string(value, "state") else None
    return sound(text) if text and text.strip() else None


def _author(user: Any) -> tuple[str | None, str | None]:
    if isinstance(user, Mapping):
        return _string(user, "login", "username", "name"), _string(user, "type")
    return (user if isinstance(user, str) else None), None


def _state(value: Mapping[str, Any]) -> str | None:
    if value.get("merged") is True or value.get("merged_at"):
        return "merged"
    state = _string(value, "state")
    return state.lower() if state else None


def _details(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if kind in ("issue", "pull"):
        return {"labels": sorted(_names(value.get("labels"), "name")), **(_pull(value) if kind == "pull" else {})}
    if kind == "review_comment":
        lines = (value.get(key) for key in ("line", "original_line"))
        return {
            "path": _string(value, "path"),
            "line": next((line for line in lines if type(line) is int), None),
            "diff_hunk": _string(value, "diff_hunk"),
            "reply_to": _integer(value, "in_reply_to_id"),
            "review": _integer(value, "pull_request_review_id"),
        }
    if kind == "commit":
        return {
            "parents": _names(value.get("parents"), "sha", "oid"),
            "files": sorted(_names(value.get("files"), "filename", "path")),
            "diff": _diff(value),
        }
    return {}


def _pull(value: Mapping[str, Any]) -> dict[str, Any]:
    base, head = (value[side] if isinstance(value.get(side), Mapping) else {} for side in ("base", "head"))
    return {
        "base_sha": _string(base, "sha") or _string(value, "base_sha"),
        "head_sha": _string(head, "sha") or _string(value, "head_sha"),
        "head_ref": _string(head, "ref") or _string(value, "head_ref"),
        "merge_sha": _string(value, "merge_commit_sha", "merge_sha"),
        "diff": _diff(value),
    }


def _diff(value: Mapping[str, Any]) -> str | None:
    """A unified diff: the object's own, or that of its `files`, whose patches lack the headers."""
    if diff := _string(value, "diff", "patch"):
        return diff
    files = value.get("files")
    parts = []
    for file in files if isinstance(files, list) else []:
        name, patch = (_string(file, key) if isinstance(file, Mapping) else None for key in ("filename", "patch"))
        if name and patch:
            old = "/dev/null" if file.get("status") == "added" else f"a/{_string(file, 'previous_filename') or name}"
            new = "/dev/null" if file.get("status") == "removed" else f"b/{name}"
            parts.append(f"diff --git a/{name} b/{name}\n--- {old}\n+++ {new}\n{patch}")
    return "\n".join(parts) or None


def _license(value: Mapping[str, Any]) -> str | None:
    for key in ("base", "repo", "license"):
        inner = value.get(key)
        value = inner if isinstance(inner, Mapping) else {}
    spdx = _string(value, "spdx_id")
    return None if spdx == "NOASSERTION" else spdx


def _origin(kind: str, meta: Mapping[str, Any], value: Mapping[str, Any], text: str) -> str:
    """Unique for the object, the same for all its events. An object without an id is known by what it says and when."""
    if kind == "commit":
        return f"{meta['repo']}@{meta['sha']}"
    thread = f"{meta['repo']}#{meta['number']}"
    if kind in ("issue", "pull"):
        return thread
    said = f"{meta.get('author')}\0{meta.get('time')}\0{text}".encode("utf-8", "surrogatepass")
    in_url = re.search(r"#[a-z-]+?_?r?-?(\d+)$", str(meta.get("url", "")))
    id = (
        _integer(value, "id")
        or _integer(value, "databaseId")
        or (in_url and in_url[1])
        or xxhash.xxh3_64_hexdigest(said)
    )
    return f"{thread}/{kind}-{id}"


def _committed(value: Mapping[str, Any]) -> str | None:
    """When a commit was made: it says so for its author and for its committer, and in the API of git's objects by itself."""
    commit = value.get("commit")
    inner = commit if isinstance(commit, Mapping) else value
    people = (inner.get("committer"), inner.get("author"))
    return next((date for one in people if isinstance(one, Mapping) and (date := _string(one, "date"))), None)


def _time(written: Any) -> str | None:
    """ISO 8601 in UTC, None for what is no time."""
    if not isinstance(written, str):
        return None
    for read in (datetime.fromisoformat, *(_by(form) for form in _TIME_FORMATS)):
        try:
            moment = read(written)
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError):
            continue
    return None


def _by(form: str) -> Any:
    return lambda written: datetime.strptime(written, form)


def _names(entries: Any, *keys: str) -> list[str]:
    found = [_string(entry, *keys) if isinstance(entry, Mapping) else entry for entry in listed(entries)]
    return [name for name in found if isinstance(name, str) and name][:MAX_NAMES]


def _string(value: Mapping[str, Any], *keys: str) -> str | None:
    """The first of the keys that holds a string that is not empty."""
    return next((found for key in keys if isinstance(found := value.get(key), str) and found), None)


def _integer(value: Mapping[str, Any], key: str) -> int | None:
    found = value.get(key)
    return found if type(found) is int else None


def _sound(entry: Any) -> Any:
    if isinstance(entry, list):
        return [sound(one) for one in entry]
    return sound(entry) if isinstance(entry, str) else entry
