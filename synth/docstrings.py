"""Where documentation of code lies: docstrings in Python source, entries of manuals, and listed calls of reference pages.

The source is matched, not parsed: a file that does not compile (another Python version, a cut file) still has docstrings. Other
languages match nothing.
"""

import re
from typing import NamedTuple

from synth.evidence import fold
from synth.prose import Span

_PARENTHESES = r"\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\)"
_DEFINITION = re.compile(
    rf"^(?P<indent>[ \t]*)(?:async +)?(?P<what>def|class) +(?P<name>\w+)[ \t]*(?P<signature>{_PARENTHESES})?(?:\s*->[^\n:]++)?:"
    r"(?:[ \t]*#[^\n]*+)?(?:\s*[rRuU]?(?P<quote>\"\"\"|''')(?P<doc>.*?)(?P=quote))?",
    re.M | re.S,
)
_MODULE_DOC = re.compile(r"\A(?:[ \t]*(?:#[^\n]*)?\n)*[rRuU]?(?P<quote>\"\"\"|''')(?P<doc>.*?)(?P=quote)", re.S)
_ENTRY_HEADING = re.compile(
    rf"^(?:class +)?(?=\w+[.(])(?P<name>[A-Za-z_]\w*(?:\.\w+)*)(?P<signature>{_PARENTHESES})?(?: *->[^\n]*)?\n(?:-{{3,}}|~{{3,}})\n",
    re.M,
)
_ENTRY_LINE = re.compile(
    r"^(?:[-*] +)?(?:class +(?P<class>\w+)\([^\n]*\)$|(?P<outside>Functions|Data)$|"
    rf"(?P<name>[A-Za-z_][\w.]*)(?P<signature>{_PARENTHESES})(?: *->[^\n]*| from [^\n]*)?\n(?:[-*] +)?(?P<description>[A-Z][^\n]+)$)",
    re.M,
)
_AFTER_PROMPT = re.compile(r"\n(?:>>>|\.\.\.)[^\n]*\n\Z")  # the "call" is the output of an example


class Docstring(NamedTuple):
    name: str  # qualified inside the file; "" for the module's
    call: str  # "heappush(heap, item)", or the name alone if the signature is long or absent
    region: Span
    heading: int  # where the entry or definition begins


def docstrings(text: str) -> list[Docstring]:
    """The docstrings of a Python file in order; names are qualified by the classes whose indentation encloses them."""
    module = _MODULE_DOC.match(text)
    found = [Docstring("", "", module.span("doc"), 0)] if module else []
    enclosing: list[tuple[int, str]] = []
    for match in _DEFINITION.finditer(text):
        indent = len(match["indent"].expandtabs())
        while enclosing and enclosing[-1][0] >= indent:
            enclosing.pop()
        name = ".".join([*(outer for _, outer in enclosing), match["name"]])
        enclosing.append((indent, match["name"]))
        if match["doc"] is not None:
            is_property = text[max(0, match.start() - 80) : match.start()].rstrip().endswith("property")
            call = name if is_property or match["what"] == "class" else name + _arguments(match["signature"])
            found.append(Docstring(name, call, match.span("doc"), match.start()))
    return found


def manual_entries(text: str) -> list[Docstring]:
    """The entries of a manual: an underlined heading that is a dotted name or a call, with all text up to the next such heading."""
    headings = list(_ENTRY_HEADING.finditer(text))
    bounds = [*(heading.start() for heading in headings), len(text)]
    return [
        Docstring(
            heading["name"], heading["name"] + _arguments(heading["signature"]), (heading.end(), end), heading.start()
        )
        for heading, end in zip(headings, bounds[1:], strict=True)
    ]


def listed_entries(text: str, region: Span) -> list[Docstring]:
    """Calls on a line of their own (a list item, perhaps), each with the one paragraph on the line below.

    Their names are qualified by the last line that reads "class Name(...)", up to a line "Functions", unless they are dotted already.
    """
    found, outer = [], ""
    for line in _ENTRY_LINE.finditer(text, *region):
        if line["class"] or line["outside"]:
            outer = f"{line['class']}." if line["class"] else ""
        elif not _AFTER_PROMPT.search(text, max(0, line.start() - 200), line.start()):
            name = line["name"] if "." in line["name"] else outer + line["name"]
            found.append(Docstring(name, name + _arguments(line["signature"]), line.span("description"), line.start()))
    return found


def _arguments(signature: str | None) -> str:
    """The argument list as a call shows it, without `self`; nothing for long, annotated and elided ones."""
    if signature is None:
        return ""
    arguments = re.sub(r"^\((?:self|cls)\b,?\s*", "(", fold(signature))
    return arguments if len(arguments) <= 60 and not re.search(r"[:#]|\.\.\.", arguments) else ""
