"""What a page says of itself in links: its licence, and the address that it is to be known by.

    <link rel="license" href="...">, <a rel="license" ...>   of the main content (HTML 4.6.6.9); several that differ: of none
    <link rel="canonical" href="...">                         RFC 6596
    <meta http-equiv="refresh" content="0; url=...">          where the page's readers are sent

A licence is an SPDX id where its address names one: Creative Commons (not the versions for single countries), spdx.org, Apache, the Open
Source Initiative where it spells them like SPDX (`licenses/MIT`, not `license/mit` or `licenses/category`). Not covered: licences in words,
as in a footer; licences of single pictures that are marked like the page's own.
"""

import re
from collections.abc import Callable
from typing import Any

from lxml.etree import XPath

Tree = Any  # lxml.html.HtmlElement

_FIND_LICENSES = XPath("//*[self::a or self::link or self::area][@href and contains(@rel, 'license')]")
_FIND_CANONICAL = XPath("//link[@href and @rel = 'canonical']")
_FIND_REFRESH = XPath("//meta[@content and (@http-equiv = 'refresh' or @http-equiv = 'Refresh')]")
_REFRESH = re.compile(r"0*(?:\.0*)?\s*[;,]\s*url\s*=\s*['\"]?([^'\"\s]+)", re.I)
_CREATIVE_COMMONS = re.compile(
    r"creativecommons\.org/licenses/(by(?:-nc)?(?:-nd|-sa)?)/(1\.0|2\.0|2\.5|3\.0|4\.0)(?:/(?:legalcode|deed)?(?:\.[\w-]+)?)?"
)
_CC0 = re.compile(r"creativecommons\.org/publicdomain/zero/1\.0(?:/(?:legalcode|deed)?(?:\.[\w-]+)?)?")
_NAMED = re.compile(
    r"(?:spdx\.org/licenses|opensource\.org/licenses?(?=/[^/]*[A-Z]))/([A-Za-z0-9][A-Za-z0-9.+-]*?)/?(?:\.html)?"
)
_APACHE = re.compile(r"apache\.org/licenses/LICENSE-2\.0(?:\.html|\.txt)?")
_SCHEME = re.compile(r"https?://(?:www\.)?", re.I)


def said_in_links(tree: Tree, url: str, join: Callable[[str, str], str]) -> dict[str, str]:
    """`license` (SPDX) and `canonical` (an absolute address that is not `url`), each where the page says it."""
    licenses = {
        spdx_of(join(url, link.get("href"))) for link in _FIND_LICENSES(tree) if "license" in link.get("rel").split()
    }
    named = [link.get("href") for link in _FIND_CANONICAL(tree)]
    named += [sent[1] for meta in _FIND_REFRESH(tree) if (sent := _REFRESH.match(meta.get("content").lstrip()))]
    targets = {target for href in named if (target := join(url, href)).startswith(("http://", "https://"))}
    said = {
        "license": licenses.pop() if len(licenses) == 1 else "",
        "canonical": targets.pop() if len(targets) == 1 and targets != {url} else "",
    }
    return {name: value for name, value in said.items() if value}


def spdx_of(address: str) -> str:
    """The SPDX id of the licence at an address, "" where it names none."""
    place = _SCHEME.sub("", address, count=1).partition("#")[0].partition("?")[0]
    if creative := _CREATIVE_COMMONS.fullmatch(place):
        return f"CC-{creative[1].upper()}-{creative[2]}"
    if _CC0.fullmatch(place):
        return "CC0-1.0"
    if _APACHE.fullmatch(place):
        return "Apache-2.0"
    named = _NAMED.fullmatch(place)
    return named[1] if named else ""
