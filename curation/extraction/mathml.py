"""MathML as LaTeX, for formulas that come without their source: presentation MathML (MathML Core, and what MathML 3 has beyond it).

A recursive rewriting by element name. What it does not know it passes through (elements by their children, characters as they are), so
that it never fails and its braces always balance; fences are written plainly, without \\left and \\right. Nesting beyond 100 is cut to
its text. Of content MathML: names, numbers, arithmetic, relations, functions. Not covered: the rest of it, `mstack` and `mlongdiv`, sizes
and colours, alignment of columns. Some 10 microseconds per element.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from curation.extraction import tex_symbols as tex

Element = Any  # of lxml

_MAX_DEPTH = 100
_INVISIBLE = dict.fromkeys(
    map(ord, "\u2061\u2062\u2063\u2064\u200b\u200c\u200d\u2060\ufeff\x00")
)  # function application and the like
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
_ENDS_IN_COMMAND = re.compile(r"\\[A-Za-z]+\Z")
_ONE_TOKEN = re.compile(r"[^\\{}^_ ]|\\[A-Za-z]+(?:\{[^{}]*\})?|\\[^A-Za-z]")
_LENGTH_EM = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(em|ex|px|pt)?\s*")
_EM = {"em": 1.0, "ex": 0.43, "px": 1 / 16, "pt": 1 / 12}
_WRAPPERS = frozenset({"math", "mrow", "mstyle", "mpadded", "semantics"})


def latex(math: Element) -> str:
    """The LaTeX of a <math> element, or of any part of one, without delimiters. Empty when it shows nothing."""
    return _WHITE_SPACE.sub(" ", _convert(math, 0)).strip()


def _convert(element: Element, depth: int) -> str:
    name = _name(element)
    if depth > _MAX_DEPTH:
        return _characters("".join(element.itertext())) if name else ""
    return _RULES.get(name, _row)(element, depth + 1) if name else ""


def _name(element: Element) -> str:
    """Local name in lower case, empty for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(tag, str) else ""


def _children(element: Element) -> list[Element]:
    return [child for child in element if isinstance(child.tag, str)]


def _args(element: Element, depth: int, count: int) -> list[str]:
    """The first `count` children converted, empty where there are fewer."""
    found = [_convert(child, depth).strip() for child in _children(element)[:count]]
    return found + [""] * (count - len(found))


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).translate(_INVISIBLE).split())


def _characters(text: str) -> str:
    return _join([_character(character) for character in text.translate(_INVISIBLE)])


def _character(character: str) -> str:
    if character in tex.SYMBOLS:
        return tex.SYMBOLS[character]
    if "\U0001d400" <= character <= "\U0001d7ff":
        name = unicodedata.name(character, "")
        plain = unicodedata.normalize("NFKC", character)
        plain = tex.SYMBOLS.get(plain, plain)
        return next((f"\\{command}{{{plain}}}" for word, command in tex.ALPHABETS.items() if word in name), plain)
    return character


def _join(parts: list[str]) -> str:
    """One string, with a space where a command would run into a letter."""
    joined: list[str] = []
    for part in filter(None, parts):
        if joined and part[0].isalpha() and _ENDS_IN_COMMAND.search(joined[-1][-40:]):
            joined.append(" ")
        joined.append(part)
    return "".join(joined)


def _group(latex: str) -> str:
    """What a script can be attached to."""
    return latex if _ONE_TOKEN.fullmatch(latex) else f"{{{latex}}}"


def _script(sign: str, latex: str) -> str:
    if not latex:
        return ""
    return f"{sign}{latex}" if len(latex) == 1 and latex.isalnum() else f"{sign}{{{latex}}}"


# Tokens.


def _identifier(element: Element, depth: int) -> str:
    text = _text(element)
    variant = element.get("mathvariant")
    if "".join(text.split()) in tex.FUNCTIONS:
        return "\\" + "".join(text.split())
    body = _characters(text)
    if variant in tex.VARIANTS and body and not (variant == "normal" and not text.isascii()):
        return f"\\{tex.VARIANTS[variant]}{{{body}}}"
    return f"\\mathrm{{{body}}}" if len(text) > 1 and text.isascii() and text.isalpha() else body


