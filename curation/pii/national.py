"""Phone numbers as they are written in their own country, told by their shape alone: no country code, no word such as "Tel" before them.

Only shapes that dates, prices, part numbers and tables of figures do not have: in 85 M characters of pages, articles, books and source
code they took nothing else. What a shape needs is a leading 0 or brackets, and a grouping that the country's plan has (national annexes
of ITU-T E.164). Left out, because figures look the same: ten digits in a row, groups between blanks that begin with another digit (Spain,
India, 212 555 0123), and the eleven digits of a Chinese mobile number unless a Chinese character stands before them.
"""

import re

_BLANK = "[ \u00a0]"
_TRUNK = "|".join(  # behind the 0
    [
        rf"2\d{_BLANK}\d{{4}}{_BLANK}\d{{4}}",  # United Kingdom: London and other large towns
        rf"(?:1\d1|11\d|[389]\d\d){_BLANK}\d{{3}}{_BLANK}\d{{4}}",  # large towns, and services
        rf"[17]\d{{3}}{_BLANK}\d{{6}}",  # other towns, mobile
        rf"(?:4\d\d|7\d{{3}}){_BLANK}\d{{3}}{_BLANK}\d{{3}}",  # mobile, of Australia too
        rf"[2-9]\d{{1,3}}{_BLANK}?/{_BLANK}?(?:\d{{5,8}}|\d{{2,4}}(?:{_BLANK}\d{{2,3}}){{1,3}})(?:-\d{{1,4}})?",  # Germany
        rf"1(?:5\d|6[023]|7\d)(?:{_BLANK}|[/-])\d{{7,8}}",  # mobile
        r"[1-9]\d{1,2}-\d{7,8}|6-\d{8}",  # China, Netherlands
        r"[1-9]\d?-\d{3,4}-\d{4}|[1-9]\d\d-\d\d-\d{4}",  # Japan, Korea
    ]
)
_BRACKETS = rf"0[1-9]\d{{0,3}}\)(?:{_BLANK}|-)?\d{{2,5}}(?:(?:{_BLANK}|-)?\d{{2,5}}){{1,2}}"  # behind the bracket
_BRAZIL = rf"[1-9]\d\){_BLANK}?(?:9{_BLANK}?)?\d{{4}}-\d{{4}}"
_RUSSIA = rf"(?:{_BLANK}|-)?\(\d{{3,5}}\)(?:{_BLANK}|-)?\d{{1,3}}-\d\d-\d\d"  # behind the 8
_NORTH_AMERICA = r"\d\d/[2-9]\d\d-\d{4}"  # behind the first digit
_CHINA_GROUPS = r"[3-9]\d(?: \d{4} |-\d{4}-)\d{4}"  # behind the 1
_CHINA = r"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])\d{8}"
TRACE = (
    rf"0(?:{_TRUNK})|\((?:{_BRACKETS}|{_BRAZIL})|8{_RUSSIA}|[2-9]{_NORTH_AMERICA}|1{_CHINA_GROUPS}"
    rf"|\p{{Han}}[：:，,、 ]{{0,2}}{_CHINA}"
)

# As in `numbers`, a lookbehind stands behind the first character.
_END = r"(?![\w=]|[-./,]\w|[ \u00a0]\d)"
_SHAPES = [
    re.compile(rf"{first}(?<![\w.,+/=-]{first})(?<!\d[ \u00a0]{first})(?:{rest}){_END}")
    for first, rest in (
        ("0", _TRUNK),
        (r"\(", f"{_BRACKETS}|{_BRAZIL}"),
        ("8", _RUSSIA),
        ("[2-9]", _NORTH_AMERICA),
        ("1", _CHINA_GROUPS),
    )
]
_BEHIND_HAN = re.compile(rf"[\u3400-\u9fff][：:，,、 ]{{0,2}}({_CHINA})(?![0-9A-Za-z_]|[-.]\d)")
_LEAST, _MOST = 8, 13  # digits of a number with its area code, the 0 among them


def find(text: str) -> list[tuple[int, int]]:
    """[start, end) of each, by shape."""
    found = [match.span() for shape in _SHAPES for match in shape.finditer(text)]
    found += [match.span(1) for match in _BEHIND_HAN.finditer(text)]
    return [(start, end) for start, end in found if _LEAST <= sum(map(str.isdigit, text[start:end])) <= _MOST]
