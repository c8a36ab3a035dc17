"""The place of a chapter in its book, read from a file name, a path or a heading: `ch2` before `ch10`, `IV` before `V`, appendices last.

A place is a tuple that compares: a path's parts one after the other, each with its rank (front matter, body, back matter) and what
stands in it, numbers as numbers. Roman numerals count where they are all of a part or follow a word such as chapter; so do English
number words up to twenty. A letter behind "appendix" is a number. Not covered: number words of other languages, and file names in which
nothing tells the order: there a heading must (`order` of the generator `book`).
"""

import re

# Words of divisions. What follows one of them may be a Roman numeral, a number word or a letter.
DIVISIONS = frozenset(
    [
        "chapter",
        "chap",
        "ch",
        "part",
        "pt",
        "book",
        "bk",
        "volume",
        "vol",
        "section",
        "sec",
        "s",  # of ch02s01.html, as DocBook's stylesheets name files
        "sect",
        "canto",
        "act",
        "scene",
        "letter",
        "lesson",
        "lecture",
        "appendix",
        "app",
        "annex",
        "chapitre",
        "partie",
        "tome",
        "livre",
        "annexe",
        "kapitel",
        "teil",
        "band",
        "anhang",
        "abschnitt",
        "capitulo",
        "parte",
        "libro",
    ]
)
_FRONT = {
    word: place
    for place, words in enumerate(
        (
            "cover titlepage",
            "index toc contents",  # index.html opens a book of web pages; a heading "Index" closes one
            "title copyright",
            "dedication epigraph",
            "foreword preface pr",
            "prologue introduction intro",
        )
    )
    for word in words.split()
}
_BACK = {
    word: place
    for place, words in enumerate(
        (
            "epilogue afterword postscript",
            "conclusion",
            "appendix appendices annex annexe anhang",
            "acknowledgements acknowledgments",
            "notes endnotes",
            "glossary",
            "bibliography references",
            "colophon",
        )
    )
    for word in words.split()
}
BEFORE, BODY, AFTER = range(3)
_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_ROMAN = re.compile(r"(?=[ivxlc])(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_EXTENSION = re.compile(r"(?:\.(?:md|markdown|html?|xhtml|txt|text|tex|rst|xml|jsonl?|gz|zst|bz2|xz))+$", re.I)
_APPENDIX_SECTION = re.compile(r"[A-H]\.\d")  # "A.3. Images"; later letters are Roman numerals too
_MAX_DIGITS = 18

Part = tuple[
    int, int, bool, tuple[int, ...], tuple[str, ...]
]  # rank, place in it, has no number, numbers it begins with, the rest


def place_of(name: str) -> tuple[Part, ...]:
    """The place that a path below the book's folder, a file name or a heading (`4.2. Partitions`) says. Places compare."""
    written = name.strip()
    bare = _EXTENSION.sub("", written)
    return tuple(_part(part, is_file=bare != written) for part in bare.split("/"))


def numbers_of(place: tuple[Part, ...]) -> tuple[int, tuple[int, ...]]:
    """(rank of the last part of a place, the numbers it begins with, () where it has none)."""
    rank, _, _, numbers, _ = place[-1]
    return rank, numbers


def _part(text: str, *, is_file: bool) -> Part:
    tokens = [token[:_MAX_DIGITS] for token in _TOKEN.findall(text.lower())]
    if _APPENDIX_SECTION.match(text):
        return AFTER, _BACK["appendix"], False, *_numbered(["appendix", *tokens])
    first = tokens[0] if tokens else ""
    rank, place = BODY, 0
    if tokens == ["index"] and not is_file:
        rank, place = AFTER, len(_BACK)
    elif first in _FRONT:
        rank, place = BEFORE, _FRONT[first]
    elif first in _BACK:
        rank, place = AFTER, _BACK[first]
    numbers, rest = _numbered(tokens)
    return rank, place, not numbers, numbers, rest


def _numbered(tokens: list[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(the numbers that the words begin with, divisions before them left out; the other words)."""
    numbers: list[int] = []
    for index, token in enumerate(tokens):
        number = _number(token, tokens[index - 1] if index else "", is_alone=len(tokens) == 1)
        if number is not None:
            numbers.append(number)
        elif token not in DIVISIONS:
            return tuple(numbers), tuple(
                each.zfill(_MAX_DIGITS) if each.isdecimal() else each for each in tokens[index:]
            )
    return tuple(numbers), () if numbers else tuple(tokens)  # "s" alone is a letter of a dictionary


def _number(token: str, before: str, *, is_alone: bool) -> int | None:
    if token.isdecimal():
        return int(token)
    if before in _BACK and len(token) == 1 and "a" <= token <= "z":
        return ord(token) - ord("a") + 1
    if before in DIVISIONS:
        return _NUMBER_WORDS.index(token) if token in _NUMBER_WORDS else _roman(token)
    return _roman(token) if is_alone and (len(token) > 1 or token in "ivx") else None


def _roman(token: str) -> int | None:
    """The value of a numeral up to 399, None for what is none."""
    match = _ROMAN.fullmatch(token)
    if not match:
        return None
    hundreds, tens, ones = match.groups()
    small = {"": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9}
    as_ones = str.maketrans("xlc", "ivx")
    return 100 * len(hundreds) + 10 * small[tens.translate(as_ones)] + small[ones]
