"""Includes of C, C++, CUDA and Objective-C files.

An import is the path with its delimiters, `"a/b.h"` or `<a/b.h>`. It is looked for beside the including file first. Which folders a
build adds with -I is not known, so every folder above the including file is tried with `include`, `src`, `inc` and `lib` below it,
nearest first, and then whatever file of the repository ends with the path, the shortest first. A name of the C standard library in
angle brackets is not looked for. Conditions are not evaluated: an include of any branch counts. Not covered: names that are macros,
modules of C++20. Some 150 MB per CPU second.
"""

import re
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, found_from_folders, joined, upwards

_INCLUDE = re.compile(r"""#[ \t]*+(?:include(?:_next)?|import)[ \t]*+("[^"\n]++"|<[^>\n]++>)""")
_BELOW = ("", "include", "src", "inc", "lib")
# ISO/IEC 9899:2011, section 7.1.2, and the headers of POSIX.1-2017 that are most often shadowed.
_STANDARD = frozenset(
    (
        *(
            "assert",
            "complex",
            "ctype",
            "errno",
            "fenv",
            "float",
            "inttypes",
            "iso646",
            "limits",
            "locale",
            "math",
            "setjmp",
        ),
        *(
            "signal",
            "stdalign",
            "stdarg",
            "stdatomic",
            "stdbool",
            "stddef",
            "stdint",
            "stdio",
            "stdlib",
            "stdnoreturn",
            "string",
        ),
        *(
            "tgmath",
            "threads",
            "time",
            "uchar",
            "wchar",
            "wctype",
            "dirent",
            "dlfcn",
            "fcntl",
            "getopt",
            "netdb",
            "poll",
        ),
        *("pthread", "regex", "sched", "semaphore", "strings", "termios", "unistd"),
    )
)


def scan(text: str) -> Mentions:
    found = [match for match in _INCLUDE.finditer(text) if not lexing.before(text, match.start()).strip()]
    return Mentions(lexing.in_order(match[1] for match in lexing.in_code(text, found, lexing.C)))


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    shortest: dict[str, int] = {}  # by every ending of a path
    for number in sorted(members, key=lambda number: (len(tree.files[number].path), tree.files[number].path)):
        steps = tree.files[number].path.split("/")
        for first in range(len(steps)):
            shortest.setdefault("/".join(steps[first:]), number)
    return found_from_folders(tree, members, lambda place, include: _find(tree, shortest, place, include))


def _find(tree: Tree, shortest: dict[str, int], place: str, include: str) -> int | None:
    """The file that an include in the folder `place` means."""
    name = include[1:-1]
    if include[0] == "<" and name.removesuffix(".h") in _STANDARD:
        return None
    beside, plain = joined(place, name), joined(name)
    if beside in tree.at or not plain:
        return tree.at.get(beside or "")
    found = tree.first("/".join(filter(None, (above, below, plain))) for above in upwards(place) for below in _BELOW)
    return shortest.get(plain) if found is None else found
