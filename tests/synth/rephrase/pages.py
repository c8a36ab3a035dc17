"""Small documents for the tests of rows without a teacher."""

from synth.candidates import Source
from synth.rephrase.drafts import Passage
from synth.rephrase.phrases import Voice
from synth.rephrase.told import told_facts

MANUAL = """shelf.store.put(key, value)
----------------------------

Writes a value under a key and forgets the older one. Calls of shelf.store.put are slow when the disk is busy.

Parameters
----------
key : str
    The name under which the value can be found again.
value : object
    Whatever shall be kept until the store is closed.

Raises
------
KeyError
    If the key holds a slash or is longer than 40 characters.


shelf.store.get(key)
----------------------------

Returns the value that was written last under the key.


shelf.store.sweep(age)
----------------------------

Deletes all values that nobody asked for in a given number of days. A nightly job should call shelf.store.sweep after the backup.

Parameters
----------
age : int
    How many days a value may stay without being read.


shelf.store.count()
----------------------------

Returns the number of values in all open drawers of the store.
"""
TABLE = """Lakes of the region

| Lake | Area | Depth |
|------|-----:|-------|
| Ammer | 46.6 km² | 81 m |
| Chiem | 79.9 km² | 73 m |
| Eib | 1.8 km² |  |

All of them freeze in hard winters.
"""


def source(text: str = MANUAL, *, id: str = "a" * 32, title: str = "“shelf”", kind: str = "book") -> Source:
    return Source(id, text, f"https://docs.example/{id}", kind, title, "MIT", None)


def passage(text: str = MANUAL, **about: str) -> Passage:
    made = source(text, **about)
    return Passage(made, 0, len(text), told_facts(made, seed=0))


def voices(count: int = 40) -> list[Voice]:
    return [Voice(seed, "row") for seed in range(count)]