def _number(element: Element, depth: int) -> str:
    return _characters(_text(element))


def _operator(element: Element, depth: int) -> str:
    text = _text(element)
    if text in tex.FUNCTIONS:
        return "\\" + text
    if len(text) > 2 and text.isascii() and text.isalpha():
        return f"\\operatorname{{{text}}}"
    return _characters(text)


def _words(element: Element, depth: int) -> str:
    text = "".join(element.itertext()).translate(_INVISIBLE)
    if not text.strip():
        return r"\ " if text else ""
    quote = '"' if _name(element) == "ms" else ""
    return f"\\text{{{quote}{''.join(tex.IN_TEXT.get(character, character) for character in text)}{quote}}}"


def _space(element: Element, depth: int) -> str:
    width = _LENGTH_EM.fullmatch(element.get("width") or "")
    em = float(width[1]) * _EM.get(width[2] or "em", 1.0) if width else 0.0
    return r"\qquad " if em >= 2 else r"\quad " if em >= 1 else r"\, " if em > 0 else " "


# Rows.


def _row(element: Element, depth: int) -> str:
    """The children one after the other, with spaces around relations and binary operators."""
    children = _children(element)
    if _name(element) == "semantics":
        children = children[:1]
    parts = [_characters((element.text or "").strip())]
    index, after_operand = 0, bool(parts[0])
    while index < len(children):
        child = children[index]
        fenced, taken = _fenced(children, index, depth)
        if taken:
            parts.append(fenced)
        elif _name(child) == "mo":
            text, part = _text(child), _convert(child, depth)
            infix = text in tex.RELATIONS or (text in tex.BINARY and after_operand)
            parts.append(f" {part} " if infix else part)
        else:
            parts.append(_convert(child, depth))
        last = children[index + max(taken, 1) - 1]
        after_operand = bool(taken) or _name(last) != "mo" or _text(last) in (")", "]", "}", "|", "!")
        if last.tail and last.tail.strip():
            parts.append(_characters(last.tail.strip()))
        index += max(taken, 1)
    return _join(parts)


def _fenced(children: list[Element], index: int, depth: int) -> tuple[str, int]:
    """A matrix or a binomial with its fences, which stand beside it in MathML; (LaTeX, children it takes) or ("", 0)."""
    if _name(children[index]) != "mo" or index + 1 >= len(children):
        return "", 0
    inner = _only(children[index + 1])
    is_table = _name(inner) == "mtable"
    if not is_table and not (_name(inner) == "mfrac" and _is_zero(inner.get("linethickness"))):
        return "", 0
    opening = _text(children[index])
    closed = index + 2 < len(children) and _name(children[index + 2]) == "mo"
    closing = _text(children[index + 2]) if closed else ""
    if is_table and (opening, closing) in tex.MATRICES:
        return _table(inner, depth, tex.MATRICES[opening, closing]), 2 + closed
    if not is_table and (opening, closing) == ("(", ")"):
        return "\\binom{{{}}}{{{}}}".format(*_args(inner, depth, 2)), 3
    return "", 0


def _only(element: Element) -> Element:
    """What wrappers of a single child wrap."""
    while _name(element) in _WRAPPERS and len(element) == 1 and isinstance(element[0].tag, str):
        element = element[0]
    return element


def _is_zero(length: str | None) -> bool:
    return length is not None and length.strip().startswith("0") and not re.search(r"[1-9]", length)


