import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers.licenses import from_metadata, normal
from datapipe.readers.licenses.names import expression

PIECES = [
    "MIT",
    "(",
    ")",
    " OR ",
    " and ",
    " WITH ",
    "Apache-2.0",
    "+",
    " ",
    "Classpath-exception-2.0",
    "LicenseRef-x",
    "foo",
    "/",
    "-",
    "or",
]


@pytest.mark.parametrize(
    ("fields", "spdx"),
    [
        (
            "License-Expression: MIT AND (Apache-2.0 OR BSD-2-Clause)\nLicense: x",
            "MIT AND (Apache-2.0 OR BSD-2-Clause)",
        ),
        ("Classifier: License :: OSI Approved :: Apache Software License\nLicense: MIT", "Apache-2.0"),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: ISC License (ISCL)",
            "ISC OR MIT",
        ),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: BSD-3-Clause", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: BSD License", None),
        ("Classifier: License :: Other/Proprietary License", None),
        ("License: Apache License, Version 2.0", "Apache-2.0"),
        ("License: see LICENSE", None),
        ("License: UNKNOWN", None),
    ],
)
def test_python_metadata(fields: str, spdx: str | None) -> None:
    assert from_metadata(f"Metadata-Version: 2.1\nName: x\n{fields}\n\nLicense: GPL in the description") == spdx


@pytest.mark.parametrize(
    ("written", "spdx"),
    [
        ("mit", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("MIT OR apache-2.0", "MIT OR Apache-2.0"),
        ("MIT and Apache-2.0", "MIT AND Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT OR CC0-1.0)", "MIT OR CC0-1.0"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GNU GPL v3 or later", "GPL-3.0-or-later"),
        ("LGPLv2.1", "LGPL-2.1-only"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache 2", "Apache-2.0"),
        ("New BSD License", "BSD-3-Clause"),
        ("BSD 2-Clause", "BSD-2-Clause"),
        ("Mozilla Public License 2.0", "MPL-2.0"),
        ({"type": "ISC"}, "ISC"),
        ({"text": "MIT License"}, "MIT"),
        ({"file": "LICENSE"}, None),
        ("BSD", None),
        ("GPL", "GPL-1.0-or-later"),
        ("MIT OR something", None),
        ("UNLICENSED", None),
        ("SEE LICENSE IN a.txt", None),
        ("()", None),
        ("MIT OR", None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_what_people_write(written: object, spdx: str | None) -> None:
    assert normal(written) == spdx


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_any_text_is_an_expression_or_none(text: str) -> None:
    for found in (expression(text), normal(text)):
        assert found is None or expression(found) == found


def test_installed_packages_are_mostly_known() -> None:
    found = {
        each.metadata["Name"]: from_metadata(each.read_text("METADATA") or "")
        for each in importlib.metadata.distributions()
    }
    assert found["pytest"] == "MIT"
    assert found["hypothesis"] == "MPL-2.0"
    assert sum(spdx is not None for spdx in found.values()) > 0.6 * len(found)
