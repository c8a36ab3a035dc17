"""Threads: the text of documents, what is left out and why, and the real data."""

import gzip
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from datapipe.readers import github
from datapipe.readers.split import Input, tables
from datapipe.schema import DROP, document_id, documents
from synth.threads.generator import THREADS
from tests.synth.threads.records import BODY, commit, record, table

DIFF = "diff --git a/src/a.py b/src/a.py\nindex 1..2 100644\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-x\n+y\n"
HUNK = "@@ -1 +1 @@\n-x\n+y"
PULL = record(
    "pull",
    7,
    "Fixes #3. Like #5 and #6, says @Ann.",
    title="Allow empty input",
    diff=DIFF,
    state="merged",
    labels=["bug"],
    merge_sha="m",
)
SCENE = [
    PULL,
    record(
        "issue", 3, "It crashes on empty input.\n<!-- template -->", title="Crash", author="zoe", id=1, state="closed"
    ),
    record("comment", 3, "I can reproduce this with version 2.", id=2, author="ann"),
    record("review_comment", 7, "Why y and not z?", id=3, author="bob", path="src/a.py", line=1, diff_hunk=HUNK),
    record("review_comment", 7, "Because @bob asked for y.", id=5, path="src/a.py", line=1, diff_hunk=HUNK, reply_to=3),
    record("review", 7, "", id=4, author="Bob", state="approved"),
    record("review", 7, "", id=6, author="bob", state="commented"),
    record("comment", 7, "Works on my machine too, thank you.", id=8, author="zoe"),
    record("comment", 7, "+1", id=9, author="eve"),
    record("comment", 7, "Coverage decreased to 90% when pulling 1.", id=10, author="coveralls"),
    record("issue", 5, title="Another crash", author="ann"),
    record("pull", 6, "Closes #5 in another way.", title="Earlier attempt", diff=DIFF, state="merged"),
    commit("b", "Allow empty input\n\nThe format allows it.\n\nSigned-off-by: Mona <m@x.org>", "t"),
    commit("t", "Base of everything, no diff", diff=""),
    commit("m", "Merge pull request #7 from mona/empty", "t b"),
]


