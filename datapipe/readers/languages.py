"""Programming languages by file name, and how each begins a comment: a literal table, lower-case names."""

import posixpath
import re
from typing import NamedTuple


class Language(NamedTuple):
    name: str
    comment: tuple[str, str]  # what stands before and after a comment of one line
    suffixes: tuple[str, ...]


_HASH, _SLASHES, _DASHES, _SEMICOLONS, _PERCENT = ("# ", ""), ("// ", ""), ("-- ", ""), (";; ", ""), ("% ", "")
_BLOCK, _ANGLES = ("/* ", " */"), ("<!-- ", " -->")

LANGUAGES = (
    Language("python", _HASH, (".py", ".pyi", ".pyx", ".pxd")),
    Language("c", _SLASHES, (".c", ".h")),
    Language("c++", _SLASHES, (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".ipp")),
    Language("cuda", _SLASHES, (".cu", ".cuh")),
    Language("c#", _SLASHES, (".cs",)),
    Language("java", _SLASHES, (".java",)),
    Language("kotlin", _SLASHES, (".kt", ".kts")),
    Language("scala", _SLASHES, (".scala",)),
    Language("javascript", _SLASHES, (".js", ".mjs", ".cjs", ".jsx")),
    Language("typescript", _SLASHES, (".ts", ".tsx")),
    Language("go", _SLASHES, (".go",)),
    Language("rust", _SLASHES, (".rs",)),
    Language("swift", _SLASHES, (".swift",)),
    Language("objective-c", _SLASHES, (".m", ".mm")),
    Language("dart", _SLASHES, (".dart",)),
    Language("d", _SLASHES, (".d",)),
    Language("zig", _SLASHES, (".zig",)),
    Language("php", _SLASHES, (".php",)),
    Language("protobuf", _SLASHES, (".proto",)),
    Language("ruby", _HASH, (".rb", ".gemspec", ".rake")),
    Language("perl", _HASH, (".pl", ".pm")),
    Language("shell", _HASH, (".sh", ".bash", ".zsh")),
    Language("r", _HASH, (".r",)),
    Language("julia", _HASH, (".jl",)),
    Language("elixir", _HASH, (".ex", ".exs")),
    Language("cmake", _HASH, (".cmake",)),
    Language("makefile", _HASH, (".mk",)),
    Language("dockerfile", _HASH, (".dockerfile",)),
    Language("lua", _DASHES, (".lua",)),
    Language("sql", _DASHES, (".sql",)),
    Language("haskell", _DASHES, (".hs",)),
    Language("ada", _DASHES, (".adb", ".ads")),
    Language("vhdl", _DASHES, (".vhd", ".vhdl")),
    Language("verilog", _SLASHES, (".v", ".sv")),
    Language("ocaml", ("(* ", " *)"), (".ml", ".mli")),
    Language("f#", _SLASHES, (".fs", ".fsi")),
    Language("fortran", ("! ", ""), (".f90", ".f95", ".f03", ".f", ".for")),
    Language("assembly", _HASH, (".s", ".asm")),
    Language("lisp", _SEMICOLONS, (".lisp", ".el", ".cl")),
    Language("scheme", _SEMICOLONS, (".scm", ".ss")),
    Language("racket", _SEMICOLONS, (".rkt",)),
    Language("clojure", _SEMICOLONS, (".clj", ".cljs", ".cljc")),
    Language("erlang", _PERCENT, (".erl", ".hrl")),
    Language("tex", _PERCENT, (".tex", ".sty", ".cls")),
    Language("powershell", _HASH, (".ps1", ".psm1")),
    Language("batch", ("rem ", ""), (".bat", ".cmd")),
    Language("css", _BLOCK, (".css", ".scss", ".less")),
    Language("html", _ANGLES, (".html", ".htm")),
    Language("xml", _ANGLES, (".xml", ".xsl", ".xsd")),
    Language("vue", _ANGLES, (".vue",)),
    Language("svelte", _ANGLES, (".svelte",)),
    Language("markdown", _ANGLES, (".md", ".markdown")),
    Language("restructuredtext", (".. ", ""), (".rst",)),
    Language("jinja", ("{# ", " #}"), (".j2", ".jinja", ".jinja2")),
    Language("toml", _HASH, (".toml",)),
    Language("yaml", _HASH, (".yaml", ".yml")),
    Language("ini", _HASH, (".ini", ".cfg")),
    Language("json", _SLASHES, (".json",)),
)
_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
_BY_NAME = {language.name: language for language in LANGUAGES}
_FILE_NAMES = {
    "makefile": "makefile",
    "gnumakefile": "makefile",
    "dockerfile": "dockerfile",
    "cmakelists.txt": "cmake",
    "rakefile": "ruby",
    "gemfile": "ruby",
}
_INTERPRETERS = {"sh": "shell", "bash": "shell", "zsh": "shell", "node": "javascript", "rscript": "r"}
_SHEBANG = re.compile(rb"#!\s*\S*?(?:/env\s+(?:-S\s+)?|/)?([A-Za-z]+)[\d.]*(?:\s|$)")


def language_of(path: str, head: bytes = b"") -> Language | None:
    """The language of a file by its name, else by the shebang that `head`, its first bytes, begins with; None when unknown."""
    name = posixpath.basename(path).lower()
    if name in _FILE_NAMES:
        return _BY_NAME[_FILE_NAMES[name]]
    if language := _BY_SUFFIX.get(posixpath.splitext(name)[1]):
        return language
    if match := _SHEBANG.match(head):
        interpreter = match[1].decode().lower()
        return _BY_NAME.get(_INTERPRETERS.get(interpreter, interpreter))
    return None
