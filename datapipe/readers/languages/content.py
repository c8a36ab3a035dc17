"""What the first lines of a file say about its language: the interpreter it names, an editor's mode line, and telling suffixes apart.

Rules for an ambiguous suffix are tried in order and the first that finds its pattern wins; where none does, the last entry says what the
suffix mostly is (a name), or that the model is asked (None). A rule is a name, a pattern, and perhaps words of which one stands wherever
the pattern fits. An anchor (`^`, `\\A`) begins a pattern and is for all of it. Only the first `HEAD_BYTES` are read. The patterns are
free of nested repeats, so a head costs linear time. Not covered: files of several languages (they have that of their suffix).
"""

import functools
import re
from collections.abc import Callable, Sequence

from datapipe.readers.languages.table import BY_INTERPRETER, BY_NAME, Language

HEAD_BYTES = 16 << 10

_SHEBANG = re.compile(
    r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*(?:\S*/)?)?([A-Za-z][\w+-]*?)(?:-?\d[\d.]*)?(?=\s|$)"
)
_EMACS = re.compile(r"-\*-\s*(?:[^\n]*?\bmode:\s*)?([\w+#-]+)\s*(?:;[^\n]*)?-\*-", re.I)
_VIM = re.compile(r"\b(?:vi|vim|ex):\s*(?:set?\s+)?[^\n]*?\b(?:ft|filetype|syntax)=([\w+#-]+)")
_MODE_MARKS = ("-*-", "ft=", "filetype=", "syntax=")  # one stands in every mode line
_MODES = {
    "bash": "shell", "sh": "shell", "zsh": "shell", "shell-script": "shell", "cpp": "c++", "cs": "c#", "csharp": "c#",
    "objc": "objective-c",
    "js": "javascript", "js2": "javascript", "latex": "tex", "plaintex": "tex",
    "lisp": "common lisp", "elisp": "emacs lisp",
    "emacs-lisp": "emacs lisp", "make": "makefile", "makefile-gmake": "makefile", "makefile-automake": "makefile", "perl6": "raku",
    "cperl": "perl", "asm": "assembly", "nasm": "assembly", "octave": "matlab", "conf": "ini", "dosini": "ini",
    "rst": "restructuredtext",
    "viml": "vim script", "vim": "vim script", "sml": "standard ml", "fsharp": "f#", "coq": "rocq",
    "ps1": "powershell", "dosbatch": "batch",
    "caml": "ocaml", "tuareg": "ocaml", "conf-unix": "ini", "enh-ruby": "ruby",
    "rmd": "markdown", "nxml": "xml", "yacc": "yacc",
}  # fmt: skip
_MARKUP_START = re.compile(r"\s*(?:<\?xml\s|<!doctype\s+html\b|<html\b)", re.I)
_HOSTS_OF_MARKUP = frozenset(("php", "hack"))  # programming languages whose files may begin with markup
_ECMASCRIPT = frozenset(("javascript", "typescript"))  # one interpreter runs both

_OBJECTIVE_C = r"^[ \t]*(?:@(?:interface|protocol|implementation|property|class|end|import)\b|#\s*import\s)"
_CPP = (
    r"^[ \t]*(?:template\s*<|(?:inline\s+)?namespace\b|using\s+(?:namespace\s+\w|(?:typename\s+)?[\w:]+\s*[;=<])"
    r"|(?:enum\s+)?class\s+[\w\s:<>,]*[{;]"
    r"|(?:public|private|protected)\s*(?:\w+\s*)?:|virtual\s|friend\s|explicit\s|#\s*include\s*<\w+>"
    r"|#\s*include\s*[<\"][^>\"\n]*\.(?:hpp|hh|hxx)[>\"])"
)
_CPP_WORDS = r"\b(?:std::\w|constexpr\b|nullptr\b|(?:static|dynamic|reinterpret|const)_cast<|operator\s*[=+*<\[(-])"
_CPP_MARKS = ("std::", "constexpr", "nullptr", "_cast<", "operator")
_QT_TRANSLATION = r"<TS\b|<!DOCTYPE TS>"
_PERL = (
    r"^[ \t]*(?:use\s+(?:strict|warnings|v?5|base|parent|lib|vars|[A-Z]\w*)\b"
    r"|package\s+[\w:]+\s*[;{]|(?:my|our|local)\s+[$@%(]|sub\s+\w+\s*[{(]|=(?:pod|head\d|cut)\b)"
)
_RAKU = r"^[ \t]*(?:use[ \t]+v6|unit[ \t]+(?:module|class|role)\b|multi[ \t]+(?:sub|method)\b)"
_PROLOG = r"^(?::-\s*\w|\w[^\n%]*:-(?:\s|$)|[a-z]\w*\([^\n]*\)\s*\.\s*$)"
_GLSL = r"^[ \t]*(?:#version\s+\d|precision\s+\w+\s+float|uniform\s+\w|varying\s+\w|attribute\s+\w)"
_GLSL_WORDS = r"\bgl_(?:Position|FragColor|Vertex)\b|\bvoid\s+main\s*\(\s*(?:void)?\s*\)"
_FORTH = r"^(?:: \S+\s|\\ |VARIABLE\s|CREATE\s|\( )"
_PHP = r"<\?(?:php\b|=)"
_ASSEMBLY = (
    r"^[ \t]*(?:\.(?:globl|global|section|text|macro|equ|align|byte|word)\b|%(?:macro|define|include"
    r"|ifdef)\b|(?:mov|push|pop|lea|jmp|call|ldr|xor)[lqwb]?\s|\w+\s+(?:equ|db|dw|dd|proc|macro)\b)"
)
_ROFF = r"^[.']\s*(?:TH|SH|Dd|Dt|Sh|so|de|PP|B|\\\")"

