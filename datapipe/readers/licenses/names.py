"""What people write where a licence is named, as SPDX: package metadata, classifiers, names in prose. None where it is not certain.

Expressions and ids are those of AboutCode's `license-expression` (0.04 CPU seconds to load, 50 µs an expression); names that are no ids
stand in a table here. "BSD" and "Other" say not which and give None.
"""

import functools
import re
from collections.abc import Mapping
from email.parser import HeaderParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from license_expression import Licensing

_CLASSIFIERS = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "Artistic License": "Artistic-2.0",
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "Open Software License 3.0 (OSL-3.0)": "OSL-3.0",
    "PostgreSQL License": "PostgreSQL",
    "Python Software Foundation License": "PSF-2.0",
    "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "W3C License": "W3C",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}  # "BSD License" is absent: it says not which

# Patterns of names in lower case, without "the" before and "licence" behind; what prose joins is one space.
_NAMES = (
    (r"mit(?: style)?|expat|mit expat|mit x11|x11 mit", "MIT"),
    (r"mit 0|mit no attribution", "MIT-0"),
    (r"apache(?: software)?(?: license)? ?v?2(?:\.0)?|al ?2\.0|asl ?2\.0|apache 2\.0 license|apache software"
     r"|apache license version 2\.0", "Apache-2.0"),
    (r"apache(?: software)?(?: license)? ?v?1\.1", "Apache-1.1"),
    (r"(?:new|modified|revised) bsd|bsd ?3(?: clause)?|(?:3|three) clause (?:new |modified )?bsd"
     r"|bsd 3 clause (?:new|revised)", "BSD-3-Clause"),
    (r"simplified bsd|freebsd|bsd ?2(?: clause)?|(?:2|two) clause bsd", "BSD-2-Clause"),
    (r"(?:original|4 clause) bsd|bsd 4 clause", "BSD-4-Clause"),
    (r"zero clause bsd|bsd zero clause|bsd 0 clause", "0BSD"),
    (r"isc|iscl|internet systems consortium", "ISC"),
    (r"boost(?: software)?(?: license)?(?: ?v?1(?:\.0)?)?", "BSL-1.0"),
    (r"zlib(?: libpng)?", "Zlib"),
    (r"psf(?:l)?(?: 2\.0)?|python software foundation|psf license", "PSF-2.0"),
    (r"(?:mozilla public|mpl)(?: license)? ?v?2(?:\.0)?", "MPL-2.0"),
    (r"(?:mozilla public|mpl)(?: license)? ?v?1\.1", "MPL-1.1"),
    (r"(?:eclipse public|epl)(?: license)? ?v?2(?:\.0)?", "EPL-2.0"),
    (r"(?:eclipse public|epl)(?: license)? ?v?1(?:\.0)?", "EPL-1.0"),
    (r"unlicense", "Unlicense"),
    (r"wtfpl(?: ?v?2)?|do what the f\S+ you want to(?: public)?", "WTFPL"),
    (r"(?:creative commons )?(?:cc0|cc zero)(?: ?1\.0)?(?: universal)?", "CC0-1.0"),
    (r"(?:zope public|zpl)(?: license)? ?v?2\.1", "ZPL-2.1"),
    (r"artistic(?: license)? ?v?2(?:\.0)?", "Artistic-2.0"),
    (r"postgresql", "PostgreSQL"),
    (r"(?:sil )?open font(?: license)? ?v?1\.1|ofl ?1\.1", "OFL-1.1"),
    (r"(?:common development and distribution|cddl)(?: license)? ?v?1\.0", "CDDL-1.0"),
    (r"blue ?oak(?: model)?(?: license)? 1\.0\.0", "BlueOak-1.0.0"),
    (r"(?:business source|busl)(?: license)? 1\.1", "BUSL-1.1"),
    (r"server side public(?: license)? ?v?1|sspl(?: ?v?1)?", "SSPL-1.0"),
    (r"elastic(?: license)? ?v?2(?:\.0)?", "Elastic-2.0"),
    (r"microsoft public|ms pl", "MS-PL"),
    (r"(?:creative commons |cc )(?:attribution |by )(?:license )?(?:international )?4\.0(?: international)?", "CC-BY-4.0"),
    (r"perl(?: ?5)?|same terms as perl(?: itself)?", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    (r"ruby", "Ruby"),
    (r"ncsa|university of illinois ncsa open source", "NCSA"),
)  # fmt: skip
NAMES = tuple((re.compile(pattern), spdx) for pattern, spdx in _NAMES)
_GNU = re.compile(
    r"(?:gnu )?(?P<kind>affero|agpl|lesser|library|lgpl|gpl"
    r"|general)?(?: (?:general )?public)?(?: license)?(?: gpl| lgpl| agpl)?,? ?(?:version |v )?v?(?P<version>[123](?:\.[01])?)"
    r"(?P<later>\+| or (?:any )?(?:later|newer|above)| and later"
    r"| or \(?at your option\)? any later version)?(?P<only> only)?(?: \w?gpl\S*)?"
)  # fmt: skip
MAX_CHARS = 300  # of a name or expression
_ID = re.compile(r"\b(?!(?:and|or|with)\b)\w[\w.:+-]*(?: with (?!(?:and|or|with)\b)\w[\w.:+-]*)?", re.I)
_GROUP = re.compile(r"\( ?x(?: (?:and|or) x)* ?\)", re.I)
_ALTERNATIVES = re.compile(r"x(?: (?:and|or) x)*", re.I)
_OPERATORS = re.compile(r"(\s+(?:OR|AND|WITH)\s+|[()]|\s*/\s*)")
_SEPARATORS = re.compile(r"[\s_,;:\"'-]+")


def normal(name: object) -> str | None:
    """The SPDX expression for what a person wrote in a `license` field; None when it is not certain."""
    if isinstance(name, Mapping):  # {text = "MIT"} of older pyproject.toml, {"type": "MIT"} of older package.json
        name = name.get("text") or name.get("type")
    if not isinstance(name, str) or not 2 <= len(name) <= MAX_CHARS:
        return None
    return _normal(" ".join(name.split()))


@functools.lru_cache(maxsize=4096)
def _normal(name: str) -> str | None:
    if known := one(name):
        return known
    parts = _OPERATORS.split(name)
    for place, part in enumerate(parts):
        if place % 2 == 0 and part.strip():
            is_exception = place > 0 and parts[place - 1].strip() == "WITH"
            known = part.strip() if is_exception else one(part)
            if known is None:
                return None
            parts[place] = f"({known})" if " " in known else known
        elif "/" in part:  # Cargo once wrote MIT/Apache-2.0
            parts[place] = " OR "
    return expression(" ".join("".join(parts).split()))


def one(name: str) -> str | None:
    """The SPDX id, or expression, for one name."""
    name = name.strip()
    if "/" not in name and (known := expression(name)):
        return known
    words = _SEPARATORS.sub(" ", name.lower().replace("licence", "license")).strip(" .")
    words = re.sub(r"^(?:the |osi approved )+| ?\(.*\)$|,? version (?=v?\d)|(?<= )v(?= ?\d)", " ", words)
    words = " ".join(words.split())
    for form in (words, words.removesuffix(" license"), words.removesuffix("s")):
        for pattern, spdx in NAMES:
            if pattern.fullmatch(form):
                return spdx
        if (match := _GNU.fullmatch(form)) and match["kind"]:
            return gnu(match["kind"], match["version"], bool(match["later"]))
    return None


def gnu(kind: str, version: str, or_later: bool) -> str:
    """The id of a GNU licence: `kind` is its adjective or short name."""
    family = {"affero": "AGPL", "lesser": "LGPL", "library": "LGPL", "": "GPL", "general": "GPL"}.get(
        kind, kind.upper()
    )
    number = version if "." in version else f"{version}.0"
    return f"{family}-{number}-{'or-later' if or_later else 'only'}"


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> str | None:
    """A licence expression as SPDX writes it, `LicenseRef-` names allowed; None for what is none."""
    if len(text) > MAX_CHARS or not _has_shape(text):
        return None
    parsed = _licensing().parse(text)
    unknown = _licensing().unknown_license_keys(parsed)
    return parsed.render() if all(key.startswith(("LicenseRef-", "DocumentRef-")) for key in unknown) else None


def _has_shape(text: str) -> bool:
    """Whether ids, operators and parentheses are in their places; the library stumbles over some texts where they are not."""
    shape, count = _ID.sub("x", " ".join(text.split())), 1
    while count:
        shape, count = _GROUP.subn("x", shape)
    return bool(_ALTERNATIVES.fullmatch(shape))


def classified(classifiers: list[str]) -> str | None:
    """What the `License ::` classifiers of a Python package say; several stay joined by OR, as PyPI's authors mostly mean them."""
    names = [line.rpartition(" :: ")[2].strip() for line in classifiers if line.startswith("License ::")]
    found = sorted({_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS})
    return " OR ".join(found) or None


def from_metadata(text: str) -> str | None:
    """The licence in a Python METADATA or PKG-INFO file: `License-Expression` (PEP 639), else classifiers, else the old field."""
    headers = HeaderParser().parsestr(text)
    if stated := headers.get("License-Expression"):
        return expression(" ".join(stated.split())) or stated.strip()
    return classified(headers.get_all("Classifier", [])) or normal(headers.get("License"))


@functools.cache
def _licensing() -> "Licensing":
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
