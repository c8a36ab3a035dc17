"""Which threads are worth reading: one reason per thread that is not.

The thresholds are StarCoder 2's (Lozhkov et al. 2024, sections 2.2 for issues and 2.3 for pull requests), with these changes: words
of a title count as words (their "depend" would drop "independent"), a pull request that names an issue of the dump may be short,
since the issue says what it is about, and of a single person's issue the comments are counted, not the events. Left out are their
rules about pull requests whose base changed and whose description contains "Qwiet".
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from synth.threads.repository import Record, Repository


class Rules(NamedTuple):
    """Parameters of `reduce` that decide about threads; see there."""

    min_issue_chars: int
    min_title_chars: int
    min_description_chars: int
    title_words: Sequence[str]
    min_people: int
    max_monologue_chars: int
    max_monologue_messages: int
    min_message_chars: int
    merged_only: bool
    diff_needed: bool


def pull_reason(repo: Repository, pull: Record, rules: Rules, *, names_an_issue: bool, has_diff: bool) -> str | None:
    """Why a pull request is no document."""
    if pull.reason:
        return pull.reason
    words = set(re.findall(r"\w+", pull.title.lower()))
    if not words.isdisjoint(rules.title_words):
        return "threads.title_word"
    if rules.merged_only and not _is_agreed(repo, pull):
        return "threads.not_merged"
    if rules.diff_needed and not has_diff:
        return "threads.no_diff"
    if names_an_issue:
        return None
    if len(pull.title) < rules.min_title_chars:
        return "threads.short_title"
    return "threads.short_description" if len(repo.text(pull)) < rules.min_description_chars else None


def issue_reason(repo: Repository, issue: Record, said: Sequence[Record], rules: Rules) -> str | None:
    """Why an issue that no pull request took in is no document; `said` are the messages that stay."""
    chars = sum(len(repo.text(record)) for record in said)
    if len(repo.text(issue)) + chars < rules.min_issue_chars:
        return "threads.short"
    num_people = len({record.author for record in (issue, *said)})
    if num_people < rules.min_people:
        return "threads.few_people"
    if num_people == 1 and (chars > rules.max_monologue_chars or len(said) > rules.max_monologue_messages):
        return "threads.monologue"
    return None


def commit_reason(repo: Repository, commit: Record, rules: Rules) -> str | None:
    """Why a commit without a pull request is no document."""
    if commit.reason:
        return commit.reason
    details = repo.details(commit)
    if details.get("is_merge") or len(details.get("parents", ())) > 1:
        return "threads.merge_commit"
    if not repo.diff(commit):
        return "threads.no_diff"
    said = len(commit.title) + len(repo.text(commit))
    return "threads.short_message" if said < rules.min_message_chars else None


def _is_agreed(repo: Repository, pull: Record) -> bool:
    """Whether it was merged or a reviewer approved it."""
    if repo.details(pull).get("state") == "merged":
        return True
    reviews = (record for record in repo.said[pull.number] if record.type == "review")
    return any(repo.details(review).get("state") == "approved" for review in reviews)
