"""The same thread is the same records, whichever tool wrote the dump."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from datapipe.readers import github
from datapipe.readers.github_objects import objects_in
from datapipe.readers.split import Input

WEB = "https://github.com/octo/hello"
BY = {"login": "mona"}
COMMENT = {"author": BY, "authorAssociation": "OWNER", "body": "Seen too.", "createdAt": "2020-01-02T04:00:00Z"}
ISSUE = {
    "number": 12, "id": "MDU6", "title": "Crash", "url": f"{WEB}/issues/12", "state": "CLOSED", "author": "ann", "labels": ["bug"],
    "body": "It crashes.", "createdAt": "2020-01-02T03:00:00Z", "updatedAt": "2020-01-03T03:00:00Z", "comments": [COMMENT],
}  # fmt: skip
ON_LINE = {
    "body": "Why?",
    "author": BY,
    "path": "a.py",
    "diffHunk": "@@ -1 +1 @@",
    "originalLine": 7,
    "url": f"{WEB}/pull/13#discussion_r90",
}
PULL = {
    "number": 13, "title": "Fix", "url": f"{WEB}/pull/13", "state": "MERGED", "mergedAt": "2020-01-05T00:00:00Z", "body": "Fixes #12",
    "author": {"login": "ann", "is_bot": False}, "labels": [{"id": "x", "name": "bug"}], "headRefName": "fix-12", "headRefOid": "b" * 40,
    "baseRefOid": "a" * 40, "mergeCommit": {"oid": "c" * 40}, "files": [{"path": "a.py", "additions": 1}],
    "reviews": [{"author": BY, "state": "APPROVED", "body": "", "submittedAt": "2020-01-04T00:00:00Z", "comments": [ON_LINE]}],
    "commits": [{"oid": "b" * 40, "messageHeadline": "Fix it", "messageBody": "At last.", "committedDate": "2020-01-04T00:00:00Z",
                 "authors": [{"login": "ann", "email": "ann@example.org"}]}],
}  # fmt: skip


def read(folder: Path, written: str | bytes, name: str = "dump.json") -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(written.encode() if isinstance(written, str) else written)
    return list(github.read(Input(str(path), path.name, path.stat().st_size, "print")))


def told(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["origin"]: {"text": row["text"], **json.loads(row["meta"])} for row in rows if "drop_reason" not in row}


def test_names_of_graphql_and_what_was_said_in_a_thread(tmp_path: Path) -> None:
    rows = told(read(tmp_path, json.dumps([ISSUE, PULL])))
    [comment] = [row for origin, row in rows.items() if origin.startswith("octo/hello#12/comment-")]
    [review] = [row for origin, row in rows.items() if origin.startswith("octo/hello#13/review-")]
    assert len(rows) == 6
    issue, pull = rows["octo/hello#12"], rows["octo/hello#13"]
    assert (issue["type"], issue["state"], issue["author"], issue["labels"]) == ("issue", "closed", "ann", ["bug"])
    assert (issue["time"], issue["updated"]) == ("2020-01-02T03:00:00Z", "2020-01-03T03:00:00Z")
    assert (pull["type"], pull["state"], pull["author"], pull["labels"]) == ("pull", "merged", "ann", ["bug"])
    assert [pull[key] for key in ("base_sha", "head_sha", "head_ref", "merge_sha")] == [
        "a" * 40,
        "b" * 40,
        "fix-12",
        "c" * 40,
    ]
    assert (comment["text"], comment["author"], comment["time"]) == ("Seen too.", "mona", "2020-01-02T04:00:00Z")
    assert (review["state"], review["author"], review["time"]) == ("approved", "mona", "2020-01-04T00:00:00Z")
    on_line = rows["octo/hello#13/review_comment-90"]
    assert (on_line["path"], on_line["line"], on_line["diff_hunk"], on_line["text"]) == (
        "a.py",
        7,
        "@@ -1 +1 @@",
        "Why?",
    )
    commit = rows[f"octo/hello@{'b' * 40}"]
    assert (commit["text"], commit["author"], commit["time"]) == ("Fix it\n\nAt last.", "ann", "2020-01-04T00:00:00Z")


def test_what_only_its_surroundings_tell(tmp_path: Path) -> None:
    review = {"state": "COMMENTED", "author": BY, "body": "See below.", "comments": [{"author": BY, "body": "Why?"}]}
    rows = told(
        read(tmp_path, json.dumps([{"number": 13, "title": "Fix", "url": f"{WEB}/pull/13", "reviews": [review]}]))
    )
    assert [row["type"] for row in rows.values()] == ["pull", "review", "review_comment"]
    assert {row["number"] for row in rows.values()} == {13}


def nodes(*found: Any) -> dict[str, Any]:
    return {"totalCount": len(found), "nodes": list(found)}


def test_an_answer_of_graphql(tmp_path: Path) -> None:
    thread = {
        "path": "a.py",
        "line": 7,
        "comments": nodes({"body": "Why?", "databaseId": 90}, {"body": "So.", "databaseId": 91}),
    }
    commit = {
        "commit": {
            "oid": "b" * 40,
            "message": "Fix it",
            "author": {"user": BY, "name": "Mona"},
            "parents": nodes({"oid": "a" * 40}),
        }
    }
    pull = {
        **PULL,
        "labels": nodes({"name": "bug"}),
        "reviews": nodes(),
        "reviewThreads": nodes(thread),
        "commits": nodes(commit),
    }
    issue = {key: value for key, value in ISSUE.items() if key != "url"} | {"comments": {"edges": [{"node": COMMENT}]}}
    repository = {"nameWithOwner": "octo/hello", "issues": nodes(issue), "pullRequests": nodes(pull)}
    rows = told(read(tmp_path, json.dumps({"data": {"repository": repository}}, indent=2)))
    assert {row["type"] for row in rows.values()} == {"issue", "comment", "pull", "review_comment", "commit"}
    assert [rows[f"octo/hello#13/review_comment-{id}"].get("reply_to") for id in (90, 91)] == [None, 90]
    assert rows["octo/hello#13/review_comment-91"]["path"] == "a.py"
    assert rows[f"octo/hello@{'b' * 40}"]["parents"] == ["a" * 40]
    assert rows["octo/hello#13"]["labels"] == ["bug"]


FORMS = {
    "lines": "\n".join(map(json.dumps, [ISSUE, PULL])),
    "an array": json.dumps([ISSUE, PULL]),
    "printed": json.dumps([ISSUE, PULL], indent=2),
    "objects": f"{json.dumps(ISSUE, indent=4)}\n{json.dumps(PULL, indent=4)}",
    "pages": f"{json.dumps([ISSUE])}{json.dumps([PULL])}",
    "pages of answers": "".join(json.dumps({"data": {"items": [one]}}) for one in (ISSUE, PULL)),
    "slurped": json.dumps([[ISSUE], [PULL]]),
    "search": json.dumps({"total_count": 2, "items": [ISSUE, PULL]}),
    "archive": json.dumps(
        {"magic": "x", "repo": "octo/hello", "labels": [{"name": "bug"}], "issues": [ISSUE], "pulls": [PULL]}, indent=2
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_a_dump(tmp_path: Path, form: str) -> None:
    plain = read(tmp_path, form)
    packed = read(tmp_path, gzip.compress(form.encode()), "dump.json.gz")
    assert told(plain) == told(packed) == told(read(tmp_path, FORMS["lines"]))
    assert len(plain) == 6
    for row in plain:
        found = json.loads(form.encode()[row["raw"]["offset"] :][: row["raw"]["length"]])
        assert list(objects_in(found))


def test_a_cut_file_loses_what_is_cut(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps([{**ISSUE, "number": n, "body": "x" * n} for n in range(1, 900)]).encode())
    rows = read(tmp_path, packed[: len(packed) // 2], "dump.json.gz")
    assert [row["drop_reason"] for row in rows if "drop_reason" in row] == ["jsonl.truncated"]
    assert len(rows) > 100


def test_what_a_short_cut_file_still_holds_is_read(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps([{**ISSUE, "number": n} for n in range(1, 4)], indent=1).encode())
    rows = read(tmp_path, packed[:-12], "dump.json.gz")
    assert len(told(rows)) > 1
    assert [row["drop_reason"] for row in rows if "drop_reason" in row] == ["jsonl.truncated"]


def test_pages_on_a_line_that_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "MAX_LINE_BYTES", 1_000)
    monkeypatch.setattr("datapipe.readers.jsonl.RANGE_BYTES", 100)
    path = tmp_path / "pages.json"
    path.write_text("".join(json.dumps({"data": {"items": [{**ISSUE, "number": n}]}}) for n in range(1, 50)))
    (source,) = github.cut(Input(str(path), path.name, path.stat().st_size, "print"))
    rows = list(github.read(source, max_line_bytes=1_000))
    assert len(told(rows)) == len(rows) == 98


def test_a_review_is_not_the_commit_that_it_saw(tmp_path: Path) -> None:
    seen = {
        "state": "APPROVED",
        "commit": {"oid": "b" * 40},
        "body": "Good.",
        "url": f"{WEB}/pull/13#pullrequestreview-80",
    }
    for dump in ({**PULL, "reviews": [seen]}, seen):
        assert told(read(tmp_path, json.dumps(dump)))["octo/hello#13/review-80"]["text"] == "Good."


def test_a_comment_of_graphql_is_the_one_of_rest(tmp_path: Path) -> None:
    comment = {"id": "IC_x", "databaseId": 77, "author": BY, "body": "Seen it too."}
    nested = {**ISSUE, "comments": {"nodes": [comment]}}
    alone = {
        "id": 77,
        "user": BY,
        "body": "Seen it too.",
        "issue_url": "https://api.github.com/repos/octo/hello/issues/12",
    }
    assert "octo/hello#12/comment-77" in told(read(tmp_path, json.dumps(nested))).keys() & told(
        read(tmp_path, json.dumps(alone))
    )


def test_what_is_printed_over_lines_is_one_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapipe.readers.jsonl.RANGE_BYTES", 100)
    sizes = {}
    for name in ("lines", "printed"):
        path = tmp_path / f"{name}.json"
        path.write_text(FORMS[name])
        sizes[name] = len(github.cut(Input(str(path), path.name, path.stat().st_size, "print")))
    assert sizes["printed"] == 1 < sizes["lines"]


@pytest.mark.parametrize(
    "value",
    [
        {"number": 1, "title": "v1", "html_url": f"{WEB}/milestone/1"},
        {"number": 1, "title": "Ideas", "url": f"{WEB}/discussions/1", "body": "What if"},
        {"sha": "c" * 40, "tag": "v1", "message": "Version 1"},
        {"full_name": "octo/hello", "owner": BY},
        {"items": [], "total_count": 0},
        [],
        None,
    ],
)
def test_what_is_no_object(value: Any) -> None:
    assert list(objects_in(value)) == []


def test_nesting_is_bounded() -> None:
    deep: Any = ISSUE
    for _ in range(500):
        deep = {"a": [deep]}
    assert list(objects_in(deep)) == []