def rows(*records: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    return made(table(*records), **params).to_pylist()


def made(docs: pa.Table, **params: Any) -> pa.Table:
    return THREADS.reduce(THREADS.emit(docs), **params)


def kept(*records: dict[str, Any], **params: Any) -> dict[str, str]:
    """Texts of the documents by origin."""
    return {row["origin"]: row["text"] for row in rows(*records, **params) if row[DROP] is None}


def reasons(*records: dict[str, Any], **params: Any) -> dict[str, str]:
    return {row["origin"]: row[DROP] for row in rows(*records, **params) if row[DROP]}


def test_a_pull_request_with_all_that_belongs_to_it() -> None:
    assert (
        kept(*SCENE)["octo/hello#7"]
        == """Pull request #7: Allow empty input
Repository: octo/hello
Opened 2020-01-01 by author, merged
Labels: bug
Files: b, m, src/a.py
Related: issue #5: Another crash (see pull request #6)
Related: pull request #6: Earlier attempt

==== Issue #3: Crash ====

Opened 2020-01-01 by user-1, closed

It crashes on empty input.

user-2: I can reproduce this with version 2.

==== Description ====

Fixes #3. Like #5 and #6, says @user-2.

==== Diff ====

diff --git a/src/a.py b/src/a.py
--- a/src/a.py
+++ b/src/a.py
@@ -1 +1 @@
-x
+y

==== Review ====

src/a.py, line 1:
@@ -1 +1 @@
-x
+y
reviewer-1: Why y and not z?
author: Because @reviewer-1 asked for y.

==== Comments ====

reviewer-1 (approved)

user-1: Works on my machine too, thank you.

==== Commits ====

Allow empty input

The format allows it.
"""
    )


def test_what_is_left_out_has_a_reason() -> None:
    assert reasons(*SCENE) == {
        "octo/hello#7/review-6": "threads.empty",
        "octo/hello#7/comment-9": "threads.chatter",
        "octo/hello#7/comment-10": "threads.bot",
        "octo/hello@t": "threads.no_diff",
    }
    assert [*kept(*SCENE)] == sorted(["octo/hello#7", "octo/hello#6"], key=document_id)


def test_it_says_what_it_took_in_and_which_files_it_is_about() -> None:
    [row] = [row for row in rows(*SCENE) if row["origin"] == "octo/hello#7"]
    assert (row["kind"], row["id"]) == ("thread", document_id("octo/hello#7"))
    meta = json.loads(row["meta"])
    parents = {id for id, sha in meta.pop("parents") if len(sha) == 32}
    assert {document_id("octo/hello#7"), document_id("octo/hello#3")} <= parents
    assert len(parents) > 4, "the commits and what was said too"
    assert meta.pop("version") >= 3
    assert [meta.pop(name) for name in ("seed", "author", "teacher", "verdicts")] == [None, None, None, {}]
    assert meta == {
        "generator": "threads",
        "type": "pull",
        "repo": "octo/hello",
        "number": 7,
        "state": "merged",
        "labels": ["bug"],
        "merge_sha": "m",
        "issues": [3],
        "commits": ["b", "m"],
        "files": ["b", "m", "src/a.py"],
    }


def test_issues_and_commits_by_themselves() -> None:
    issue = record("issue", 3, f"{BODY} See #4.", author="zoe")
    said = record("comment", 3, "It is the loop in line 3.", id=1, author="zoe")
    done = commit("c1", "Stop at the end of input\n\nAs #4 wants.", "c0")
    other = record("issue", 4, title="Speed", author="ann")
    texts = kept(issue, said, done, other, min_issue_chars=0)
    assert texts["octo/hello#3"].endswith(
        f"by author, open\nRelated: issue #4: Speed\n\n{BODY} See #4.\n\nauthor: It is the loop in line 3.\n"
    )
    assert texts["octo/hello@c1"] == (
        "Commit: Stop at the end of input\nRepository: octo/hello\nCommitted 2020-01-02 by author\nFiles: c1\nRelated: issue #4: Speed\n\n"
        "As #4 wants.\n\n==== Diff ====\n\ndiff --git a/c1 b/c1\n--- a/c1\n+++ b/c1\n@@ -1 +1 @@\n-old\n+new of c1\n"
    )


def test_what_is_named_stands_in_order() -> None:
    text = kept(record("pull", 7, "Like #16, #9 and #12."), *(record("pull", number) for number in (16, 9, 12)))[
        "octo/hello#7"
    ]
    assert re.findall(r"^Related: pull request #(\d+): Title of number \1$", text, re.MULTILINE) == ["9", "12", "16"]


def test_a_commit_that_closes_an_issue_takes_it_in() -> None:
    texts = kept(record("issue", 3), commit("c1", "Fixes #3: stop at the end", "c0"))
    assert [*texts] == ["octo/hello@c1"]
    assert "==== Issue #3: Title of number 3 ====" in texts["octo/hello@c1"]


def test_the_diff_comes_from_where_it_is() -> None:
    bare = record("pull", 7, title="Allow empty input", merge_sha="s")
    assert "new of s" in kept(bare, commit("s", "Allow (#7)", "t"))["octo/hello#7"]
    branch = [commit("t", "Base", diff=""), commit("b1", "One", "t"), commit("b2", "Two", "b1")]
    merge = commit("m", "Merge pull request #7 from x", "t b2", diff="")
    joined = kept(bare, *branch, merge)["octo/hello#7"]
    assert joined.index("new of b1") < joined.index("new of b2")
    assert "octo/hello#7" in kept(bare)
    assert reasons(bare, diff_needed=True) == {"octo/hello#7": "threads.no_diff"}


@pytest.mark.parametrize(
    ("records", "params", "reason"),
    [
        ([record("pull", 7, author_type="Bot")], {}, "threads.bot"),
        ([record("pull", 7, title="Bump dependency of x")], {}, "threads.title_word"),
        ([record("pull", 7, title="Independent releases")], {}, None),
        ([record("pull", 7, title="Fix it")], {}, "threads.short_title"),
        ([record("pull", 7, title="Fix it")], {"min_title_chars": 3}, None),
        ([record("pull", 7, "Short.")], {}, "threads.short_description"),
        ([record("pull", 7, "See #3"), record("issue", 3)], {}, None),
        ([record("pull", 7)], {"merged_only": True}, "threads.not_merged"),
        ([record("pull", 7), record("review", 7, "Good work.", id=1, state="approved")], {"merged_only": True}, None),
        ([record("pull", 7, state="merged")], {"merged_only": True}, None),
        ([record("issue", 7, "Short.")], {}, "threads.short"),
        ([record("issue", 7, "Short."), record("comment", 7, BODY, id=1)], {}, None),
        ([record("issue", 7)], {"min_people": 2}, "threads.few_people"),
        ([record("issue", 7), record("comment", 7, BODY, id=1, author="ann")], {"min_people": 2}, None),
        ([record("issue", 7), *(record("comment", 7, BODY, id=id) for id in range(11))], {}, "threads.monologue"),
        ([record("issue", 7), *(record("comment", 7, BODY, id=id) for id in range(10))], {}, None),
        ([record("issue", 7), record("comment", 7, "word " * 1500, id=1)], {}, "threads.monologue"),
        ([record("issue", 7, "1 2 3 4 " * 50)], {}, "threads.not_text"),
        ([record("pull", 7, "#3", title="Remove 3.3 from the matrix"), record("issue", 3)], {}, None),
    ],
)
def test_rules_about_threads(records: list[dict[str, Any]], params: dict[str, Any], reason: str | None) -> None:
    assert reasons(*records, **params).get("octo/hello#7") == reason


def test_no_title_stands_over_nothing() -> None:
    said = [
        record("comment", 7, "+1", id=1),
        record("review_comment", 7, "Thanks!", id=2),
        record("review", 7, "", id=3),
    ]
    merge = commit("m", "Auto merge of #7 - mona:x, r=bob", "t b", author="bors")
    text = kept(record("pull", 7), *said, merge)["octo/hello#7"]
    assert text.count("====") == 4
    assert "==== Diff ====\n\ndiff --git a/m b/m" in text
    assert reasons(record("pull", 7), merge) == {"octo/hello@m": "threads.bot"}


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (commit("c", "Merge branch 'x'", "a b"), "threads.merge_commit"),
        (commit("c", "Stop at the end of input", "a", diff=""), "threads.no_diff"),
        (commit("c", "wip", "a"), "threads.short_message"),
        (commit("c", "Bump left-pad from 1 to 2", "a", author="dependabot[bot]"), "threads.bot"),
    ],
)
def test_rules_about_commits(one: dict[str, Any], reason: str) -> None:
    assert reasons(one) == {"octo/hello@c": reason}


