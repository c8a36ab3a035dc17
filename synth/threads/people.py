"""Names of people are personal data: inside a document everybody has a role, the same all through it.

`author` opened the pull request, issue or commit; `reviewer-1`, `reviewer-2` ... reviewed it, `user-1` ... said something else or
are named with an @. StarCoder 2 (Lozhkov et al. 2024, section 2.2) counts participants in the same way, without roles. A handle that no @
marks stays: it may be a word.
"""

import re
from collections.abc import Iterable

from synth.threads.links import HANDLE
from synth.threads.markdown import in_prose

_AT = re.compile(HANDLE)


class People:
    """The roles of one document, given in the order in which they are asked for."""

    def __init__(self, author: str | None, reviewers: Iterable[str | None]) -> None:
        self._reviewers = {name.lower() for name in reviewers if name}
        self._roles: dict[str, str] = {author.lower(): "author"} if author else {}
        self._num_reviewers = self._num_users = 0

    def role(self, name: str | None) -> str:
        if not name:
            return "somebody"
        key = name.lower()
        if key not in self._roles:
            if key in self._reviewers:
                self._num_reviewers += 1
                self._roles[key] = f"reviewer-{self._num_reviewers}"
            else:
                self._num_users += 1
                self._roles[key] = f"user-{self._num_users}"
        return self._roles[key]

    def without_names(self, text: str) -> str:
        """`text` with every @handle outside code replaced by the role."""
        return in_prose(text, lambda passage: _AT.sub(lambda match: f"@{self.role(match[1])}", passage))
