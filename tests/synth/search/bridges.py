"""A small world: twelve bridges over four rivers, by three engineers, as Markdown of `extract.linked`."""

from synth.search.task import Page

SITE = "https://bridges.example/"
RIVERS = {
    "Vell": ("420 km", "hills"),
    "Orra": ("1,310 km", "glaciers"),
    "Tamm": ("95 km", "marshes"),
    "Isen": ("730 km", "lakes"),
}
ENGINEERS = {"Ann Moe": "1841-03-02", "Bo Lindqvist": "1866-11-30", "Cara Díaz": "1902-07-19"}
BRIDGES = {  # opened, length, river, engineer, what it is made of
    "Alder Bridge": ("1871-05-01", "120 m", "Vell", "Ann Moe", "iron"),
    "Birch Bridge": ("1874-09-12", "240 m", "Orra", "Ann Moe", "iron"),
    "Cedar Bridge": ("1888-01-20", "95 m", "Tamm", "Ann Moe", "stone"),
    "Dogwood Bridge": ("1899-06-06", "310 m", "Vell", "Bo Lindqvist", "steel"),
    "Elm Bridge": ("1903-10-11", "560 m", "Orra", "Bo Lindqvist", "steel"),
    "Fir Bridge": ("1904-02-28", "150 m", "Tamm", "Bo Lindqvist", "stone"),
    "Gum Bridge": ("1911-08-15", "480 m", "Isen", "Bo Lindqvist", "steel"),
    "Hazel Bridge": ("1927-04-04", "900 m", "Orra", "Cara Díaz", "steel"),
    "Ivy Bridge": ("1933-12-24", "70 m", "Tamm", "Cara Díaz", "concrete"),
    "Juniper Bridge": ("1938-03-17", "1,250 m", "Isen", "Cara Díaz", "concrete"),
    "Larch Bridge": ("1949-05-09", "330 m", "Vell", "Cara Díaz", "concrete"),
    "Maple Bridge": ("1951-07-01", "610 m", "Isen", "Cara Díaz", "steel"),
}


def slug(name: str) -> str:
    return name.lower().replace(" ", "-").replace("í", "i")


def link(name: str) -> str:
    return f"[{name}]({SITE}{slug(name)})"


def page(name: str, text: str) -> Page:
    return Page(f"id-{slug(name)}", SITE + slug(name), name, f"# {name}\n\n{text}\n", "CC0-1.0")


def bridges() -> list[Page]:
    pages = []
    for name, (opened, length, river, engineer, material) in BRIDGES.items():
        told = {
            "Opened": opened,
            "Length": length,
            "Crosses": link(river),
            "Engineer": link(engineer),
            "Material": material,
        }
        pairs = "\n".join(f"**{label}**: {value}" for label, value in told.items())
        pages.append(
            page(name, f"{pairs}\n\nThis crossing of {material} still carries carts in its {len(pages) + 3}th decade.")
        )
    for river, (length, source) in RIVERS.items():
        pages.append(
            page(river, f"**Length**: {length}\n\nA stream that is fed by {source} far away.\n\nSee {link('Ann Moe')}.")
        )
    for engineer, born in ENGINEERS.items():
        rows = "\n".join(f"| {link(name)} | {told[4]} |" for name, told in BRIDGES.items() if told[3] == engineer)
        pages.append(page(engineer, f"**Born**: {born}\n\n## Works\n\n| Work | Built of |\n|---|---|\n{rows}"))
    return pages
