import pytest

from datapipe.readers.repository import MAX_LICENSE_FILES, License, Repository, describe, says

MIT = """MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def declared(spdx: str) -> License:
    return License(spdx, "metadata")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Repository()),
        ({"PKG-INFO": "Name: a\nVersion: 1\nLicense: MIT\n"}, Repository("a", "1", declared("MIT"))),
        (
            {"package.json": '{"name": "@s/a", "version": "1", "license": "ISC"}'},
            Repository("@s/a", "1", declared("ISC")),
        ),
        (
            {"Cargo.toml": '[package]\nname="a"\nversion.workspace=true\nlicense="MIT/Apache-2.0"'},
            Repository("a", None, declared("MIT OR Apache-2.0")),
        ),
        (
            {"pyproject.toml": '[project]\nname="a"\nversion="1"\nlicense={text="MIT"}'},
            Repository("a", "1", declared("MIT")),
        ),
        (
            {"repo.json": '{"name": "b", "version": "2", "license": "X-own"}', "package.json": '{"license": "ISC"}'},
            Repository("b", "2", License("X-own", "dataset")),
        ),
        (
            {"repo.json": '{"name": "b"}', "package.json": '{"name": "a", "version": "1", "license": "ISC"}'},
            Repository("b", "1", declared("ISC")),
        ),
        ({"package.json": '{"name": "a", "license": "ISC"}', "LICENSE": MIT}, Repository("a", None, declared("ISC"))),
        ({"package.json": "{", "Cargo.toml": "[", "repo.json": "[]", "pyproject.toml": "project=1"}, Repository()),
        (
            {"vendor/package.json": '{"name": "a"}', "deep/x.dist-info/METADATA": "Name: a", "vendor/LICENSE": MIT},
            Repository(),
        ),
    ],
)
def test_what_a_repository_says_about_itself(files: dict[str, str], expected: Repository) -> None:
    assert describe(files, files.__getitem__) == expected


@pytest.mark.parametrize(
    "path", ["LICENSE", "License.md", "COPYING", "a.dist-info/licenses/LICENSE", "a.egg-info/LICENSE"]
)
def test_a_licence_file(path: str) -> None:
    license = describe([path], {path: MIT}.__getitem__).license
    assert license
    assert (license.spdx, license.source) == ("MIT", "file")
    assert 0.9 < license.confidence <= 1
    assert license.meta() == {"license_from": "file", "license_confidence": round(license.confidence, 3)}


def test_only_files_that_can_say_something_are_asked() -> None:
    paths = ["LICENSE", "unlicense", "COPYING.txt", "PKG-INFO", "a.egg-info/PKG-INFO", "Cargo.toml"]
    assert all(map(says, paths))
    assert not any(map(says, ["a.py", "vendor/LICENSE", "a/b.dist-info/METADATA", "cargo.toml", "README.md"]))
    asked: list[str] = []
    describe([*paths, "a.py", "vendor/LICENSE"], lambda path: asked.append(path) or "")
    assert sorted(asked) == sorted(paths)


def test_of_many_licence_files_some_are_read_those_nearest_to_the_top() -> None:
    files = {f"LICENSES/{number:06}.txt": "words" for number in range(10_000)} | {"LICENSE": MIT}
    read: list[str] = []

    def text_of(path: str) -> str:
        read.append(path)
        return files[path]

    found = describe(files, text_of)
    assert found.license
    assert found.license.spdx == "MIT"
    assert read[0] == "LICENSE"
    assert len(read) <= MAX_LICENSE_FILES
