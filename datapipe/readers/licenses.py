"""The SPDX licence of a source tree, from what its files say: package metadata first, then the text of a licence file.

A licence text is known by a sentence that only it has; of several in one file the first counts. The text of the GPL family does not say
"only" or "or later" (the files that use it do), so the narrower reading is taken. Not covered: dual licences in prose, exceptions,
licences in README files; they give None, which means unknown and never free.
"""

import re
from collections.abc import Mapping
from email.parser import HeaderParser

_CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
}  # "BSD License" is absent: it says not which
_ALIASES = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd-3": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "mpl 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "psf license": "PSF-2.0",
}
_KNOWN = {
    *(
        "0BSD",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "EPL-2.0",
    ),
    *(
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
    ),
    *("LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unicode-3.0", "Unlicense", "Zlib"),
}
_SPDX = {name.lower(): name for name in _KNOWN}

_BSD = "redistribution and use in source and binary forms, with or without modification, are permitted"
_SENTENCES = (
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("Apache-2.0", "apache license version 2.0"),
    ("Apache-2.0", "licensed under the apache license, version 2.0"),
    ("BSD", _BSD),
    ("MPL-2.0", "mozilla public license version 2.0"),
    ("MPL-2.0", "mozilla public license, version 2.0"),
    ("MPL-2.0", "terms of the mozilla public license, v. 2.0"),
    (
        "ISC",
        "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided",
    ),
    (
        "ISC",
        "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted, provided",
    ),
    ("PSF-2.0", "python software foundation license version 2"),
    ("GPL-2.0-only", "gnu general public license version 2, june 1991"),
    ("GPL-3.0-only", "gnu general public license version 3, 29 june 2007"),
    ("LGPL-2.1-only", "gnu lesser general public license version 2.1, february 1999"),
    ("LGPL-3.0-only", "gnu lesser general public license version 3, 29 june 2007"),
    ("AGPL-3.0-only", "gnu affero general public license version 3, 19 november 2007"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
)
_BSD_3 = "used to endorse or promote products derived from"
_BSD_4 = "advertising materials mentioning features or use"
_TAG = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+\-]+(?:[ \t]+(?:AND|OR|WITH)[ \t]+[A-Za-z0-9.+\-]+)*)")
TAG_CHARS = 4096


def from_metadata(text: str) -> str | None:
    """The licence in a Python METADATA or PKG-INFO file: `License-Expression` (PEP 639), else classifiers, else the old field."""
    headers = HeaderParser().parsestr(text)
    if expression := headers.get("License-Expression"):
        return expression.strip()
    names = [line.rpartition(" :: ")[2] for line in headers.get_all("Classifier", []) if line.startswith("License ::")]
    found = sorted({_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS})
    return " OR ".join(found) or normal(headers.get("License"))


def normal(name: object) -> str | None:
    """The SPDX name for what a person wrote in a `license` field; None when it is not certain."""
    if isinstance(name, Mapping):  # {text = "MIT"} of older pyproject.toml, {"type": "MIT"} of older package.json
        name = name.get("text") or name.get("type")
    if not isinstance(name, str):
        return None
    words = " ".join(name.split()).strip("() ")
    parts = re.split(r"(\s+(?:OR|AND|WITH)\s+|\s*/\s*)", words)  # Cargo once wrote MIT/Apache-2.0
    names = [_SPDX.get(part.lower()) or _ALIASES.get(part.lower()) for part in parts[::2]]
    if not all(names):
        return None
    joints = [" OR " if "/" in joint else f" {joint.strip()} " for joint in parts[1::2]]
    return "".join(str(name) + joint for name, joint in zip(names, [*joints, ""], strict=True))


def from_text(text: str) -> str | None:
    """The licence that a LICENSE or COPYING file holds; of several the one that comes first."""
    words = " ".join(re.sub(r"[*#>\"“”'`]", " ", text).lower().split())
    found = [(words.find(sentence), name) for name, sentence in _SENTENCES if sentence in words]
    if not found:
        return None
    position, name = min(found)
    if name != "BSD":
        return name
    if words.find(_BSD_4, position) > 0:
        return "BSD-4-Clause"
    return "BSD-3-Clause" if words.find(_BSD_3, position) > 0 else "BSD-2-Clause"


def from_tag(text: str) -> str | None:
    """The `SPDX-License-Identifier:` that a source file carries near its top."""
    match = _TAG.search(text[:TAG_CHARS])
    return match[1] if match else None