_RULES: dict[str, tuple[tuple[str, ...] | str | None, ...]] = {
    ".h": (("objective-c", _OBJECTIVE_C), ("c++", _CPP), ("c++", _CPP_WORDS, *_CPP_MARKS), "c"),
    ".m": (
        ("objective-c", _OBJECTIVE_C), ("objective-c", r"^(?:[ \t]*#\s*include\b|[-+]\s*\(\w)"),
        ("wolfram", r"^[ \t]*\w+\[[^\]\n]*_[^\]\n]*\]\s*:?="), ("wolfram", r"\(\*|BeginPackage\["),
        ("matlab", r"^[ \t]*(?:%|function\b|classdef\b|end\s*;?\s*$|(?:clear|clc|close)\b|\w+\s*=\s*[^;\n]*;?\s*$)"),
        None,
    ),
    ".mm": (("xml", r"\A\s*<"), "objective-c++"),
    ".cl": (("common lisp", r"^[ \t]*[;(]"), ("common lisp", r"\(def(?:un|macro|var|package)\b"), "opencl"),
    ".cs": (("smalltalk", r"\A\s*[\"']"), ("smalltalk", r"![\w\s]+methodsFor:"), "c#"),
    ".sc": (
        ("supercollider", r"^[ \t]*(?:\+|\*)?[ \t]*\w+[ \t]*(?::[ \t]*\w+)?[ \t]*\{[ \t]*$"),
        ("supercollider", r"\|\w+\||\bvar[ \t]+<>?\w"),
        "scala",
    ),
    ".ts": (("xml", r"\A\s*(?:<\?xml|" + _QT_TRANSLATION + ")"), "typescript"),
    ".rs": (("xml", r"\A\s*<\?xml"), "rust"),
    ".d": (("makefile", r"\A(?:#[^\n]*\n)*\s*[\w./+-]+\.\w+\s*:(?:\s|$)"), "d"),
    ".vsh": (("glsl", _GLSL), ("glsl", _GLSL_WORDS), "v"),
    ".cls": (
        ("tex", r"^[ \t]*(?:%|\\(?:NeedsTeXFormat|ProvidesClass|newcommand|def)\b)"),
        ("visual basic", r"^[ \t]*(?:VERSION\s+\d|Attribute\s+VB_|Option\s+Explicit|End\s+Sub)\b"),
        ("apex", r"\b(?:public|private|global|with sharing)\b[^\n]*\bclass\b"),
        None,
    ),
    ".as": (("actionscript", r"^[ \t]*(?:package\b|import\s+[\w.]+|(?:public|private|internal)\s+(?:function|class"
                             r"|var)\b)"), ("actionscript", r"\bvar\s+\w+\s*:"), "angelscript"),
    ".pl": (("raku", _RAKU), ("perl", _PERL), ("prolog", _PROLOG), "perl"),
    ".pm": (("raku", _RAKU), "perl"),
    ".t": (("raku", _RAKU), ("perl", _PERL), None),
    ".r": (("rebol", r"^[ \t]*REBOL\s*\["), "r"),
    ".pro": (
        ("prolog", _PROLOG),
        ("qmake", r"^[ \t]*(?:(?:QT|CONFIG|TEMPLATE|SOURCES|HEADERS|TARGET|SUBDIRS|INCLUDEPATH|LIBS|win32|unix)\b\s*[-+*]?=|include\()"),
        ("idl", r"^[ \t]*(?:(?:pro|function)\s+\w+|;)"),
        None,
    ),
    ".gd": (("gap", r"^#[#YW]"), ("gap", r"\bDeclare(?:Operation|Attribute|GlobalFunction|Property)\b"), "gdscript"),
    ".f": (("forth", r"^(?:: \S+\s[^\n]*;|\\ )"), "fortran"),
    ".pp": (("pascal", r"^[ \t]*(?:unit|program|library|uses|interface|implementation)\b"), ("pascal", r"\bbegin\s*$"), "puppet"),
    ".mod": (("xml", r"\A\s*<(?:\?xml|!)"), ("modula-2", r"^[ \t]*(?:IMPLEMENTATION\s+|DEFINITION\s+)?MODULE\s+\w+"), None),
    ".e": (("eiffel", r"^[ \t]*(?:class|feature|inherit|create|note"
                      r"|indexing)\b"), ("euphoria", r"^[ \t]*(?:include|global|function|procedure|constant)\b"), None),
    ".ex": (("euphoria", r"^[ \t]*(?:include\s|global\s|end\s+(?:procedure|function|if)|without\s+warning)"), "elixir"),
    ".v": (
        ("verilog", r"^[ \t]*(?:`(?:timescale|define|include|ifdef)|module\s+\w+|endmodule|always\s*@|(?:input"
                    r"|output|reg|wire|assign)\s)"),
        ("rocq", r"^[ \t]*(?:Require|Import|Export|Theorem|Lemma|Definition|Inductive|Fixpoint|Proof|Module|Section|Set|From)\b"),
        ("rocq", r"\(\*"),
        ("v", r"^[ \t]*(?:pub\s+)?(?:fn|struct|module|import)\s+\w+"),
        None,
    ),
    ".ml": (("standard ml", r"^[ \t]*(?:fun|structure|signature|functor|datatype)\s+\w+"), ("standard ml", r"\bfn\s+\w+\s*=>"), "ocaml"),
    ".fs": (
        ("f#", r"^[ \t]*(?:(?:open|module|namespace|type)\s+[\w.]|let\s+(?:rec\s+|inline\s+|mutable\s+)?\w|\[<)"),
        ("glsl", _GLSL), ("glsl", _GLSL_WORDS),
        ("forth", _FORTH),
        None,
    ),
    ".vs": (("glsl", _GLSL), ("glsl", _GLSL_WORDS), None),
    ".bb": (("clojure", r"^(?:[ \t]*[;(]|#!)"), "bitbake"),
    ".l": (("lex", r"^%(?:%|\{|option\b)"), ("roff", _ROFF), ("common lisp", r"^[ \t]*[;(]"), None),
    ".plt": (("prolog", _PROLOG), "gnuplot"),
    ".md": (("machine description", r"^\(define_(?:insn|expand|split|peephole2?|constants|attr)\b"), "markdown"),
    ".inc": (
        ("php", _PHP),
        ("assembly", _ASSEMBLY),
        ("pascal", r"^[ \t]*(?:\{\$|procedure\s|unit\s|uses\s)"),
        ("bitbake", r"^[ \t]*(?:SRC_URI|DEPENDS|LICENSE|PV|inherit|require)\b"),
        ("povray", r"^[ \t]*#(?:declare|local|version)\b"),
        ("c++", _CPP), ("c++", _CPP_WORDS, *_CPP_MARKS),
        ("c", r"^(?:[ \t]*#\s*(?:define|include|if|ifdef|ifndef)\b|[A-Z_]+\()"), ("c", r";\s*$|/\*"),
        None,
    ),
    ".i": (("swig", r"^%\w+"), ("c", r"^#\s*(?:\d+\s|line\b|include)"), ("c", r";\s*$"), None),
    ".ll": (("llvm", r"^(?:define|declare|target|source_filename|; ModuleID|@\w+ =|%\w+ =|; RUN)"), ("lex", r"^%%"), "llvm"),
    ".y": (("yacc", r"^%(?:%|\{|token\b|start\b)"), None),
    ".yy": (("yacc", r"^%(?:%|\{|token\b|start\b|skeleton\b)"), ("json", r"\A\s*\{"), None),
    ".re": (("c++", r"^[ \t]*#\s*include"), ("c++", r"/\*!re2c"), "reason"),
    ".res": (("rescript", r"^[ \t]*(?:let|open|type|module|@)\b"), None),
    ".tpl": (("smarty", r"\{(?:\*|if\b|foreach\b|include\b|\$\w)"), ("php", _PHP), None),
    ".st": (("smalltalk", r"![\w\s]*(?:methodsFor:|class)|subclass:\s*#"), None),
    ".q": (("sql", r"^[ \t]*(?i:select|create|insert|set|from|drop)\b"), "q"),
    ".conf": (("ini", r"^[ \t]*(?:\[[^\]\n]+\]\s*$|[\w.-]+\s*=)"), None),
    ".do": (("shell", r"\A#!"), ("shell", r"^[ \t]*(?:redo|echo|exec)\b"), "stata"),
    ".sig": (("standard ml", r"\bsignature\b"), None),
    ".fun": (("standard ml", r"\bfunctor\b"), None),
    ".bas": (("basic", r"^[ \t]*(?:\d+\s+)?(?i:rem|print|dim|sub|end|attribute|option|'|let|goto)\b"), None),
    ".def": (("modula-2", r"^[ \t]*DEFINITION\s+MODULE\b"), ("c", r"^[ \t]*(?:#\s*(?:define|if|undef)|[A-Z_]+\s*\(|/[*/])"), None),
    ".sch": (("xml", r"\A\s*<"), ("scheme", r"^[ \t]*[;(]"), None),
    ".mt": (("wolfram", r"\(\*"), None),
    ".resource": (("robotframework", r"^\*\*\*\s*\w"), None),
    ".asset": (("unity asset", r"\A%YAML"), None),
    ".mat": (("unity asset", r"\A%YAML"), None),
    ".meta": (("unity asset", r"^fileFormatVersion:"), None),
    ".anim": (("unity asset", r"\A%YAML"), None),
    ".spec": (
        ("rpm spec", r"^(?:Name|Version|Release|Summary|%\w+)\s*[:{ ]"),
        ("python", r"^[ \t]*(?:import|from|a\s*=\s*Analysis)\b"),
        ("ruby", r"^[ \t]*(?:describe|require)\b"),
        None,
    ),
    ".fx": (("hlsl", r"\b(?:technique|float4|cbuffer|sampler)\b"), None),
    ".trigger": (("apex", r"^[ \t]*trigger\s+\w+\s+on\b"), None),
    **{f".{section}": (("roff", _ROFF), None) for section in range(1, 10)},
}  # fmt: skip


