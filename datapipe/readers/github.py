"""What people wrote on GitHub: issues, pull requests, reviews, comments and commits from dumps of its API and from GH Archive.

JSON Lines, plain or compressed, as `gh api --paginate ... --jq '.[]'` writes them (a line may also be an array of objects: a page of
an API). A line holds an object of the REST API (issues, pulls, issue comments, pull request comments, reviews, commits), a flat object
of a dump (`user` a name, `labels` names, `base_sha`, `diff` in the object) or an event of GH Archive. One document per object; an event
that carries an issue and a comment is two. The same object may come many times, once per event: its id is the same, and the
generator `threads` takes the latest.

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

Reasons: of a line those of JSON Lines (`jsonl.invalid`, `jsonl.not_utf8`, `jsonl.too_long`, `jsonl.truncated`, `jsonl.damaged`); of a
record `github.other_event`, `github.unknown` (no object of these kinds), `github.no_repo`, `github.no_number` (no issue or pull request
that it belongs to, or no sha) and `github.no_text`. Not covered: what the API gives without saying what it is about (the files and
commits of a pull request, reactions), discussions, and comments on commits.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import xxhash

from datapipe.readers import jsonl
from datapipe.readers.github_events import Found, is_event, objects
from datapipe.readers.split import Input, Row, sound

MAX_NAMES = 1_000  # labels of an issue, files and parents of a commit
_URL = re.compile(
    r"https?://([^/\s]+)/(?:api/v3/)?(?:repos/)?([\w.-]+)/([\w.-]+)(?:/(?:issues|pulls?|commits?)/([0-9a-f]{1,64})\b)?"
)
_IN_URL = {"#issuecomment-": "comment", "#discussion_r": "review_comment", "#pullrequestreview-": "review"}
_PULL_KEYS = ("head", "base", "base_sha", "head_sha", "merged_at", "merge_commit_sha", "diff", "pull_request")
_TIME_FORMATS = ("%Y/%m/%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S %Z")


def read(source: Input, *, max_line_bytes: int = 32 << 20) -> Iterator[Row]:
    """The records of one file, or of the lines that begin in a range of its bytes."""
    return jsonl.rows(source, _line_rows, max_line_bytes)


def _line_rows(line: bytes | bytearray | None, offset: int) -> Iterator[Row]:
    value, reason = jsonl.parsed(line)
    if reason:
        yield {"drop_reason": reason}
        return
    for record in value if isinstance(value, list) else [value]:
        if not isinstance(record, Mapping):
            yield {"drop_reason": "github.unknown"}
        elif not is_event(record):
            yield _row(Found(None, record))
        elif (found := objects(record)) is None:
            yield {"drop_reason": "github.other_event"}
        else:
            yield from map(_row, found)


def _row(found: Found) -> Row:
    """The document of an object, or why there is none."""
    value = found.value
    kind = found.type or _kind(value)
    if kind is None:
        return {"drop_reason": "github.unknown"}
    repo, number = _place(found)
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
        "url": _string(value, "html_url"),
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


def _kind(value: Mapping[str, Any]) -> str | None:
    """What an object of the API is, by the keys that only its kind has."""
    if type(value.get("number")) is int and "title" in value:
        return "pull" if value.get("is_pr") or any(key in value for key in _PULL_KEYS) else "issue"
    if "sha" in value and ("commit" in value or "message" in value):
        return "commit"
    if "diff_hunk" in value:
        return "review_comment"
    if "pull_request_url" in value:
        return "review" if "submitted_at" in value or "state" in value else "review_comment"
    if "issue_url" in value:
        return "comment"
    url = _string(value, "html_url") or ""
    return next((kind for sign, kind in _IN_URL.items() if sign in url), None)


def _place(found: Found) -> tuple[str | None, int | None]:
    """`owner/repo` (with the host before it, unless that is github.com) and the number."""
    repo, number = found.repo, found.number
    own = found.value.get("number")
    number = own if type(own) is int else number
    for key in ("html_url", "issue_url", "pull_request_url", "url", "repository_url"):
        match = _URL.match(url) if isinstance(url := found.value.get(key), str) else None
        if match:
            host, owner, name, digits = match.groups()
            is_github = host.lower() in ("github.com", "www.github.com", "api.github.com")
            repo = repo or f"{'' if is_github else host + '/'}{owner}/{name}"
            number = int(digits) if number is None and digits and digits.isdecimal() else number
    named = found.value.get("repo")
    repo = repo or (named if isinstance(named, str) and "/" in named else None)
    return (sound(repo) if repo else None), number if number is not None and 0 < number < 2**63 else None


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
            "parents": _names(value.get("parents"), "sha"),
            "files": sorted(_names(value.get("files"), "filename")),
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
    id = _integer(value, "id") or (in_url and in_url[1]) or xxhash.xxh3_64_hexdigest(said)
    return f"{thread}/{kind}-{id}"


def _committed(value: Mapping[str, Any]) -> str | None:
    """When a commit of the API was made: it says so for its author and for its committer."""
    commit = value.get("commit")
    inner = commit if isinstance(commit, Mapping) else {}
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


def _names(entries: Any, key: str) -> list[str]:
    listed = entries if isinstance(entries, list) else []
    found = [entry.get(key) if isinstance(entry, Mapping) else entry for entry in listed]
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
