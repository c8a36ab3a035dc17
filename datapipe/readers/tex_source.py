"""One paper from its TeX sources: the main file with what it includes, without comments, preamble and layout, its macros expanded.

What stays is LaTeX: title, abstract, and the body with its sections, theorems, formulas, tables, captions, references and citations. What
goes: comments, conditions that are false, the preamble, authors with addresses, thanks and dates, pictures (files, and drawings in TikZ
and its like; captions stay), the bibliography, and commands that only move things on the page.

Linear in the size of the source; inclusion is bounded in depth, number and size. Not covered: conditions other than \\iffalse and \\if0 (of
one with an \\else, its \\fi stays), what verbatim parts show of commands that go, letters with accents as commands (\\'e stays), Plain TeX
beyond its comments, inclusions and macros.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from datapipe.readers.tex_macros import Expander, TooMuch, argument, closing_braces, is_escaped, take_definitions

MAX_CHARS = 16 << 20  # of a paper, once all is included, and of what its macros expand to
MAX_INCLUDED, MAX_DEPTH = 2_000, 20
_TOKEN = re.compile(
    r"(?P<comment>%[^\n]*(?:\n(?![ \t]*\n)[ \t]*)?)|\\[\\%]|\\let\s*+\\[A-Za-z@]{1,100}\s*+=?\s*+\\iffalse"
    r"|(?P<hidden>\\iffalse(?![A-Za-z]|\s*\})|\\if ?0(?=[\s%]))"
    r"|\\begin\{(?P<literal>comment|verbatim\*?|Verbatim|lstlisting|minted|alltt)\}"
    r"|\\verb\*?(?P<sign>[^A-Za-z\s*])[^\n]{0,500}?(?P=sign)|\\(?:url|href|path|nolinkurl)\s*\{[^{}\n]{0,2000}\}"
)
_NO_CONDITION = r"if(?:f|thenelse|bool|toggle|(?:un)?def|blank|strequal|strempty|defstring)"  # `\iff` is a sign, the rest take arguments
_CONDITION = re.compile(rf"\\(?!{_NO_CONDITION}(?![A-Za-z@]))(?:if[A-Za-z@]*|fi|else)(?![A-Za-z@])")
_INCLUDE = re.compile(
    r"\\(?:sub)?import\s*\{(?P<folder>[^{}\n]{1,300})\}\s*\{(?P<file>[^{}\n]{1,300})\}"
    r"|\\(?:input|include|subfile|subfileinclude)(?![A-Za-z])\s*(?:\{(?P<braced>[^{}\n]{1,300})\}|(?P<bare>[^\s{}\\%]{1,300}))"
)
_PACKAGE = re.compile(r"\\(?:usepackage|RequirePackage)(?:\[[^\]]{0,1000}\])?\s*\{([^{}]{1,500})\}")
_CLASS = re.compile(r"\\document(?:class|style)(?![A-Za-z])")
_BEGIN = re.compile(r"\\begin\s*\{document\}")
_END_OR_LITERAL = re.compile(
    r"\\end\s*\{document\}|\\begin\{(?P<literal>verbatim\*?|Verbatim|lstlisting|minted|alltt)\}"
    r"|\\verb\*?(?P<sign>[^A-Za-z\s*])[^\n]{0,500}?(?P=sign)"
)
_PLAIN_END = re.compile(r"\\bye(?![A-Za-z])|\\end\s*\Z|\\enddocument(?![A-Za-z])")
_USUAL_NAMES = ("main", "ms", "paper", "article", "manuscript", "root")
_PICTURES = ("tikzpicture", "pspicture", "picture", "pgfpicture", "asy")
_GONE = re.compile(
    rf"\\begin\{{(?P<name>(?:thebibliography|filecontents|CCSXML|keywords?|IEEEkeywords|{'|'.join(_PICTURES)})\*?)\}}"
)
_ABSTRACT_BEGIN = re.compile(r"\\begin\{(?P<name>abstract)\}")
_TITLE = re.compile(r"\\title(?![A-Za-z])\s*+(?:\[[^\[\]]{0,1000}\])?\s*+(?=\{)")
_ABSTRACT = re.compile(r"\\abstract(?![A-Za-z])\s*(?=\{)")
# Commands that go, by how many arguments go with them.
_LAYOUT = {
    **dict.fromkeys(
        ("author", "authors", "address", "affiliation", "affil", "altaffiliation", "institute", "email", "ead"), 1
    ),
    **dict.fromkeys(
        ("institution", "orcid", "thanks", "date", "received", "accepted", "preprint", "pacs", "keywords"), 1
    ),
    **dict.fromkeys(("authornote", "authoraddr", "authoremail", "addresses", "shortauthor", "shortauthors"), 1),
    **dict.fromkeys(("runningauthor", "correspondingauthor", "emailAdd", "affiliations", "altaffilmark"), 1),
    **dict.fromkeys(("altaffiltext", "icmlauthor", "icmlaffiliation", "icmlcorrespondingauthor"), 2),
    **dict.fromkeys(("authornotemark",), 0),
    **dict.fromkeys(("includegraphics", "epsfig", "psfig", "epsfbox", "epsffile", "plotone", "graphicspath"), 1),
    **dict.fromkeys(("bibliography", "bibliographystyle", "addbibresource", "hyphenation", "theoremstyle"), 1),
    **dict.fromkeys(
        ("vspace", "hspace", "pagestyle", "thispagestyle", "authorrunning", "titlerunning", "pagenumbering"), 1
    ),
    **dict.fromkeys(
        ("setcounter", "addtocounter", "setlength", "addtolength", "numberwithin", "markboth", "plottwo"), 2
    ),
    **dict.fromkeys(
        ("maketitle", "tableofcontents", "listoffigures", "listoftables", "printbibliography", "frontmatter"), 0
    ),
    **dict.fromkeys(
        ("newpage", "clearpage", "cleardoublepage", "pagebreak", "noindent", "bigskip", "medskip", "smallskip"), 0
    ),
    **dict.fromkeys(
        ("mainmatter", "backmatter", "centering", "raggedright", "sloppy", "onecolumn", "twocolumn", "protect"), 0
    ),
}
_DROPPED = re.compile(rf"\\(?P<name>{'|'.join(sorted(_LAYOUT, key=len, reverse=True))})(?![A-Za-z])\*?")
_OPTIONS = re.compile(r"\s*\[[^\[\]]{0,1000}\]")
_EMPTY_LINES, _LINE_END = re.compile(r"\n(?:[ \t]*\n){2,}"), re.compile(r"(?<![ \t])[ \t]+\n")


class Unusable(Exception):
    """Why a source gives no paper."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Paper(NamedTuple):
    text: str
    about: dict[str, object]  # title, main (its file), files, missing, macros


