"""Small repositories for tests: file texts by path, and what is found between them."""

from collections.abc import Mapping

from datapipe.readers.languages import LANGUAGES
from synth.repository import imports
from synth.repository.file import File, Tree

SUFFIXES = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".java": "java",
    ".go": "go",
    ".rs": "rust",
    ".c": "c",
    ".h": "c",
    ".hpp": "c++",
    ".cc": "c++",
    ".cs": "c#",
    ".md": "markdown",
    ".rst": "restructuredtext",
}
assert set(SUFFIXES.values()) <= {language.name for language in LANGUAGES}


def lang(path: str) -> str | None:
    return SUFFIXES.get(path[path.rfind(".") :])


def role(path: str) -> str:
    return "documentation" if lang(path) in ("markdown", "restructuredtext") else "source"


def tree(texts: Mapping[str, str], name: str = "owner/thing") -> Tree:
    files = [
        File(path, lang(path), role(path), len(text), imports.scan(path, lang(path), text))
        for path, text in texts.items()
    ]
    return Tree(name, files)


def edges(texts: Mapping[str, str], name: str = "owner/thing") -> set[tuple[str, str]]:
    """(dependency, dependant) as paths."""
    found = tree(texts, name)
    return {(found.files[one].path, found.files[other].path) for one, other in imports.edges(found)}
