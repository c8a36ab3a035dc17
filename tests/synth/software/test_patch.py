"""Patches: made, applied, refused; against git as the judge."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.software.patch import PatchError, apply, changed_lines, diff, paths

TEXTS = st.lists(st.sampled_from(["a", "b", "", " c", "-d", "+e", "--- f", "\\ g", "@@ h", "é"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "".join(f"{line}\n" for line in lines)])
)


@given(
    st.dictionaries(st.sampled_from(["x", "d/y", "z.py"]), TEXTS),
    st.dictionaries(st.sampled_from(["x", "d/y", "z.py"]), TEXTS),
)
def test_applying_a_diff_gives_the_other_side(before: dict[str, str], after: dict[str, str]) -> None:
    before, after = ({path: text for path, text in files.items() if text} for files in (before, after))
    changed = apply(diff(before, after), before)
    assert {path: text for path, text in {**before, **changed}.items() if text is not None} == after
    assert sorted(paths(diff(before, after))) == sorted(changed)


@settings(max_examples=15, deadline=None)
@given(TEXTS.filter(bool), TEXTS.filter(bool))
def test_git_applies_our_diffs(before: str, after: str) -> None:
    if before == after:
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_bytes(before.encode())
        made = diff({"x": before}, {"x": after})
        subprocess.run(["git", "apply", "-p1", "--whitespace=nowarn", "-"], input=made.encode(), cwd=folder, check=True)
        assert Path(folder, "x").read_bytes().decode() == after


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-other\n+new\n", "not as the patch has them"),
        ("--- a/absent\n+++ b/absent\n@@ -1 +1 @@\n-a\n+b\n", "not there"),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", "there already"),
        ("--- a/x\n+++ b/x\n@@ -1,5 +1 @@\n-one\n", "shorter or longer"),
        ("rename from x\nrename to y\n", "without renames"),
        ("Binary files a/x and b/x differ\n", "text files"),
        ("--- a/x\n+++ b/y\n@@ -1 +1 @@\n-one\n+b\n", "names no file"),
    ],
)
def test_what_does_not_fit_is_refused(patch: str, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        apply(patch, {"x": "one\n"})


def test_changed_lines_are_those_of_the_hunks() -> None:
    made = diff({"x": "one\ntwo\n"}, {"x": "one\n2\n"})
    assert changed_lines(made) == ["two", "2"]
    assert changed_lines(made, "+") == ["2"]
