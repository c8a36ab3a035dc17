"""AsciiMath as LaTeX, word by word: names become commands, and what LaTeX writes alike stays.

Enough for what schools and forums write: `sum_(i=1)^n i = n(n+1)/2` becomes \\sum_{i=1}^n i = n(n+1)/2. Brackets around a script
become braces, fractions keep their stroke. Not covered: matrices, accents, fractions set upright.
"""

import re

from curation.extraction import tex_symbols as tex

_WORDS = {
    "oo": r"\infty",
    "xx": r"\times",
    "**": r"\ast",
    "!=": r"\ne",
    "<=": r"\le",
    ">=": r"\ge",
    "->": r"\to",
    "=>": r"\Rightarrow",
    "<=>": r"\Leftrightarrow",
    "+-": r"\pm",
    "~~": r"\approx",
    "-=": r"\equiv",
    "in": r"\in",
    "!in": r"\notin",
    "AA": r"\forall",
    "EE": r"\exists",
    "RR": r"\mathbb{R}",
    "ZZ": r"\mathbb{Z}",
    "NN": r"\mathbb{N}",
    "QQ": r"\mathbb{Q}",
    "CC": r"\mathbb{C}",
    "uu": r"\cup",
    "nn": r"\cap",
    "del": r"\partial",
    "grad": r"\nabla",
    "...": r"\ldots",
}
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi varphi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_WORDS |= {name: "\\" + name for name in (*_GREEK.split(), *tex.FUNCTIONS, "sum", "prod", "int", "oint")}
_TOKEN = re.compile("|".join(map(re.escape, sorted(_WORDS, key=len, reverse=True))) + r"|sqrt|text|[A-Za-z]|[\s\S]")
_NESTED = 3  # scripts in scripts, roots under roots
_SCRIPT = re.compile(r"([_^])\(([^()]{0,200})\)")
_ROOT = re.compile(r"sqrt\s?\(([^()]{0,200})\)|sqrt\s?(\w)")
_TEXT = re.compile(r'"([^"]{0,200})"|text\(([^()]{0,200})\)')


def latex(source: str) -> str:
    """The LaTeX of a formula, without delimiters."""
    source = " ".join(source.split())
    for _ in range(_NESTED):
        source = _SCRIPT.sub(r"\1{\2}", source)
    parts: list[str] = []
    end = 0
    for quoted in _TEXT.finditer(source):
        parts += [_words(source[end : quoted.start()]), f"\\text{{{quoted[1] or quoted[2] or ''}}}"]
        end = quoted.end()
    return "".join([*parts, _words(source[end:])])


def _words(source: str) -> str:
    for _ in range(_NESTED):
        source = _ROOT.sub(lambda root: f"√{{{root[1] or root[2]}}}", source)
    pieces: list[str] = []
    for token in _TOKEN.findall(source):
        piece = r"\sqrt" if token == "√" else _WORDS.get(token, token)
        if pieces and piece[0].isalnum() and re.search(r"\\[A-Za-z]+\Z", pieces[-1]):
            pieces.append(" ")
        pieces.append(piece)
    return "".join(pieces)