def test_what_was_said_in_threads_that_are_not_there() -> None:
    orphan, of_bot = record("comment", 99, BODY, id=1), record("comment", 7, BODY, id=2)
    assert reasons(orphan, of_bot, record("issue", 7, author="renovate")) == {
        "octo/hello#99/comment-1": "threads.no_thread",
        "octo/hello#7/comment-2": "threads.of_dropped",
        "octo/hello#7": "threads.bot",
    }


def test_the_latest_version_counts_and_earlier_ones_fill_gaps() -> None:
    old = record("pull", 7, title="Old title here", diff=DIFF, state="merged", updated="2020-01-01T00:00:00Z")
    new = record("issue", 7, title="New title here", state="closed", updated="2020-02-01T00:00:00Z")
    for records in ([old, new], [new, old], [old, new, old]):
        found = rows(*records)
        assert [row[DROP] for row in found] == ["threads.replaced"] * (len(records) - 1) + [None]
        assert found[-1]["text"].startswith("Pull request #7: New title here\n")
        assert "merged" in found[-1]["text"].split("\n")[2]
        assert "+y" in found[-1]["text"]
    first = record("comment", 7, "+1", id=1, updated="2020-01-01T00:00:00Z")
    edited = record("comment", 7, "The loop is wrong, see above.", id=1, updated="2020-01-02T00:00:00Z")
    assert "The loop is wrong" in kept(new, edited, first)["octo/hello#7"]


def test_names_of_one_repository_meet_and_others_do_not() -> None:
    shouted = record("comment", 3, BODY, id=1, repo="Octo/Hello", author="ann")
    shouted["origin"] = shouted["origin"].replace("octo/hello", "Octo/Hello")
    foreign = record("issue", 3, f"{BODY} https://github.com/octo/hello/issues/3", repo="octo/world")
    foreign["origin"] = "octo/world#3"
    texts = kept(record("issue", 3), shouted, foreign)
    assert set(texts) == {"Octo/Hello#3", "octo/world#3"}
    assert "user-1: " in texts["Octo/Hello#3"]
    assert "Related" not in texts["octo/world#3"]


def test_nobody_is_named() -> None:
    handles = "@Ann-Marie and @bob, not a@b.org, `@code`, @org/team or @scope/pkg; thanks @ann-marie!"
    text = kept(record("issue", 3, BODY + handles))["octo/hello#3"]
    assert text.rstrip().endswith("@user-1 and @user-2, not a@b.org, `@code`, @org/team or @scope/pkg; thanks @user-1!")
    assert "mona" not in "".join(kept(*SCENE).values()).lower()


def test_a_long_discussion_loses_its_middle() -> None:
    said = [record("comment", 3, f"Comment number {id} of many.", id=id, author="ann") for id in range(50)]
    text = kept(record("issue", 3), *said, max_messages=8)["octo/hello#3"]
    assert re.findall(r"number (\d+) of", text) == ["0", "1", "2", "3", "4", "5", "48", "49"]
    assert "[42 messages not shown]" in text
    short = kept(record("issue", 3), *said, max_discussion_chars=400)["octo/hello#3"]
    assert len(short) < 400 + len(BODY) + 200
    assert "Comment number 49" in short


