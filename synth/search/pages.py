"""Documents of `extract.linked` as pages, and which page an address names.

A page's title is its first heading where the window's title says that too, else the window's title without the name of the site. Addresses
are alike when they differ in the scheme, the fragment, `index.html`, the slash at the end, or the case of the host. A page also stands at
its canonical address (`meta.canonical`), where no other one does. Not covered: redirects that documents do not tell of.
"""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import pyarrow as pa

from synth.search.markdown import plain
from synth.search.task import Page

MAX_TITLE_CHARS = 120
_HEADING = re.compile(r"^#{1,3} (.+)$", re.M)
_SITE_NAME = re.compile(r"\s+[—·|–]\s+[^—·|–]*$")
_INDEX = re.compile(r"(?:index|default)\.(?:html?|php)\Z")


def pages_of(docs: pa.Table, *, max_chars: int = 200_000) -> list[Page]:
    """The pages among documents, sorted by id. Longer ones end at a line; those without a title or an address are no pages."""
    columns = (docs[name].to_pylist() for name in ("id", "origin", "text", "license", "meta"))
    found = []
    for id, url, text, license, meta in zip(*columns, strict=True):
        text, said = bounded(text or "", max_chars), json.loads(meta or "{}")
        title = title_of(text, str(said.get("title") or ""))
        if title and address(url or ""):
            found.append(Page(id, url, title, text, license, str(said.get("canonical") or "")))
    return sorted(found)


def bounded(text: str, max_chars: int) -> str:
    """`text`, or its whole lines up to so many characters."""
    return text if len(text) <= max_chars else text[: text.rfind("\n", 0, max_chars) + 1]


def title_of(text: str, window_title: str) -> str:
    """The name of a page, "" where it has none. `window_title`: what stands in <title>."""
    heading = _HEADING.search(text[:5_000])
    shown = " ".join(plain(heading[1]).split()) if heading else ""
    window = " ".join(window_title.split())
    is_said = bool(shown) and shown.casefold() in window.casefold()
    return (shown if is_said else _SITE_NAME.sub("", window) or shown)[:MAX_TITLE_CHARS]


def address(url: str) -> str:
    """What of a URL says which page is meant, "" for one that is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    host = parts.hostname if port in (None, 80, 443) else f"{parts.hostname}:{port}"
    path = _INDEX.sub("", parts.path).rstrip("/")
    return f"{host}{path}" + (f"?{parts.query}" if parts.query else "")


def by_address(pages: Iterable[Page]) -> Mapping[str, str]:
    """Which page stands at an address (`address`): its id. Of several there the one with the smallest id."""
    found = sorted(pages, reverse=True)
    canonical = {place: page.id for page in found if (place := address(page.canonical))}
    return canonical | {address(page.url): page.id for page in found}
