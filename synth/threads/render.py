"""A thread as plain text.

The order is that of StarCoder 2 (Lozhkov et al. 2024, section 5.2: title, description, state, repository, files, diffs, then
reviews and comments), with what GLM-4.5 (section 2.3) adds: the related issues and the commits stand in the same context, and
changes in a diff-like form. Issues come first, as the reason for the change; comments on lines stand with their hunk, as the review
saw it; everything said is in the order of time.

    Pull request #12: Title                            ==== Description ====   ==== Diff ====
    Repository: owner/repo                             ==== Review ====        path, line 7: hunk, then what was said
    Opened 2017-01-23 by author, merged                ==== Comments ====      user-1: ...
    Labels, Files, Related                             ==== Commits ====
    ==== Issue #10: Title ====
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from synth.threads.people import People
from synth.threads.repository import Record, Repository

_MERGES = ("Merge ", "Auto merge ")  # what a program wrote
MAX_RELATED = 20
MAX_FILES = 50  # in the header; the rest is counted


class Limits(NamedTuple):
    """Parameters of `reduce` that bound a document; see there."""

    max_messages: int
    max_discussion_chars: int
    max_diff_chars: int
    max_issues: int
    max_commits: int


class Thread(NamedTuple):
    """What stands in one document."""

    main: Record
    issues: Sequence[Record]
    commits: Sequence[Record]  # of a pull request
    diff: str
    files: Sequence[str]
    related: Sequence[str] = ()  # lines about what is told elsewhere


def text(repo: Repository, thread: Thread, limits: Limits) -> str:
    main = thread.main
    said = repo.said[main.number] if main.type != "commit" else []
    reviewers = [record.author for record in said if record.type.startswith("review")]
    people = People(main.author, reviewers)
    parts = ["\n".join(_header(repo, thread, people))]
    if main.type != "pull":
        parts += _body(repo, main, people)
    for issue in thread.issues:
        parts += [_titled(f"Issue #{issue.number}: {issue.title}", people), _opened(repo, issue, people)]
        parts += [*_body(repo, issue, people), *_discussion(repo, repo.said[issue.number], people, limits)]
    on_lines = [record for record in said if record.type == "review_comment"]
    others = [record for record in said if record.type != "review_comment"]
    commits = [commit for commit in thread.commits if not commit.title.startswith(_MERGES)]
    parts += _under("Description", _body(repo, main, people) if main.type == "pull" else [])
    parts += _under("Diff", [thread.diff] if thread.diff else [])
    parts += _under("Review", _on_lines(repo, on_lines, people, limits))
    parts += _under("Comments" if main.type == "pull" else "", _discussion(repo, others, people, limits))
    parts += _under("Commits", fit([_message(repo, commit, people) for commit in commits], limits))
    return "\n\n".join(parts) + "\n"


def _under(title: str, blocks: list[str]) -> list[str]:
    """The blocks under their title, nothing where there are none."""
    return [f"==== {title} ====", *blocks] if title and blocks else blocks


def fit(blocks: list[str], limits: Limits) -> list[str]:
    """The blocks, without their middle where they are too many or too long: the beginning has three quarters of the room."""
    if len(blocks) <= limits.max_messages and sum(map(len, blocks)) <= limits.max_discussion_chars:
        return blocks
    first = _head(blocks, limits.max_messages * 3 // 4, limits.max_discussion_chars * 3 // 4)
    rest = blocks[len(first) :][::-1]
    last = _head(rest, limits.max_messages - len(first), limits.max_discussion_chars - sum(map(len, first)))
    return [*first, f"[{len(rest) - len(last)} messages not shown]", *reversed(last)]


def _head(blocks: list[str], max_blocks: int, max_chars: int) -> list[str]:
    """The first blocks that fit."""
    reached = itertools.accumulate(map(len, blocks[:max_blocks]))
    return blocks[: sum(1 for chars in reached if chars <= max_chars)]


def _header(repo: Repository, thread: Thread, people: People) -> list[str]:
    main = thread.main
    kind = {"pull": f"Pull request #{main.number}", "issue": f"Issue #{main.number}"}.get(main.type, "Commit")
    lines = [f"{kind}: {people.without_names(main.title)}", f"Repository: {repo.name}", _opened(repo, main, people)]
    if labels := repo.details(main).get("labels"):
        lines.append(f"Labels: {', '.join(labels)}")
    if thread.files:
        more = len(thread.files) - MAX_FILES
        shown = [*thread.files[:MAX_FILES], *([f"{more} more"] if more > 0 else [])]
        lines.append(f"Files: {', '.join(shown)}")
    lines += (f"Related: {people.without_names(line)}" for line in thread.related[:MAX_RELATED])
    return lines


def _opened(repo: Repository, record: Record, people: People) -> str:
    state = repo.details(record).get("state")
    done = "Committed" if record.type == "commit" else "Opened"
    when = f" {record.time[:10]}" if record.time else ""
    return f"{done}{when} by {people.role(record.author)}{f', {state}' if state else ''}"


def _titled(title: str, people: People) -> str:
    return f"==== {people.without_names(title)} ===="


def _body(repo: Repository, record: Record, people: People) -> list[str]:
    body = repo.text(record)
    return [people.without_names(body)] if body else []


def _discussion(repo: Repository, said: Iterable[Record], people: People, limits: Limits) -> list[str]:
    """Comments, and reviews with what they decide, in the order given."""
    return fit([_said(repo, record, people) for record in said if not record.reason], limits)


def _said(repo: Repository, record: Record, people: People) -> str:
    state = repo.details(record).get("state", "").replace("_", " ") if record.type == "review" else ""
    verdict = f" ({state})" if state and state != "commented" else ""
    said = people.without_names(repo.text(record))
    return f"{people.role(record.author)}{verdict}{f': {said}' if said else ''}"


def _on_lines(repo: Repository, said: Sequence[Record], people: People, limits: Limits) -> list[str]:
    """What was said about lines: per place the hunk, the remark and the answers to it; places in the order of their first remark."""
    by_place: defaultdict[str, list[Record]] = defaultdict(list)
    for record in said:
        own = re.search(r"-(\d+)$", record.origin)
        by_place[str(repo.details(record).get("reply_to") or (own[1] if own else record.origin))].append(record)
    blocks = []
    for records in by_place.values():
        kept = [_said(repo, record, people) for record in records if not record.reason]
        about = repo.details(records[0])
        place = f"{about.get('path', 'file')}{f', line {line}' if (line := about.get('line')) else ''}:"
        hunk = next((diff for record in records if (diff := repo.diff(record))), "")
        blocks += ["\n".join(filter(None, [place, hunk, *kept]))] if kept else []
    return fit(blocks, limits)


def _message(repo: Repository, commit: Record, people: People) -> str:
    return people.without_names("\n\n".join(filter(None, [commit.title, repo.text(commit)])))