def test_documents_of_other_kinds_are_ignored() -> None:
    file = {"origin": "octo/hello@1:a.py", "text": "x = 1", "kind": "code", "meta": json.dumps({"role": "source"})}
    foreign = [
        {"type": "commit", "repo": "a/b"},
        {"type": "issue", "repo": "a/b"},
        {"type": "wheel", "repo": "a/b", "number": 1},
    ]
    assert rows(file, *({**file, "meta": json.dumps(meta)} for meta in foreign)) == []
    assert made(documents([])).num_rows == 0


def shuffled(docs: pa.Table, seed: int) -> pa.Table:
    order = random.Random(seed).sample(range(docs.num_rows), docs.num_rows)
    return docs.take(order)


def test_any_order_and_any_cut_give_the_same_bytes() -> None:
    again = [{**row, "raw": {"file": "b", "offset": 1, "length": 2}} for row in SCENE]
    docs = table(*SCENE, PULL, record("issue", 7, title="Seen as issue"), *again)
    whole = made(docs)
    for seed in range(5):
        mixed = shuffled(docs, seed)
        parts = [THREADS.emit(mixed.slice(start, 7)) for start in range(0, mixed.num_rows, 7)]
        assert THREADS.reduce(pa.concat_tables(parts)).equals(whole)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> pa.Table:
    files = sorted((shared_data / "issues").glob("*.jsonl.gz"))
    read = (row for path in files for row in github.read(Input(str(path), path.name, path.stat().st_size, "print")))
    return pa.concat_tables(tables(read, {"kind": "thread"}, {"corpus": "github"}))


@pytest.fixture(scope="module")
def written(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of the dump, without our reader."""
    files = {name: shared_data / "issues" / f"quicwg_{name}.jsonl.gz" for name in ("issues", "pulls")}
    return {
        name: [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for name, path in files.items()
    }


@pytest.mark.data
def test_every_pull_request_that_names_an_issue_is_joined_to_it(
    real: pa.Table, written: dict[str, list[dict[str, Any]]]
) -> None:
    """Which issues are named is found here by another way: every number after `#` or in an address of the repository."""
    out = made(real)
    threads = {row["origin"]: row for row in out.to_pylist() if row[DROP] is None}
    issues = {one["number"]: one for one in written["issues"] if not one["is_pr"]}
    num_named = num_told = 0
    for pull in written["pulls"]:
        said = f"{pull['title']} {pull['body'] or ''}"
        pieces = re.split(r"#|quicwg/base-drafts/issues/", said)[1:]
        numbers = {int(digits) for piece in pieces if (digits := re.match(r"\d*", piece)[0])}  # type: ignore[index]
        for number in sorted(numbers & set(issues)):
            text = threads[f"quicwg/base-drafts#{pull['number']}"]["text"]
            is_told = number in json.loads(threads[f"quicwg/base-drafts#{pull['number']}"]["meta"]).get("issues", [])
            assert is_told == (f"==== Issue #{number}: " in text)
            assert is_told or re.search(
                rf"^Related: issue #{number}: .* \(see pull request #\d+\)$", text, re.MULTILINE
            )
            num_named, num_told = num_named + 1, num_told + is_told
    assert (num_named, num_told) == (26, 23)
    told = [number for row in threads.values() for number in json.loads(row["meta"]).get("issues", [])]
    alone = [
        json.loads(row["meta"])["number"] for row in threads.values() if json.loads(row["meta"])["type"] == "issue"
    ]
    short = [row["origin"] for row in out.to_pylist() if row[DROP] == "threads.short"]
    assert len(told) == len(set(told))
    assert len(told) + len(alone) + len(short) == len(issues)


@pytest.mark.data
def test_real_threads(real: pa.Table) -> None:
    out = made(real)
    kinds = Counter(json.loads(meta)["type"] for meta in out.filter(pc.is_null(out[DROP]))["meta"].to_pylist())
    dropped = Counter(filter(None, out[DROP].to_pylist()))
    assert kinds["pull"] + dropped["threads.short_description"] + dropped["threads.short_title"] == 70
    assert dropped["threads.replaced"] == 70
    everything = " ".join(out.filter(pc.is_null(out[DROP]))["text"].to_pylist())
    assert not re.search(r"(?<![\w`/])@(?:martinthomson|MikeBishop|janaiyengar|ianswett)\b", everything)
    assert "<!--" not in everything
    assert made(shuffled(real, 1)).equals(out)