def _fences(element: Element, depth: int) -> str:
    """<mfenced>: fences and separators are attributes."""
    opening, closing = element.get("open", "("), element.get("close", ")")
    children = _children(element)
    if len(children) == 1 and _name(_only(children[0])) == "mtable" and (opening, closing) in tex.MATRICES:
        return _table(_only(children[0]), depth, tex.MATRICES[opening, closing])
    separators = "".join(element.get("separators", ",").split())
    parts = [_characters(opening)]
    for number, child in enumerate(children):
        if number and separators:
            parts.append(_characters(separators[min(number, len(separators)) - 1]) + " ")
        parts.append(_convert(child, depth))
    return _join([*parts, _characters(closing)])


# Layouts.


def _fraction(element: Element, depth: int) -> str:
    above, below = _args(element, depth, 2)
    if element.get("bevelled") == "true":
        return f"{_group(above)}/{_group(below)}"
    command = r"\genfrac{}{}{0pt}{}" if _is_zero(element.get("linethickness")) else r"\frac"
    return f"{command}{{{above}}}{{{below}}}"


def _square_root(element: Element, depth: int) -> str:
    return f"\\sqrt{{{_row(element, depth).strip()}}}"


def _root(element: Element, depth: int) -> str:
    radicand, index = _args(element, depth, 2)
    return f"\\sqrt[{{{index}}}]{{{radicand}}}" if "]" in index else f"\\sqrt[{index}]{{{radicand}}}"


def _scripts(element: Element, depth: int) -> str:
    """<msub>, <msup>, <msubsup>."""
    name = _name(element)
    base, *scripts = _args(element, depth, 3 if name == "msubsup" else 2)
    below, above = scripts if name == "msubsup" else (scripts[0], "") if name == "msub" else ("", scripts[0])
    children = _children(element)
    prime = tex.PRIMES.get(_text(children[-1])) if len(children) > 1 and name != "msub" else None
    return _group(base) + _script("_", below) + (prime or _script("^", above))


def _limits(element: Element, depth: int) -> str:
    """<munder>, <mover>, <munderover>: limits of operators, accents, braces, or anything above or below anything."""
    name = _name(element)
    base, *scripts = _args(element, depth, 3 if name == "munderover" else 2)
    below, above = scripts if name == "munderover" else (scripts[0], "") if name == "munder" else ("", scripts[0])
    if base in tex.LIMITS or base.startswith(r"\operatorname"):
        return base + _script("_", below) + _script("^", above)
    if base in tex.LABELLED_ARROWS:
        return f"{tex.LABELLED_ARROWS[base]}{f'[{{{below}}}]' if below else ''}{{{above}}}"
    texts = [_text(child) for child in _children(element)[1:]]
    under_text, over_text = texts[0] if below and texts else "", texts[-1] if above and texts else ""
    for script, text, accents, sign, command in (
        (below, under_text, tex.BELOW, "_", "underset"),
        (above, over_text, tex.ABOVE, "^", "overset"),
    ):
        if not script:
            continue
        if text in accents:
            base = f"\\{accents[text]}{{{base}}}"
        elif base.startswith((r"\underbrace{", r"\overbrace{")):
            base += _script(sign, script)
        else:
            base = f"\\{command}{{{script}}}{{{base}}}"
    return base


def _multiscripts(element: Element, depth: int) -> str:
    children = _children(element)
    names = [_name(child) for child in children]
    split = names.index("mprescripts") if "mprescripts" in names else len(children)
    converted = [_convert(child, depth).strip() for child in children]
    before = _script_pairs(converted[split + 1 :])
    return f"{'{}' + before if before else ''}{_group(converted[0] if converted else '')}{_script_pairs(converted[1:split])}"


def _script_pairs(scripts: list[str]) -> str:
    pairs = zip(scripts[::2], [*scripts[1::2], ""], strict=False)
    return "{}".join(_script("_", below) + _script("^", above) for below, above in pairs if below or above)


def _table(element: Element, depth: int, environment: str = "") -> str:
    if not environment:
        aligned = {"right", "left"} <= set((element.get("columnalign") or "").split())
        environment = "aligned" if aligned else "matrix"
    rows = []
    for row in _children(element):
        if _name(row) in ("mtr", "mlabeledtr"):
            cells = _children(row)[1 if _name(row) == "mlabeledtr" else 0 :]
            rows.append(" & ".join(_convert(cell, depth).strip() for cell in cells))
        else:
            rows.append(_convert(row, depth).strip())
    body = r" \\ ".join(rows)
    return f"\\begin{{{environment}}} {body} \\end{{{environment}}}"


