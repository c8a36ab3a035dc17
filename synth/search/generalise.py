"""How vaguely a value may be told: conditions that it meets, from the value itself to what hardly says anything.

A `Condition` is `how` and `args` (strings), and whether a value meets it depends on nothing else:

    equals    value             both normalised (`synth.evidence.normalised`: case, white space, punctuation at the end) are the same
    month     1994-03           the value is a date (`synth.search.values.date`) in this month
    year      1994              ... in this year
    decade    1990              ... in the ten years from then
    century   20                ... with ceil(year / 100) = 20
    between   low high unit     the value is a number (`synth.search.values.number`) in this unit, low <= number <= high; decimals
    at_least  low unit          ... and low <= number
    at_most   high unit         ... and number <= high
    under     step ...          the value is a path (`synth.search.values.path`) of more steps, which begins with these
    initials  A. M.             the value is a name (`synth.search.values.initials`) with these initials
    begins    abc               the value, lower case, begins so; only names of pages are told so
    mentions  word ...          each is among the words of the value (`words_of`)

A page is never told by a condition on itself: it is a variable with clues of its own, so that its name need not occur.
"""

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from synth.evidence import normalised
from synth.search.mine import DESCRIPTION
from synth.search.task import TITLE, Condition
from synth.search.values import CACHED, Date, Number, date, initials, number, path

if TYPE_CHECKING:
    from synth.search.world import World