def paper(files: Mapping[str, str]) -> Paper:
    """The paper of some sources, texts by path. Raises Unusable (`no_main`, `empty`, `too_large`, `expands_too_far`)."""
    cleaned = {path: without_comments(text) for path, text in files.items()}
    main = main_file(files, cleaned)
    included = _Included(cleaned)
    text = included.of(main)
    try:
        _, macros = take_definitions("\n".join(cleaned[path] for path in included.packages(text)))
        text, own = take_definitions(text)
        expander = Expander({**macros, **own}, MAX_CHARS)
        head, body = _parts(text)
        title = " ".join(without_layout(expander.expand(_content(_TITLE, text))).split())
        abstract = without_layout(expander.expand(_content(_ABSTRACT, text) or _abstract_of(head)))
        body = without_layout(expander.expand(_without(_ABSTRACT, _without(_TITLE, body))))
    except TooMuch as error:
        raise Unusable("expands_too_far") from error
    if not body:
        raise Unusable("empty")
    parts = (
        f"\\title{{{title}}}" if title else "",
        f"\\begin{{abstract}}\n{abstract}\n\\end{{abstract}}" if abstract else "",
        body,
    )
    about = {"main": main, "files": len(included.used), "missing": included.missing, "macros": len({**macros, **own})}
    return Paper("\n\n".join(filter(None, parts)) + "\n", {"title": title, **about})


