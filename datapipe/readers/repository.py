"""The name, version and licence of a source tree, from the first of its files that says each.

In order: `repo.json` ({"name", "version", "license"}, written by who collected the tree), Python METADATA or PKG-INFO, package.json,
Cargo.toml, pyproject.toml, a licence file. A file that does not parse says nothing.
"""

import fnmatch
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from email.parser import HeaderParser
from typing import Any, NamedTuple

from datapipe.readers import licenses

COLLECTOR_FILE = "repo.json"


class Repository(NamedTuple):
    name: str | None = None
    version: str | None = None
    license: str | None = None  # SPDX


def describe(paths: Iterable[str], read_text: Callable[[str], str]) -> Repository:
    """What the files of a tree say about it; `paths` are relative to it, `read_text` gives the text of one."""
    ordered = sorted(paths)
    found = Repository()
    for glob, parse in _SAYING:
        for path in ordered:
            if path.count("/") == glob.count("/") and fnmatch.fnmatchcase(path, glob):
                said = parse(read_text(path))
                found = Repository(*(known or new for known, new in zip(found, said, strict=True)))
        if all(found):
            break
    return found


def _from_json(text: str) -> Repository:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return Repository()
    return _from_mapping(record)


def _from_metadata(text: str) -> Repository:
    headers = HeaderParser().parsestr(text)
    return Repository(headers.get("Name"), headers.get("Version"), licenses.from_metadata(text))


def _from_toml(table: str) -> Callable[[str], Repository]:
    def parse(text: str) -> Repository:
        try:
            return _from_mapping(tomllib.loads(text).get(table))
        except (ValueError, RecursionError):  # beside what is no TOML: a number of 5,000 digits, a thousand brackets
            return Repository()

    return parse


def _from_mapping(record: Any) -> Repository:
    if not isinstance(record, Mapping):
        return Repository()
    name, version = (value if isinstance(value, str) else None for value in map(record.get, ("name", "version")))
    return Repository(name, version, licenses.normal(record.get("license")))


def _from_license_file(text: str) -> Repository:
    return Repository(license=licenses.from_text(text))


def _from_collector(text: str) -> Repository:
    """As `_from_json`, but its licence is an SPDX expression already and taken as it is."""
    said = _from_json(text)
    try:
        license = json.loads(text).get("license")
    except (ValueError, AttributeError, RecursionError):
        return said
    return said._replace(license=license if isinstance(license, str) and license else None)


_SAYING = (
    (COLLECTOR_FILE, _from_collector),
    ("METADATA", _from_metadata),
    ("PKG-INFO", _from_metadata),
    ("*.dist-info/METADATA", _from_metadata),
    ("*.egg-info/PKG-INFO", _from_metadata),
    ("package.json", _from_json),
    ("Cargo.toml", _from_toml("package")),
    ("pyproject.toml", _from_toml("project")),
    ("LICEN[CS]E*", _from_license_file),
    ("[Ll]icen[cs]e*", _from_license_file),
    ("COPYING*", _from_license_file),
    ("*.dist-info/LICEN[CS]E*", _from_license_file),
    ("*.dist-info/licenses/LICEN[CS]E*", _from_license_file),
)
