"""SPDX identifiers for installed distributions, from whatever their metadata says.

Only what is stated is believed, in this order: `License-Expression`, a `License` field that is a known name, one unambiguous
classifier, the words of the licence file. "BSD" alone names a family, so the file decides between its two common members.
Several classifiers without a field that joins them stay unknown: "and" or "or" cannot be guessed. Not covered: licences of
single files inside a distribution.
"""

import re
from collections.abc import Iterable
from email.message import Message

PYTHON_LICENSE = "PSF-2.0"

NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
    "the bsd 2-clause license": "BSD-2-Clause",
    "the mit license": "MIT",
    "the unlicense (unlicense)": "Unlicense",
    "zope public license": "ZPL-2.1",
}
IDENTIFIERS = (
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "LGPL-2.1-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
)
# Phrases that only this licence has. Collections of licences open with the main one, so the earliest phrase decides.
PHRASES = (
    ("Apache License Version 2.0", "Apache-2.0"),
    ("Mozilla Public License Version 2.0", "MPL-2.0"),
    ("GNU LESSER GENERAL PUBLIC LICENSE", "LGPL-2.1-or-later"),
    ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2", "PSF-2.0"),
    ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("Redistribution and use in source and binary forms", "BSD-2-Clause"),
    ("Permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"),
)
THIRD_CLAUSE = "endorse or promote products"
BSD_CHARS = 2_000  # the whole licence is shorter


def spdx(metadata: Message, license_texts: Iterable[str] = ()) -> str | None:
    """The SPDX expression of a distribution, or None when nothing in its metadata or licence files settles it."""
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    field = str(metadata.get("License", ""))
    stated = from_name(field) or from_text(field)
    if stated:
        return stated
    classifiers = [
        str(line).rpartition("::")[2].strip() for line in metadata.get_all("Classifier", []) if "License ::" in line
    ]
    if len(classifiers) > 1:
        return None
    if classifiers and from_name(classifiers[0]):
        return from_name(classifiers[0])
    told = next(filter(None, map(from_text, license_texts)), None)
    if classifiers == ["BSD License"] and told and not told.startswith("BSD"):
        return None
    return told


def from_name(name: str) -> str | None:
    """The identifier behind a licence name or expression such as "Apache 2.0" or "MIT OR Apache-2.0"."""
    name = " ".join(name.split())
    if name.lower() in NAMES:
        return NAMES[name.lower()]
    canonical = {identifier.lower(): identifier for identifier in IDENTIFIERS}
    parts = re.split(r"( OR | AND )", name)
    known = [canonical.get(part.lower(), "") for part in parts[::2]]
    if not all(known):
        return None
    parts[::2] = known
    return "".join(parts)


def from_text(text: str) -> str | None:
    """The licence whose typical phrase stands first in `text`."""
    words = " ".join(text.split()).lower().replace(", version 2.0", " version 2.0")
    places = [(words.find(phrase.lower()), identifier) for phrase, identifier in PHRASES]
    place, identifier = min(((place, identifier) for place, identifier in places if place >= 0), default=(0, None))
    if identifier == "BSD-2-Clause" and THIRD_CLAUSE in words[place : place + BSD_CHARS]:
        return "BSD-3-Clause"
    return identifier
