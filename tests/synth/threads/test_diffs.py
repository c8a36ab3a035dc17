"""Diffs by file."""

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.threads.diffs import changes, shown

DIFF = """diff --git a/src/a.py b/src/a.py
index 34b575a7..eb57f42a 100644
--- a/src/a.py
+++ b/src/a.py
@@ -1,3 +1,3 @@
 x
-index 12..34
+y
+--- a/not/a/header
diff --git a/gone b/gone
deleted file mode 100644
index 1..0
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-z
diff --git a/old name.md b/new name.md
similarity index 100%
rename from old name.md
rename to new name.md
diff --git a/p.png b/p.png
index 1..2 100644
Binary files a/p.png and b/p.png differ
"""
LIMITS = {"max_chars": 10_000, "max_file_chars": 10_000, "max_line_chars": 200}


def test_the_files_of_a_diff() -> None:
    found = list(changes(DIFF))
    assert [(one.path, one.added, one.removed) for one in found] == [
        ("src/a.py", 2, 1),
        ("gone", 0, 1),
        ("new name.md", 0, 0),
        ("p.png", 0, 0),
    ]
    assert "-index 12..34\n" in found[0].text
    assert "index 34b575a7" not in found[0].text
    assert list(changes("no diff")) == list(changes("")) == []


def test_a_file_over_a_limit_is_named_only() -> None:
    assert shown(DIFF, **LIMITS).count("@@ -") == 2
    assert "not shown" not in shown(DIFF, **LIMITS)
    small = shown(DIFF, **{**LIMITS, "max_file_chars": 115})
    assert "diff --git a/src/a.py b/src/a.py\n[2 lines added and 1 removed, not shown]" in small
    assert "rename to new name.md" in small
    narrow = shown("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n+" + "y" * 300, **LIMITS)
    assert narrow == "diff --git a/x b/x\n[1 lines added and 0 removed, not shown]"
    lock = shown(DIFF.replace("src/a.py", "web/package-lock.json"), **LIMITS)
    assert "[2 lines added and 1 removed, not shown]" in lock


@given(st.lists(st.integers(0, 300), max_size=8), st.integers(0, 1500))
def test_the_diff_stays_in_its_room(sizes: list[int], room: int) -> None:
    diff = "".join(
        f"diff --git a/{i} b/{i}\n--- a/{i}\n+++ b/{i}\n@@ -1 +1 @@\n" + "+x\n" * size for i, size in enumerate(sizes)
    )
    text = shown(diff, **{**LIMITS, "max_chars": room})
    assert len(text) <= room + 80 * len(sizes)
    assert [line for line in text.split("\n") if line.startswith("diff ")] == [
        f"diff --git a/{i} b/{i}" for i in range(len(sizes))
    ]
    assert [one.added for one in changes(diff)] == sizes


@pytest.mark.data
def test_real_diffs(shared_data: Path) -> None:
    lines = gzip.decompress((shared_data / "issues" / "quicwg_pulls.jsonl.gz").read_bytes()).splitlines()
    for diff in (json.loads(line)["diff"] for line in lines):
        found = list(changes(diff))
        hunks = re.findall(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", diff, re.MULTILINE)
        before, after = (sum(int(sizes[side] or 1) for sizes in hunks) for side in (0, 1))
        assert sum(one.added - one.removed for one in found) == after - before
        assert len(found) == sum(line.startswith("diff --git ") for line in diff.split("\n"))
        assert all(f"b/{one.path}" in diff for one in found)
