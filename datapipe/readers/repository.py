"""The name, version and licence of a repository, from the first of its files that says each.

In order: `repo.json` ({"name", "version", "license"}, written by who collected the files), Python METADATA or PKG-INFO, package.json,
Cargo.toml, pyproject.toml, licence files. A file that does not parse says nothing.
"""

import fnmatch
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from email.parser import HeaderParser
from typing import Any, NamedTuple

from datapipe.readers import licenses

COLLECTOR_FILE = "repo.json"
MAX_FILE_BYTES = 1 << 20  # of a file that is asked
MAX_LICENSE_FILES = 20  # that are read, those nearest to the top


class License(NamedTuple):
    spdx: str
    source: str  # header, file, metadata, or dataset (who collected the files says so)
    confidence: float = 1.0  # 0..1

    def meta(self) -> dict[str, Any]:
        """What `meta` of a document says about its licence."""
        return {"license_from": self.source, "license_confidence": round(self.confidence, 3)}


class Repository(NamedTuple):
    name: str | None = None
    version: str | None = None
    license: License | None = None


def says(path: str) -> bool:
    """Whether `describe` would ask the file at `path`, relative to the repository."""
    return bool(_ASKED.match(path)) and (any(_matches(path, glob) for glob, _ in _SAYING) or _is_license_file(path))


def describe(paths: Iterable[str], read_text: Callable[[str], str]) -> Repository:
    """What the files of a repository say about it; `paths` are relative to it, `read_text` gives the text of one."""
    asked = sorted(path for path in paths if says(path))
    found = Repository()
    for glob, parse in _SAYING:
        for path in asked:
            if _matches(path, glob):
                said = parse(read_text(path))
                found = Repository(
                    found.name or said.name, found.version or said.version, found.license or said.license
                )
        if all(found):
            break
    if found.license is None:
        nearest = sorted(filter(_is_license_file, asked), key=lambda path: (path.count("/"), path))
        texts = {path: read_text(path) for path in nearest[:MAX_LICENSE_FILES]}
        said_there = licenses.of_files(texts)
        found = found._replace(license=License(said_there.spdx, "file", said_there.confidence) if said_there else None)
    return found


def _matches(path: str, glob: str) -> bool:
    return path.count("/") == glob.count("/") and fnmatch.fnmatchcase(path, glob)


def _is_license_file(path: str) -> bool:
    return any(_matches(path.lower(), glob) for glob in _LICENSE_FILES)


def _declared(spdx: str | None) -> License | None:
    return License(spdx, "metadata") if spdx else None


def _from_json(text: str) -> Repository:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return Repository()
    return _from_mapping(record)


def _from_metadata(text: str) -> Repository:
    head = text.partition("\n\n")[0]  # the description below it can be long
    headers = HeaderParser().parsestr(head)
    return Repository(headers.get("Name"), headers.get("Version"), _declared(licenses.from_metadata(head)))


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
    return Repository(name, version, _declared(licenses.normal(record.get("license"))))


def _from_collector(text: str) -> Repository:
    """As `_from_json`, but its licence is an SPDX expression already and taken as it is."""
    said = _from_json(text)
    try:
        license = json.loads(text).get("license")
    except (ValueError, AttributeError, RecursionError):
        return said
    return said._replace(license=License(license, "dataset") if isinstance(license, str) and license else None)


_SAYING = (
    (COLLECTOR_FILE, _from_collector),
    ("METADATA", _from_metadata),
    ("PKG-INFO", _from_metadata),
    ("*.dist-info/METADATA", _from_metadata),
    ("*.egg-info/PKG-INFO", _from_metadata),
    ("package.json", _from_json),
    ("Cargo.toml", _from_toml("package")),
    ("pyproject.toml", _from_toml("project")),
)
_LICENSE_FILES = (
    "licen[cs]e*",
    "unlicense*",
    "copying*",
    "*.dist-info/licen[cs]e*",
    "*.dist-info/licenses/licen[cs]e*",
    "*.egg-info/licen[cs]e*",
)  # in lower case
_ASKED = re.compile("|".join(fnmatch.translate(glob) for glob in (*dict(_SAYING), *_LICENSE_FILES)), re.IGNORECASE)
