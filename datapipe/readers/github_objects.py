"""Objects of GitHub's API wherever a dump has put them, under one set of names.

Tools write them in three ways: as the REST API gives them; with the names of GraphQL (`createdAt`, `author`, `headRefOid`), as
`gh issue list --json` and archives of working groups do; and with what was said inside the thread (`comments`, `reviews`, github-backup's
`comment_data`), so that only the thread tells number and repository. Around them lie pages, answers (`data`, `items`, `nodes`) and events.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAX_DEPTH = 16  # of containers around an object
_URL = re.compile(
    r"https?://([^/\s]+)/(?:api/v3/)?(?:repos/)?([\w.-]+)/([\w.-]+)(?:/(?:issues|pulls?|commits?)/([0-9a-f]{1,64})\b)?"
)
_IN_URL = {"#issuecomment-": "comment", "#discussion_r": "review_comment", "#pullrequestreview-": "review"}
_PULL_KEYS = ("head", "base", "base_sha", "head_sha", "merged_at", "merge_commit_sha", "diff", "pull_request")
_REST_NAMES = {
    "createdAt": "created_at", "updatedAt": "updated_at", "submittedAt": "submitted_at", "mergedAt": "merged_at",
    "committedDate": "created_at", "headRefName": "head_ref", "headRefOid": "head_sha", "baseRefOid": "base_sha",
    "mergeCommit": "merge_commit_sha", "diffHunk": "diff_hunk", "originalLine": "original_line", "databaseId": "id",
    "oid": "sha", "messageHeadline": "message", "authors": "author",
}  # fmt: skip
_SAID = {
    "comments": "comment", "comment_data": "comment", "comment_regular_data": "comment", "reviews": "review",
    "review_data": "review", "commits": "commit", "commit_data": "commit", "reviewThreads": None,
}  # fmt: skip  # keys of a thread by what lies there, unless its own keys tell


class Found(NamedTuple):
    """An object with REST names, and what only its surroundings say."""

    type: str | None  # None: the object's own keys tell
    value: Mapping[str, Any]
    repo: str | None = None  # owner/name, the host before it unless that is github.com
    number: int | None = None  # of the issue or pull request it belongs to
    time: Any = None  # of the event
    author: str | None = None  # who caused it


def objects_in(value: Any) -> Iterator[Found]:
    """The objects of a JSON value that is no event, each before what was said about it."""
    yield from _inside(value, Found(None, {}), 0)


def placed(found: Found) -> Found:
    """With type, repository and number, as far as the object or its addresses say them. What surrounds it goes before its addresses."""
    value = _with_rest_names(found.value)
    own = value.get("number")
    repo, number = found.repo, own if type(own) is int else found.number
    for key in ("html_url", "issue_url", "pull_request_url", "url", "repository_url"):
        match = _URL.match(url) if isinstance(url := value.get(key), str) else None
        if match:
            host, owner, name, digits = match.groups()
            is_github = host.lower() in ("github.com", "www.github.com", "api.github.com")
            repo = repo or f"{'' if is_github else host + '/'}{owner}/{name}"
            number = int(digits) if number is None and digits and digits.isdecimal() else number
    is_number = number is not None and 0 < number < 2**63
    return found._replace(
        type=found.type or _kind(value), value=value, repo=repo or _named(value), number=number if is_number else None
    )


def listed(entries: Any) -> list[Any]:
    """The entries of a list, or of what GraphQL has in its place."""
    if isinstance(entries, Mapping):
        entries = entries.get("nodes") or entries.get("edges")
    found = entries if isinstance(entries, list) else []
    return [one["node"] if isinstance(one, Mapping) and isinstance(one.get("node"), Mapping) else one for one in found]


def _inside(value: Any, around: Found, depth: int) -> Iterator[Found]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for one in value:
            yield from _inside(one, around, depth + 1)
    if not isinstance(value, dict):
        return
    own = value.get("commit") if around.type == "commit" else None  # GraphQL has one in a node of its own
    found = around._replace(value=own if isinstance(own, dict) and "oid" in own else value)
    if around.type is None and _kind(_with_rest_names(found.value)) is None:
        of_it = around._replace(type=None, value={}, repo=around.repo or _named(value))
        for inner in value.values():
            if isinstance(inner, dict | list):  # as JSON has them: the test for a Mapping costs ten times as much
                yield from _inside(inner, of_it, depth + 1)
        return
    found = placed(found)
    yield found
    for key, kind in _SAID.items():
        in_review = "review_comment" if kind == "comment" and found.type == "review" else kind
        entries = listed(value.get(key)) if found.type in ("issue", "pull", "review") else []
        of_it = Found(in_review, {}, found.repo, found.number)
        for entry in entries if kind else (_of_thread(one) for one in entries):
            yield from _inside(entry, of_it._replace(type=None) if _tells(entry) else of_it, depth + 1)


def _tells(entry: Any) -> bool:
    return isinstance(entry, Mapping) and _kind(_with_rest_names(entry)) is not None


def _of_thread(thread: Any) -> list[Any]:
    """The remarks of a thread of a review, each with the place that the thread has."""
    place = (
        {key: thread[key] for key in ("path", "line", "originalLine") if key in thread}
        if isinstance(thread, Mapping)
        else {}
    )
    remarks = [one for one in listed(thread.get("comments")) if isinstance(one, Mapping)] if place else []
    first = {"in_reply_to_id": remarks[0]["databaseId"]} if remarks and "databaseId" in remarks[0] else {}
    return [{"diffHunk": "", **place, **(first if index else {}), **one} for index, one in enumerate(remarks)]


def _kind(value: Mapping[str, Any]) -> str | None:
    """What an object is, by the keys that only its kind has."""
    url = next((url for key in ("html_url", "url") if isinstance(url := value.get(key), str)), "")
    if type(value.get("number")) is int and "title" in value:
        match = _URL.match(url)
        if match and not match[4]:
            return None  # a milestone or a discussion
        return "pull" if value.get("is_pr") or "/pull" in url or any(key in value for key in _PULL_KEYS) else "issue"
    if "sha" in value and ("commit" in value or "message" in value):
        return None if "tag" in value else "commit"
    if "diff_hunk" in value:
        return "review_comment"
    if "pull_request_url" in value:
        return "review" if "submitted_at" in value or "state" in value else "review_comment"
    if "issue_url" in value:
        return "comment"
    return next((kind for sign, kind in _IN_URL.items() if sign in url), None)


def _named(value: Mapping[str, Any]) -> str | None:
    """The repository that an object says it is of, or that it is."""
    names = (value.get(key) for key in ("repo", "nameWithOwner", "full_name"))
    return next((name for name in names if isinstance(name, str) and "/" in name), None)


def _with_rest_names(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if _REST_NAMES.keys().isdisjoint(value):
        return value
    renamed = {rest: value[name] for name, rest in _REST_NAMES.items() if name in value and rest not in value}
    if isinstance(merge := renamed.get("merge_commit_sha"), Mapping):
        renamed["merge_commit_sha"] = merge.get("oid")
    if isinstance(people := renamed.get("author"), list):
        renamed["author"] = people[0] if people else None
    if "messageHeadline" in value and "message" in renamed:
        renamed["message"] = f"{value['messageHeadline']}\n\n{value.get('messageBody') or ''}".rstrip()
    return {**value, **renamed}
