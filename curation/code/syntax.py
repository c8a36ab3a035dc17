"""Comments and strings of source text, found by one regular expression per family of languages.

The expressions are made so that time is linear whatever the text: every loop is possessive, and what is never closed ends with its line
or with the text. 75 MB per CPU second of Python, 130 of C++ and JavaScript. No string is left open in 4,700 files of Python, and one in 400
files of JavaScript seems to have one.

Not covered: raw strings of C++ and Rust, verbatim strings of C#, nested templates of JavaScript, heredocs. What is written inside them is
read as code.
"""

import re

_LINE_REST = r"[^\n]*+"
_C_BLOCK = r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
_STRING = r'"(?:[^"\\\n]++|\\.)*+"?'
_QUOTED = r"'(?:[^'\\\n]++|\\.)*+'?"
_CHARACTER = r"'(?:\\[^\n]{1,10}?|[^'\\\n])'"  # an apostrophe may also begin a lifetime, or part digits
_TRIPLE = r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\Z)'
_TRIPLE_QUOTED = r"'''(?:[^'\\]++|\\.|'(?!''))*+(?:'''|\Z)"
_TEMPLATE = r"`(?:[^`\\]++|\\.)*+`?"
_RAW = r"`[^`]*+`?"
# A slash behind an operator, not behind a value, where it divides.
_EXPRESSION = (
    r"/(?:(?<=[=(,:!&|?{;\[]/)|(?<=[=(,:!&|?{;] /)|(?<=return /))(?![*/])"
    r"(?:[^/\\\n\[]++|\\.|\[(?:[^\]\\\n]++|\\.)*+\]?)*+/?"
)
_MARKUP = r"<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)"
_LUA_BLOCK = r"--\[\[(?:[^\]]++|\](?!\]))*+(?:\]\]|\Z)"
# Never matches. Where two ranges of characters or fewer begin a token (`"#` and `'`) the search compares with one after the other; with a
# third range it looks up a bit for each character, which takes a fifth less time.
_NOTHING = r"\x00(?!)"
_BRACES = r"\{-(?:[^-]++|-(?!\}))*+(?:-\}|\Z)"
_STARRED = r"\(\*(?:[^*]++|\*(?!\)))*+(?:\*\)|\Z)"

# What begins with a quote is a string; an expression of JavaScript counts as one; all else is a comment.
_FAMILIES = {
    "python": ("#" + _LINE_REST, _TRIPLE, _TRIPLE_QUOTED, _STRING, _QUOTED, _NOTHING),
    "c c++ cuda objective-c verilog protobuf zig d": ("//" + _LINE_REST, _C_BLOCK, _STRING, _CHARACTER),
    "java c# kotlin scala swift rust": ("//" + _LINE_REST, _C_BLOCK, _TRIPLE, _STRING, _CHARACTER),
    "go": ("//" + _LINE_REST, _C_BLOCK, _RAW, _STRING, _CHARACTER),
    "javascript typescript dart": ("//" + _LINE_REST, _C_BLOCK, _EXPRESSION, _TEMPLATE, _STRING, _QUOTED),
    "php": ("//" + _LINE_REST, _C_BLOCK, "#" + _LINE_REST, _STRING, _QUOTED),
    "css scss less": (_C_BLOCK, _STRING, _QUOTED),
    "json": (_STRING,),
    "sql": ("--" + _LINE_REST, _C_BLOCK, _STRING, r"'[^']*+'?"),
    "lua": (_LUA_BLOCK, "--" + _LINE_REST, _STRING, _QUOTED),
    "haskell": ("--" + _LINE_REST, _BRACES, _STRING, _CHARACTER),
    "ada vhdl": ("--" + _LINE_REST, _STRING, _CHARACTER),
    "ocaml f#": (_STARRED, _STRING, _CHARACTER),
    "ruby perl shell r julia elixir cmake makefile dockerfile powershell yaml toml": (r"#(?<!\S#)[^\n]*+", _STRING),
    "lisp scheme racket clojure": (";" + _LINE_REST, _STRING),
    "erlang tex": ("%" + _LINE_REST,),
    "html xml vue svelte markdown": (_MARKUP,),
}
_PATTERNS = {
    language: re.compile(f"({'|'.join(parts)})", re.DOTALL)
    for languages, parts in _FAMILIES.items()
    for language in languages.split()
}
# Languages in which brackets and quotes outside of comments and strings come in pairs.
BRACKETED = frozenset(
    [
        "python",
        "c",
        "c++",
        "cuda",
        "objective-c",
        "java",
        "c#",
        "kotlin",
        "scala",
        "swift",
        "rust",
        "go",
        "javascript",
        "typescript",
        "dart",
        "json",
        "css",
        "scss",
        "less",
    ]
)
QUOTES = "\"'`"


def pieces(text: str, language: str | None) -> list[int]:
    """Lengths of what is code and what is a comment or string, in turns, code first and last; all is code in an unknown language."""
    pattern = _PATTERNS.get(language or "")
    return list(map(len, pattern.split(text))) if pattern else [len(text)]


def is_closed(token: str) -> bool:
    """Whether a comment or string, as `spans` cuts them, ends as it began: the plain definition. Comments of one line always do."""
    for opening, closing in (
        ("/*", "*/"),
        ("<!--", "-->"),
        ("--[[", "]]"),
        ("{-", "-}"),
        ("(*", "*)"),
        ('"""',) * 2,
        ("'''",) * 2,
    ):
        if token.startswith(opening) and (len(token) > 2 or opening in ("/*", "{-", "(*")):
            return len(token) >= len(opening) + len(closing) and token.endswith(closing)
    if token[0] not in QUOTES:
        return True
    body = token[1:-1]
    return len(token) > 1 and token[-1] == token[0] and (len(body) - len(body.rstrip("\\"))) % 2 == 0
