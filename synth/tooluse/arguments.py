"""Arguments for a tool that is only described, and the sentence that says them, so that it can be read back.

Values come from the schema: enumerations, examples (also those that a description quotes), defaults, ranges, formats; where it gives none,
from word lists by the words of the parameter's name. A parameter that must be given and for which there is none leaves its tool without a
request. `said` writes arguments as words and `read_back` finds them there: what it does not find, a model could only guess.
"""

import re
from collections.abc import Mapping
from typing import Any

from synth.draw import Draw
from synth.tooluse.environments import names

MAX_ITEMS = 3
OPTIONAL_PERCENT = 35
_QUOTED = re.compile(
    r"(?:e\.g\.?,?|for example,?|such as|like|i\.e\.,?|[Ee]xamples?:)\s*[`'\"“]([^`'\"”\n]{1,60})[`'\"”]"
)
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
PEOPLE = tuple(f"{first} {last}" for first, last in zip(names.FIRST, names.LAST, strict=False))
BY_NAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("email", ("mara.lind@mail.example", "t.okafor@post.example", "info@harbour.example")),
    ("city|location|destination|origin|place|town", tuple(names.CITIES)),
    ("country|nation", ("Norway", "Kenya", "Chile", "Japan", "Portugal", "Canada", "India", "Greece")),
    ("region|province", ("Bavaria", "Ontario", "Tuscany", "Oregon", "Queensland")),
    ("currency", ("EUR", "USD", "JPY", "CHF", "SEK", "INR")),
    ("language", ("English", "Spanish", "Hindi", "Swahili", "German")),
    ("color|colour", ("teal", "crimson", "ochre", "navy")),
    ("url|link|website", ("https://harbour.example/news", "https://docs.example/start")),
    ("phone", ("+1 555 0134", "+44 20 5550 188")),
    ("date|day|deadline", ("2026-03-14", "2026-07-02", "2026-11-25", "2027-01-08")),
    ("time", ("08:30", "14:15", "19:45")),
    ("zip|postal", ("80279", "10115", "94016")),
    ("file|path", ("notes/plan.txt", "reports/may.csv", "data/input.json")),
    ("folder|directory|dir", ("archive", "reports", "drafts")),
    ("user|username|login|recipient|receiver|sender", ("jonas.weber", "amara_k", "lena42", "p.rossi")),
    ("company|brand|organization|organisation|team|store|restaurant", ("Nimbus Insurance", "Oak Hardware", "River Gym", "Kite Airlines")),
    ("person|artist|player|actor|director|employee|patient|author|composer|singer|contact|customer|client", PEOPLE),
    ("topic|subject|query|keyword|search|theme", ("solar power", "bread baking", "jazz history", "river ecology", "chess openings")),
    ("message|content|text|comment|body|description|note|review",
     ("See you at noon.", "The report is ready.", "Please call me back.", "It works well.")),
    ("id|code|key|token|symbol|ticker|stock", ("A1043", "K2207", "X9918", "B3340", "Q7015")),
)  # fmt: skip
NUMBERS = {
    "year": (1990, 2026), "month": (1, 12), "day": (1, 28), "hour": (0, 23), "minute": (0, 59), "age": (18, 80), "percent": (1, 100),
    "latitude": (-60, 70), "longitude": (-120, 140), "rate": (1, 12), "limit": (1, 20), "page": (1, 9), "radius": (1, 50),
}  # fmt: skip
FORMATS = {
    "date": ("2026-03-14", "2026-07-02", "2026-11-25"),
    "date-time": ("2026-03-14T09:30:00Z", "2026-07-02T18:00:00Z"),
    "time": ("08:30:00Z", "14:15:00Z"),
    "email": BY_NAME[0][1],
    "uri": ("https://harbour.example/news", "https://docs.example/start"),
    "uuid": ("7d444840-9dc0-11d1-b245-5ffdce74fad2", "0f14d0ab-9605-4a62-a9e4-5ed26688389b"),
}  # fmt: skip


class NoValue(ValueError):
    """Nothing says what an argument could be."""


def sampled(tool: Mapping[str, Any], draw: Draw, *what: Any) -> dict[str, Any]:
    """Arguments for every required parameter and some of the others. Raises NoValue."""
    chosen: dict[str, Any] = {}
    for name, schema in tool["parameters"]["properties"].items():
        required = name in tool["parameters"]["required"]
        if required or draw.chance(OPTIONAL_PERCENT, "optional", name, *what):
            try:
                chosen[name] = _value(name, schema, draw, name, *what)
            except NoValue:
                if required:
                    raise
    return chosen


def _value(name: str, schema: Mapping[str, Any], draw: Draw, *what: Any) -> Any:
    kind = schema["type"]
    given = [value for value in schema.get("enum") or schema.get("examples") or () if _is(kind, value)]
    if given:
        return draw.pick(given, "given", *what)
    if kind == "boolean":
        return draw.chance(50, "true", *what)
    if kind in ("integer", "number"):
        return _number(name, schema, draw, *what)
    if kind == "array":
        return _array(name, schema, draw, *what)
    if kind == "object":
        raise NoValue(name)
    options = FORMATS.get(schema.get("format", "")) or _QUOTED.findall(schema.get("description", "")) or _by_name(name)
    low, high = schema.get("minLength", 1), schema.get("maxLength", 200)
    fitting = [option for option in options if low <= len(option) <= high and _sayable(option)]
    if not fitting:
        raise NoValue(name)
    return draw.pick(fitting, "text", *what)


