"""Which issues and commits belong to which pull request. Everything is in one place only.

An issue is told where it was settled: in the first merged pull request that closes it, else in the first that names it, else with
the earliest commit that closes it without a pull request. Commits belong to the pull request that brought them: the one that merged
it (by `merge_commit_sha`, "Merge pull request #12" or "(#12)") and those between the trunk and the head of its branch, as far as
the history is there.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from synth.threads.links import Mention, merged_by
from synth.threads.repository import Record, Repository


def commits_of(repo: Repository, *, max_commits: int) -> dict[int, list[Record]]:
    """The commits of each pull request in the order of the history, what merged it last; at most `max_commits` of its branch."""
    details = {number: repo.details(repo.pulls[number]) for number in sorted(repo.pulls)}
    merges = _merges(repo, details)
    bases = [found["base_sha"] for found in details.values() if "base_sha" in found]
    passed = {sha for shas in merges.values() for sha in shas}  # the trunk, then what is taken
    for start in [*bases, *(parent for sha in sorted(passed) for parent in _parents(repo, sha)[:1])]:
        passed.update(_first_parents(repo, start, passed))
    found: dict[int, list[Record]] = {}
    for number, pull in details.items():
        heads = [parent for sha in merges[number] for parent in _parents(repo, sha)[1:2]]
        heads += [pull["head_sha"]] if "head_sha" in pull and pull.get("base_sha") in repo.commits else []
        branch: list[str] = []
        for sha in itertools.chain.from_iterable(_first_parents(repo, head, passed) for head in heads):
            passed.add(sha)
            branch += [sha] if len(_parents(repo, sha)) < 2 else []
            if len(branch) == max_commits:
                break
        if branch or merges[number]:
            found[number] = [repo.commits[sha] for sha in [*reversed(branch), *merges[number]]]
    return found


def _merges(repo: Repository, details: Mapping[int, Mapping[str, Any]]) -> defaultdict[int, list[str]]:
    """The commits that brought each pull request into the trunk."""
    by_sha = {sha: number for number, found in sorted(details.items(), reverse=True) if (sha := found.get("merge_sha"))}
    found: defaultdict[int, list[str]] = defaultdict(list)
    for sha in sorted(repo.commits):
        number = by_sha.get(sha) or merged_by(repo.commits[sha].title)
        if number in repo.pulls:
            found[number].append(sha)
    return found


def _parents(repo: Repository, sha: str) -> list[str]:
    return list(repo.details(repo.commits[sha]).get("parents", ()))


def _first_parents(repo: Repository, start: str, stop: set[str]) -> Iterator[str]:
    """The commits from `start` back, along first parents, as far as the history is there, up to one in `stop`."""
    seen: set[str] = set()
    while start in repo.commits and start not in stop and start not in seen:
        seen.add(start)
        yield start
        start = next(iter(_parents(repo, start)), "")


def named_by(repo: Repository, pull: Record, commits: Iterable[Record]) -> list[Mention]:
    """Issues and pull requests of the dump that a pull request names: in title, description, branch or commits."""
    found: dict[int, bool] = {}
    for record in (pull, *commits):
        for number, closes in repo.mentions(record):
            if number != pull.number and repo.thread(number):
                found[number] = found.get(number, False) or closes
    return [Mention(number, found[number]) for number in sorted(found)]


def hosts(
    repo: Repository,
    issues: Iterable[int],
    named: Mapping[int, list[Mention]],
    commits: Iterable[Record],
    *,
    max_issues: int,
) -> dict[int, int | str]:
    """Where each issue is told: the number of a pull request or the sha of a commit; no entry for an issue by itself.

    `named` are the mentions of the pull requests, `commits` those without one. A host takes at most `max_issues`, those with the
    lowest numbers.
    """
    candidates: defaultdict[int, list[tuple[int, int, str, int | str]]] = defaultdict(list)
    for number, mentions in named.items():
        is_merged = repo.details(repo.pulls[number]).get("state") == "merged"
        for mention in mentions:
            rank = 2 - is_merged - (is_merged and mention.closes)
            candidates[mention.number].append((rank, number, "", number))
    for commit in commits:
        for mention in repo.mentions(commit):
            if mention.closes:
                candidates[mention.number].append((3, 0, commit.time + commit.sha, commit.sha))
    found: dict[int, int | str] = {}
    taken: defaultdict[int | str, int] = defaultdict(int)
    for issue in sorted(issues):
        for *_, host in sorted(candidates[issue], key=lambda entry: entry[:3]):
            if taken[host] < max_issues:
                found[issue] = host
                taken[host] += 1
                break
    return found
