"""Imports of Rust files: `mod`, and every path that begins at `crate`, `super`, `self` or, in a `use`, at a crate of the repository.

Imports are `mod name` (`mod outer/name` inside an inline module), `mod name file.rs` for one with a `path` attribute, and paths such as
`crate::a::b`, of `use` or in the middle of code. A path means the file of its longest beginning that is a module. A parent module
depends on the modules that it declares. Crates are found by the name in their Cargo.toml (declared: the name and the path of the
library, if any). Not covered: macros that make modules, items that reach a module through `pub use` of another, paths of the 2015
edition. Some 55 MB per CPU second.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, joined, upwards

MAX_PATHS = 1000  # of one `use`
MAX_DEPTH = 32  # of its braces
MAX_USE = 5000  # characters of one
MAX_INLINE = 200  # modules inside a file that are told apart
MAX_MANIFEST = 32_000  # characters; tomllib needs quadratic time for a dotted key
MAX_ATTRIBUTES = 300  # characters before a `mod`

_MOD = re.compile(r"mod(?<!\wmod)[ \t]++(?:r#)?(?P<name>\w++)\s*+(?P<end>[;{])")
_BEFORE_MOD = re.compile(r"(?P<indent>[ \t]*+)(?:pub(?:\([^)\n]*+\))?[ \t]++)?")
_PATH_ATTRIBUTE = re.compile(r"""#\[path\s*+=\s*+"([^"\n]++)"\]\s*+(?:#\[[^\n]*\]\s*+)*+$""")
_USE = re.compile(r"use(?<!\wuse)\s++(?:::)?(?=[\w{])|extern crate ")
_PATHS = tuple(
    re.compile(rf"{start}::(?<!\w{start}::)(?:r#)?\w++(?:::(?:r#)?\w++)*+") for start in ("crate", "super", "self")
)
_TOKEN = re.compile(r"//[^\n]*|[{},]|\*|(?:r#)?(\w+)(?:\s+as\s+\w+)?")
_ROOTS = ("lib.rs", "main.rs")
_ROOT_FOLDERS = ("bin", "tests", "examples", "benches")  # every file in one is a crate


def scan(text: str) -> Mentions:
    found, inline = _modules(text)
    paths = sorted((match for pattern in (_USE, *_PATHS) for match in pattern.finditer(text)), key=re.Match.start)
    for match in lexing.in_code(text, paths, lexing.RUST):
        depth = sum(begin <= match.start() < end for begin, end, _ in inline)
        written = _expanded(_tree(text, match.end())) if match.re is _USE else [match[0].replace("r#", "")]
        found.update(_outside(path, depth) for path in written)
    return Mentions(sorted(found))


def _tree(text: str, begin: int) -> str:
    """What a `use` names, up to its semicolon; nothing where that is not to be seen."""
    return text[begin : max(begin, text.find(";", begin, begin + MAX_USE))]


def _modules(text: str) -> tuple[set[str], list[tuple[int, int, str]]]:
    """The `mod` imports, and where inline modules begin and end, with their names."""
    found: set[str] = set()
    inline: list[tuple[int, int, str]] = []
    for mod in lexing.in_code(text, list(_MOD.finditer(text)), lexing.RUST):
        before = _BEFORE_MOD.fullmatch(lexing.before(text, mod.start()))
        if before and mod["end"] == ";":
            within = [name for begin, end, name in inline if begin <= mod.start() < end]
            line = text.rfind("\n", 0, mod.start()) + 1
            path = _PATH_ATTRIBUTE.search(text, max(0, line - MAX_ATTRIBUTES), line)
            found.add(f"mod {'/'.join([*within, mod['name']])} {path[1] if path else ''}".rstrip())
        elif before and len(inline) < MAX_INLINE:
            end = text.find(f"\n{before['indent']}}}", mod.end())  # under its beginning, as rustfmt sets it
            inline.append((mod.end(), end if end >= 0 else len(text), mod["name"]))
    return found, inline


def scan_manifest(text: str) -> Mentions:
    """A Cargo.toml declares the crate's name, as code writes it, and the path of its library."""
    try:
        manifest = tomllib.loads(text) if len(text) <= MAX_MANIFEST else {}
    except (ValueError, RecursionError):
        return Mentions()
    package, library = manifest.get("package"), manifest.get("lib")
    library = library if isinstance(library, dict) else {}
    name = library.get("name", package.get("name") if isinstance(package, dict) else None)
    path = library.get("path", "src/lib.rs")
    return Mentions(declares=[name.replace("-", "_"), path] if isinstance(name, str) and isinstance(path, str) else [])


