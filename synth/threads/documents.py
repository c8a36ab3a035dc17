"""From the records of a repository to rows: a document per thread, and a rejected row for every record that is in none."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from datapipe.schema import DROP, document_id
from synth.joined import license_of_all, provenance
from synth.threads import diffs
from synth.threads.joins import commits_of, hosts, named_by
from synth.threads.links import Mention, merged_by
from synth.threads.render import Limits, Thread, text
from synth.threads.repository import Record, Repository
from synth.threads.verdicts import Rules, commit_reason, issue_reason, pull_reason

MAX_FILES = 1_000

Reasons = dict[str, str]  # why a record is left out, by its origin


class _Joined(NamedTuple):
    """What belongs together in a repository."""

    reasons: Reasons
    commits: dict[int, list[Record]]  # of each pull request
    named: dict[int, list[Mention]]  # by the pull requests that stay
    alone: list[Record]  # commits that stay and came with none of them
    told_in: dict[int, int | str]  # where issues are told: `joins.hosts`


def documents(repo: Repository, rules: Rules, limits: Limits) -> Iterator[dict[str, Any]]:
    """The rows of one repository, in no order."""
    joined = _join(repo, rules, limits)
    for thread in _threads(repo, joined, limits):
        yield _document(repo, thread, limits)
    for record in repo.records:
        if record.origin in joined.reasons:
            yield _left_out(repo, record, joined.reasons[record.origin])
    for record in repo.replaced:
        yield _left_out(repo, record, "threads.replaced")


def _join(repo: Repository, rules: Rules, limits: Limits) -> _Joined:
    """Pull requests are judged first, then commits, then who takes in the issues, then the issues that nobody took."""
    reasons: Reasons = {record.origin: record.reason for record in repo.records if record.reason}
    commits = commits_of(repo, max_commits=limits.max_commits)
    named = {number: named_by(repo, pull, commits.get(number, ())) for number, pull in sorted(repo.pulls.items())}
    for number, pull in repo.pulls.items():
        names_an_issue = any(mention.number in repo.issues for mention in named[number])
        has_diff = any(repo.diff(one) for one in (pull, *commits.get(number, ())))
        _settle(reasons, pull, pull_reason(repo, pull, rules, names_an_issue=names_an_issue, has_diff=has_diff))
    named = {number: found for number, found in named.items() if repo.pulls[number].origin not in reasons}
    brought = {commit.sha for number in named for commit in commits.get(number, ())}
    alone = [commit for sha, commit in sorted(repo.commits.items()) if sha not in brought]
    for commit in alone:
        _settle(reasons, commit, commit_reason(repo, commit, rules))
    alone = [commit for commit in alone if commit.origin not in reasons]
    issues = [number for number, issue in repo.issues.items() if issue.origin not in reasons]
    told_in = hosts(repo, issues, named, alone, max_issues=limits.max_issues)
    for number in issues:
        if number not in told_in:
            said = [record for record in repo.said[number] if not record.reason]
            _settle(reasons, repo.issues[number], issue_reason(repo, repo.issues[number], said, rules))
    _settle_what_was_said(repo, reasons)
    return _Joined(reasons, commits, named, alone, told_in)


def _threads(repo: Repository, joined: _Joined, limits: Limits) -> Iterator[Thread]:
    taken: defaultdict[int | str, list[Record]] = defaultdict(list)
    for number, host in sorted(joined.told_in.items()):
        taken[host].append(repo.issues[number])
    for number, named in joined.named.items():
        pull, commits = repo.pulls[number], joined.commits.get(number, [])
        files, diff = _files(repo, (pull, *commits)), _diff(repo, pull, commits, limits)
        shown = [commit for commit in commits if not commit.reason]
        yield _with_related(repo, Thread(pull, taken[number], shown, diff, files), named, joined)
    for commit in joined.alone:
        thread = Thread(commit, taken[commit.sha], [], repo.diff(commit), _files(repo, [commit]))
        yield _with_related(repo, thread, (), joined)
    for number, issue in repo.issues.items():
        if issue.origin not in joined.reasons and number not in joined.told_in:
            yield _with_related(repo, Thread(issue, [], [], "", []), (), joined)


def _settle(reasons: Reasons, record: Record, reason: str | None) -> None:
    if reason:
        reasons.setdefault(record.origin, reason)


def _settle_what_was_said(repo: Repository, reasons: Reasons) -> None:
    """Messages without a thread in this dump, and those of threads that are left out."""
    for number, said in repo.said.items():
        about = repo.thread(number)
        for record in said:
            if about is None:
                _settle(reasons, record, "threads.no_thread")
            elif about.origin in reasons:
                _settle(reasons, record, "threads.of_dropped")


def _diff(repo: Repository, pull: Record, commits: Sequence[Record], limits: Limits) -> str:
    """The change of a pull request: its own diff, that of the commit that merged it, or those of its commits one after the other."""
    if own := repo.diff(pull):
        return own
    merges = [one for one in commits if one.sha == repo.details(pull).get("merge_sha") or merged_by(one.title)]
    whole = next((diff for one in reversed(merges) if (diff := repo.diff(one))), "")
    joined = "\n".join(filter(None, map(repo.diff, commits)))
    cut = {"max_file_chars": limits.max_diff_chars, "max_line_chars": limits.max_diff_chars}
    return whole or diffs.shown(joined, max_chars=limits.max_diff_chars, **cut)


def _files(repo: Repository, records: Iterable[Record]) -> list[str]:
    return sorted({path for record in records for path in repo.details(record).get("files", ())})[:MAX_FILES]


def _with_related(repo: Repository, thread: Thread, named: Iterable[Mention], joined: _Joined) -> Thread:
    """With a line for each issue and pull request that the thread names and that is told elsewhere."""
    here = {thread.main.number, *(issue.number for issue in thread.issues)}
    numbers = {mention.number for mention in named}
    for record in (thread.main, *thread.issues):
        numbers |= {mention.number for mention in repo.mentions(record)}
    lines = []
    for number in sorted(numbers - here):
        if (found := repo.thread(number)) is not None:
            host = joined.told_in.get(number)
            place = f" (see pull request #{host})" if isinstance(host, int) else ""
            lines.append(f"{'pull request' if found.type == 'pull' else 'issue'} #{number}: {found.title}{place}")
    return thread._replace(related=lines)


def _document(repo: Repository, thread: Thread, limits: Limits) -> dict[str, Any]:
    main, details = thread.main, repo.details(thread.main)
    told = [main, *thread.issues]
    said = (record for about in told if about.number for record in repo.said[about.number] if not record.reason)
    taken = [*told, *thread.commits, *said]
    meta = {
        "type": main.type,
        "repo": repo.name,
        "number": main.number or None,
        "sha": main.sha or None,
        **{key: details.get(key) for key in ("state", "labels", "base_sha", "merge_sha")},
        "issues": [issue.number for issue in thread.issues],
        "commits": [commit.sha for commit in thread.commits],
        "files": list(thread.files),
    }
    place = f"@{main.sha}" if main.type == "commit" else f"#{main.number}"
    made_from = provenance("threads", (parent for record in taken for parent in repo.parents(record)))
    known = {key: value for key, value in meta.items() if value}
    return {
        **_row(repo, main, f"{repo.name}{place}", text(repo, thread, limits)),
        "license": license_of_all(repo.license(record) for record in taken),
        "meta": json.dumps({**made_from, **known}, ensure_ascii=False, sort_keys=True),
        DROP: None,
    }


def _left_out(repo: Repository, record: Record, reason: str | None) -> dict[str, Any]:
    """A rejected record; its text shows whoever reads the rejects what it said."""
    said = "\n\n".join(filter(None, [record.title, repo.text(record)]))
    meta = json.dumps({**provenance("threads", repo.parents(record)), "type": record.type}, sort_keys=True)
    return {**_row(repo, record, record.origin, said), "meta": meta, DROP: reason}


def _row(repo: Repository, record: Record, origin: str, said: str) -> dict[str, Any]:
    return {
        "id": document_id(origin),
        "text": said,
        "origin": origin,
        "corpus": "synth",
        "kind": "thread",
        "lang": None,
        "license": repo.license(record),
        "raw": repo.raw(record),
    }