def _is(kind: str, value: Any) -> bool:
    types = {"string": str, "integer": int, "number": int | float, "boolean": bool, "array": list, "object": dict}
    if kind == "string" and isinstance(value, str):
        return _sayable(value)
    return (
        kind in ("integer", "number", "boolean")
        and isinstance(value, types[kind])
        and (kind == "boolean" or not isinstance(value, bool))
    )


def _sayable(text: str) -> bool:
    """Whether it can stand between quotation marks in a sentence."""
    return bool(text.strip()) and text == text.strip() and not re.search(r"[“”\n]", text)


def _number(name: str, schema: Mapping[str, Any], draw: Draw, *what: Any) -> int | float:
    low, high = next((NUMBERS[word] for word in reversed(_parts(name)) if word in NUMBERS), (1, 100))
    low = schema.get("minimum", low)
    high = schema.get("maximum", max(low + 99, high) if "minimum" in schema else high)
    low, high = int(-(-low // 1)), int(high // 1)
    if high < low:
        raise NoValue("range")
    whole = low + draw.below(min(high - low, 10_000) + 1, "number", *what)
    if schema["type"] == "integer" or draw.chance(50, "whole", *what) or whole == high:
        return whole
    return round(whole + (1 + draw.below(98, "decimals", *what)) / 100, 2)


def _array(name: str, schema: Mapping[str, Any], draw: Draw, *what: Any) -> list[Any]:
    low, high = int(schema.get("minItems", 1)), int(schema.get("maxItems", MAX_ITEMS))
    count = max(low, min(high, 1 + draw.below(MAX_ITEMS, "items", *what)))
    if count > MAX_ITEMS or schema["items"]["type"] in ("array", "object", "boolean"):
        raise NoValue(name)
    return [_value(name, schema["items"], draw, index, *what) for index in range(count)]


def _by_name(name: str) -> tuple[str, ...]:
    """The word list of the last word of a name that has one; a name alone, or a full one, is a person's."""
    parts = _parts(name)
    if parts[-1:] == ["name"] and set(parts) <= {"name", "full", "first", "last", "my"}:
        return PEOPLE
    lists = {word: options for words, options in BY_NAME for word in words.split("|")}
    return next((lists[word] for word in reversed(parts) if word in lists), ())


def _parts(name: str) -> list[str]:
    """Its words, lower case and in the singular."""
    return [word.lower().removesuffix("s") if len(word) > 3 else word.lower() for word in _NAME_PARTS.findall(name)]


def in_words(name: str) -> str:
    """`departure_date` and `departureDate` as `departure date`."""
    return (
        " ".join(part.lower() if not part.isupper() or len(part) == 1 else part for part in _NAME_PARTS.findall(name))
        or name
    )


def said(arguments: Mapping[str, Any], draw: Draw, *what: Any) -> str:
    """The arguments as a phrase, in their order: `departure date is “2026-03-14”, seats are 2`."""
    link = draw.pick((" is ", ": ", " = ", " should be "), "link", *what)
    return draw.pick((", ", "; ", ", "), "comma", *what).join(
        f"{in_words(name)}{link}{_shown(value)}" for name, value in arguments.items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"“{value}”"
    if isinstance(value, list):
        return "[" + " / ".join(map(_shown, value)) + "]"
    return str(value)


_VALUE = r"(\[[^\]]*\]|“[^”]*”|-?\d+(?:\.\d+)?(?:e-?\d+)?|yes\b|no\b)"


def read_back(text: str, tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that `text` says, by the names of the tool's parameters; None where one is said twice, or a name could mean two."""
    properties = tool["parameters"]["properties"]
    spoken: dict[str, str] = {}
    for name in properties:
        if spoken.setdefault(in_words(name), name) != name:
            return None
    found: dict[str, Any] = {}
    outside = re.sub(
        r"“[^”]*”", lambda quoted: "“" + "\0" * (len(quoted[0]) - 2) + "”", text
    )  # a name inside of a value is no name
    for words, name in spoken.items():
        for match in re.finditer(rf"(?:^|[,;.:!?] ){re.escape(words)}(?: is |: | = | should be )", outside):
            value = re.match(_VALUE, text[match.end() :])
            if value is None or name in found:
                return None
            found[name] = _read(value[1])
    return {name: found[name] for name in properties if name in found}


def _read(shown: str) -> Any:
    if shown.startswith("["):
        return [_read(part) for part in shown[1:-1].split(" / ")]
    if shown.startswith("“"):
        return shown[1:-1]
    if shown in ("yes", "no"):
        return shown == "yes"
    return float(shown) if re.search(r"[.e]", shown) else int(shown)