MAX_WORDS = 4  # of a text that are told
MIN_TEXT_WORDS = 4  # of a text that is told by some of its words
MAX_EXACT_CHARS = 60
COMMON_SHARE, MIN_COMMON = 20, 20  # a word that more than one text in 20 has, and more than 20, tells nothing
_WORD = re.compile(r"\w+(?:[-.'’]\w+)*")
_STOP_WORDS = frozenset(
    {
        "about",
        "also",
        "been",
        "from",
        "have",
        "into",
        "only",
        "other",
        "such",
        "than",
        "that",
        "their",
        "them",
        "there",
        "these",
        "they",
    }
    | {"this", "those", "used", "uses", "using", "very", "were", "what", "when", "which", "will", "with", "your"}
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, in order; a hyphen, full stop or apostrophe within a word belongs to it."""
    return _WORD.findall(text.casefold())


def holds(condition: Condition, value: str) -> bool:
    """Whether a value meets a condition, by the table above. KeyError for a condition that is not in it."""
    return _HOLDS[condition.how](condition.args, value)


def lattice(value: str, relation: str, world: "World", *, avoid: frozenset[str] = frozenset()) -> list[Condition]:
    """Conditions that the value of a relation meets, from exact to vague.

    `avoid`: words (lower case) that no text is told by, those of hidden names. Of a text the rarest words of this relation in the world
    are told. A long text is never told in full, nor is a description, nor a code or the like that
    identifies a page (`World.identifies`).
    """
    is_short = relation != DESCRIPTION and len(value) <= MAX_EXACT_CHARS
    is_measured = date(value) is not None or number(value) is not None
    is_code = not is_measured and world.identifies(relation)
    told = [Condition("equals", (value,))] if is_short and not is_code else []
    for condition in (*told, *_vaguer(value, relation, world, avoid)):
        if holds(condition, value) and condition not in told[1:]:
            told.append(condition)
    return list(dict.fromkeys(told))


def _vaguer(value: str, relation: str, world: "World", avoid: frozenset[str]) -> Iterator[Condition]:
    day, amount, steps = date(value), number(value), path(value)
    if relation == DESCRIPTION:
        yield from _texts(value, relation, world, avoid)
    elif day and not (
        amount and not re.search(r"date|year|born|died|released|founded|published|created|updated|modified", relation)
    ):
        yield from _dates(day)
    elif amount:
        yield from _numbers(amount)
    elif steps:
        for length in range(len(steps) - 1, 0, -1):
            yield Condition("under", steps[:length])
    elif signs := initials(value):
        yield Condition("initials", (signs,))
    elif len(words_of(value)) >= MIN_TEXT_WORDS:
        yield from _texts(value, relation, world, avoid)
    elif relation == TITLE:
        for length in (3, 2):
            if len(value) >= 3 * length and value[:length].isalpha():
                yield Condition("begins", (value[:length].lower(),))


def _dates(day: Date) -> Iterator[Condition]:
    if day.month:
        yield Condition("month", (f"{day.year}-{day.month:02}",))
    yield Condition("year", (str(day.year),))
    yield Condition("decade", (str(day.year // 10 * 10),))
    yield Condition("century", (str(-(-day.year // 100)),))


def _numbers(amount: Number) -> Iterator[Condition]:
    """A range of one leading digit, one of half a power of ten, one of a power of ten, and its lower end."""
    value, unit = amount
    if value <= 0:
        return
    power = Decimal(10) ** math.floor(value.log10())
    digit = int(value / power)
    if value >= 10:
        yield _between(digit * power, (digit + 1) * power, unit)
    low, high = (1, 3) if digit < 3 else (3, 10)
    yield _between(low * power, high * power, unit)
    yield _between(power, 10 * power, unit)
    yield Condition("at_least", (_digits(power), unit))


def _between(low: Decimal, high: Decimal, unit: str) -> Condition:
    return Condition("between", (_digits(low), _digits(high), unit))


def _digits(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _texts(value: str, relation: str, world: "World", avoid: frozenset[str]) -> Iterator[Condition]:
    words = _telling(value, relation, world, avoid)
    for length in range(min(MAX_WORDS, len(words)), 0, -1):
        yield Condition("mentions", tuple(words[:length]))


def _telling(value: str, relation: str, world: "World", avoid: frozenset[str]) -> list[str]:
    """The words of a text that tell most: the rarest first, of equally rare ones the longest; not the boilerplate of the site."""
    counts = world.word_counts(relation)
    limit = max(MIN_COMMON, world.num_subjects(relation) // COMMON_SHARE)
    words = {word for word in words_of(value) if len(word) >= 4 and word.isalpha() and word not in _STOP_WORDS}
    rare = {word for word in words - avoid if counts[word] <= limit}
    return sorted(rare, key=lambda word: (counts[word], -len(word), word))


def _is_equal(args: tuple[str, ...], value: str) -> bool:
    return _normal(args[0]) == _normal(value)


def _in_month(args: tuple[str, ...], value: str) -> bool:
    day = date(value)
    return day is not None and day.month > 0 and f"{day.year}-{day.month:02}" == args[0]


def _in_year(args: tuple[str, ...], value: str) -> bool:
    day = date(value)
    return day is not None and day.year == int(args[0])


def _in_decade(args: tuple[str, ...], value: str) -> bool:
    day = date(value)
    return day is not None and day.year // 10 * 10 == int(args[0])


def _in_century(args: tuple[str, ...], value: str) -> bool:
    day = date(value)
    return day is not None and -(-day.year // 100) == int(args[0])


def _is_between(args: tuple[str, ...], value: str) -> bool:
    amount = number(value)
    return amount is not None and amount.unit == args[2] and Decimal(args[0]) <= amount.value <= Decimal(args[1])


def _is_at_least(args: tuple[str, ...], value: str) -> bool:
    amount = number(value)
    return amount is not None and amount.unit == args[1] and Decimal(args[0]) <= amount.value


def _is_at_most(args: tuple[str, ...], value: str) -> bool:
    amount = number(value)
    return amount is not None and amount.unit == args[1] and amount.value <= Decimal(args[0])


def _is_under(args: tuple[str, ...], value: str) -> bool:
    steps = path(value)
    return len(steps) > len(args) and steps[: len(args)] == args


def _has_initials(args: tuple[str, ...], value: str) -> bool:
    return initials(value) == args[0]


def _begins(args: tuple[str, ...], value: str) -> bool:
    return value.casefold().startswith(args[0])


def _mentions(args: tuple[str, ...], value: str) -> bool:
    return _word_set(value).issuperset(args)


@functools.lru_cache(CACHED)
def _word_set(value: str) -> frozenset[str]:
    return frozenset(words_of(value))


_normal = functools.lru_cache(CACHED)(normalised)


_HOLDS: Mapping[str, Callable[[tuple[str, ...], str], bool]] = {
    "equals": _is_equal,
    "month": _in_month,
    "year": _in_year,
    "decade": _in_decade,
    "century": _in_century,
    "between": _is_between,
    "at_least": _is_at_least,
    "at_most": _is_at_most,
    "under": _is_under,
    "initials": _has_initials,
    "begins": _begins,
    "mentions": _mentions,
}
