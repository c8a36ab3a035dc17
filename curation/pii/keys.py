"""Keys, tokens and passwords in a text: what gives access to something.

Keys of services are told by the form that their makers gave them so that they can be found. Anything else must be assigned to a name such
as `password`, `secret`, `token` or `api_key`, be 12 characters or more, and look drawn by lot: at least two digits, a letter, 3 bits of
entropy per character (Shannon, over its own characters), and none of the words of placeholders. Passwords in URLs count unless they are
such a word. Only the value goes; the name stays.

A secret key of AWS has no form of its own: 40 characters of base 64 with capitals, small letters, digits, and 4 bits of entropy each
are one within 200 characters of an AWS key id or of a name such as `aws_secret`.
"""

import math
import re
from collections import Counter

from curation.pii.numbers import Ranges, disjoint

_NAMES = "passwords?|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|auth[_-]?key|credentials?"
_SERVICES = {  # how a key begins, and goes on
    "AKIA": "[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    "ASIA": "[A-Z0-9]{16}(?![A-Za-z0-9])",
    "ghp_": "[A-Za-z0-9]{36,255}+",  # GitHub
    "gho_": "[A-Za-z0-9]{36,255}+",
    "ghu_": "[A-Za-z0-9]{36,255}+",
    "ghs_": "[A-Za-z0-9]{36,255}+",
    "ghr_": "[A-Za-z0-9]{36,255}+",
    "github_pat_": "[A-Za-z0-9_]{22,255}+",
    "glpat-": "[A-Za-z0-9_-]{20,255}+",  # GitLab
    "xox": "[abeoprs]-[A-Za-z0-9-]{10,255}+",  # Slack
    "xapp-": "[0-9]-[A-Za-z0-9-]{20,255}+",
    "hooks.slack.com/services/": "T[A-Z0-9]{5,20}/B[A-Z0-9]{5,20}/[A-Za-z0-9]{16,40}",
    "AIza": "[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",  # Google
    "sk_live_": "[A-Za-z0-9]{16,255}+",  # Stripe
    "rk_live_": "[A-Za-z0-9]{16,255}+",
    "rk_test_": "[A-Za-z0-9]{16,255}+",
    "sk_test_": "[A-Za-z0-9]{16,255}+",
    "sk-": "(?:(?:ant|proj|svcacct)-[A-Za-z0-9_-]{20,255}+|[A-Za-z0-9]{40,60}+(?![A-Za-z0-9_-]))",  # language models
    "hf_": "[A-Za-z0-9]{30,60}+",
    "npm_": "[A-Za-z0-9]{36}(?![A-Za-z0-9])",
    "pypi-": "[A-Za-z0-9_-]{50,255}+",
    "SG.": "[A-Za-z0-9_-]{20,24}[.][A-Za-z0-9_-]{39,50}",  # SendGrid
    "eyJ": "[A-Za-z0-9_-]{10,2000}+[.]eyJ[A-Za-z0-9_-]{10,4000}+[.][A-Za-z0-9_-]{10,2000}+",  # JSON web token
}
_AWS_NAME = r"aws[\w .-]{0,20}?(?:secret|key)"
TRACE = (
    "|".join(
        [
            *(prefix.replace(".", "[.]") + "[A-Za-z0-9]" for prefix in _SERVICES),
            "PRIVATE KEY",
            r"://[^\s:/@]+:[^\s/@]+@",
            f"(?i:{_AWS_NAME})",
        ]
    )
    + rf"""|(?i:{_NAMES})[\w-]{{0,20}}["'\])]{{0,2}}\s{{0,3}}[:=]"""
)

_SERVICE_KEYS = {
    prefix: re.compile(f"{re.escape(prefix)}(?<![A-Za-z0-9_-]{re.escape(prefix)}){rest}")
    for prefix, rest in _SERVICES.items()
}
_AWS = re.compile(rf"(?:AKIA|ASIA)[A-Z0-9]{{16}}|(?i:{_AWS_NAME})")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_.-])")
_AWS_SECRET_CHARS = 40
_AWS_CHARS = 200  # between the two
_AWS_ENTROPY = 4.0  # 40 characters drawn by lot have 4.7 on average
_KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){1,20000}+-----END [A-Z0-9 ]{1,40}-----"
)
_IN_URL = re.compile(r"://[^\s:/@]{1,64}:([^\s:/@]{3,128})@")
_ASSIGNED = re.compile(r"""[:=]>?\s{0,3}["'`]?([A-Za-z0-9+/_.~!@#$%^&*=-]{12,200}+)(?![(\[])""")
_NAMED = re.compile(rf"""(?:{_NAMES})[\w-]{{0,20}}["'\])]{{0,2}}\s{{0,3}}:?$""", re.IGNORECASE)
_NAME_CHARS = 48  # before the sign, in which the name must stand
_PLACEHOLDER_WORD = re.compile(
    r"example|sample|your|change|placeholder|password|secret|dummy|xxxx|\*\*\*|\.\.\.|1234|abcd|test|<|\$\{|none|null",
    re.IGNORECASE,
)
_IN_URL_WORD = re.compile(rf"{_PLACEHOLDER_WORD.pattern}|pass|passwd|pwd|pw", re.IGNORECASE)
_LEAST_ENTROPY = 3.0  # bits per character; 16 hexadecimal digits drawn by lot have 3.3 on average, words 2.8
_LEAST_DIGITS = 2


def find(text: str) -> Ranges:
    """[start, end) of every secret, in order."""
    found = [match.span() for prefix, key in _SERVICE_KEYS.items() if prefix in text for match in key.finditer(text)]
    found += [match.span() for match in _KEY_BLOCK.finditer(text)]
    found += [match.span(1) for match in _IN_URL.finditer(text) if not _IN_URL_WORD.fullmatch(match[1])]
    found += [match.span(1) for match in _ASSIGNED.finditer(text) if _is_named(match) and looks_drawn(match[1])]
    return disjoint(found + _aws_secrets(text))


def _aws_secrets(text: str) -> Ranges:
    near = disjoint((max(0, m.start() - _AWS_CHARS), m.end() + _AWS_CHARS) for m in _AWS.finditer(text))
    found = []
    for start, end in near:
        stop = min(len(text), end + _AWS_SECRET_CHARS + 1)  # a match that ends there may be cut off
        matches = _AWS_SECRET.finditer(text, start, stop)
        found += [m.span() for m in matches if (m.end() < stop or stop == len(text)) and _is_aws_secret(m[0])]
    return found


def _is_aws_secret(value: str) -> bool:
    is_mixed = any(map(str.isupper, value)) and not re.search("[a-z]{8}", value) and any(map(str.islower, value))
    return is_mixed and looks_drawn(value) and entropy(value) >= _AWS_ENTROPY


def _is_named(match: re.Match[str]) -> bool:
    start = match.start()
    return bool(_NAMED.search(match.string[max(0, start - _NAME_CHARS) : start]))


def looks_drawn(value: str) -> bool:
    """Whether a value looks like a secret and not like a word, a path, a call or a placeholder."""
    digits = sum(map(str.isdigit, value))
    if digits < _LEAST_DIGITS or not any(map(str.isalpha, value)) or _PLACEHOLDER_WORD.search(value):
        return False
    return entropy(value) >= _LEAST_ENTROPY and not re.fullmatch(
        r"[A-Za-z_]+(?:[._/-][A-Za-z_]+)*\d{0,4}|[\d.:/-]+", value
    )


def entropy(value: str) -> float:
    """Bits per character, of the distribution of the value's own characters."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