def without_comments(text: str) -> str:
    """The text without its comments and what \\iffalse hides; verbatim parts and addresses keep their percent signs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    pieces, start, position = list[str](), 0, 0
    endless: set[str] = set()  # what was begun and does not end: looked for once
    while match := _TOKEN.search(text, position):
        position = match.end()
        if match["comment"]:
            pieces.append(text[start : match.start()])
            start = position
        elif (kind := match["literal"] or match["hidden"]) and kind not in endless:
            end = _end_of_condition(text, position) if match["hidden"] else _end_of(kind, text, position)
            if end < 0:
                endless.add(kind)
                continue
            position = end
            if kind == "comment" or match["hidden"]:
                pieces.append(text[start : match.start()])
                start = position
    return "".join([*pieces, text[start:]])


def main_file(files: Mapping[str, str], cleaned: Mapping[str, str]) -> str:
    """The file that the others belong to: the one a 00README names, else one with a document class that no other includes. Of several,
    one that holds the document, then of a usual name, then the longest. `cleaned`: the files without comments. Raises Unusable."""
    for path, text in files.items():
        if path.rpartition("/")[2].lower().startswith("00readme") and (named := _named(path, text, files)):
            return named
    sources = {path: text for path, text in cleaned.items() if path.lower().endswith((".tex", ".ltx", ".latex"))}
    shown = (_CLASS, _BEGIN, _PLAIN_END)
    candidates = next(filter(None, ([path for path in sources if by.search(sources[path])] for by in shown)), None)
    if candidates is None:
        raise Unusable("no_main")
    included = _Included(cleaned)
    inner = {found for path in sources for found in included.named(sources[path], path) if found != path}

    def rank(path: str) -> tuple[bool, bool, bool, int, str]:
        name = path.rpartition("/")[2].lower().partition(".")[0]
        return path in inner, not _BEGIN.search(sources[path]), name not in _USUAL_NAMES, -len(sources[path]), path

    return min(candidates, key=rank)


def without_layout(text: str) -> str:
    """The text without pictures, bibliography, authors, and what only moves things on the page."""
    pieces, end = list[str](), 0
    for start, _, after in _environments(_GONE, text):
        pieces.append(text[end:start])
        end = after
    text = "".join([*pieces, text[end:]])
    closing = closing_braces(text)
    pieces, end = [], 0
    for match in _DROPPED.finditer(text):
        if match.start() < end or is_escaped(text, match.start()):
            continue
        after = match.end()
        for _ in range(_LAYOUT[match["name"]]):
            while options := _OPTIONS.match(text, after):
                after = options.end()
            taken = argument(text, after, closing)
            after = taken[1] if taken else after
        pieces.append(text[end : match.start()])
        end = after
    text = "".join([*pieces, text[end:]])
    return _EMPTY_LINES.sub("\n\n", _LINE_END.sub("\n", text)).strip()


class _Included:
    """A file with the files that it includes in their places."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._by_name = {path.lower(): path for path in sorted(files, reverse=True)}
        self.used: Counter[str] = Counter()
        self.missing = 0
        self._chars = 0

    def of(self, path: str, stack: tuple[str, ...] = ()) -> str:
        """A file that includes itself, and what is beyond the limits, counts as missing. Raises Unusable for more than `MAX_CHARS`."""
        text = self._files[path]
        self.used[path] += 1
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            raise Unusable("too_large")
        if stack and _BEGIN.search(text):  # a subfile that can stand alone
            text = _parts(text)[1]
        stack = (*stack, path)

        def inlined(match: re.Match[str]) -> str:
            found = self._find(match, path)
            if found is None or found in stack or len(stack) > MAX_DEPTH or self.used.total() >= MAX_INCLUDED:
                self.missing += 1
                return ""
            return self.of(found, stack)

        return _INCLUDE.sub(inlined, text)

    def named(self, text: str, path: str) -> list[str]:
        """The files that a text includes and that are there."""
        return [found for match in _INCLUDE.finditer(text) if (found := self._find(match, path))]

    def packages(self, text: str) -> list[str]:
        """Style files beside the source that it uses."""
        names = [name.strip() for match in _PACKAGE.finditer(text) for name in match[1].split(",")]
        return [path for name in dict.fromkeys(names) if (path := self._by_name.get(f"{name}.sty".lower()))]

    def _find(self, match: re.Match[str], path: str) -> str | None:
        name = match["braced"] or match["bare"]
        if match["folder"]:
            name = f"{match['folder'].strip('/ ')}/{match['file']}"
        name = name.strip().strip('"')
        folder = path.rpartition("/")[0]
        for place in (name, f"{folder}/{name}") if folder else (name,):
            place = place.removeprefix("./").replace("/./", "/").lower()
            for suffix in ("", ".tex", ".ltx"):
                if place + suffix in self._by_name:
                    return self._by_name[place + suffix]
        return None


