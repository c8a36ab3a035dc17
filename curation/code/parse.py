"""Does a Python file parse? CPython's own parser says so, of the version that runs here.

Python 2 does not parse as Python 3: `print "x"` and `except E, e` are errors, and such files count as broken. The symbol table is built and
thrown away, which finds the errors of `ast.parse` and some more (a name that is both parameter and global) in two thirds of its time:
8 MB per CPU second. No code is run. Nesting beyond what the parser takes counts as an error, in whatever way it says so.
"""

import symtable
import warnings

MAX_CHARS = 1_000_000  # of source; the parser takes some 100 bytes of memory for each


def parses(text: str) -> bool:
    """Whether the text is Python. One of more than `MAX_CHARS` characters is not asked about and taken as it is."""
    if len(text) > MAX_CHARS:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings, comparisons by identity
        try:
            symtable.symtable(text.removeprefix("\ufeff"), "source", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a NUL, half a pair of surrogates
            return False
    return True