def named(head: str) -> Language | None:
    """The language that the shebang or an editor's mode line among the first and last lines of `head` names; None when none does."""
    if language := interpreter(head):
        return language
    if head.startswith(("#lang ", "#!lang ")):
        return BY_NAME["racket"]
    if not any(mark in head for mark in _MODE_MARKS):
        return None  # most heads, and they need not be cut into lines
    lines = head.splitlines()
    for line in (*lines[:5], *lines[-5:]):
        if match := (_EMACS.search(line) if "-*-" in line else _VIM.search(line)):
            mode = match[1].lower()
            if language := BY_NAME.get(_MODES.get(mode, mode)):
                return language
    return None


def interpreter(head: str) -> Language | None:
    """The language of the interpreter in a first line `#!...`."""
    if not head.startswith("#!"):
        return None
    match = _SHEBANG.match(head)
    return BY_INTERPRETER.get(match[1].lower()) if match else None


def contradicts(language: Language, head: str) -> Language | None:
    """What a file must be whose name says `language` while its beginning says that it cannot be; None while they agree.

    A file of a programming language does not begin with an XML declaration or an HTML page, nor name another interpreter. `sh` is no
    other: scripts of many languages begin as shell and hand themselves over.
    """
    if language.type != "programming":
        return None
    if head.startswith("#!"):
        other = interpreter(head)
        is_same = other is None or other.name in (language.name, "shell") or {other.name, language.name} <= _ECMASCRIPT
        return None if is_same else other
    if language.name not in _HOSTS_OF_MARKUP and head.lstrip("\ufeff \t\r\n").startswith("<"):
        match = _MARKUP_START.match(head.lstrip("\ufeff"))
        return BY_NAME["xml" if "xml" in match[0].lower() else "html"] if match else None
    return None


