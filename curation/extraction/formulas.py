"""Formulas of a page, in whatever form a browser draws them, as LaTeX: \\( \\) within a line, \\[ \\] on lines of its own.

Found and rewritten: MathML (by its TeX annotation, else its alternative text, else by `mathml`), with what KaTeX, MathJax 3,
MediaWiki and LaTeXML wrap around it, their tables of equations too; the scripts of MathJax 2, and what it drew where they are gone
(`data-mathml`); elements of class "math" that hold TeX (Sphinx, Pandoc, GitLab, jsMath); `data-tex` and its like; images whose alternative
text or address is TeX (MediaWiki, WordPress, CodeCogs, mimeTeX, LaTeX2HTML and others); AsciiMath in scripts (`asciimath`). What a renderer
draws beside the source goes, so that no formula comes twice. Formulas that are text already ($ $, \\( \\), \\[ \\]) stay as they were
written; of those, displayed ones outside paragraphs are kept from being dropped. Plain superscripts and subscripts: `scripts`.
Not covered: images without text, MathJax 3 without assistive MathML, KaTeX without its MathML, AsciiMath and eqn between signs in the text.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lxml.etree import ParserError, XPath, tostring

from curation.extraction import asciimath, mathml
from curation.extraction.kept import Kept
from curation.extraction.scripts import write_scripts

Element = Any  # lxml.html.HtmlElement

FORMULA = "formula"

_MAX_CHARS = 20_000  # longer ones are no formulas
_MATH_TAGS = ("math", "m:math", "mml:math")
_ANNOTATIONS = ("annotation", "m:annotation", "mml:annotation")
_FIND_BY_CLASS = XPath("//@class[contains(., 'math')]/..")
_LOOSE = XPath('//text()[parent::* and (contains(., "\\[") or contains(., "$$") or contains(., "\\begin{"))]')
_RENDERED = re.compile(
    r"katex|mwe-math|MathJax|MJX|mjx"
)  # classes of what wraps a <math> element or stands beside a script
_WRAPPERS = ("span", "div", "mjx-container", "mjx-assistive-mml")
_IMAGE_CLASSES = frozenset(
    ("tex", "latex", "latexcenter", "math", "mwe-math-fallback-image-inline", "mwe-math-fallback-image-display")
)
_DATA_NAMES = ("data-tex", "data-latex", "data-math", "data-formula", "data-equation")
_RENDERER_HINTS = ("tex", "math", "cht=")
_RENDERERS = re.compile(
    r"codecogs\.com/|/latex\.php\?|/(?:mime|math)tex\.cgi\?|[?&]tex=|chart\?(?:.*&)?cht=tx|/math/render/(?:svg|png)/|quicklatex"
    r"|mathurl\.com/render|texify\.com/",
    re.IGNORECASE,
)
_PICTURE_NAME = re.compile(r"texify\.com/img/(.+)\.gif$", re.IGNORECASE)
_RENDERER_OPTIONS = re.compile(r"\\(?:dpi|bg|fn)(?:_\w+|\{[^}]*\})\s*|\\inline\b\s*|\\large\\!\s*")
_DELIMITED = re.compile(r"\s*(?:\$\$(.+)\$\$|\\\[(.+)\\\]|\$([^$]+)\$|\\\((.+)\\\))\s*", re.DOTALL)
_DELIMITERS = re.compile(r"\\[][()]|\$\$")
_DISPLAY_STYLE = re.compile(r"^\s*\\displaystyle\b\s*")
_STYLED = re.compile(r"\{\s*\\(?:displaystyle|textstyle)\b\s*(.*)\}", re.DOTALL)
_ENVIRONMENT = re.compile(
    r"\\begin\{((?:equation|align|gather|multline|eqnarray|displaymath)\*?)\}(?:(?!\\begin\{\1\}).)+?\\end\{\1\}",
    re.DOTALL,
)
# A backslash takes the character behind it along, so that the end of a row with a distance, \\[2pt], opens nothing.
WRITTEN = re.compile(
    r"\\\[(?:[^\\]|\\[^\[\]])+\\\]|\\\((?:[^\\]|\\[^()])+\\\)|\$\$(?:[^$\\]|\\.)+\$\$|" + _ENVIRONMENT.pattern,
    re.DOTALL,
)
_DRAWING = re.compile(r"\[asy\]|\\begin\{(?:tikzpicture|asy)\}")  # in an image's text: code of a picture
_WORDS = re.compile(r"[^\W\d_]{4,}\s+[^\W\d_]{4,}")  # two in a row are prose
_TEX = re.compile(r"[\\^_=<>]")  # a displayed text without any of these is hardly a formula
_BLOCK_PARENTS = frozenset(("article", "blockquote", "body", "center", "dd", "div", "li", "main", "section", "td"))


def keep_math_scripts(tree: Element, kept: Kept) -> None:
    """Replaces the scripts of MathJax 2 by marks, in place. To be called before scripts go."""
    for script in list(tree.iter("script")):
        if (script.get("type") or "").startswith("math/"):
            _replace_script(script, kept)


def keep_formulas(tree: Element, kept: Kept, by_class: Sequence[Element] | None = None) -> None:
    """Replaces formulas by marks, in place. `by_class`: the elements with `math` among their classes, and any others."""
    for math in list(tree.iter(*_MATH_TAGS)):
        _replace_equations(math, kept)
    for math in list(tree.iter(*_MATH_TAGS)):
        _replace_math(math, kept)
    for element in _FIND_BY_CLASS(tree) if by_class is None else by_class:
        _replace_by_class(element, kept)
    for image in list(tree.iter("img")):
        if found := _image_latex(image):
            _put(image, *found, kept)
    write_scripts(tree)
    text = tostring(tree, method="text", encoding="unicode", with_tail=False)
    if "\\[" in text or "$$" in text or "\\begin{" in text:
        _keep_loose_displays(tree, kept)


def delimit(latex: str, *, display: bool) -> tuple[str, bool]:
    """(the formula in its delimiters, whether it is displayed); ("", False) for what is no formula.

    Delimiters that it came with go, and so does `{\\displaystyle ...}` around it. An environment that is a display itself stands alone.
    """
    inner = latex.strip()
    if _ENVIRONMENT.fullmatch(inner) and len(inner) <= _MAX_CHARS:
        return inner, True
    if (delimited := _DELIMITED.fullmatch(inner)) and not _DELIMITERS.search(
        found := next(filter(None, delimited.groups()))
    ):
        display = display or bool(delimited[1] or delimited[2])
        inner = found.strip()
    if (styled := _STYLED.fullmatch(inner)) and _balanced(styled[1]):
        inner = styled[1].strip()
    if not inner.strip("$") or len(inner) > _MAX_CHARS:
        return "", False
    return (f"\\[{inner}\\]" if display else f"\\({inner}\\)"), display


def _balanced(latex: str) -> bool:
    """No closing brace before its opening one."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _put(element: Element, latex: str, display: bool, kept: Kept) -> None:
    """Turns an element into the mark of a formula; it goes when there is none."""
    formula, display = delimit(latex, display=display)
    tail, parent = element.tail, element.getparent()
    element.clear()
    element.tail = tail
    element.tag = "p" if display and parent is not None and parent.tag in _BLOCK_PARENTS else "span"
    if formula:
        element.text = kept.mark(formula, FORMULA, block=display)


