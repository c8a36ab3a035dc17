"""The documents that the rows of the tests of the checkers are made from."""

import pyarrow as pa

from datapipe.schema import documents
from tests.synth.reasoning.test_generator import docs
from tests.synth.rephrase.pages import TABLE
from tests.synth.rephrase.test_generator import documents as manuals
from tests.synth.rephrase.test_taught import PROSE as HARBOUR
from tests.synth.search.shipping import documents_of, ships
from tests.synth.tooluse.test_calls import DOCUMENTS as TOOL_LISTS
from tests.synth.tooluse.test_generator import DOCS as SOURCES

__all__ = ["FILES", "MANUALS", "PACKAGE", "PROBLEMS", "PROSE", "SHIPS", "SOURCES", "TOOL_LISTS"]

SHIPS = documents_of(ships())
PROBLEMS = docs()
PROSE = manuals(2, HARBOUR * 3, "web")

OTHER_MANUAL = """lamp.wick.trim(length, blade)
----------------------------

Cuts the end of a wick so that the flame burns without smoke.

Parameters
----------
length : float
    Millimetres of cotton that remain above the brass collar.
blade : str
    Which pair of scissors the keeper takes from the drawer.


lamp.oil.fill(litres)
----------------------------

Pours paraffin from the cellar tank into the lower reservoir of a lamp.

Parameters
----------
litres : float
    Amount that flows before the valve shuts by itself.


lamp.glass.polish()
----------------------------

Wipes soot off every pane with vinegar and an old newspaper.
"""
TABLES = manuals(2, TABLE * 4)
OTHER = manuals(1, OTHER_MANUAL).set_column(0, "id", pa.array(["d" * 32]))
MANUALS = pa.concat_tables([manuals(), OTHER, TABLES.set_column(0, "id", pa.array(["e" * 32, "f" * 32]))])

FILES = {
    "jars/__init__.py": "from jars.core import fits, left, needed\n",
    "jars/core.py": '''"""Jars of marbles."""


def fits(count, size):
    """Whether so many marbles fit."""
    if count <= size:
        return True
    return False


def left(count, size):
    """How many marbles are left over."""
    over = count - size
    if over > 0:
        return over
    return 0


def needed(count, size):
    """How many jars so many marbles need."""
    number = count // size
    if count % size != 0:
        number = number + 1
    return number
''',
    "tests/test_jars.py": """from jars import fits, left, needed


def test_fits():
    assert fits(3, 4)
    assert fits(4, 4)


def test_does_not_fit():
    assert not fits(5, 4)


def test_left():
    assert left(7, 4) == 3


def test_nothing_left():
    assert left(3, 4) == 0


def test_jars():
    assert needed(8, 4) == 2


def test_one_more_jar():
    assert needed(9, 4) == 3
""",
}
PACKAGE: pa.Table = documents(
    {"origin": f"jars@1:{path}", "text": text, "kind": "code", "license": "MIT"} for path, text in FILES.items()
)
