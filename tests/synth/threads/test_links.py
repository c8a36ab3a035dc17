"""What a text names: the rules of GitHub, and the habits of its users."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.threads.links import in_branch, mentions, merged_by, repository

REPO = "octo/hello"


def named(text: str) -> dict[int, bool]:
    return {mention.number: mention.closes for mention in mentions(text, REPO)}


@pytest.mark.parametrize(
    "keyword", ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"]
)
@pytest.mark.parametrize(
    "reference", ["#7", "GH-7", "octo/hello#7", "Octo/Hello#7", "https://github.com/octo/hello/issues/7"]
)
def test_a_keyword_closes(keyword: str, reference: str) -> None:
    for text in (
        f"{keyword} {reference}",
        f"This {keyword.upper()}: {reference}.",
        f"it\n{keyword.title()} {reference}",
    ):
        assert named(text) == {7: True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see #7, #8 and GH-9", {7: False, 8: False, 9: False}),
        ("fixes #7 and #8", {7: True, 8: False}),
        ("fixes- #7", {7: False}),
        ("prefixes #7; unresolved #8", {7: False, 8: False}),
        ("closing #7", {7: False}),
        ("#7 then fixes #7", {7: True}),
        ("(#7) [#8](x) #9: #10. #11's", {7: False, 8: False, 9: False, 10: False, 11: False}),
        ("as in https://github.com/octo/hello/pull/7#discussion_r1", {7: False}),
        ("https://api.github.com/repos/octo/hello/issues/7", {7: False}),
        ("http://www.github.com/octo/hello/issues/7?x=1", {7: False}),
        ("other/repo#7 octo/hello-2#8 https://github.com/other/repo/issues/9", {}),
        ("https://example.org/octo/hello/issues/7", {}),
        ("&#39; issue#7 x#8 ##9 #0 #1234567890 #1.2 a/b/octo/hello#3 foo@#4", {}),
        ("`#7` and\n```\nfixes #8\n```\nthen ~#9", {9: False}),
        ("", {}),
    ],
)
def test_mentions(text: str, expected: dict[int, bool]) -> None:
    assert named(text) == expected


words = st.text(st.characters(categories=["Ll", "Lu"]), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(words, st.integers(1, 10**6), st.sampled_from(["#{}", "GH-{}", "octo/hello#{}"])), max_size=20)
)
def test_every_planted_mention_is_found(planted: list[tuple[str, int, str]]) -> None:
    text = " ".join(f"{word} {form.format(number)}" for word, number, form in planted)
    assert [*named(text)] == sorted({number for _, number, _ in planted})


@given(st.text(st.sampled_from("#GH-1 a/.`~\n:@"), max_size=60))
def test_any_text_has_mentions_or_none(text: str) -> None:
    found = mentions(text, REPO)
    assert [mention.number for mention in found] == sorted({mention.number for mention in found})
    assert all(mention.number > 0 for mention in found)


def test_a_list_of_thousands_is_cut() -> None:
    assert len(mentions(" ".join(f"#{n}" for n in range(1, 5000)), REPO)) == 64


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("fix-123", [123]),
        ("user/issue-123", [123]),
        ("issues/12", [12]),
        ("bugfix/gh-12-crash", [12]),
        ("fix_12_13", [12]),
        ("12-crash-on-start", [12]),
        ("mona/12_crash", [12]),
        ("#12", [12]),
        ("release-2.0", []),
        ("v12", []),
        ("fix-crash", []),
        ("python3-12x", []),
        ("", []),
    ],
)
def test_branches(branch: str, expected: list[int]) -> None:
    assert [mention.number for mention in in_branch(branch)] == expected


def test_who_merged_a_commit() -> None:
    assert merged_by("Merge pull request #12 from mona/fix-3\n\nFix it") == 12
    assert merged_by("Fix it (#12)\n\nlong (#13)") == 12
    assert merged_by("Auto merge of #12 - mona:fix, r=ann") == merged_by("Merge #12") == 12
    assert merged_by("Fix (#12) it") is None
    assert merged_by("Merge branch 'main'") is None


def test_names_of_a_repository_meet() -> None:
    for name in ("Octo/Hello", "github.com/octo/hello", "www.github.com/octo/hello.git", "octo/hello/"):
        assert repository(name) == REPO
    assert repository("git.example.org/octo/hello") == repository("git.example.org/api/v3/repos/octo/hello") != REPO