def _replace_script(script: Element, kept: Kept) -> None:
    """<script type="math/tex; mode=display"> of MathJax 2, and what it was drawn as, which precedes it."""
    kind = script.get("type")
    drawn = script.getprevious()
    while drawn is not None and _RENDERED.match(drawn.get("class") or "") and not (drawn.tail or "").strip():
        before = drawn.getprevious()
        drawn.drop_tree()
        drawn = before
    source, display = script.text or "", "mode=display" in kind.replace(" ", "")
    if kind.startswith(("math/tex", "math/latex")):
        _put(script, source, display, kept)
    elif kind.startswith("math/asciimath"):
        _put(script, asciimath.latex(source), display, kept)
    elif kind.startswith("math/mml"):
        _put(script, *_parsed_mathml(source), kept)


def _replace_math(math: Element, kept: Kept) -> None:
    """<math> with everything that a renderer put around it."""
    host, display = math, "block" in (math.get("display"), math.get("mode")) or math.get("mode") == "display"
    for ancestor in math.iterancestors(*_WRAPPERS):
        classes = ancestor.get("class") or ""
        if host.getparent() is not ancestor or not (ancestor.tag.startswith("mjx-") or _RENDERED.match(classes)):
            break
        host = ancestor
        display = display or ancestor.get("display") in ("true", "block") or "display" in classes.lower()
    if host.getparent() is None:
        return  # its host, which held another <math>, has been replaced
    _put(host, _latex_of(math), display, kept)


def _latex_of(math: Element) -> str:
    """By annotation, alternative text, or elements."""
    sources = (a.text_content() for a in math.iter(*_ANNOTATIONS) if "tex" in (a.get("encoding") or "").lower())
    latex = next(sources, "") or math.get("alttext") or ""
    return latex if latex.strip() else mathml.latex(math)


def _parsed_mathml(source: str) -> tuple[str, bool]:
    """(LaTeX, whether displayed) of MathML that stands in a script or an attribute; empty where there is none."""
    import lxml.html

    if len(source) > 10 * _MAX_CHARS:
        return "", False
    try:
        root = lxml.html.fragment_fromstring(source, create_parent="div")
    except (ParserError, ValueError):  # characters that XML forbids
        return "", False
    math = next(root.iter(*_MATH_TAGS), None)
    return (_latex_of(math), math.get("display") == "block") if math is not None else ("", False)


