"""Bots, services and messages that say nothing."""

import time

import pytest

from synth.threads import noise


@pytest.mark.parametrize(
    "name",
    [
        "dependabot[bot]",
        "Codecov",
        "my-bot",
        "bot",
        "k8s-ci-robot",
        "PyUpBot",
        "acme_ci",
        "GitHub Actions",
        "acme-automation",
        "SparkQA",
    ],
)
def test_bots(name: str) -> None:
    assert noise.is_bot(name, None, noise.BOTS)


@pytest.mark.parametrize("name", ["mona", "abbott", "talbot", "robothon", "lucia-ci2x", "marci", None])
def test_people(name: str | None) -> None:
    assert not noise.is_bot(name, "User", noise.BOTS)


def test_what_github_says_of_an_account_counts() -> None:
    assert noise.is_bot("mona", "Bot", ())
    assert not noise.is_bot("codecov", "User", ())


def reason(text: str, kind: str = "comment") -> str | None:
    return noise.reason(kind, text, min_comment_chars=20, min_letters=0.25)


@pytest.mark.parametrize(
    "text",
    [
        "Coverage remained the same at 90% when pulling 12ab on x into y.",
        "## [Codecov](https://codecov.io) Report\n> Merging #1",
        "# Codecov Report\nMerging",
        "Test FAILed.",
        "Build succeeded in 3 minutes",
        "Can one of the admins verify this patch?",
        "Thanks for your pull request. Before we can look at it, you'll need to sign a Contributor License Agreement (CLA).",
        "Thank you for your contribution!\n\nPlease sign our CLA before we merge.",
        "This issue has been automatically marked as stale because it has not had recent activity.",
        ":umbrella: The latest upstream changes made this unmergeable.",
        "/retest",
        "/lgtm\n/approve",
        "bors r+",
        "@rustbot label +x",
        "jenkins test this please",
    ],
)
def test_services(text: str) -> None:
    assert reason(text) == "threads.machine"


@pytest.mark.parametrize(
    "text",
    ["+1", "+1 :+1:", "Bump!", "@mona ping", "me too, please", "Thanks a lot!", "any updates on this?", "LGTM", "up"],
)
def test_chatter(text: str) -> None:
    assert reason(text) == "threads.chatter"


@pytest.mark.parametrize(
    "text",
    [
        "The bot wrote “Coverage decreased”, which is wrong because of the new branch.",
        "+1, since the parser otherwise needs a second pass over the input.",
        "Thanks, but this breaks on Windows: the path has backslashes.",
        "I tried /retest here and it did nothing, the job is gone.",
        "このコードは入力が空のときに失敗します。修正をお願いします。",
    ],
)
def test_what_people_say_stays(text: str) -> None:
    assert reason(text) is None


def test_short_comments_but_not_short_remarks_on_lines() -> None:
    assert reason("Which version then") == "threads.short_comment"
    assert reason("Which version then?!") is None
    assert reason("Typo.", "review_comment") is None
    assert reason("Approved as it is.", "review") is None
    assert reason("+1", "review_comment") == "threads.chatter"
    assert reason("Bump", "issue") is None


def test_nothing_said() -> None:
    assert reason("@mona") == "threads.empty"
    assert reason("", "review") is None
    assert reason("", "issue") is None


def test_pictures_and_numbers_are_no_text() -> None:
    assert reason("![image](https://x.org/a/very/long/path/of/a/picture.png)") == "threads.not_text"
    assert reason("0x12 0x34 0x56 0x78 0x90 1 2 3 4 5 6 7 8 9", "issue") == "threads.not_text"
    assert reason("See the picture ![image](https://x.org/picture.png) for what happens") is None


@pytest.mark.parametrize(
    "text",
    [
        "!" * 60_000,
        "thanks " * 9_000,
        "/a\n" * 20_000,
        "_" * 60_000,
        "up" * 30_000,
        "[" * 60_000,
        "](" * 30_000,
        "<img " * 12_000,
        "[a](" * 15_000,
    ],
)
def test_hostile_messages_cost_little(text: str) -> None:
    start = time.process_time()
    reason(text)
    noise.is_bot(text, None, noise.BOTS)
    assert time.process_time() - start < 1.0
