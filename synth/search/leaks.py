"""Names that a question must not say: those of the pages it was made from, and its answer.

Compared word by word: case and signs do not count, so that "Foo_bar" is found in "foo-bar 2". A name is the title of a page or the last
step of its address.
"""

import functools
import re
from collections.abc import Iterable

from synth.search.pages import address
from synth.search.task import Page

_WORD = re.compile(r"[^\W_]+")
_MIN_STEP_CHARS = 4  # a shorter step of an address is no name
_NOT_NAMES = frozenset({"default", "home", "index", "main", "page", "view", "wiki"})


def names_of(pages: Iterable[Page]) -> list[str]:
    """The names of pages, sorted."""
    found = set()
    for page in pages:
        found.add(page.title)
        step = re.sub(r"\.\w{2,5}\Z", "", address(page.url).rpartition("/")[2])
        if len(step) >= _MIN_STEP_CHARS and step not in _NOT_NAMES and not step.isdecimal():
            found.add(step)
    return sorted(found)


def leaked(text: str, names: Iterable[str]) -> list[str]:
    """Those names that a text says."""
    said = f" {_folded(text)} "
    return [name for name in names if (folded := _folded(name)) and f" {folded} " in said]


def title_words(pages: Iterable[Page]) -> frozenset[str]:
    """The words of the titles of pages, lower case."""
    return frozenset(word for page in pages for word in _WORD.findall(page.title.casefold()))


@functools.lru_cache(1 << 14)
def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
