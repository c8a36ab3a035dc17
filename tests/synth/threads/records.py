"""Records of a small repository, as the readers of the API and of git give them."""

import json
from typing import Any

import pyarrow as pa

from datapipe.schema import documents

REPO = "octo/hello"
BODY = "The parser stops when the input is empty, although an empty input is allowed by the format. " * 3


def record(kind: str, number: int, text: str = BODY, *, id: int = 0, title: str = "", **meta: Any) -> dict[str, Any]:
    """A record of the `github` reader."""
    place = f"{REPO}#{number}" if kind in ("issue", "pull") else f"{REPO}#{number}/{kind}-{id}"
    text = f"{title or f'Title of number {number}'}\n\n{text}" if kind in ("issue", "pull") else text
    said = {
        "type": kind,
        "repo": REPO,
        "number": number,
        "author": "mona",
        "time": f"2020-01-01T00:00:{id:02d}Z",
        "state": "open",
    }
    return {"origin": place, "text": text, "kind": "thread", "meta": json.dumps({**said, **meta})}


def commit(sha: str, message: str, parents: str = "", *, diff: str | None = None, **meta: Any) -> dict[str, Any]:
    """A commit of the `git` reader."""
    diff = (
        f"diff --git a/{sha} b/{sha}\n--- a/{sha}\n+++ b/{sha}\n@@ -1 +1 @@\n-old\n+new of {sha}\n"
        if diff is None
        else diff
    )
    said = {
        "type": "commit",
        "repo": f"github.com/{REPO}",
        "sha": sha,
        "parents": parents.split(),
        "author": "Mona Lisa",
    }
    said |= {"time": "2020-01-02T00:00:00Z", "message_chars": len(message), "files": [sha], "is_merge": " " in parents}
    return {
        "origin": f"github.com/{REPO}@{sha}",
        "text": f"{message}\n\n{diff}",
        "kind": "thread",
        "meta": json.dumps({**said, **meta}),
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return documents(rows)
