"""What a rewrite must not change: numbers, dates, names, addresses, and the code and formulas in running text.

A mark is kept in a form in which two ways of writing it are one: 1,000 and 1000, 2.50 and 2.5, 3 million and 3,000,000, 12 March 1994 and
1994-03-12, "seven" and 7, `word`s possessive. Of a name every word counts alone, so "Ada Lovelace" may become "Lovelace".

Names are read off capital letters, so of a word that begins a sentence nobody knows: it counts when it has another capital, or stands
elsewhere with one. Not covered: languages without capitals (their names are not found, their numbers are), units and currencies,
dates as 3/4/1994 (kept as written), numbers in words above twelve but the tens, ordinals in words. A text of 4,000 characters takes 2 ms.
"""

import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

MAX_CHARS = 200_000  # of a text; what is behind is not looked at, and no passage is that long

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = "|".join(f"{month}|{month[:3]}" for month in MONTHS)
_DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)\b"),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m>{_MONTH})\b\.?(?:,? (?P<y>\d{{4}})\b)?"),
    re.compile(rf"\b(?P<m>{_MONTH})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y>\d{{4}})\b)?"),
    re.compile(rf"\b(?P<m>{_MONTH})\.?,? (?P<y>\d{{4}})\b"),
)
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"'`]{1,2000}|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_FORMULA = re.compile(r"\\\([^\n]{1,2000}?\\\)|\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$", re.S)
_TAKEN = "\0"  # in the place of a mark that was found
_INLINE_CODE = re.compile(r"`{1,2}([^`\n\0]{1,200})`{1,2}")
# Letters with a digit or an underscore, dotted names, calls, a capital inside a word.
_CODE_WORD = re.compile(
    r"(?<![\w.])(?:[A-Za-z_]\w*\((?! )[^()\n\0]{0,80}\)|[A-Za-z_][\w-]{0,80}(?:\.[A-Za-z_]\w*)+|"
    r"(?=[A-Za-z_]\w*[\d_])(?=_*[A-Za-z])[A-Za-z_]\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*)(?!\w)"
)
_NUMBER = re.compile(r"(?:(?<=[\s(=\[:])-|^-)?\d+(?:[.,]\d+)*(?: (?:thousand|million|billion)\b)?", re.M)
_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_WORDS)} | {
    word: str(value * 10)
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"], 2
    )
}
_COUNTED_LOOSELY = frozenset(
    ["zero", "one", "two"]
)  # "one of them", "the two sides": a writer's words, not the source's
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_NUMBER_WORDS)})\b", re.I)
# Words that are no name whatever their capital, and by which nobody tells what a sentence is about.
_FUNCTION_WORDS = """
a an the this that these those it its he his him she her hers they them their our your my we you i i'm i’m who whom which what where when
why how while if as of to in on at by for with from into onto over under about and or but so than then there here also both each any all
some such can could may might must shall should will would do does did done has have had having not no nor only just more most very other
one two within during after before between through
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_ENUMERATOR = re.compile(r"^[ \t]*(?:\(?\d{1,3}[.)]|[A-Da-d][.)])(?=[ \t])", re.M)  # the layout of a list, no statement
_CAPITALISED = re.compile(r"(?<![\w'’])[^\W\d_a-z][\w’']*")
_OPENS_SENTENCE = re.compile(r"(?:^|[.!?:;|]|\n)[\s\"'“‘(*_#>|-]*\Z")
_PEOPLE = re.compile(r"(?<=\w{4})(?:ians?|iums?|eans?|any|ese|ish|ia|ans?|y|a|n|s)$")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Marks(NamedTuple):
    """The marks of one text, with how often each stands there."""

    numbers: Counter[str]
    dates: Counter[str]  # year-month-day, 0 for what is not said
    names: Counter[str]  # words in lower case
    addresses: Counter[str]
    codes: Counter[str]  # formulas without spaces


class Source(NamedTuple):
    """A text that others are compared with: its marks, and all its words, where a name may stand in another form."""

    marks: Marks
    words: frozenset[str]  # in lower case
    roots: frozenset[str]  # of them, see `root`
    squeezed: str  # without any white space

    @classmethod
    def of(cls, text: str) -> "Source":
        text = text[:MAX_CHARS]
        words = frozenset(map(plain, words_of(text)))
        return cls(marks_of(text), words, frozenset(map(root, words)), "".join(text.split()))


def marks_of(text: str, known: frozenset[str] = frozenset()) -> Marks:
    """The marks of `text`. `known`: words that are names where they begin a sentence, too."""
    text = _ENUMERATOR.sub(lambda match: " " * len(match[0]), text[:MAX_CHARS])
    addresses, text = _taken(_ADDRESS, text, lambda match: match[0].rstrip(".,;:!?)]}'"))
    formulas, text = _taken(_FORMULA, text, lambda match: "".join(match[0].split()))
    inline, text = _taken(_INLINE_CODE, text, lambda match: match[1].strip())
    dates: Counter[str] = Counter()
    for pattern in _DATES:
        found, text = _taken(pattern, text, _date)
        dates += found
    words, text = _taken(_CODE_WORD, text, lambda match: match[0])
    numbers = Counter(number(match[0]) for match in _NUMBER.finditer(text))
    numbers.update(
        _NUMBER_WORDS[word.lower()] for word in _NUMBER_WORD.findall(text) if word.lower() not in _COUNTED_LOOSELY
    )
    return Marks(numbers, dates, _names(text, known), addresses, formulas + inline + words)


def number(written: str) -> str:
    """A number in its shortest form; a version (1.2.3) or a decimal comma as it is."""
    digits, _, scale = written.partition(" ")
    if re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits):
        digits = digits.replace(",", "")
    if not re.fullmatch(r"-?\d{1,40}(?:\.\d{1,40})?", digits):
        return written
    value = Decimal(digits) * _SCALE.get(scale, 1)
    return f"{value:f}".rstrip("0").rstrip(".") or "0" if "." in f"{value:f}" else f"{value:f}"


def said_numbers(source: Marks) -> Counter[str]:
    """The numbers of a text, the years and days of its dates among them."""
    parts = [part for date in source.dates.elements() for part in date.split("-")[::2]]
    return source.numbers + Counter(part for part in parts if part != "0")


def loose_numbers(text: str) -> frozenset[str]:
    """Numbers that a text has in words, the small ones among them, which may be written in digits elsewhere."""
    return frozenset(_NUMBER_WORDS[word.lower()] for word in _NUMBER_WORD.findall(text[:MAX_CHARS]))


def words_of(text: str) -> list[str]:
    """All words, as they stand there."""
    return _WORD.findall(text[:MAX_CHARS])


def plain(word: str) -> str:
    """A word in the form in which names are compared."""
    return re.sub(r"['’]s?$", "", word).casefold()


def says_date(date: str, source: Marks) -> bool:
    """Whether a date of the source is this one, or one that says more."""
    wanted = date.split("-")
    return any(
        all(mine in (theirs, "0") for mine, theirs in zip(wanted, told.split("-"), strict=True))
        for told in source.dates
    )


def root(name: str) -> str:
    """What a country and its people have in common: Nigeria and Nigerian, Germany and German. Any other name loses little."""
    return _PEOPLE.sub("", name)


def _date(match: re.Match[str]) -> str:
    said = match.groupdict()
    month = said["m"]
    index = int(month) if month.isdecimal() else 1 + next(i for i, m in enumerate(MONTHS) if m[:3] == month[:3])
    return f"{said.get('y') or 0}-{index}-{int(said.get('d') or 0)}"


def _taken(pattern: re.Pattern[str], text: str, form: Callable[[re.Match[str]], str]) -> tuple[Counter[str], str]:
    """The matches, each in its form, and the text with something in their place that is in no mark."""
    found: Counter[str] = Counter()

    def take(match: re.Match[str]) -> str:
        found[form(match)] += 1
        return _TAKEN * len(match[0])

    return found, pattern.sub(take, text)


def _names(text: str, known: frozenset[str]) -> Counter[str]:
    names: Counter[str] = Counter()
    opening: Counter[str] = Counter()
    for match in _CAPITALISED.finditer(text):
        word = match[0]
        if plain(word) in FUNCTION_WORDS:
            continue
        opens = _OPENS_SENTENCE.search(text, max(0, match.start() - 12), match.start()) or match.start() == 0
        (opening if opens and not re.search(r".[^\W\d_a-z]", word) else names)[plain(word)] += 1
    names.update({word: count for word, count in opening.items() if word in names or word in known})
    return names
