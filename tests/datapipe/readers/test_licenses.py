import importlib.metadata

import pytest

from datapipe.readers import licenses
from datapipe.readers.repository import Repository, describe

BSD = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following"
ENDORSE = "may be used to endorse or promote products\n   derived from this software"
ISC = "Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted, "


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of", "MIT"),
        ("                  Apache License\n            Version 2.0, January 2004", "Apache-2.0"),
        ("# Licensed under the Apache License, Version 2.0 (the", "Apache-2.0"),
        (BSD + " conditions", "BSD-2-Clause"),
        (f"{BSD} x\n 3. Neither the name of the author nor y {ENDORSE}", "BSD-3-Clause"),
        (f"{BSD} All advertising materials mentioning features or use {ENDORSE}", "BSD-4-Clause"),
        ("Mozilla Public License Version 2.0\n====", "MPL-2.0"),
        (ISC + "provided that the above", "ISC"),
        (ISC, None),  # 0BSD asks for nothing
        ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n----", "PSF-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991", "GPL-2.0-only"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "GPL-3.0-only"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999", "LGPL-2.1-only"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007 ... GNU GENERAL PUBLIC LICENSE", "LGPL-3.0-only"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n  Version 3, 19 November 2007", "AGPL-3.0-only"),
        (f"> * Permission is hereby granted, free of charge,\n> * to any person obtaining a copy\n{BSD}", "MIT"),
        ("All rights reserved.", None),
    ],
)
def test_licence_texts(text: str, spdx: str | None) -> None:
    assert licenses.from_text(text) == spdx


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
    assert (
        licenses.from_metadata(f"Metadata-Version: 2.1\nName: x\n{fields}\n\nLicense: GPL in the description") == spdx
    )


@pytest.mark.parametrize(
    ("written", "spdx"),
    [
        ("mit", "MIT"),
        ("MIT OR apache-2.0", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT OR CC0-1.0)", "MIT OR CC0-1.0"),
        ({"type": "ISC"}, "ISC"),
        ({"text": "MIT License"}, "MIT"),
        ({"file": "LICENSE"}, None),
        ("BSD", None),
        ("MIT OR something", None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_what_people_write(written: object, spdx: str | None) -> None:
    assert licenses.normal(written) == spdx


def test_installed_packages_are_mostly_known() -> None:
    found = {
        each.metadata["Name"]: licenses.from_metadata(each.read_text("METADATA") or "")
        for each in importlib.metadata.distributions()
    }
    assert found["pytest"] == "MIT"
    assert found["hypothesis"] == "MPL-2.0"
    assert sum(spdx is not None for spdx in found.values()) > 0.6 * len(found)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Repository()),
        ({"PKG-INFO": "Name: a\nVersion: 1\nLicense: MIT\n"}, Repository("a", "1", "MIT")),
        (
            {
                "a.egg-info/PKG-INFO": "Name: a\nVersion: 1\n",
                "COPYING": "GNU GENERAL PUBLIC LICENSE Version 2, June 1991",
            },
            Repository("a", "1", "GPL-2.0-only"),
        ),
        ({"package.json": '{"name": "@s/a", "version": "1", "license": "ISC"}'}, Repository("@s/a", "1", "ISC")),
        (
            {"Cargo.toml": '[package]\nname="a"\nversion.workspace=true\nlicense="MIT/Apache-2.0"'},
            Repository("a", None, "MIT OR Apache-2.0"),
        ),
        ({"pyproject.toml": '[project]\nname="a"\nversion="1"\nlicense={text="MIT"}'}, Repository("a", "1", "MIT")),
        (
            {"repo.json": '{"name": "b", "version": "2", "license": "X-own"}', "package.json": '{"license": "ISC"}'},
            Repository("b", "2", "X-own"),
        ),
        (
            {"repo.json": '{"name": "b"}', "package.json": '{"name": "a", "version": "1", "license": "ISC"}'},
            Repository("b", "1", "ISC"),
        ),
        ({"package.json": "{", "Cargo.toml": "[", "repo.json": "[]", "pyproject.toml": "project=1"}, Repository()),
        ({"vendor/package.json": '{"name": "a"}', "deep/x.dist-info/METADATA": "Name: a"}, Repository()),
    ],
)
def test_what_a_tree_says_about_itself(files: dict[str, str], expected: Repository) -> None:
    assert describe(files, files.__getitem__) == expected
