import importlib.metadata
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.readers import licenses
from datapipe.readers.licenses import notices, texts

APACHE = (Path(__file__).parents[4] / "LICENSE").read_text()
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished
to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
BSD_2 = """Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the
   documentation and/or other materials provided with the distribution.
{third}
THIS SOFTWARE IS PROVIDED BY {holder} "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES
OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL {holder} BE LIABLE FOR ANY DIRECT, INDIRECT,
INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS
OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH
DAMAGE.
"""
THIRD = "\n3. Neither the name of Acme nor the names of its contributors may be used to endorse or promote products derived from this\n"
BSD_3 = BSD_2.replace("{third}", THIRD + "   software without specific prior written permission.\n")
ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted{condition}.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY
DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION,
ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
"""
CONDITION = ", provided that the above\ncopyright notice and this permission notice appear in all copies"
SECOND, THREE = BSD_2.replace("{third}", ""), BSD_3.replace("{holder}", "THE COPYRIGHT HOLDERS AND CONTRIBUTORS")
SECOND = SECOND.replace("{holder}", "THE REGENTS AND CONTRIBUTORS")


def spdx(found: licenses.Found | None) -> str | None:
    return found.spdx if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, "MIT"),
        ("The MIT License (MIT)\n\nCopyright (c) 2020 Somebody\n\n" + MIT, "MIT"),
        (MIT.upper().replace("\n", "\n * "), "MIT"),
        (MIT.replace("sublicense", "sub-license"), "MIT"),
        (SECOND, "BSD-2-Clause"),
        (THREE, "BSD-3-Clause"),
        (THREE.replace("Acme", "the Very Long Named Company of Somewhere, Inc."), "BSD-3-Clause"),
        (THREE.replace("THE COPYRIGHT HOLDERS AND CONTRIBUTORS", "ACME INC."), "BSD-3-Clause"),
        (ISC.replace("{condition}", CONDITION), "ISC"),
        (ISC.replace("{condition}", ""), "0BSD"),
        (APACHE, "Apache-2.0"),
        (APACHE.partition("APPENDIX")[0], "Apache-2.0"),
        (APACHE + "\n\n---\n\n" + MIT, "Apache-2.0 AND MIT"),
        (THREE + "\n\nsecond part\n\n" + SECOND, "BSD-3-Clause AND BSD-2-Clause"),
        ("You may choose one of the following licenses.\n\n" + MIT + "\n\n" + SECOND, "MIT OR BSD-2-Clause"),
        (MIT + "\nThe file a.c is licensed under the Apache License, Version 2.0.\n", "MIT AND Apache-2.0"),
        ("---- LLVM Exceptions to the Apache 2.0 License ----\n\n" + APACHE, "Apache-2.0 WITH LLVM-exception"),
        ("MIT", "MIT"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991", "GPL-2.0-only"),
        (
            "This is under the GNU GPL, version 3 or any later version: licensed under the GNU GPL version 3 or later",
            "GPL-3.0-or-later",
        ),
        ("All rights reserved.", None),
        ("", None),
    ],
)
def test_what_a_licence_file_holds(text: str, expected: str | None) -> None:
    assert spdx(licenses.of_text(text)) == expected


def test_confidence_says_how_much_is_there_and_what_is_beside() -> None:
    sure = licenses.of_text(MIT)
    assert sure
    assert sure.confidence > 0.98
    odd = licenses.of_text(MIT.replace("free of charge", "for a fee").replace("publish, distribute", "print"))
    assert odd
    assert odd.spdx == "MIT"
    assert 0.8 < odd.confidence < 0.95
    assert licenses.of_text(MIT[:400]) is None
    restricted = licenses.of_text("The Commons Clause applies.\n\n" + MIT)
    assert restricted
    assert restricted.confidence == licenses.DOUBTFUL
    agreement = "The licensor grants the licensee a license under this agreement and no other license. " * 40
    unknown = licenses.of_text(agreement + "\n\n" + MIT)
    assert unknown
    assert unknown.confidence == licenses.DOUBTFUL


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"LICENSE": MIT}, "MIT"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, "Apache-2.0 OR MIT"),
        ({"LICENSE.txt": MIT, "NOTICE.md": APACHE}, "MIT AND Apache-2.0"),
        (
            {
                "LICENSE": "Under the terms of either LICENSE.MIT or LICENSE.BSD",
                "LICENSE.MIT": MIT,
                "LICENSE.BSD": THREE,
            },
            "BSD-3-Clause OR MIT",
        ),
        ({"LICENSE": MIT, "vendor/LICENSE": APACHE}, "MIT"),
        ({"a/LICENSE": MIT, "README": "x"}, None),
        (
            {
                "COPYING": "GNU GENERAL PUBLIC LICENSE\nVersion 3",
                "COPYING.LESSER": "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3",
            },
            "LGPL-3.0-only",
        ),
    ],
)
def test_the_licence_files_of_a_tree(files: dict[str, str], expected: str | None) -> None:
    assert spdx(licenses.of_files(files)) == expected


@pytest.mark.parametrize(
    ("text", "expected", "confidence"),
    [
        ("# SPDX-License-Identifier: MIT\n", "MIT", 1.0),
        ("/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */", "GPL-2.0-only WITH Linux-syscall-note", 1.0),
        ("<!-- SPDX-License-Identifier: CC-BY-4.0 -->", "CC-BY-4.0", 1.0),
        ("# SPDX-License-Identifier: (MIT OR\n#   Apache-2.0)\nimport a\n", "MIT OR Apache-2.0", 1.0),
        ("# SPDX-License-Identifier: MIT OR\n#   Apache-2.0\nimport a\n", "MIT OR Apache-2.0", 1.0),
        ("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: ISC\n", "MIT AND ISC", 1.0),
        ("# SPDX-License-Identifier: LicenseRef-Own\n", "LicenseRef-Own", 1.0),
        ('tag = "SPDX-License-Identifier: MIT"\n', None, None),
        ("x\n" * 4000 + "# SPDX-License-Identifier: MIT\n", None, None),
        ("// Licensed under the Apache License, Version 2.0 (the\n// \"License\");", "Apache-2.0", 0.95),
        ("# Licensed to the Apache Software Foundation (ASF). The ASF licenses this file\n# to you under the Apache License, Version 2.0",
         "Apache-2.0", 0.95),
        ("/* Use of this source code is governed by a BSD-style license that can be found\n * in the LICENSE file. */", None, None),
        ("# terms of the GNU General Public License as published by the Free Software Foundation;\n"
         "# either version 2 of the License, or (at your option) any later version.",
         "GPL-2.0-or-later", 0.95),
        ("# redistribute it under the terms of version 2.1 of the GNU Lesser General Public\n# License", "LGPL-2.1-only", 0.95),
        ("# distributed under the GPL\n", "GPL-1.0-or-later", 0.7),
        ("# License: GPLv3+\n", "GPL-3.0-or-later", 0.95),
        ("// licensed under either of Apache License, Version 2.0 or MIT license at your option.", "Apache-2.0 OR MIT", 0.95),
        ("/* This Source Code Form is subject to the terms of the Mozilla Public\n * License, v. 2.0. */", "MPL-2.0", 0.95),
        ("# licensed under the Creative Commons Attribution-ShareAlike 4.0 License", "CC-BY-SA-4.0", 0.95),
        ("# Proprietary and confidential. Unauthorized copying of this file is strictly prohibited", "LicenseRef-Proprietary", 0.95),
        ("# see COPYING for the license\n", None, None),
        ("# a licensed plumber\nimport a\n", None, None),
        ("# Copyright 2020 A\n#\n# " + MIT.replace("\n", "\n# "), "MIT", 0.987),
        ("import a\n", None, None),
    ],
)  # fmt: skip
def test_headers(text: str, expected: str | None, confidence: float | None) -> None:
    found = licenses.of_header(text)
    assert (spdx(found), found.confidence if found else None) == (expected, confidence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Licensed under the MIT License", "MIT"),  # the first word
        ("x.licensed under the MIT License", "MIT"),
        ("c++licensed under the MIT License", "MIT"),
        ("unlicensed under the MIT License", None),
        ("x. This is proprietary and confidential", "LicenseRef-Proprietary"),
        ("proprietary: unauthorized copying of this file is strictly prohibited", "LicenseRef-Proprietary"),
        ("license: unauthorized reproduction or use is prohibited", "LicenseRef-Proprietary"),
        ("use it under the same terms as perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        ("licensed under creative commons attribution share alike 4.0", "CC-BY-SA-4.0"),
        ("licensed under LGPL v3", "LGPL-3.0-only"),
        ("licensed under the GNU General Public License, version 2", "GPL-2.0-only"),
    ],
)
def test_where_the_words_of_a_notice_stand(text: str, expected: str | None) -> None:
    found = licenses.of_header(f"# {text}\n")
    assert (found.spdx if found else None) == expected


def test_words_before_a_verb_count_up_to_forty_characters() -> None:
    for filler, joint in (("x " * 16, " OR "), ("x " * 17, " AND ")):
        found = licenses.of_header(f"# either {filler}licensed under mit, apache 2.0\n")
        assert found == licenses.Found(joint.join(("MIT", "Apache-2.0")), notices.SURE)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sub-licence it", "sublicense it"),
        ("non-infringement of", "noninfringement of"),
        ("and/or sell", "and sell"),
        ("merchantibility of", "merchantability of"),
        ("Neither the name of the A B nor the names of others may be used to endorse", "names be used to endorse"),
        ("provided by the A and B as is", "provided by holder as is"),
        ("as is and the A disclaims all", "as is and holder disclaims all"),
        ("in no event shall the A or B be liable for", "in no event shall holder be liable for"),
    ],
)
def test_spellings_that_are_one(written: str, meant: str) -> None:
    assert " ".join(texts.words(f"x y {written}")).replace("disclaims", "disclaim") == " ".join(
        texts.words(f"x y {meant}")
    ).replace("disclaims", "disclaim")


def test_installed_packages_have_the_licence_they_declare() -> None:
    """Of packages with an unmistakable SPDX id and one licence file, the file is known as that licence."""
    wrong = {}
    checked = 0
    for each in importlib.metadata.distributions():
        stated = licenses.normal(each.metadata.get("License-Expression"))
        files = [file for file in each.files or () if file.name.upper().startswith(("LICENSE", "COPYING"))]
        if stated in ("MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause", "MPL-2.0", "ISC") and len(files) == 1:
            checked += 1
            text = each.locate_file(files[0]).read_text(errors="replace")  # type: ignore[union-attr]
            found = licenses.of_text(text)
            if len(text) < 12_000 and stated not in (spdx(found) or "").split(" "):
                wrong[each.metadata["Name"]] = found
    assert checked > 20
    assert not wrong


def test_the_index_is_the_one_that_was_built() -> None:
    """spdx-license-list 6.12.0; a new one changes the numbers (licenses/index.py says how to build it)."""
    with pa.ipc.open_file(texts.INDEX) as file:
        table = file.read_all()
    assert table.schema.names == ["spdx", "step", "runs"]
    assert len(table) == 666
    assert texts.INDEX.stat().st_size < 400_000
    assert {"MIT", "GPL-3.0-only", "OFL-1.1", "CC-BY-SA-4.0", "curl", "Unicode-3.0"} <= set(table["spdx"].to_pylist())


@given(st.lists(st.sampled_from([MIT, SECOND, THREE, APACHE]), min_size=1, max_size=4, unique=True), st.randoms())
@settings(max_examples=15, deadline=None)
def test_several_texts_in_any_order_are_all_found(parts: list[str], random: object) -> None:
    names = {MIT: "MIT", SECOND: "BSD-2-Clause", THREE: "BSD-3-Clause", APACHE: "Apache-2.0"}
    found = licenses.of_text("\n\n----- another component -----\n\n".join(parts))
    assert found
    assert found.spdx.split(" AND ") == [names[part] for part in parts]


@pytest.mark.parametrize(
    "piece", ["\n", "x\n*\n", "neither the names of ", "licensed under the ", "(c) ", "<a", "gpl version 2 "]
)
def test_odd_files_take_bounded_time(piece: str) -> None:
    start = time.process_time()
    licenses.of_text(piece * (2_000_000 // len(piece)))
    licenses.of_header(piece * 10_000)
    assert time.process_time() - start < 8  # some 0.5 s; the machine is shared
