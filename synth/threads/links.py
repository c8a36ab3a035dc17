"""What a text names: issues and pull requests of its own repository, and whether it says that it closes them.

GitHub's own rules where it has some: a keyword (close, fix, resolve and their forms) closes the number that follows it at once, and
nothing in code counts. Names of branches and merge messages follow the conventions of git hosts. A number of another repository is
no mention.
"""

import re
from typing import NamedTuple

from synth.threads.markdown import prose

MAX_MENTIONS = 64  # of one text: a release note may name thousands

_CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?::\s*|\s+)$", re.IGNORECASE)
_MENTION = re.compile(
    r"https?://(?P<url>[^\s/]+/(?:api/v3/)?(?:repos/)?[\w.-]+/[\w.-]+)/(?:issues|pulls?)/(?P<in_url>\d{1,9})\b"
    r"|#(?P<number>\d{1,9})\b(?!\.\d)"
    r"|(?<![\w/.-])GH-(?P<gh>\d{1,9})\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"(?:^|[^\w/&#@.-])(?P<repo>[\w.-]{1,100}/[\w.-]{1,100})?$")  # what may stand before #12
MAX_BEFORE = 202
_WORDS = "gh|issues?|fix(?:e[sd])?|close[sd]?|bugs?|bugfix|hotfix|resolve[sd]?"
_BRANCH = re.compile(rf"(?:^|[/_-])(?:(?:{_WORDS})[/_-]?#?|#)(\d{{1,9}})(?=$|[/_-])", re.IGNORECASE)
_BRANCH_START = re.compile(r"^(?:[^/]+/)?(\d{1,7})[_-]")  # 123-title, user/123-title
# @somebody, the name in group 1; not @organisation/team, an address, or a package such as @scope/name
HANDLE = r"(?<![\w@./`-])@([A-Za-z\d][A-Za-z\d-]{0,38})(?![\w/@-])"
_MERGE = re.compile(r"^(?:Merge pull request|Auto merge of|Merge) #(\d{1,9})\b")
_SQUASH = re.compile(r"\(#(\d{1,9})\)\s*$")


class Mention(NamedTuple):
    number: int
    closes: bool


def repository(name: str) -> str:
    """`owner/repo` as threads are grouped by it: names of git remotes and of the API meet, in whatever case they are written."""
    name = name.lower().replace("/api/v3/repos/", "/").strip("/").removesuffix(".git")
    for host in ("github.com/", "www.github.com/", "api.github.com/repos/"):
        name = name.removeprefix(host)
    return name


def mentions(text: str, repo: str) -> list[Mention]:
    """What `text` names in `repo`, in ascending order, each once."""
    found: dict[int, bool] = {}
    for passage in prose(text):
        for match in _MENTION.finditer(passage):
            before = passage[max(0, match.start() - MAX_BEFORE) : match.start()]
            place = _BEFORE.search(before) if match["number"] else None
            if match["number"] and not place:
                continue
            named = place["repo"] if place else match["url"]
            if named is None or repository(named) == repo:
                number = int(match["in_url"] or match["number"] or match["gh"])
                said = before.removesuffix(named) if place and named else before
                found[number] = found.get(number, False) or _CLOSING.search(said[-24:]) is not None
    return [Mention(number, found[number]) for number in sorted(found) if number][:MAX_MENTIONS]


def in_branch(name: str) -> list[Mention]:
    """Issues in the name of a branch: fix-12, user/issue-12, 12-a-title, gh-12."""
    numbers = {int(match) for pattern in (_BRANCH, _BRANCH_START) for match in pattern.findall(name)}
    return [Mention(number, False) for number in sorted(numbers) if number]


def merged_by(message: str) -> int | None:
    """The pull request that a commit merged: `Merge pull request #12 from ...`, bors' `Auto merge of #12` and `Merge #12`, or a
    subject that ends in (#12)."""
    subject = message.split("\n", 1)[0]
    match = _MERGE.match(subject) or _SQUASH.search(subject)
    return int(match[1]) if match else None