def _replace_equations(math: Element, kept: Kept) -> None:
    """The row of LaTeXML's table of equations that a <math> lies in: one displayed formula before the table; its number goes."""
    row: Element = next(math.iterancestors("tr"), None)
    table: Element = next(row.iterancestors("table"), None) if row is not None else None
    if table is None or table.getparent() is None or "ltx_eqn_row" not in (row.get("class") or ""):
        return
    parts = [_DISPLAY_STYLE.sub("", _latex_of(part)) for part in row.iter(*_MATH_TAGS)]
    paragraph = table.makeelement("p")
    table.addprevious(paragraph)
    _put(paragraph, " ".join(parts), True, kept)
    row.drop_tree()
    if next(table.iter("tr"), None) is None:
        table.drop_tree()


def _replace_by_class(element: Element, kept: Kept) -> None:
    """Elements of class "math" around TeX: delimited (Sphinx), named inline or display (Pandoc, GitLab), or told by its signs (jsMath);
    those that carry TeX as an attribute (Zhihu), and what MathJax 2 drew."""
    if source := next(filter(None, map(element.get, _DATA_NAMES)), None):
        _put(element, source, element.tag == "div", kept)
        return
    if (source := element.get("data-mathml")) and (latex := _parsed_mathml(source)[0]):
        _put(element, latex, "Display" in (element.getparent().get("class") or ""), kept)
        return
    classes = (element.get("class") or "").split()
    if "math" not in classes and "mathquill-embedded-latex" not in classes:
        return
    for number in element.find_class("eqno"):
        number.drop_tree()
    text, style = element.text or "", element.get("data-math-style")
    if len(element) or not text.strip():
        return
    delimited = _DELIMITED.fullmatch(text) and not _DELIMITERS.search(text.strip()[2:-2])
    if "inline" in classes or "display" in classes or style or delimited or _is_tex(text):
        _put(element, text, "display" in (*classes, style) or element.tag == "div", kept)


def _is_tex(text: str) -> bool:
    """Whether a text without delimiters is a formula, as far as its signs tell."""
    if _ENVIRONMENT.fullmatch(text.strip()):
        return True
    return bool(re.search(r"[\\^_]", text)) and not _WORDS.search(text) and _balanced(text)


def _image_latex(image: Element) -> tuple[str, bool] | None:
    """(LaTeX, whether displayed) of an image of a formula, None for other images."""
    alt, source, classes = image.get("alt") or "", image.get("src") or "", (image.get("class") or "").split()
    display = "latexcenter" in classes or "mwe-math-fallback-image-display" in classes
    if _DRAWING.search(alt):
        return None
    if ("$" in alt or "\\" in alt) and len(alt) > 2 and _DELIMITED.fullmatch(alt):
        return alt, display
    if any(hint in source for hint in _RENDERER_HINTS) and _RENDERERS.search(source):
        latex = alt if "\\" in alt or not (query := _query_latex(source)) else query
        return (latex, display) if latex else None
    return (alt, display) if alt and not _IMAGE_CLASSES.isdisjoint(classes) else None


def _query_latex(source: str) -> str:
    """The formula in a renderer's address: the value of `latex`, `tex` or `chl`, or the whole query, or the name of a picture (texify)."""
    if picture := _PICTURE_NAME.search(source):
        return _RENDERER_OPTIONS.sub("", unquote(picture[1]))
    try:
        query = urlsplit(source).query
    except ValueError:  # not an address
        return ""
    values = parse_qs(query) if query.count("&") < 20 else {}
    named = next((values[name][0] for name in ("latex", "tex", "chl") if name in values), "")
    return _RENDERER_OPTIONS.sub("", named or unquote(query))


def _keep_loose_displays(tree: Element, kept: Kept) -> None:
    """Displayed formulas in text that stands beside blocks, which extractors drop, become paragraphs of their own."""
    for text in _LOOSE(tree):
        owner = text.getparent()
        parent = owner.getparent() if text.is_tail else owner
        if parent is not None and parent.tag in _BLOCK_PARENTS:
            _split_displays(owner, str(text), text.is_tail, kept)


def _split_displays(owner: Element, text: str, is_tail: bool, kept: Kept) -> None:
    """Puts a paragraph in place of each displayed formula of `text`, which is the text or the tail of `owner`."""
    end, last = 0, owner if is_tail else None
    for found in WRITTEN.finditer(text):
        formula, _ = delimit(found[0], display=True)
        if not formula or found[0].startswith("\\(") or (found[0][0] == "$" and not _TEX.search(found[0])):
            continue
        paragraph = owner.makeelement("p")
        paragraph.text = kept.mark(formula, FORMULA, block=True)
        _write_after(owner, last, None)
        if last is None:
            owner.insert(0, paragraph)
        else:
            last.addnext(paragraph)
        _write_after(owner, last, text[end : found.start()])
        last, end = paragraph, found.end()
    if end:
        _write_after(owner, last, text[end:])


def _write_after(owner: Element, last: Element | None, text: str | None) -> None:
    """Sets the text behind `last`, or at the start of `owner`."""
    if last is None:
        owner.text = text
    else:
        last.tail = text
