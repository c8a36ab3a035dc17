"""Real texts for these tests: paragraphs of the Debian handbook, and what a printer would have made of them."""

import functools
import tarfile
from collections.abc import Sequence
from pathlib import Path

from lxml import html


@functools.cache
def handbook_paragraphs(data: Path, language: str) -> tuple[str, ...]:
    """Paragraphs of running text of at least 200 characters, in the order of the files' names."""
    found: list[str] = []
    with tarfile.open(data / "books" / "debian-handbook-en-fr.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if f"{language}/" in member.name and member.name.endswith(".html"):
                page = html.fromstring(archive.extractfile(member).read())  # type: ignore[union-attr]
                plain = page.xpath("//div[@class='para'][not(.//div or .//pre or .//ul or .//table)]")
                found += (" ".join(each.text_content().split()) for each in plain)
    return tuple(dict.fromkeys(text for text in found if len(text) >= 200 and "|" not in text))


def wrapped(paragraph: str, width: int, *, hyphens: bool) -> list[str]:
    """Lines as full as they can be; with `hyphens`, long words in small letters are divided."""
    lines, line = [], ""
    for word in paragraph.split(" "):
        room = width - len(line) - 2
        if not line or len(line) + 1 + len(word) <= width:
            line = f"{line} {word}".strip()
        elif hyphens and word.isalpha() and word.islower() and len(word) >= 7 and 3 <= room <= len(word) - 3:
            lines.append(f"{line} {word[:room]}-")
            line = word[room:]
        else:
            lines.append(line)
            line = word
    return [*lines, line]


def printed(
    paragraphs: Sequence[str], *, width: int = 66, page_lines: int = 40, hyphens: bool = True, form_feeds: bool = True
) -> str:
    """The paragraphs on pages with running headers, other ones on the left than on the right, and page numbers."""
    lines = [line for paragraph in paragraphs for line in (*wrapped(paragraph, width, hyphens=hyphens), "")]
    pages = []
    for number, start in enumerate(range(0, len(lines), page_lines), 1):
        header = "THE HANDBOOK" if number % 2 else "Debian and its friends"
        pages.append("\n".join([header, "", *lines[start : start + page_lines], "", f"- {number} -".center(width)]))
    return ("\n\f" if form_feeds else "\n").join(pages)
