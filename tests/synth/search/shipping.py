"""A small world to search in: ships, the yards that built them and the captains that sailed them, as pages of Markdown."""

import json
import random

import pyarrow as pa

from datapipe.schema import document_id
from synth.search.task import Page

SITE = "https://ships.example"
SHIPS = [
    "Alder Bay",
    "Bonny Kestrel",
    "Corvina",
    "Dunmore Castle",
    "Elsa Thorne",
    "Fair Isle",
    "Glenfinnan",
    "Hesper",
    "Inverlochy",
    "Janet Croom",
    "Kirkwall Lass",
    "Lammerlaw",
    "Morven",
    "Northern Pearl",
    "Ormidale",
    "Penarth",
    "Queen Thistle",
    "Rosneath",
    "Strathay",
    "Tamerlane",
    "Ulva",
    "Vigilant",
    "Westerglen",
    "Yarrow Dene",
]
YARDS = ["Abernyte Brothers", "Caird Slip", "Denholm and Sons", "Forthside", "Guthrie Yard", "Hallmark Iron Works"]
CAPTAINS = ["Ada Lorimer", "Bram Tulloch", "Cyril Vance", "Dora Eskdale", "Ewan Fordyce", "Flora Garrick"]
CARGOES = ["wool", "jute", "timber", "granite", "herring", "sugar", "guano", "coal", "tea", "linen"]
PORTS = ["Valparaiso", "Melbourne", "Riga", "Bergen", "Callao", "Brisbane", "Montevideo", "Oporto"]
TRAITS = [
    "narrow",
    "heavy",
    "ungainly",
    "graceful",
    "leaky",
    "stubborn",
    "swift",
    "ill-fated",
    "restless",
    "silent",
    "gilded",
    "patient",
]


def slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def link(kind: str, name: str) -> str:
    return f"[{name}]({SITE}/{kind}/{slug(name)})"


def ships(seed: int = 5) -> list[Page]:
    """36 pages; what is on them depends on `seed` alone."""
    draw = random.Random(seed)
    texts: dict[tuple[str, str], str] = {}
    built: dict[str, list[str]] = {yard: [] for yard in YARDS}
    sailed: dict[str, list[str]] = {captain: [] for captain in CAPTAINS}
    for ship in SHIPS:
        yard, captain = draw.choice(YARDS), draw.choice(CAPTAINS)
        built[yard].append(ship)
        sailed[captain].append(ship)
        traits, cargo, port = draw.sample(TRAITS, 2), draw.sample(CARGOES, 2), draw.choice(PORTS)
        texts["ship", ship] = (
            f"# {ship}\n\n**Builder**: {link('yard', yard)}\n"
            f"**Launched**: {draw.randint(1850, 1899)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}\n"
            f"**Length**: {draw.randint(30, 99)} m\n"
            f"**Figurehead**: {draw.choice(TRAITS)} {draw.choice(CARGOES)} {draw.choice(['nymph', 'lion', 'saint', 'eagle'])}\n\n"
            f"A {traits[0]} and {traits[1]} barque that carried {cargo[0]} and {cargo[1]} between Leith and {port}.\n\n"
            f"Her best known master was {link('captain', captain)}.\n"
        )
    for yard, names in built.items():
        texts["yard", yard] = (
            f"# {yard}\n\n**Founded**: {draw.randint(1790, 1849)}\n**Slipways**: {draw.randint(1, 40)}\n\n"
            f"A builder of {draw.choice(TRAITS)} iron hulls beside the {draw.choice(CARGOES)} quays of the firth.\n\n"
            "## Ships built\n\n" + "".join(f"- {link('ship', name)}\n" for name in names)
        )
    for captain, names in sailed.items():
        texts["captain", captain] = (
            f"# {captain}\n\n**Born**: {draw.randint(1820, 1870)}\n**Certificate**: no. {draw.randint(1000, 9999)}\n\n"
            f"A {draw.choice(TRAITS)} mariner who never learned to swim and wrote of {draw.choice(CARGOES)}.\n\n"
            "## Commands\n\n" + "".join(f"- {link('ship', name)}\n" for name in names)
        )
    return [
        Page(document_id(url), url, name, text, "CC-BY-4.0")
        for (kind, name), text in texts.items()
        for url in [f"{SITE}/{kind}/{slug(name)}"]
    ]


def documents_of(pages: list[Page]) -> pa.Table:
    """The pages as documents, as `extract.linked` makes them."""
    return pa.table(
        {
            "id": [page.id for page in pages],
            "origin": [page.url for page in pages],
            "text": pa.array([page.text for page in pages], pa.large_string()),
            "license": pa.array([page.license for page in pages], pa.string()),
            "meta": [json.dumps({"title": page.title}) for page in pages],
        }
    )