def by_suffix(suffix: str, head: str) -> tuple[Language | None, bool]:
    """(the language that the rules of an ambiguous suffix find, whether they decide). Undecided: ask the model."""
    rules, otherwise = _rules(suffix)
    for name, marks, finds in rules:
        if (not marks or any(mark in head for mark in marks)) and finds(head):
            return BY_NAME[name], True
    return (BY_NAME[otherwise], True) if otherwise else (None, False)


def has_rules(suffix: str) -> bool:
    return suffix in _RULES


@functools.cache
def _rules(suffix: str) -> tuple[tuple[tuple[str, Sequence[str], Callable[[str], object]], ...], str | None]:
    """(name, marks, whether the pattern is in a head) of each rule, and what the suffix mostly is."""
    *rules, otherwise = _RULES[suffix]
    assert otherwise is None or isinstance(otherwise, str)
    return tuple((rule[0], rule[2:], _finder(rule[1])) for rule in rules if isinstance(rule, tuple)), otherwise


def _finder(pattern: str) -> Callable[[str], object]:
    """Whether `pattern` is in a text. `re` would try an anchor at every character; looking for line breaks is ten times faster."""
    if pattern.startswith("\\A"):
        return re.compile(pattern, re.M).match
    if not pattern.startswith("^"):
        return re.compile(pattern, re.M).search
    first, later = re.compile(pattern[1:], re.M).match, re.compile(f"\n{pattern[1:]}", re.M).search
    return lambda text: first(text) or later(text)
