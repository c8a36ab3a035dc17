"""Commits find their pull request, issues the one place where they are told."""

from typing import Any

import pytest

from synth.threads.joins import commits_of, hosts, named_by
from synth.threads.records import emit
from synth.threads.repository import Repository, repositories
from tests.synth.threads.records import commit, record, table


def repository(*rows: dict[str, Any]) -> Repository:
    [found] = repositories(emit(table(*rows)))
    return found


def shas(*rows: dict[str, Any], max_commits: int = 30) -> dict[int, list[str]]:
    return {
        number: [one.sha for one in found]
        for number, found in commits_of(repository(*rows), max_commits=max_commits).items()
    }


HISTORY = [
    commit("t1", "Start"),
    commit("t2", "Trunk", "t1"),
    commit("b1", "Branch one", "t1"),
    commit("b2", "Merge branch main into branch", "b1 t2"),
    commit("b3", "Branch two", "b2"),
    commit("m", "Merge pull request #7 from mona/branch", "t2 b3"),
    commit("t3", "After", "m"),
]


def test_a_merge_brings_the_commits_of_its_branch() -> None:
    assert shas(record("pull", 7), *HISTORY) == {7: ["b1", "b3", "m"]}
    assert shas(record("pull", 7), *HISTORY, max_commits=1) == {7: ["b3", "m"]}
    assert shas(record("issue", 7), *HISTORY) == {}
    assert shas(record("pull", 7), commit("m", "Merge pull request #7 from x", "gone away")) == {7: ["m"]}


def test_a_squash_is_known_by_sha_or_subject() -> None:
    assert shas(record("pull", 7, merge_sha="t2"), *HISTORY[:2]) == {7: ["t2"]}
    assert shas(record("pull", 7), commit("s", "Fix it (#7)", "t1")) == {7: ["s"]}
    assert shas(record("pull", 7), record("pull", 8, merge_sha="s"), commit("s", "Fix it (#7)")) == {8: ["s"]}
    assert shas(record("pull", 7, merge_sha="s"), record("pull", 8, merge_sha="s"), commit("s", "Fix it")) == {7: ["s"]}


def test_an_open_branch_is_known_by_its_head() -> None:
    ends = {"head_sha": "b3", "base_sha": "t2"}
    assert shas(record("pull", 7, **ends), *HISTORY[:5]) == {7: ["b1", "b3"]}
    assert shas(record("pull", 7, head_sha="b3", base_sha="unknown"), *HISTORY[:5]) == {}


def test_two_pull_requests_do_not_share_commits() -> None:
    second = commit("m2", "Merge pull request #9 from mona/more", "m c1")
    rows = [record("pull", 7), record("pull", 9), *HISTORY[:6], commit("c1", "More", "b3"), second]
    assert shas(*rows) == {7: ["b1", "b3", "m"], 9: ["c1", "m2"]}


def test_a_cyclic_history_ends() -> None:
    rows = [commit("x", "One", "y"), commit("y", "Two", "x"), commit("m", "Merge pull request #7 from a", "x y")]
    assert "m" in shas(record("pull", 7), *rows)[7]


def where(*rows: dict[str, Any], max_issues: int = 8) -> dict[int, int | str]:
    repo = repository(*rows)
    commits = commits_of(repo, max_commits=30)
    named = {number: named_by(repo, pull, commits.get(number, ())) for number, pull in repo.pulls.items()}
    brought = {one.sha for found in commits.values() for one in found}
    alone = [one for sha, one in repo.commits.items() if sha not in brought]
    return hosts(repo, repo.issues, named, alone, max_issues=max_issues)


ISSUE = record("issue", 1)


@pytest.mark.parametrize(
    ("rows", "host"),
    [
        ([record("pull", 5, "fixes #1"), record("pull", 6, "fixes #1", state="merged")], 6),
        ([record("pull", 5, "see #1"), record("pull", 6, "see #1", state="merged")], 6),
        ([record("pull", 5, "see #1", state="merged"), record("pull", 6, "fixes #1", state="merged")], 6),
        ([record("pull", 5, "see #1"), record("pull", 6, "fixes #1")], 5),
        ([record("pull", 6, "fixes #1", state="merged"), record("pull", 5, "fixes #1", state="merged")], 5),
        ([record("pull", 5, head_ref="fix-1")], 5),
        ([record("pull", 5), commit("s", "Fixes #1 (#5)")], 5),
        ([record("pull", 5, title="Repair #1")], 5),
        ([commit("s", "Fixes #1"), commit("r", "Fixes #1", time="2019-01-01T00:00:00Z")], "r"),
        ([commit("s", "See #1")], None),
        ([commit("s", "Fixes #1"), record("pull", 5, "see #1")], 5),
        ([record("pull", 5, "fixes other/repo#1 and `#1`")], None),
        ([record("pull", 5, "nothing")], None),
    ],
)
def test_an_issue_is_told_in_one_place(rows: list[dict[str, Any]], host: int | str | None) -> None:
    assert where(ISSUE, *rows).get(1) == host
    assert where(*rows[::-1], ISSUE).get(1) == host


def test_a_pull_request_that_names_many_takes_the_first() -> None:
    issues = [record("issue", number) for number in range(1, 6)]
    collecting = record("pull", 9, "#1 #2 #3 #4 #5")
    assert where(*issues, collecting, max_issues=2) == {1: 9, 2: 9}
    assert where(*issues, collecting, record("pull", 10, "#3"), max_issues=2) == {1: 9, 2: 9, 3: 10}