def _enclosed(element: Element, depth: int) -> str:
    notation, inner = set((element.get("notation") or "").split()), _row(element, depth).strip()
    for names, command in (
        ({"radical"}, "sqrt"),
        ({"box", "roundedbox"}, "boxed"),
        ({"updiagonalstrike", "downdiagonalstrike"}, "cancel"),
        ({"top"}, "overline"),
        ({"bottom"}, "underline"),
    ):
        if notation & names:
            return f"\\{command}{{{inner}}}"
    return inner


# Content: what is meant and not how it looks. Where there is both, `semantics` has the presentation first.

_INFIX = {
    "plus": " + ",
    "minus": " - ",
    "times": r" \cdot ",
    "and": r" \land ",
    "or": r" \lor ",
    "union": r" \cup ",
    "in": r" \in ",
    "eq": " = ",
    "neq": r" \ne ",
    "lt": " < ",
    "gt": " > ",
    "leq": r" \le ",
    "geq": r" \ge ",
    "intersect": r" \cap ",
    "implies": r" \Rightarrow ",
    "approx": r" \approx ",
    "equivalent": r" \equiv ",
    "subset": r" \subset ",
    "tendsto": r" \to ",
}


def _apply(element: Element, depth: int) -> str:
    """An operator or a function, and what it is applied to; sums with bounds and the like are written as functions."""
    if not _children(element):
        return ""
    head, *rest = _children(element)
    name, args = _name(head), [_convert(child, depth).strip() for child in rest]
    if name in _INFIX and len(args) > 1:
        return _INFIX[name].join(_in_brackets(child, arg) for child, arg in zip(rest, args, strict=True))
    if name == "minus" and args:
        return f"-{_in_brackets(rest[0], args[0])}"
    if name == "divide" and len(args) == 2:
        return "\\frac{{{}}}{{{}}}".format(*args)
    if name == "power" and len(args) == 2:
        return _group(_in_brackets(rest[0], args[0])) + _script("^", args[1])
    if name == "root" and args:
        return f"\\sqrt{{{args[-1]}}}"
    function = "\\" + name if name in tex.FUNCTIONS else _convert(head, depth).strip() or f"\\operatorname{{{name}}}"
    return f"{function}({', '.join(args)})"


def _in_brackets(element: Element, latex: str) -> str:
    """A sum or the like as part of another."""
    inner = _children(element)
    compound = _name(element) == "apply" and bool(inner) and _name(inner[0]) in _INFIX
    return f"({latex})" if compound else latex


def _phantom(element: Element, depth: int) -> str:
    return f"\\phantom{{{_row(element, depth).strip()}}}"


def _nothing(element: Element, depth: int) -> str:
    return ""


def _first(element: Element, depth: int) -> str:
    return _args(element, depth, 1)[0]


_RULES: dict[str, Callable[[Element, int], str]] = {
    "mi": _identifier,
    "mn": _number,
    "mo": _operator,
    "mtext": _words,
    "ms": _words,
    "mspace": _space,
    "mfenced": _fences,
    "mfrac": _fraction,
    "msqrt": _square_root,
    "mroot": _root,
    "msub": _scripts,
    "msup": _scripts,
    "msubsup": _scripts,
    "munder": _limits,
    "mover": _limits,
    "munderover": _limits,
    "mmultiscripts": _multiscripts,
    "mtable": _table,
    "menclose": _enclosed,
    "mphantom": _phantom,
    "maction": _first,
    "apply": _apply,
    "ci": _identifier,
    "cn": _number,
    **dict.fromkeys(("annotation", "annotation-xml", "mprescripts", "none", "maligngroup", "malignmark"), _nothing),
}
