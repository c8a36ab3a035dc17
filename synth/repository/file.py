"""A file as the graph sees it: its place, its size and what it mentions, without its text."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Mentions(NamedTuple):
    """What a text says of other files, as strings whose form is the language's (see its module)."""

    imports: Sequence[str] = ()
    declares: Sequence[str] = ()  # what others may import or use
    uses: Sequence[str] = ()  # names of things that need no import of their own


class File(NamedTuple):
    path: str
    lang: str | None = None
    role: str = "source"
    num_chars: int = 0
    mentions: Mentions = Mentions()


Edge = tuple[int, int]  # (dependency, dependant), numbers of files


class Tree:
    """The files of one repository, in an order that does not matter, and where each path stands among them."""

    def __init__(self, name: str, files: Sequence[File]):
        self.name, self.files = name, files
        self.at = {file.path: number for number, file in enumerate(files)}

    def first(self, paths: Iterator[str]) -> int | None:
        """The number of the first of `paths` that is a file."""
        return next((self.at[path] for path in paths if path in self.at), None)


def found_from_folders(tree: Tree, members: Sequence[int], find: Callable[[str, str], int | None]) -> Iterator[Edge]:
    """An edge for every import that `find(folder of the file, import)` leads to a file; it is asked once for all files of a folder."""
    known: dict[tuple[str, str], int | None] = {}
    for number in members:
        place = folder(tree.files[number].path)
        for imported in tree.files[number].mentions.imports:
            if (place, imported) not in known:
                known[place, imported] = find(place, imported)
            found = known[place, imported]
            if found is not None:
                yield found, number


def folder(path: str) -> str:
    """`a/b` of `a/b/c.py`; empty at the root."""
    return path.rpartition("/")[0]


def upwards(place: str) -> Iterator[str]:
    """A folder and those that hold it, nearest first, the root (empty) last."""
    while place:
        yield place
        place = folder(place)
    yield ""


def joined(*parts: str) -> str | None:
    """A path from its parts, with `.` and `..` resolved; None when it leaves the repository."""
    steps: list[str] = []
    for step in "/".join(filter(None, parts)).split("/"):
        if step == "..":
            if not steps:
                return None
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def stem(path: str) -> str:
    """`c` of `a/b/c.test.py`."""
    return path.rpartition("/")[2].partition(".")[0]
