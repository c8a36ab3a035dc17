"""Event files of GH Archive (gharchive.org): which objects of GitHub's REST API an event carries.

Two shapes: since 2015 that of the events API (`repo.name`, `actor.login`); before that the timeline's (`repository.owner`,
`repository.name`, `actor` a string, pushes as `shas`, issues and their comments as mere numbers). What GitHub has left out of events
since 2025 (titles and bodies of pull requests, commits of pushes) is missing here too: take those from the API or from git.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from datapipe.readers.github_objects import Found


def is_event(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind.endswith("Event") and "payload" in value


def objects(event: Mapping[str, Any]) -> Iterator[Found] | None:
    """The objects of an event; None for a kind of event that carries nothing a person wrote in a thread."""
    kind = _KINDS.get(event["type"])
    if kind is None:
        return None
    payload = event["payload"] if isinstance(event["payload"], Mapping) else {}
    return _commits(event, payload) if kind == "commit" else _discussed(event, payload, kind)


_KINDS = {
    "PushEvent": "commit",
    "IssuesEvent": "issue",
    "IssueCommentEvent": "comment",
    "PullRequestEvent": "pull",
    "PullRequestReviewEvent": "review",
    "PullRequestReviewCommentEvent": "review_comment",
}


def _discussed(event: Mapping[str, Any], payload: Mapping[str, Any], kind: str) -> Iterator[Found]:
    """The issue or pull request, and what was said about it."""
    repo, time, author = _repository(event), event.get("created_at"), _actor(event)
    subject: Mapping[str, Any] = next(
        (payload[key] for key in ("pull_request", "issue") if isinstance(payload.get(key), Mapping)), {}
    )
    number = next((found for found in (subject.get("number"), payload.get("number")) if type(found) is int), None)
    said = payload.get("review" if kind == "review" else "comment")
    if subject or kind in ("issue", "pull"):
        is_pull = "pull_request" in payload or kind == "pull"
        yield Found("pull" if is_pull else None if subject else "issue", subject, repo, number, time)
    if kind not in ("issue", "pull"):
        yield Found(kind, said if isinstance(said, Mapping) else {}, repo, number, time, author)


def _commits(event: Mapping[str, Any], payload: Mapping[str, Any]) -> Iterator[Found]:
    repo, time = _repository(event), event.get("created_at")
    commits = payload.get("commits")
    if not isinstance(commits, list):
        shas = payload.get("shas")
        named = [entry for entry in shas if isinstance(entry, list)] if isinstance(shas, list) else []
        keys = ("sha", "email", "message", "author")
        commits = [dict(zip(keys, entry, strict=False)) for entry in named]
    for commit in commits:
        if isinstance(commit, Mapping):
            yield Found("commit", commit, repo, None, time)


def _repository(event: Mapping[str, Any]) -> str | None:
    new, old = event.get("repo"), event.get("repository")
    if isinstance(new, Mapping) and isinstance(new.get("name"), str) and "/" in new["name"]:
        return str(new["name"])
    if not isinstance(old, Mapping):
        return None
    owner = old.get("owner")
    owner = owner.get("login") if isinstance(owner, Mapping) else owner
    name = old.get("name")
    return f"{owner}/{name}" if isinstance(owner, str) and owner and isinstance(name, str) and name else None


def _actor(event: Mapping[str, Any]) -> str | None:
    actor = event.get("actor")
    login = actor.get("login") if isinstance(actor, Mapping) else actor
    return login if isinstance(login, str) else None
