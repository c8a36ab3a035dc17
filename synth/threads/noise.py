"""Who is no person and which messages say nothing: one reason per record.

Some names and endings of names of bots are those that StarCoder's authors published (Li et al. 2023, appendix A, and their code); the
other names, and the patterns of what services and impatient people write, are ours, from reading GitHub. A rule looks at the whole
message: a bot's words quoted in a person's comment stay.
"""

import re
from collections.abc import Collection

BOTS = (
    "allcontributors", "apache-hbase", "appveyor", "autorestci", "bors", "changeset-bot", "circleci",
    "cla-assistant", "cla-checker-service", "claassistant", "claassistantio", "cmsbuild", "codacy", "codeclimate",
    "codecov", "codecov-commenter", "codecov-io", "coderabbitai", "copilot", "coveralls", "danger-public",
    "deepsource", "dependabot", "dependabot-preview", "depfu", "dnfclas", "easycla", "facebook-github-bot",
    "fossabot", "github actions", "github-actions", "gitpod-io", "google-cla", "googlebot", "greenkeeper",
    "greenkeeperio", "homu", "hudson", "imgbot", "jenkins", "jenkinsci", "k8s-ci-robot", "karma-pr-reporter",
    "lgtm-com", "linux-foundation-easycla", "mend", "mergify", "microsoft-github-policy-service", "msftclas",
    "netlify", "now", "openshift-ci", "openshift-ci-robot", "pep8speaks", "probot", "probot-stale", "pydocteur",
    "pyup", "renovate", "restyled-io", "rust-highfive", "rust-timer", "rustbot", "semantic-release", "sentry-io",
    "snyk", "sonarcloud", "sonarqubecloud", "sourcery-ai", "sparkqa", "stale", "travis", "travis ci", "travis-ci",
    "vercel", "whitesource",
)  # fmt: skip
MAX_LOOK = 1_000  # characters at the beginning that tell a service
MAX_CHATTER_CHARS = 200

_BOT = re.compile(
    r"\[bot\]$|(?:^|[-_ ])(?:ro)?bot(?:$|[-_ \d])|[a-z\d][-_]ci$|^ci-|Bot$"
    r"|-(?:auto(?:maton|mation)|benchmark|deployer|linter|teamcity|service-account)$"
)
_SERVICES = (
    # continuous integration and coverage
    r"coverage (?:remained the same|increased|decreased|unchanged)",
    r"\[?(?:codecov|coverage)(?:\]\([^()\n]*\))? report",
    r"(?:test|build|check|merge)s? (?:passed|failed|finished|succeeded|aborted|triggered|started|pass|fail)\b[^\n]{0,200}\Z",
    r"can one of the admins verify this patch",
    r":(?:umbrella|sunny|broken_heart|hourglass|lock|pushpin):[^\n]{0,300}(?:\Z|build|merge|unresolved|latest upstream)",
    r"\[(?:approvalnotifier|appveyor)\]",
    # contributor licence agreements
    r"(?:thank(?:s| you)[^\n]{0,80}\n+){0,2}[^\n]{0,200}\bsign(?:ed)? (?:a|our|the) \[?(?:contributor license agreement|cla\b)",
    r"(?:all (?:committers|contributors) have signed the cla|cla assistant check)",
    # stale issues and linters
    r"this (?:issue|pull request|pr) (?:has been|is being|was) (?:automatically|auto-?)",
    r"there were the following issues with (?:your|this) (?:pull request|pr|commit)",
    r"hello[^\n]{0,80}pep ?8",
    # what people write to bots
    r"(?:bors|@bors|@homu|@rustbot|@dependabot|jenkins|/\w[\w-]*)[^\n]{0,80}(?:\n+/\w[^\n]{0,80})*\Z",
)
_PHRASES = (
    r"\+ ?1", ":[+]1:", "bump(?:ing|ed)?", "ping", "me too", "same (?:here|issue|problem)", r"subscrib\w*", "up",
    "any (?:news|updates?|progress)", "(?:still )?waiting", "thanks?(?: you)?(?: (?:so|very) much)?(?: a lot)?", "thx", "ty", "lgtm",
    "nice(?: work| one)?", "great(?: work)?", "awesome", "cool", "done", "fixed", "ok(?:ay)?", "yes", "no",
    "(?:on|about|with|for) this", "here", "please", "guys", "everyone", "all", "again", "too", "yet",
    "i have the same (?:issue|problem)",
)  # fmt: skip
_MACHINE = re.compile(rf"\A\W*(?:{'|'.join(_SERVICES)})", re.IGNORECASE)
_CHATTER = re.compile(rf"\A[\W_]*(?:(?:{'|'.join(_PHRASES)})[\W_]*){{1,8}}\Z", re.IGNORECASE)
_NAMES = re.compile(r"(?<![\w])@[\w-]+")
_URL = re.compile(r"!?\[[^][\n]*\]\([^()\n]*\)|<img\b[^<>]*>|https?://\S+")


def is_bot(author: str | None, author_type: str | None, bots: Collection[str]) -> bool:
    """By what GitHub says, by the name's form (x[bot], x-bot, x-ci) and by a list of services that have ordinary names."""
    if author_type == "Bot":
        return True
    return bool(author and (author.lower() in bots or _BOT.search(author)))


def reason(kind: str, text: str, *, min_comment_chars: int, min_letters: float) -> str | None:
    """Why a person's message (cleaned) is left out; None to keep it. Titles, descriptions and commits are judged with their thread."""
    if kind not in ("comment", "review_comment", "review"):
        return "threads.not_text" if text and _is_no_text(text, min_letters) else None
    said = _NAMES.sub("", text).strip()
    if not said:
        return None if kind == "review" else "threads.empty"
    if any(_MACHINE.search(start) for start in (said[:MAX_LOOK], text[:MAX_LOOK])):
        return "threads.machine"
    if len(said) <= MAX_CHATTER_CHARS and _CHATTER.search(said):
        return "threads.chatter"
    if kind == "comment" and len(text) < min_comment_chars:
        return "threads.short_comment"
    return "threads.not_text" if _is_no_text(text, min_letters) else None


def _is_no_text(text: str, min_letters: float) -> bool:
    """Whether it is pictures, links, numbers or symbols for the most part."""
    said = "".join(_URL.sub("", text).split())
    return sum(map(str.isalpha, said)) <= min_letters * len(said)
