"""Clues in English: what a relation and a condition sound like, in several phrasings each.

A relation that is a verb (`depends on`) has two directions in `VERBS`; any other label is a noun of the page's own ("whose license is"),
in quotation marks where it is no plain word. Numbers of unnamed units become "the number of ...".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from synth.search.mine import DESCRIPTION, LINKS_TO
from synth.search.task import TITLE, Condition

VERBS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {  # subject to object, object to subject
    LINKS_TO: (("links to", "has a link to", "refers to"), ("is linked from", "is referred to by")),
    "alternative to": (("is an alternative to",), ("has an alternative in",)),
    "based on": (("is based on", "builds on"), ("is the basis of",)),
    "built with": (("is built with", "was built with"), ("is used to build", "served to build")),
    "composed by": (("was composed by",), ("composed",)),
    "depends on": (("depends on", "needs", "cannot do without"), ("is a dependency of", "is needed by")),
    "deprecated in favor of": (("is deprecated in favour of",), ("replaces",)),
    "derived from": (("is derived from",), ("is the origin of",)),
    "directed by": (("was directed by",), ("directed",)),
    "extends": (("extends",), ("is extended by",)),
    "founded by": (("was founded by",), ("founded",)),
    "fork of": (("is a fork of",), ("was forked as",)),
    "implements": (("implements",), ("is implemented by",)),
    "imports": (("imports",), ("is imported by", "is among the imports of")),
    "installed by": (("is installed by", "comes with"), ("installs", "brings along")),
    "married to": (("married", "was married to"), ("married", "was married to")),
    "designed by": (("was designed by",), ("designed",)),
    "developed by": (("was developed by",), ("developed",)),
    "published by": (("was published by",), ("published",)),
    "located in": (("is located in", "lies in"), ("is where one finds",)),
    "born in": (("was born in",), ("is the birthplace of",)),
    "mentions": (("mentions", "names"), ("is mentioned by", "is named by")),
    "part of": (("is part of", "belongs to"), ("contains", "includes")),
    "performed by": (("was performed by",), ("performed",)),
    "produced by": (("was produced by",), ("produced",)),
    "replaced by": (("is replaced by",), ("replaces",)),
    "requires": (("requires",), ("is required by",)),
    "similar to": (("is similar to",), ("is similar to",)),
    "starring": (("stars",), ("is among the stars of",)),
    "subclass of": (("is a subclass of",), ("has as a subclass",)),
    "child of": (("is a child of",), ("is a parent of",)),
    "successor of": (("is the successor of",), ("was succeeded by",)),
    "superseded by": (("is superseded by",), ("supersedes",)),
    "wrapper around": (("is a wrapper around", "wraps"), ("is wrapped by",)),
    "wrapper for": (("is a wrapper for", "wraps"), ("is wrapped by",)),
    "written by": (("was written by",), ("wrote",)),
    "written in": (("is written in",), ("is the language of",)),
}
NOUNS = {  # of values, where the label is none
    TITLE: "name",
    DESCRIPTION: "description",
    "abolished": "date of abolition",
    "born": "date of birth",
    "born in": "birthplace",
    "based in": "seat",
    "child of": "parent",
    "created": "date of creation",
    "discontinued": "end date",
    "established": "date of establishment",
    "founded": "date of foundation",
    "introduced": "date of introduction",
    "last updated": "date of the last update",
    "published": "date of publication",
    "withdrawn": "date of withdrawal",
    "died": "date of death",
    "located in": "location",
    "released": "release date",
    "starring": "star",
    "directed by": "director",
    "written by": "writer",
    "produced by": "producer",
    "composed by": "composer",
    "founded by": "founder",
    "published by": "publisher",
    "designed by": "designer",
    "developed by": "developer",
    "performed by": "performer",
}
_CAPITALS = re.compile(  # words that English writes with capitals; labels are compared in small letters
    r"\b(?:(?P<whole>api|css|dos|html|hp|http|https|id|iso|koi8-r|pdf|sql|uri|url|utc|xml)|(?P<first>english|french|german|linux|mac|python|unix"
    r"|unicode|windows|january|february|march|april|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday"
    r"|friday|saturday|sunday))\b"
)
_PLAIN_LABEL = re.compile(r"[a-z][a-z '’-]*")
_VERB = re.compile(
    r"(?:contains|created|defines|depends|features|founded|implements|includes|installs|provides|published|released|requires|supports|uses)\b"
)
_MONTHS = (
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
)


class Relation(NamedTuple):
    """What the wording needs to know of a relation."""

    name: str
    is_many: bool  # some pages have it to several objects


Pick = Callable[[Sequence[str]], str]  # one of several phrasings


def links(relation: Relation, *, is_forward: bool, pick: Pick) -> str:
    """A verb phrase with `{}` for the other page: `depends on {}`; backward it speaks of the object."""
    name = relation.name
    if name in VERBS:
        return pick(VERBS[name][0 if is_forward else 1]) + " {}"
    if not is_forward:
        return _is_one_of(relation, pick)
    noun = quoted_label(name)
    if not relation.is_many:
        return pick([f"has {{}} as its {noun}", f"names {{}} as its {noun}", f"gives {{}} as its {noun}"])
    nouns = plural(noun)
    return pick([f"has {{}} among its {nouns}", f"lists {{}} as one of its {nouns}", f"counts {{}} among its {nouns}"])


def linking(relation: Relation, *, is_forward: bool, pick: Pick) -> str:
    """The same as a relative clause that ends with the other page: `whose topics include {}`."""
    noun = quoted_label(relation.name)
    if not is_forward or relation.name in VERBS:
        return "that " + links(relation, is_forward=is_forward, pick=pick)
    if not relation.is_many:
        return f"whose {noun} {'are' if is_plural(noun) else 'is'} {{}}"
    return pick([f"whose {plural(noun)} include {{}}", f"one of whose {plural(noun)} is {{}}"])


def _is_one_of(relation: Relation, pick: Pick) -> str:
    noun = quoted_label(relation.name)
    if not relation.is_many:
        return pick([f"is the {noun} of {{}}", f"is given as the {noun} of {{}}"])
    nouns = plural(noun)
    return pick(
        [f"is among the {nouns} of {{}}", f"is one of the {nouns} of {{}}", f"is listed under the {nouns} of {{}}"]
    )


def noun_of(relation: Relation, *, is_number: bool) -> tuple[str, bool]:
    """What a value is called, and whether it is one of several: `one of its topics`."""
    name = NOUNS.get(relation.name) or quoted_label(relation.name)
    if is_plural(name) and is_number and not relation.is_many:
        return f"number of {name}", False
    return (plural(name), True) if relation.is_many or is_plural(name) else (name, False)


def is_number(condition: Condition) -> bool:
    """Whether a condition speaks of a number."""
    return condition.how in ("between", "at_least", "at_most") or (
        condition.how == "equals" and is_whole(condition.args[0])
    )


def is_whole(value: str) -> bool:
    return value.replace(",", "").isdecimal()


def meets(condition: Condition, pick: Pick) -> str:
    """A verb phrase for what a value meets: `lies between 1 MB and 2 MB`."""
    how, args = condition
    if how == "equals":
        if is_whole(args[0]):
            return pick([f"is {args[0]}", f"is exactly {args[0]}"])
        return pick([f"is “{args[0]}”", f"reads “{args[0]}”", f"is given as “{args[0]}”"])
    if how in ("month", "year", "decade", "century"):
        return pick(["falls in", "lies in", "is in"]) + " " + _time(how, args[0], pick)
    if how == "between":
        low, high = amount(args[0], args[2]), amount(args[1], args[2])
        return pick(
            [f"lies between {low} and {high}", f"is at least {low} and at most {high}", f"is between {low} and {high}"]
        )
    if how == "at_least":
        low = amount(*args)
        return pick([f"is at least {low}", f"is {low} or more", f"is no less than {low}"])
    if how == "at_most":
        high = amount(*args)
        return pick([f"is at most {high}", f"is {high} or less", f"is no more than {high}"])
    if how == "under":
        place = " › ".join(args)
        return pick([f"lies somewhere under “{place}”", f"belongs under “{place}”", f"is filed below “{place}”"])
    if how == "initials":
        return pick(
            [
                f"has the initials {args[0]}",
                f"is somebody or something with the initials {args[0]}",
                f"is abbreviated {args[0]}",
            ]
        )
    if how == "begins":
        return pick([f"begins with “{args[0]}”", f"starts with “{args[0]}”"])
    words = listed([f"“{word}”" for word in args])
    kind = "words" if len(args) > 1 else "word"
    return pick(
        [
            f"mentions {words}",
            f"contains the {kind} {words}",
            f"uses the {kind} {words}",
            f"includes the {kind} {words}",
        ]
    )


def counted(noun: str, condition: Condition, pick: Pick) -> str:
    """`between 3 and 10 classes`, for a condition on a number of things; "" for any other, and for one thing, which is no plural."""
    things = noun.removeprefix("number of ")
    if things == noun or not is_number(condition):
        return ""
    how, args = condition
    if how == "equals":
        return "" if args[0] == "1" else pick([f"{args[0]} {things}", f"exactly {args[0]} {things}"])
    if how == "between":
        return pick([f"between {amount(args[0], '')} and {amount(args[1], '')} {things}"])
    if how == "at_least":
        return pick([f"at least {amount(args[0], '')} {things}", f"no fewer than {amount(args[0], '')} {things}"])
    return pick([f"at most {amount(args[0], '')} {things}", f"no more than {amount(args[0], '')} {things}"])


def _time(how: str, told: str, pick: Pick) -> str:
    if how == "month":
        return f"{_MONTHS[int(told[5:]) - 1]} {told[:4]}"
    if how == "year":
        return pick([told, f"the year {told}"])
    if how == "decade":
        return pick([f"the {told}s", f"the decade from {told} on"])
    return f"the {ordinal(int(told))} century"


def amount(digits: str, unit: str) -> str:
    """A number as it is read: `1,200`, `1.5 MB`."""
    value = Decimal(digits)
    if unit == "bytes":
        for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
            if value >= size:
                return f"{(value / size).normalize():f} {name}"
    shown = f"{value:,f}"
    return f"{shown}{unit}" if unit == "%" else f"{shown} {unit}".rstrip()


def ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def quoted_label(name: str) -> str:
    """A label as a noun: in quotation marks where it has signs or begins with a verb."""
    shown = _CAPITALS.sub(lambda word: word["whole"].upper() if word["whole"] else word["first"].capitalize(), name)
    return shown if _PLAIN_LABEL.fullmatch(name) and not _VERB.match(name) else f"“{shown}” entry"


def is_plural(noun: str) -> bool:
    """Whether the head of a label is a plural: that of `lines of source` is `lines`."""
    head = noun.partition(" of ")[0].split()[-1]
    return head.endswith("s") and not head.endswith(("ss", "us", "is"))


def plural(noun: str) -> str:
    if is_plural(noun):
        return noun
    head, of, rest = noun.partition(" of ")
    if re.search(r"[^aeiou]y\Z", head):
        return f"{head[:-1]}ies{of}{rest}"
    return f"{head}es{of}{rest}" if head.endswith(("s", "x", "z", "ch", "sh")) else f"{head}s{of}{rest}"