def _outside(path: str, depth: int) -> str:
    """A path as the file's own module would write it that stands in `depth` inline modules."""
    steps = path.split("::")
    while depth and steps[0] == "super":
        depth -= 1
        steps = steps[1:] if steps[1:2] == ["super"] else ["self", *steps[1:]]
        if steps[0] == "self":
            break
    return "::".join(steps)


def _expanded(tree: str) -> list[str]:
    """The paths of a `use`: `a::{b, c::d}` is a::b and a::c::d."""
    found: list[str] = []
    prefixes: list[list[str]] = []  # of the open braces
    steps: list[str] = []
    for token in _TOKEN.finditer(tree):
        if token[0] == "{":
            prefixes.append(list(steps))
        elif token[0] in ",}":
            found.append("::".join(steps))
            if token[0] == "}" and prefixes:
                prefixes.pop()
            steps = list(prefixes[-1]) if prefixes else []
        elif token[1] and (token[1] != "self" or not steps):
            steps.append(token[1])
        if len(found) > MAX_PATHS or len(prefixes) > MAX_DEPTH:
            break
    return [path for path in [*found, "::".join(steps)] if path]


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    crates = _Crates(tree, members)
    for number in members:
        path = tree.files[number].path
        for imported in tree.files[number].mentions.imports:
            found = (
                crates.child(path, imported.split(" ")[1])
                if imported.startswith("mod ")
                else crates.find(path, imported)
            )
            if found is not None:
                yield tree.at[found], number


class _Crates:
    def __init__(self, tree: Tree, members: Sequence[int]):
        self._tree = tree
        self._libraries: dict[str, str] = {}  # by crate name
        self._elsewhere: dict[tuple[str, str], str] = {}  # (file, module): the file of a `path` attribute
        for file in sorted(tree.files):
            if file.path.rpartition("/")[2] == "Cargo.toml" and file.mentions.declares:
                name, path = file.mentions.declares
                self._libraries.setdefault(name, joined(folder(file.path), path) or "")
        self._roots = set(self._libraries.values())
        for number in members:
            file = tree.files[number]
            for imported in file.mentions.imports:
                if imported.startswith("mod ") and imported.count(" ") > 1:
                    _, name, path = imported.split(" ", 2)
                    self._elsewhere[file.path, name] = joined(folder(file.path), path) or ""

    def child(self, path: str, name: str) -> str | None:
        place = folder(path) if self._is_folder(path) else path.removesuffix(".rs")
        candidates = (
            self._elsewhere.get((path, name), ""),
            f"{place}/{name}.rs".lstrip("/"),
            f"{place}/{name}/mod.rs".lstrip("/"),
        )
        return next((candidate for candidate in candidates if candidate in self._tree.at), None)

    def find(self, path: str, imported: str) -> str | None:
        start, *steps = imported.split("::")
        if start == "crate":
            return self._walk(self._root(path), steps)
        if start in ("self", "super"):
            place: str | None = path
            while start == "super" and place:
                place = self._parent(place)
                if steps[:1] != ["super"]:
                    break
                steps = steps[1:]
            return self._walk(place, steps)
        if child := self.child(path, start):
            return self._walk(child, steps)
        return self._walk(self._libraries.get(start), steps)

    def _walk(self, place: str | None, steps: Sequence[str]) -> str | None:
        if place not in self._tree.at:
            return None
        for step in steps:
            below = self.child(place or "", step)
            if below is None:
                break
            place = below
        return place

    def _is_folder(self, path: str) -> bool:
        """Whether the modules below a file's lie beside it."""
        return path.rpartition("/")[2] in ("mod.rs", *_ROOTS) or self._is_root(path)

    def _is_root(self, path: str) -> bool:
        above = folder(path)
        return (
            path in self._roots
            or path.rpartition("/")[2] in _ROOTS
            or (above.rpartition("/")[2] in _ROOT_FOLDERS and f"{above}/mod.rs" not in self._tree.at)
        )

    def _parent(self, path: str) -> str | None:
        if self._is_root(path):
            return None
        above = folder(folder(path)) if path.endswith("/mod.rs") else folder(path)
        candidates = (f"{above}/mod.rs", f"{above}/lib.rs", f"{above}/main.rs", f"{above}.rs")
        return next((name.lstrip("/") for name in candidates if name.lstrip("/") in self._tree.at), None)

    def _root(self, path: str) -> str | None:
        if self._is_root(path):
            return path
        candidates = (f"{above}/{name}".lstrip("/") for above in upwards(folder(path)) for name in _ROOTS)
        return next((name for name in candidates if name in self._tree.at), None)
