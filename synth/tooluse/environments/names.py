"""Word lists for what no document gives: people, streets, towns. Any likeness to persons is the work of a multiplication table."""

from synth.draw import Draw

FIRST = (
    "Amara", "Anders", "Aiko", "Beatriz", "Benedikt", "Chidi", "Chiara", "Daria", "Dmitri", "Elif", "Emeka", "Fatima",
    "Felix", "Freya", "Goran", "Hana", "Hugo", "Ines", "Ivan", "Jasmin", "Jonas", "Kavya", "Keanu", "Leila", "Lars",
    "Lucia", "Malik", "Marta", "Mei", "Nadia", "Noah", "Olga", "Omar", "Petra", "Priya", "Quentin", "Rafael", "Rosa",
    "Samira", "Sean", "Sofia", "Tariq", "Tomas", "Uma", "Vera", "Viktor", "Wanda", "Xiang", "Yara", "Yusuf", "Zoe",
    "Zoltan",
)  # fmt: skip
LAST = (
    "Abara", "Adler", "Baptiste", "Bergman", "Castillo", "Chowdhury", "Dimitrov", "Duarte", "Eriksen", "Farkas",
    "Fontaine", "Gallo", "Haddad", "Hoffmann", "Ito", "Jansen", "Kaplan", "Keller", "Kowalski", "Lindqvist", "Lopes",
    "Maguire", "Mbeki", "Moreau", "Nakamura", "Nilsson", "Novak", "Okafor", "Olsen", "Park", "Petrov", "Quinn",
    "Rahman", "Reyes", "Rossi", "Sato", "Schmidt", "Silva", "Singh", "Tanaka", "Thorne", "Ueda", "Vargas", "Vogel",
    "Walsh", "Weber", "Yilmaz", "Zhang", "Ziegler",
)  # fmt: skip
STREETS = (
    "Alder", "Beacon", "Cedar", "Chapel", "Dock", "Elm", "Foundry", "Garden", "Harbour", "Hill", "Juniper", "King",
    "Lake", "Linden", "Maple", "Mill", "Oak", "Orchard", "Park", "Quarry", "River", "Station", "Tanner", "Union",
    "Vine", "Willow",
)  # fmt: skip
WAYS = (
    "Street", "Road", "Lane", "Avenue", "Square", "Terrace",
)  # fmt: skip
CITIES = (
    "Aldport", "Bramwick", "Carrow", "Dunmere", "Eastholm", "Fairlea", "Glenford", "Hartsea", "Inverby", "Kelston",
    "Lowmoor", "Marbury", "Northgate", "Oxley", "Penvale", "Ravensby", "Stonebridge", "Thornhill", "Westerby", "Yarrow",
)  # fmt: skip


def names(draw: Draw, count: int) -> list[str]:
    """So many full names, all different."""
    firsts, lasts = draw.shuffled(FIRST, "first"), draw.shuffled(LAST, "last")
    return [f"{firsts[n % len(firsts)]} {lasts[n % len(lasts)]}" for n in range(count)]


def email(name: str, draw: Draw) -> str:
    first, last = name.lower().split()
    form = draw.pick(
        ("{first}.{last}{n}@{host}", "{first}{n}@{host}", "{last}.{first}@{host}", "{first}_{last}@{host}"),
        "form",
        name,
    )
    host = draw.pick(("mail.example", "post.example", "inbox.example", "letters.example"), "host", name)
    return form.format(first=first, last=last, n=draw.below(90, "n", name) + 10, host=host)


def address(draw: Draw, *what: object) -> dict[str, str]:
    """Street, city and zip."""
    street = (
        f"{draw.below(240, 'house', *what) + 1} {draw.pick(STREETS, 'street', *what)} {draw.pick(WAYS, 'way', *what)}"
    )
    return {"street": street, "city": draw.pick(CITIES, "city", *what), "zip": draw.number(5, "zip", *what)}
