"""A file of a repository as a document, whatever holds it: a folder, git's object database, a package.

The origin is `name@version:path`. Language, role and licence stand with each file: an SPDX tag or notice in the file itself goes before
the licence of its repository, and `meta` says where the licence comes from and how sure that is. Prose about the repository, and what says
how it is built, are documents too.

What is no document is counted: `file.not_source` (of no known language), `file.binary` (a NUL byte), `file.too_large`,
`file.not_utf8`, `file.empty`, `file.lfs_pointer` (the content lies on a Git LFS server), `file.repeated` (a second one of the same path),
and by those who hold the files `file.link` (a symbolic or hard link, a device), `file.submodule`, `file.missing` (not fetched, in a
partial clone), `file.damaged`, `file.unsafe_path`. Sizes are known first: what is too large is never read. Not covered: other charsets
than UTF-8.
"""

import codecs
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from datapipe.readers import languages, licenses, roles
from datapipe.readers.repository import License, Repository
from datapipe.readers.split import Row
from datapipe.schema import code_origin

MAX_FILES = 1_000_000  # of one repository; crafted trees have 10^10 from a few kilobytes

_NEVER_TEXT = re.compile(
    r".*\.(7z|a|avi|bin|bmp|bz2|class|dll|dylib|eot|exe|flac|gif|gz|h5|ico|jar|jpe?g|lib|mo|mov|mp[34]|np[yz]|o|obj|ogg|onnx|otf|pdf"
    r"|pickle|pkl|png|psd|pth?|py[cdo]|rar|so|sqlite|tar|tgz|tiff?|ttf|wasm|wav|web[mp]|whl|woff2?|xlsx?|xz|zip|zst)$",
    re.IGNORECASE,
)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_MAX_POINTER_BYTES = 1024  # by the specification of Git LFS


class File(NamedTuple):
    """A file with its bytes, or with the reason why they were not read."""

    path: str  # relative to the repository, with `/`
    size_bytes: int
    data: bytes = b""
    reason: str | None = None


def unread(path: str, size_bytes: int, max_bytes: int) -> str | None:
    """Why a file is not to be read at all, by its name and size; None when it is."""
    if _NEVER_TEXT.match(posixpath.basename(path)):
        return "not_source"
    return "too_large" if size_bytes > max_bytes else None


def readable(path: bytes) -> str:
    """A path as text. Bytes that are no UTF-8 become escapes (`\\xe9`), so that different names stay different."""
    return path.decode("utf-8", "backslashreplace")


def rows(files: Iterable[File], about: Repository, container: str) -> Iterator[Row]:
    """A row per file. `about` has a name and a version; `container` is the name of the input that holds the files."""
    place = code_origin(about.name or "", about.version or "", "")
    seen: set[int] = set()  # of hashes: 200,000 paths are some 15 MB
    for file in files:
        path_hash = xxhash.xxh3_64_intdigest(file.path.encode("utf-8", "surrogatepass"))
        reason = "repeated" if path_hash in seen else file.reason
        seen.add(path_hash)
        row = {"drop_reason": f"file.{reason}"} if reason else document(file, about.license)
        yield {
            "origin": place + file.path,
            "raw": {"file": f"{container}/{file.path}", "offset": 0, "length": file.size_bytes},
            **row,
        }


def document(file: File, license: License | None, facts: Mapping[str, Any] | None = None) -> Row:
    """Text and labels of a file, or its drop reason. `facts` of whoever collected it go into `meta`; a role among them counts."""
    data = file.data
    if not data or data.isspace():
        return {"drop_reason": "file.empty"}
    if b"\0" in data:
        return {"drop_reason": "file.binary"}
    if len(data) <= _MAX_POINTER_BYTES and data.startswith(_LFS_POINTER):
        return {"drop_reason": "file.lfs_pointer"}
    language = languages.detect(file.path, data)
    if language is None:
        return {"drop_reason": "file.not_source"}
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()  # twice as fast as "utf-8-sig"
    except UnicodeDecodeError:
        return {"drop_reason": "file.not_utf8"}
    found = licenses.of_header(text)
    license = License(found.spdx, "header", found.confidence) if found else license
    role = (facts or {}).get("role") or roles.role_of(file.path, text, language.name)
    meta = {**(facts or {}), "role": role, **(license.meta() if license else {})}
    return {"text": text, "lang": language.name, "license": license.spdx if license else None, "meta": json.dumps(meta)}
