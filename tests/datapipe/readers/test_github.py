"""Objects of GitHub's API and events of GH Archive become documents. The samples follow the public documentation of both."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe.readers import github, github_events, jsonl
from datapipe.readers.split import Input, tables

API, WEB = "https://api.github.com/repos/octo/hello", "https://github.com/octo/hello"

ISSUE = {
    "url": f"{API}/issues/12",
    "repository_url": API,
    "html_url": f"{WEB}/issues/12",
    "id": 1,
    "number": 12,
    "title": "Crash on  empty\ninput",
    "body": "It crashes.\r\nAlways.",
    "user": {"login": "mona", "type": "User"},
    "labels": [{"name": "bug"}, {"name": "api"}],
    "state": "open",
    "created_at": "2020-01-02T03:04:05Z",
    "updated_at": "2020-01-03T03:04:05Z",
}
PULL = {
    **ISSUE,
    "url": f"{API}/pulls/13",
    "html_url": f"{WEB}/pull/13",
    "number": 13,
    "state": "closed",
    "merged_at": "2020-01-05T00:00:00Z",
    "merge_commit_sha": "c" * 40,
    "base": {
        "sha": "a" * 40,
        "ref": "main",
        "repo": {"full_name": "octo/hello", "license": {"spdx_id": "MIT"}},
    },
    "head": {"sha": "b" * 40, "ref": "fix-12"},
}
COMMENT = {
    "html_url": f"{WEB}/issues/12#issuecomment-77",
    "issue_url": f"{API}/issues/12",
    "id": 77,
    "user": {"login": "hubot[bot]", "type": "Bot"},
    "body": "Seen it too.",
    "created_at": "2020-01-02T04:00:00Z",
}
REVIEW = {
    "id": 80,
    "html_url": f"{WEB}/pull/13#pullrequestreview-80",
    "pull_request_url": f"{API}/pulls/13",
    "user": {"login": "ann"},
    "body": "",
    "state": "APPROVED",
    "submitted_at": "2020-01-04T00:00:00Z",
}
ON_LINE = {
    "id": 90,
    "url": f"{API}/pulls/comments/90",
    "html_url": f"{WEB}/pull/13#discussion_r90",
    "pull_request_url": f"{API}/pulls/13",
    "pull_request_review_id": 80,
    "in_reply_to_id": 89,
    "path": "src/a.py",
    "line": None,
    "original_line": 7,
    "diff_hunk": "@@ -1 +1 @@\n-a\n+b",
    "user": {"login": "ann"},
    "body": "Why b?",
    "created_at": "2020-01-04T00:00:00Z",
}
COMMIT = {
    "sha": "c" * 40,
    "url": f"{API}/commits/{'c' * 40}",
    "html_url": f"{WEB}/commit/{'c' * 40}",
    "commit": {"message": "Fix #12", "author": {"name": "Mona", "date": "2020-01-05T02:00:00+02:00"}},
    "author": {"login": "mona", "type": "User"},
    "parents": [{"sha": "a" * 40}],
    "files": [{"filename": "new.py", "status": "added", "patch": "@@ -0,0 +1 @@\n+x"}, {"filename": "a.bin", "status": "modified"}],
}  # fmt: skip


def read(folder: Path, *values: Any) -> list[dict[str, Any]]:
    path = folder / "x.jsonl"
    path.write_bytes(
        b"".join(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n" for value in values)
    )
    return list(github.read(Input(str(path), path.name, path.stat().st_size, "print")))


def one(folder: Path, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    [row] = read(folder, value)
    return row, json.loads(row["meta"])


def outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("drop_reason") or row["origin"] for row in rows]


def test_an_issue(tmp_path: Path) -> None:
    row, meta = one(tmp_path, ISSUE)
    assert row["text"] == "Crash on empty input\n\nIt crashes.\r\nAlways."
    assert row["origin"] == "octo/hello#12"
    assert meta == {
        "type": "issue",
        "repo": "octo/hello",
        "number": 12,
        "author": "mona",
        "author_type": "User",
        "state": "open",
        "labels": ["api", "bug"],
        "time": "2020-01-02T03:04:05Z",
        "updated": "2020-01-03T03:04:05Z",
        "url": f"{WEB}/issues/12",
    }


def test_a_pull_request(tmp_path: Path) -> None:
    row, meta = one(tmp_path, PULL)
    assert (row["origin"], row["license"], meta["type"], meta["state"]) == ("octo/hello#13", "MIT", "pull", "merged")
    assert (meta["base_sha"], meta["head_sha"], meta["merge_sha"]) == ("a" * 40, "b" * 40, "c" * 40)
    assert meta["head_ref"] == "fix-12"
    _, seen_as_an_issue = one(tmp_path, {**ISSUE, "pull_request": {"url": f"{API}/pulls/12"}})
    assert seen_as_an_issue["type"] == "pull"
    unlicensed = {**PULL, "base": {**PULL["base"], "repo": {"license": {"spdx_id": "NOASSERTION"}}}}  # type: ignore[dict-item]
    assert one(tmp_path, unlicensed)[0]["license"] is None


def test_what_is_said(tmp_path: Path) -> None:
    rows = read(tmp_path, COMMENT, REVIEW, ON_LINE)
    assert outcomes(rows) == ["octo/hello#12/comment-77", "octo/hello#13/review-80", "octo/hello#13/review_comment-90"]
    comment, review, on_line = (json.loads(row["meta"]) for row in rows)
    assert (comment["author_type"], comment["updated"]) == ("Bot", "2020-01-02T04:00:00Z")
    assert (review["state"], review["time"], rows[1]["text"]) == ("approved", "2020-01-04T00:00:00Z", "")
    assert {key: on_line[key] for key in ("path", "line", "reply_to", "review", "diff_hunk", "number")} == {
        "path": "src/a.py",
        "line": 7,
        "reply_to": 89,
        "review": 80,
        "diff_hunk": "@@ -1 +1 @@\n-a\n+b",
        "number": 13,
    }


def test_a_commit_with_its_files(tmp_path: Path) -> None:
    row, meta = one(tmp_path, COMMIT)
    assert (row["origin"], row["text"]) == (f"octo/hello@{'c' * 40}", "Fix #12")
    assert (meta["time"], meta["author"], meta["parents"]) == ("2020-01-05T00:00:00Z", "mona", ["a" * 40])
    assert meta["files"] == ["a.bin", "new.py"]
    assert meta["diff"] == "diff --git a/new.py b/new.py\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x"


def test_a_commit_of_gits_own_objects(tmp_path: Path) -> None:
    people = {
        "author": {"name": "Mona", "date": "2020-01-05T02:00:00Z"},
        "committer": {"name": "Ann", "date": "2020-01-06T02:00:00Z"},
    }
    row, meta = one(tmp_path, {"sha": "c" * 40, "url": f"{API}/git/commits/{'c' * 40}", "message": "Fix", **people})
    assert (row["text"], meta["author"], meta["time"]) == ("Fix", "Mona", "2020-01-06T02:00:00Z")


def test_a_flat_dump(tmp_path: Path) -> None:
    flat = {
        "number": 5,
        "title": "T",
        "body": None,
        "user": "mona",
        "labels": ["x"],
        "html_url": f"{WEB}/pull/5",
        "diff": "d",
    }
    row, meta = one(tmp_path, {**flat, "base_sha": "a", "head_sha": "b", "merged_at": None, "state": "open"})
    assert (row["text"], meta["type"], meta["author"], meta["labels"], meta["diff"]) == (
        "T",
        "pull",
        "mona",
        ["x"],
        "d",
    )
    assert (meta["base_sha"], meta["state"]) == ("a", "open")


def event(kind: str, payload: Any, **more: Any) -> dict[str, Any]:
    common = {"id": "1", "actor": {"login": "actor"}, "repo": {"id": 1, "name": "octo/hello"}}
    return {"type": kind, **common, "payload": payload, "created_at": "2020-02-02T00:00:00Z", **more}


def old_event(kind: str, payload: Any) -> dict[str, Any]:
    repository = {"name": "hello", "owner": "octo", "url": WEB}
    said = {"created_at": "2012/03/10 22:00:00 -0800", "actor": "actor", "actor_attributes": {"type": "User"}}
    return {"type": kind, "repository": repository, "payload": payload, **said}


def test_events(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        event("IssueCommentEvent", {"action": "created", "issue": ISSUE, "comment": COMMENT}),
        event("PullRequestEvent", {"action": "closed", "number": 13, "pull_request": PULL}),
        event("PullRequestReviewEvent", {"action": "created", "review": REVIEW, "pull_request": PULL}),
        event("PullRequestReviewCommentEvent", {"action": "created", "comment": ON_LINE, "pull_request": PULL}),
        event("IssuesEvent", {"action": "closed", "issue": ISSUE}),
        event(
            "PushEvent",
            {"commits": [{"sha": "d" * 40, "message": "One", "author": {"name": "Mona", "email": "m@x"}}] * 2},
        ),
        event("WatchEvent", {"action": "started"}),
    )
    assert Counter(outcomes(rows)) == {
        "octo/hello#12": 2,
        "octo/hello#12/comment-77": 1,
        "octo/hello#13": 3,
        "octo/hello#13/review-80": 1,
        "octo/hello#13/review_comment-90": 1,
        f"octo/hello@{'d' * 40}": 2,
        "github.other_event": 1,
    }
    pushed = json.loads(rows[-2]["meta"])
    assert (pushed["author"], pushed["time"], rows[-2]["text"]) == ("Mona", "2020-02-02T00:00:00Z", "One")


def test_events_before_2015(tmp_path: Path) -> None:
    shas = [["e" * 40, "m@x", "Two", "Mona", True], "no commit"]
    rows = read(
        tmp_path,
        old_event("PushEvent", {"shas": shas, "ref": "refs/heads/master"}),
        old_event("IssuesEvent", {"action": "opened", "issue": 4711, "number": 3}),
        old_event("IssueCommentEvent", {"issue_id": 4711, "comment_id": 5}),
        old_event(
            "PullRequestEvent",
            {"number": 9, "pull_request": {"number": 9, "title": "Add x", "body": "", "merged": True}},
        ),
    )
    assert outcomes(rows) == [f"octo/hello@{'e' * 40}", "github.no_text", "github.no_number", "octo/hello#9"]
    pushed, pulled = json.loads(rows[0]["meta"]), json.loads(rows[3]["meta"])
    assert (pushed["time"], pushed["author"], rows[0]["text"]) == ("2012-03-11T06:00:00Z", "Mona", "Two")
    assert (pulled["type"], pulled["state"]) == ("pull", "merged")


def test_events_of_today_that_carry_little(tmp_path: Path) -> None:
    bare = {"url": f"{API}/pulls/13", "id": 5, "number": 13, "head": {"ref": "fix-12", "sha": "b" * 40}, "base": {}}
    rows = read(
        tmp_path,
        event("PullRequestEvent", {"action": "opened", "number": 13, "pull_request": bare}),
        event("PushEvent", {}),
    )
    assert outcomes(rows) == ["github.no_text"]


def test_an_event_knows_what_is_a_pull_request(tmp_path: Path) -> None:
    bare = {"number": 13, "title": "Add x"}
    rows = read(tmp_path, event("PullRequestReviewEvent", {"review": REVIEW, "pull_request": bare}))
    assert [json.loads(row["meta"])["type"] for row in rows] == ["pull", "review"]


def test_who_an_object_does_not_name_the_event_does(tmp_path: Path) -> None:
    comment = {"id": 1, "body": "Here it is."}
    rows = read(tmp_path, event("IssueCommentEvent", {"issue": ISSUE, "comment": comment}))
    said = json.loads(rows[1]["meta"])
    assert (said["author"], said["time"], said["number"]) == ("actor", "2020-02-02T00:00:00Z", 12)


def test_pages_of_the_api_are_arrays(tmp_path: Path) -> None:
    rows = read(tmp_path, [ISSUE, 7, COMMENT], [])
    assert outcomes(rows) == ["octo/hello#12", "github.unknown", "octo/hello#12/comment-77"]
    written = (tmp_path / "x.jsonl").read_bytes()
    places = [row["raw"] for row in rows]
    assert [json.loads(written[raw["offset"] :][: raw["length"]]) for raw in places] == [ISSUE, 7, COMMENT]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{\n", "jsonl.invalid"),
        (b'{"a": "\xff"}\n', "jsonl.not_utf8"),
        (3, "github.unknown"),
        ({"login": "mona"}, "github.unknown"),
        ({"number": 1, "title": "T"}, "github.no_repo"),
        ({**COMMENT, "issue_url": API, "html_url": f"{WEB}#issuecomment-1"}, "github.no_number"),
        ({**COMMENT, "issue_url": f"{API}/issues/{'9' * 5000}", "html_url": None}, "github.no_number"),
        ({**ISSUE, "number": -1, "html_url": None, "url": None}, "github.no_number"),
        ({**COMMENT, "body": " \n"}, "github.no_text"),
        ({**ISSUE, "title": "", "body": None}, "github.no_text"),
        ({**REVIEW, "body": None, "state": None}, "github.no_text"),
        ({"type": "ForkEvent", "payload": {}}, "github.other_event"),
        ({"type": "PullRequestEvent", "payload": None}, "github.no_repo"),
    ],
)
def test_what_is_no_record(tmp_path: Path, value: Any, reason: str) -> None:
    assert outcomes(read(tmp_path, value, ISSUE)) == [reason, "octo/hello#12"]


def test_other_hosts_and_renamed_addresses(tmp_path: Path) -> None:
    other = {**ISSUE, "html_url": "https://git.example.org/octo/hello/issues/12"}
    assert outcomes(read(tmp_path, other)) == ["git.example.org/octo/hello#12"]
    by_api = {**ISSUE, "html_url": None, "url": "https://git.example.org/api/v3/repos/octo/hello/issues/12"}
    assert outcomes(read(tmp_path, {**by_api, "repository_url": None})) == ["git.example.org/octo/hello#12"]
    assert outcomes(read(tmp_path, {**ISSUE, "html_url": None})) == ["octo/hello#12"]


def test_comments_without_an_id_stay_apart(tmp_path: Path) -> None:
    bare = {key: value for key, value in COMMENT.items() if key not in ("id", "html_url")}
    rows = read(tmp_path, bare, {**bare, "body": "Something else."}, bare)
    assert len(set(outcomes(rows))) == 2
    assert outcomes(rows)[0] == outcomes(rows)[2]
    in_url = {key: value for key, value in COMMENT.items() if key != "id"}
    assert outcomes(read(tmp_path, in_url)) == ["octo/hello#12/comment-77"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2017-01-23T05:13:53Z", "2017-01-23T05:13:53Z"),
        ("2017-01-23T05:13:53.123+02:00", "2017-01-23T03:13:53Z"),
        ("2012/03/10 22:00:00 -0800", "2012-03-11T06:00:00Z"),
        ("2015-06-01 10:00:00 UTC", "2015-06-01T10:00:00Z"),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_times(tmp_path: Path, written: str, expected: str | None) -> None:
    assert one(tmp_path, {**ISSUE, "created_at": written})[1].get("time") == expected


def test_unsound_text_is_stored_as_arrow_can(tmp_path: Path) -> None:
    rows = read(tmp_path, {**PULL, "title": "a\0b\ud800", "diff": "+\ud800\0", "labels": ["\ud800"]})
    [table] = tables(rows, {"kind": "thread"}, {"corpus": "x"})
    meta = json.loads(table["meta"][0].as_py())
    assert "\0" not in table["text"][0].as_py() + meta["diff"]
    assert json.dumps(meta, ensure_ascii=False).encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SAMPLES = [ISSUE, PULL, COMMENT, REVIEW, ON_LINE, COMMIT]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), wrapped=st.sampled_from([None, *github_events._KINDS, "WatchEvent"]))
def test_any_value_in_any_place_is_a_document_or_a_reason(
    tmp_path: Path, data: st.DataObject, wrapped: str | None
) -> None:
    sample: Any = dict(data.draw(st.sampled_from(SAMPLES)))
    for key in data.draw(st.lists(st.sampled_from(sorted(sample)), max_size=3)):
        sample[key] = data.draw(values)
    if wrapped:
        keys = st.sampled_from(["issue", "pull_request", "comment", "review", "commits", "shas", "number"])
        sample = event(wrapped, data.draw(st.dictionaries(keys, st.just(sample) | values, max_size=4) | values))
    for row in read(tmp_path, sample):
        assert row.get("drop_reason", "github.").startswith("github.")
        if "drop_reason" not in row:
            meta = json.loads(row["meta"])
            assert row["origin"].startswith(meta["repo"])
            assert meta["type"] == "commit" or meta["number"] > 0


def test_ranges_give_what_the_whole_file_gives(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({**ISSUE, "number": number}) + "\n" for number in range(1, 40)))
    whole = Input(str(path), path.name, path.stat().st_size, "print")
    parts = [row for start in range(0, whole.size_bytes, 1000) for row in github.read(whole.range(start, 1000))]
    assert parts == list(github.read(whole))
    assert len(parts) == 39
    assert jsonl.cut(whole) == [whole]


@pytest.mark.data
def test_real_issues_and_pull_requests(shared_data: Path) -> None:
    found: Counter[str] = Counter()
    for path in sorted((shared_data / "issues").glob("*.jsonl.gz")):
        written = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        rows = list(github.read(Input(str(path), path.name, path.stat().st_size, "print")))
        for row, record in zip(rows, written, strict=True):
            meta = json.loads(row["meta"])
            assert row["origin"] == f"quicwg/base-drafts#{record['number']}"
            assert row["text"].split("\n", 1)[0] == " ".join(record["title"].split())
            assert (record["body"] or "").rstrip() in row["text"]
            assert (meta["author"], meta["time"]) == (record["user"], record["created_at"])
            assert meta["state"] == ("merged" if record.get("merged_at") else record["state"])
            assert meta.get("diff") == record.get("diff")
            found[meta["type"]] += 1
    assert found == {"issue": 130, "pull": 140}  # the 70 pull requests also as issues
