"""Code in a rewrite: what was code stays the code it was, or at least parses.

Code is what stands between fences, and in Python sessions after `>>>`. A block of a rewrite passes when the source has it, white space
aside, or when it is Python that parses; other languages have no parser here, so their code must be unchanged. Nothing is run. Not
covered: code without fence or prompt, as extraction leaves it on some pages: to the other guards it is text.
"""

import re
from typing import NamedTuple

from curation.code.parse import parses

_FENCED = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=fence)|\Z)",
    re.M | re.S,
)
_SESSION = re.compile(r"^[ \t]*>>> [^\n]*(?:\n[ \t]*(?:>>>|\.\.\.)(?: [^\n]*)?)*", re.M)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.) ?", re.M)
PYTHON = ("python", "py", "python3", "pycon")


class Block(NamedTuple):
    language: str  # lower case, "" when the fence does not say
    code: str


def blocks(text: str) -> list[Block]:
    """The code of a text, in order: fenced blocks, then sessions outside of them."""
    fenced = [Block(match["language"].lower(), match["code"]) for match in _FENCED.finditer(text)]
    rest = _FENCED.sub("\n", text)
    return fenced + [Block("pycon", match[0]) for match in _SESSION.finditer(rest)]


def broken(source: str, made: str) -> tuple[list[str], int]:
    """(first lines of the blocks of `made` that are neither in `source` nor Python that parses, the number of all its blocks)."""
    told = _lines(source)
    found = blocks(made)
    wrong = [block for block in found if _lines(block.code) not in told and not _is_python(block)]
    return [block.code.strip().partition("\n")[0][:80] for block in wrong], len(found)


def without_code(text: str) -> str:
    """The text around its blocks."""
    return _SESSION.sub("\n", _FENCED.sub("\n", text))


def _lines(text: str) -> str:
    """Its lines that are not empty, each squeezed and between line feeds, so that one text holds another's lines whole."""
    lines = ("".join(line.split()) for line in text.split("\n"))
    return "\n" + "".join(f"{line}\n" for line in lines if line)


def _is_python(block: Block) -> bool:
    code = block.code
    if _SESSION.search(code):
        code = "\n".join(_PROMPT.sub("", line) for line in code.split("\n") if _PROMPT.match(line))
    elif block.language not in PYTHON:
        return False
    return parses(code)
