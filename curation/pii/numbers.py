"""Phone numbers, payment cards and bank accounts in a text. Each finder gives [start, end) ranges in order.

Phones, in the order of how sure they are: `+` and a country code that exists, with 8 to 15 digits (E.164; in North America ten after
the 1); after a word such as "Tel", "Fax", "Phone" or their like in some languages, 7 to 15 digits; the grouping of North America,
(212) 555-0123 with dashes or dots; of France, five pairs that begin with 0; and the shapes of `curation.pii.national`. Other national
forms without such a word stay: they look like dates, ISBNs, part numbers. Cards must have an issuer's prefix and length, a usual
grouping, and the Luhn digit (ISO/IEC 7812); IBANs the length of their country and the checksum (ISO 13616).
"""

import itertools
import re
from collections.abc import Iterable

from curation.pii import national

Ranges = list[tuple[int, int]]

# Lookbehinds stand behind the first character of a pattern, so that the engine skips to where one can begin: three times as fast.
_GAP = "[ .\u00a0/-]"
_WORDS = (
    *(
        "telephone",
        "telefono",
        "teléfono",
        "telefone",
        "telefon",
        "téléphone",
        "telefax",
        "tel",
        "tél",
        "phone",
        "fon",
        "fax",
        "mobile",
    ),
    *("whatsapp", "hotline", "телефон", "тел", "факс"),
)
_IDEOGRAPHS = ("电话", "電話", "手机", "手機", "传真", "傳真", "전화")
_SPELLINGS = "|".join([form for word in _WORDS for form in (word, word.capitalize(), word.upper())] + [*_IDEOGRAPHS])
PHONE_TRACE = (
    r"\+[1-9][\d (.\x{a0}/-]*\d|\([2-9]\d\d\)[ \x{a0}-]?\d{3}|\d{3}[-.]\d{3}[-.]\d{4}|0[1-9](?:[ .\x{a0}-]\d\d){4}"
    rf"|(?:^|[^A-Za-z])(?:{_SPELLINGS})[^\d\n+(]{{0,10}}[+(]?\d|(?:{'|'.join(_IDEOGRAPHS)})[^\d\n+(]{{0,10}}[+(]?\d"
    rf"|{national.TRACE}"
)

_COUNTRY = (  # ITU-T E.164, assigned codes
    "1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[0578][0-9]"
    "|9[679][0-9]"
)
_GROUPS = rf"\d++(?:{_GAP}?\(\d{{1,5}}\)|(?<=\)){_GAP}?\d++|{_GAP}\d++){{0,7}}+"
_INTERNATIONAL = re.compile(rf"\+(?<![\w+*/=^%)\]-]\+)(?=(?:{_COUNTRY})[\d (./\u00a0-])(?:{_GROUPS})(?!\w)")
_AFTER_WORD = re.compile(rf"(?:{_SPELLINGS})[^\d\n+(]{{0,10}}+(\+?(?:\(\d{{1,5}}\){_GAP}?)?{_GROUPS})(?!\w)")
_NORTH_AMERICA = re.compile(
    r"[(2-9](?:(?<![\w.+/-][(2-9])|(?<=\b1[-. ][(2-9]))(?:(?<=\()[2-9]\d\d\)[ \u00a0-]?|(?<=[2-9])\d\d([-.]))"
    r"[2-9]\d\d(?(1)\1|[-. ])\d{4}(?![\w-]|\.\d)"
)
_TRUNK = re.compile(r"\b1[-. ]$")
_FRANCE = re.compile(
    r"0(?<![\w.+/-]0)(?<![0-9A-Fa-f] 0)[1-9]([ .\u00a0-])\d\d(?:\1\d\d){3}(?!\w|[ .\u00a0-][0-9A-Fa-f]{2}\b)"
)
_DATE = re.compile(r"\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}\b|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d\b")
_GROUP = re.compile(r"\d+")
_MOST_DIGITS = 15
_LEAST_INTERNATIONAL, _LEAST_AFTER_WORD = 8, 7

_CARD = re.compile(
    r"[2-6](?<![\w.+/-][2-6])(?:\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|\d{3}([ -]?)\d{6}\2\d{4,5}|\d{12,18})(?![\w/-]|\.\d)"
)
_ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d{2}|64[4-9]\d)\d{12}|(?:30[0-5]|3[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)

_IBAN = re.compile(r"[A-Z](?<![\w-][A-Z])[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
    "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26, "UA": 29,
}  # fmt: skip


def find_phones(text: str) -> Ranges:
    found = [_phone(text, *match.span(), _LEAST_INTERNATIONAL) for match in _INTERNATIONAL.finditer(text)]
    found += [
        _phone(text, *match.span(1), _LEAST_AFTER_WORD) for match in _AFTER_WORD.finditer(text) if _is_word(match)
    ]
    found += [_with_trunk_prefix(match) for match in _NORTH_AMERICA.finditer(text)]
    found += [match.span() for match in _FRANCE.finditer(text) if not _is_sequence(match[0])]
    return disjoint(span for span in [*found, *national.find(text)] if span)


def find_cards(text: str) -> Ranges:
    return [match.span() for match in _CARD.finditer(text) if _is_card(re.sub(r"\D", "", match[0]))]


def find_ibans(text: str) -> Ranges:
    found = []
    for match in _IBAN.finditer(text):
        end = _nth_end(match[0], _IBAN_LENGTHS.get(match[0][:2], 0))
        account = match[0][:end].replace(" ", "")
        if end and not match[0][end : end + 1].isalnum() and _has_iban_checksum(account):
            found.append((match.start(), match.start() + end))
    return found


def disjoint(spans: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges in order, overlapping ones joined."""
    joined: Ranges = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _with_trunk_prefix(match: re.Match[str]) -> tuple[int, int]:
    start, end = match.span()
    return (start - 2 if _TRUNK.search(match.string[max(0, start - 3) : start]) else start), end


def _is_word(match: re.Match[str]) -> bool:
    """Whether the word before a number is one, and not the end of another (ideographs need no border)."""
    start = match.start()
    return match[0].startswith(_IDEOGRAPHS) or not match.string[max(0, start - 1) : start].isalnum()


def _phone(text: str, start: int, end: int, least: int) -> tuple[int, int] | None:
    """The range without groups that are too many for one number; None when it is none."""
    number = text[start:end]
    if _DATE.match(number.lstrip("(+")):
        return None
    digits, last = "", 0
    most = 11 if number.startswith("+1") else _MOST_DIGITS
    for group in _GROUP.finditer(number):
        if len(digits) + len(group[0]) > most:
            break
        digits, last = digits + group[0], group.end()
    if last < len(number) and number[last] == ")":
        last += 1
    american = not number.startswith("+1") or (len(digits) == 11 and digits[1] in "23456789")
    return (start, start + last) if len(digits) >= least and american else None


def _is_sequence(pairs: str) -> bool:
    """Whether the pairs of digits count upwards, as days and hours in a table do."""
    numbers = [int(pair) for pair in re.findall(r"\d\d", pairs)]
    return all(b - a == numbers[1] - numbers[0] for a, b in itertools.pairwise(numbers))


def _is_card(digits: str) -> bool:
    if not _ISSUER.fullmatch(digits):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _has_iban_checksum(account: str) -> bool:
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def _nth_end(text: str, count: int) -> int:
    """One past the `count`-th character that is no blank, 0 when there are fewer."""
    seen = 0
    for place, char in enumerate(text):
        seen += char != " "
        if seen == count and char != " ":
            return place + 1
    return 0
