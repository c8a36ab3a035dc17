"""A small world of pages, and search questions that the generator asked about it."""

import itertools

import pyarrow as pa
import pytest

from datapipe.schema import documents
from synth.search.generator import emit, reduce

COASTS = ("Amber", "Basalt", "Chalk", "Dune", "Ember", "Flint")
KEEPERS = ("Ada Winter", "Bruno Falk", "Clara Ohm", "Dora Lind", "Emil Gray")
LAMPS = ("oil", "gas", "mirror", "lens", "arc", "diode", "prism")
SITE = "https://lights.example"


def lighthouse(number: int) -> str:
    coast, keeper, lamp = COASTS[number % 6], KEEPERS[number * 7 % 5], LAMPS[number * 3 % 7]
    rows = {
        "Keeper": keeper,
        "Lamp": lamp,
        "Height": f"{11 + number * 13 % 47} m",
        "Built": str(1801 + number * 17 % 140),
    }
    twin = (number * 5 + 3) % 48
    return (
        f"# Light {name(number)}\n\nLight {name(number)} is a lighthouse on the [{coast} coast]({SITE}/coast/{coast.lower()}).\n\n"
        + "".join(f"**{key}**: {value}\n\n" for key, value in rows.items())
        + f"**Sister light**: [Light {name(twin)}]({SITE}/light/{twin})\n"
    )


def name(number: int) -> str:
    return "".join(
        ("ba", "do", "ki", "lu", "me", "ro", "sa", "ti")[place] for place in (number % 8, number // 8, number * 3 % 8)
    ).title()


def coast(which: str) -> str:
    return f"# {which} coast\n\n**Sea**: {which[::-1].title()} sea\n\n**Length**: {len(which) * 37} km\n"


@pytest.fixture(scope="session")
def pages() -> pa.Table:
    """Documents: 48 lighthouses that name each other, and six coasts."""
    texts = {f"{SITE}/light/{number}": lighthouse(number) for number in range(48)}
    texts |= {f"{SITE}/coast/{which.lower()}": coast(which) for which in COASTS}
    rows = [
        {"origin": url, "text": text, "corpus": "pages", "kind": "web", "license": "MIT"} for url, text in texts.items()
    ]
    return documents(rows)


@pytest.fixture(scope="session")
def questions(pages: pa.Table) -> pa.Table:
    """Eight accepted search questions."""
    made = reduce(emit(pages), accept=8, min_calls=2, obfuscation=0.5)
    kept = [row for row in made.to_pylist() if row["drop_reason"] is None]
    assert len(kept) == 8
    return pa.Table.from_pylist(list(itertools.islice(kept, 8)), schema=made.schema)
