"""What the files of a repository need of each other: one literal table from languages to how their imports are read and resolved.

`scan` looks at one text and knows nothing of other files; `edges` looks at what was found in all files and at no text. Languages that
are not here have no edges: their files go with their folders.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from synth.repository import c, csharp, go, java, javascript, python, rust
from synth.repository.file import Edge, Mentions, Tree


class Language(NamedTuple):
    scan: Callable[[str], Mentions]
    edges: Callable[[Tree, Sequence[int]], Iterator[Edge]]


_PYTHON = Language(python.scan, python.edges)
_JAVASCRIPT = Language(javascript.scan, javascript.edges)
_C = Language(c.scan, c.edges)

LANGUAGES: dict[str, Language] = {
    "python": _PYTHON,
    "cython": _PYTHON,
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
    "tsx": _JAVASCRIPT,
    "jsx": _JAVASCRIPT,
    "vue": _JAVASCRIPT,
    "svelte": _JAVASCRIPT,
    "java": Language(java.scan, java.edges),
    "go": Language(go.scan, go.edges),
    "rust": Language(rust.scan, rust.edges),
    "c": _C,
    "c++": _C,
    "cuda": _C,
    "objective-c": _C,
    "objective-c++": _C,
    "c#": Language(csharp.scan, csharp.edges),
}
CONFIGURATION: dict[str, Callable[[str], Mentions]] = {
    "package.json": javascript.scan_package,
    "tsconfig.json": javascript.scan_config,
    "jsconfig.json": javascript.scan_config,
    "Cargo.toml": rust.scan_manifest,
    "go.mod": go.scan_module,
}


def scan(path: str, lang: str | None, text: str) -> Mentions:
    """What a file says of others; nothing where its language is not known here."""
    about = CONFIGURATION.get(path.rpartition("/")[2])
    if about is not None:
        return about(text)
    return LANGUAGES[lang].scan(text) if lang in LANGUAGES else Mentions()


def edges(tree: Tree) -> set[Edge]:
    """(dependency, dependant) of every import that leads to another file of the repository."""
    members: dict[Language, list[int]] = {}
    for number, file in enumerate(tree.files):
        if file.lang in LANGUAGES and file.path.rpartition("/")[2] not in CONFIGURATION:
            members.setdefault(LANGUAGES[file.lang], []).append(number)
    found = {edge for language, numbers in members.items() for edge in language.edges(tree, numbers)}
    return {(dependency, dependant) for dependency, dependant in found if dependency != dependant}
