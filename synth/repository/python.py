"""Imports of Python files: of statements at any depth, not of strings and comments.

An import is `a.b` for `import a.b` and `a.b:c` for `from a.b import c`, with leading dots when relative. It means one file, the module
that holds the name: `from a import b` is a/b.py where that is a module, else a/__init__.py. The packages above a module, which Python
runs as well, are no dependencies here: a package that gathers its modules would be in a cycle with each of them.

A module's name begins at any folder above it that is no package. Of several modules of one name the one whose root is nearest above
the importing file counts (scripts, tests), else the one with the shortest root (`src` layouts); names of the standard library are found
above the importing file only. Empty files are seldom among those read, so a folder inside a package counts as one though it has no
`__init__.py`: what lies there goes by its short name only beside and below it, and never by one of the standard library. Not
covered: `importlib`, compiled modules, `__path__`. Some 90 to 170 MB per CPU second.
"""

import re
import sys
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, found_from_folders, upwards

SUFFIXES = (".py", ".pyx", ".pyi", ".pxd")  # of modules of one name the first counts

MAX_LINES = 500  # of one list of names in brackets

_GAP = r"(?:[ \t\f]|\\\r?\n)"
_NAME = r"[\w.]++(?:[ \t]++as[ \t]++\w++)?"
_STATEMENT = re.compile(
    rf"{_GAP}*+(?:[^\n#]*?[:;]{_GAP}*+)??"  # another statement, or what opens a block
    rf"(?P<start>(?:from{_GAP}++(?P<module>\.++(?={_GAP}*+import\b)|[\w.]++(?:[ \t]++[\w.]++)?){_GAP}*+)?c?import\b{_GAP}*+"
    rf"(?:\((?P<inside>(?:[^)#\n]*+(?:#[^\n]*+)?\n){{0,{MAX_LINES}}}+[^)#\n]*+)\)|(?P<names>\*|{_NAME}(?:{_GAP}*+,{_GAP}*+{_NAME})*+)))"
)
_COMMENT = re.compile(r"#[^\n]*+")
_STANDARD = frozenset(sys.stdlib_module_names)


def scan(text: str) -> Mentions:
    found = lexing.in_code(text, list(_statements(text)), lexing.PYTHON, group="start")
    return Mentions(lexing.in_order(name for match in found for name in _imported(match)))


def _statements(text: str) -> Iterator[re.Match[str]]:
    """Every line that holds the word is tried once, together with the lines it goes on from."""
    place = text.find("import")
    while place >= 0:
        begin = text.rfind("\n", 0, place) + 1
        while text.endswith(("\\\n", "\\\r\n"), 0, begin):
            begin = text.rfind("\n", 0, begin - 1) + 1
        end = text.find("\n", place)
        while match := _STATEMENT.match(text, begin):
            yield match
            begin = match.end()
        place = text.find("import", max(begin, end)) if end >= 0 else -1


def _imported(match: re.Match[str]) -> Iterator[str]:
    names = match["names"] or _COMMENT.sub("", match["inside"])
    module = "".join(match["module"].split()) if match["module"] else None
    for name in names.replace("\\", " ").split(","):
        if words := name.split():
            yield words[0] if module is None else f"{module}:{words[0]}"


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    return found_from_folders(tree, members, _Modules(tree, members).find)


class _Modules:
    """Modules by name, from every root they may be imported from."""

    def __init__(self, tree: Tree, members: Sequence[int]):
        self._tree = tree
        self._packages = {folder(path) for path in tree.at if path.endswith(("/__init__.py", "/__init__.pyi"))}
        self._under: dict[tuple[str, str], int] = {}  # by root and name
        self._anywhere: dict[str, int] = {}
        ranked = sorted(members, key=lambda number: _suffix_rank(tree.files[number].path))
        named = [(root, name, number) for number in ranked for root, name in self._names(tree.files[number].path)]
        for root, name, number in sorted(named, key=lambda entry: (entry[0].count("/"), len(entry[0]), entry[0])):
            self._under.setdefault((root, name), number)
            if not self._is_inside(root):
                self._anywhere.setdefault(name, number)

    def _names(self, path: str) -> Iterator[tuple[str, str]]:
        module = path.rpartition(".")[0].removesuffix("/__init__")
        for root in upwards(folder(path)):
            if root not in self._packages and len(module) > len(root):
                yield root, module[len(root) :].lstrip("/").replace("/", ".")

    def _is_inside(self, root: str) -> bool:
        return not self._packages.isdisjoint(upwards(root))

    def find(self, place: str, imported: str) -> int | None:
        """The file that an import in the folder `place` means."""
        module, _, name = imported.partition(":")
        below = module.lstrip(".")
        if below == module:
            return self._absolute(place, module, name)
        above = list(upwards(place))
        level = len(module) - len(below)
        return self._relative(above[level - 1], below, name) if level <= len(above) else None

    def _absolute(self, place: str, module: str, name: str) -> int | None:
        is_standard = module.partition(".")[0] in _STANDARD
        for wanted in (f"{module}.{name}", module) if name else (module,):
            for root in upwards(place):
                if (root, wanted) in self._under and not (is_standard and self._is_inside(root)):
                    return self._under[root, wanted]
            if not is_standard and wanted in self._anywhere:
                return self._anywhere[wanted]
        return None

    def _relative(self, place: str, below: str, name: str) -> int | None:
        module = "/".join(filter(None, [place, *below.split(".")]))
        return self._tree.first(
            f"{where}{file}{suffix}".lstrip("/")
            for where in ([f"{module}/{name}", module] if name else [module])
            for file in ("", "/__init__")
            for suffix in SUFFIXES
        )


def _suffix_rank(path: str) -> tuple[int, str]:
    suffix = path[path.rfind(".") :]
    return (SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)), path