def _named(path: str, text: str, files: Mapping[str, str]) -> str | None:
    """The file that a 00README says is at the top: a line `NAME toplevelfile`, or of the newer ones `filename` before `toplevel`."""
    folder = path.rpartition("/")[0]
    names = re.findall(r"^[ \t]*(\S+)[ \t]+toplevelfile[ \t]*$", text, re.MULTILINE)
    names += re.findall(r'"?filename"?\s*:\s*+"?([^"\s,]{1,300}+)"?[^{}]{0,200}?toplevel', text)
    names += re.findall(r'toplevel"?[^{}]{0,200}?"?filename"?\s*:\s*+"?([^"\s,]{1,300})"?', text)
    return next((full for name in names if (full := f"{folder}/{name}" if folder else name) in files), None)


def _end_of(environment: str, text: str, start: int) -> int:
    """The place behind an environment's end, -1 where it has none."""
    end = f"\\end{{{environment}}}"
    found = text.find(end, start)
    return found + len(end) if found >= 0 else -1


def _end_of_condition(text: str, start: int) -> int:
    """The place behind the \\else or \\fi of a condition that began before `start`, -1 where it has none."""
    depth = 1
    for match in _CONDITION.finditer(text, start):
        if match[0] != "\\else":
            depth += -1 if match[0] == "\\fi" else 1
        if not depth or (depth == 1 and match[0] == "\\else"):
            return match.end()
    return -1


def _environments(begin: re.Pattern[str], text: str) -> Iterator[tuple[int, int, int]]:
    """(start, start of the content, end) of environments, one after the other. `begin` has a group `name`."""
    position, endless = 0, set[str]()
    for match in begin.finditer(text):
        if match.start() >= position and match["name"] not in endless:
            end = _end_of(match["name"], text, match.end())
            if end < 0:
                endless.add(match["name"])
            else:
                yield match.start(), match.end(), end
                position = end


def _parts(text: str) -> tuple[str, str]:
    """(what stands before the document, the document); a source without its begin is all document."""
    begin = _BEGIN.search(text)
    if begin is None:
        return "", _PLAIN_END.split(text, maxsplit=1)[0]
    return text[: begin.start()], text[begin.end() : _end_of_document(text, begin.end())]


def _end_of_document(text: str, start: int) -> int:
    """Where a document ends that begins at `start`; one about LaTeX shows ends that are none."""
    endless = set[str]()
    while match := _END_OR_LITERAL.search(text, start):
        kind, start = match["literal"], match.end()
        if not kind and not match["sign"]:
            return match.start()
        if kind and kind not in endless:
            end = _end_of(kind, text, start)
            if end < 0:
                endless.add(kind)
            start = max(start, end)
    return len(text)


def _content(command: re.Pattern[str], text: str) -> str:
    """The argument of the first use of a command, empty without one."""
    match = command.search(text)
    taken = argument(text, match.end(), closing_braces(text)) if match else None
    return taken[0] if taken else ""


def _without(command: re.Pattern[str], text: str) -> str:
    """The text without a command and its argument."""
    if not command.search(text):
        return text
    closing, pieces, end = closing_braces(text), list[str](), 0
    for match in command.finditer(text):
        taken = argument(text, match.end(), closing)
        if taken and match.start() >= end:
            pieces.append(text[end : match.start()])
            end = taken[1]
    return "".join([*pieces, text[end:]])


def _abstract_of(head: str) -> str:
    """An abstract that stands in the preamble as an environment."""
    found = next(_environments(_ABSTRACT_BEGIN, head), None)
    return head[found[1] : found[2]].removesuffix("\\end{abstract}").strip() if found else ""
