"""Papers from their TeX sources, one document each: the form in which arXiv hands them out, single or by the thousand.

A file is one paper (`.tex`, `.tar`, either packed by gzip), or a tar of papers, each packed by itself and named by its arXiv number
(`2401/2401.01234.gz`, arXiv's bulk archives). What a paper's document holds is told in `tex_source.py`. Its origin is `arxiv:2401.01234v2`
where a name says so, else the path; its licence is not in the sources, and so unknown.

What is no document is counted: `latex.no_source` (a PDF, PostScript, HTML or plain text alone), `latex.no_main` (nothing to begin with),
`latex.empty`, `latex.too_large` (more than `max_paper_bytes` unpacked: also bombs), `latex.expands_too_far` (macros), `latex.truncated`,
`latex.damaged` (also where the bytes between two papers of a tar are none of either).

A paper is held whole, at most `max_paper_bytes`; a tar is read front to back. About 3 MB of TeX per CPU second. Not covered: tars of papers
that are named otherwise, reading one paper again (`read_raw`).
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from datapipe import store
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.split import Input, Row
from datapipe.readers.tex_source import Unusable, paper

SUFFIXES = (".tex", ".tex.gz", ".tar", ".tar.gz", ".tgz", ".gz")
MAX_FILES = 10_000  # of one paper
_BLOCK = 512
_NEW_NUMBER = r"\d{4}\.\d{4,5}"
_OLD_NUMBER = r"(?P<archive>[a-z]+(?:-[a-z]+)?(?:\.[A-Z]{2})?)[_/]?(?P<old>\d{7})"
_NUMBER = re.compile(rf"(?:(?P<new>{_NEW_NUMBER})|{_OLD_NUMBER})(?P<version>v\d{{1,3}})?(?=\.|$)")
_PACKED = re.compile(r"\.(?:gz|tgz|tar|pdf|ps)$", re.IGNORECASE)
_PRINTED = (".pdf", ".ps", ".ps.gz")
_TEXTS = (".tex", ".ltx", ".latex", ".sty")
_TEX = re.compile(r"\\(?:documentclass|documentstyle|begin\s*\{|input\b|magnification|section|bye\b|font\b|def\b)")
_ENCODING = re.compile(
    rb"\\usepackage\s*\[([^\]]{1,200})\]\s*\{inputenc\}|\\inputencoding\s*\{([^{}]{1,40})\}"
    rb"|\\begin\{CJK\*?\}\{(GBK?|Bg5)\}"
)
_ENCODINGS = {
    "latin2": "iso8859-2", "latin3": "iso8859-3", "latin4": "iso8859-4", "latin5": "iso8859-9", "latin9": "iso8859-15",
    "latin10": "iso8859-16", "cp437": "cp437", "cp850": "cp850", "cp852": "cp852", "cp866": "cp866", "cp1250": "cp1250",
    "cp1251": "cp1251", "cp1257": "cp1257", "koi8-r": "koi8-r", "koi8-u": "koi8-u", "applemac": "mac-roman", "GB": "gb18030",
    "GBK": "gb18030", "Bg5": "big5",
}  # fmt: skip
_NO_SOURCE = (b"%PDF", b"%!PS", b"<!DOCTYPE", b"<html", b"\xd0\xcf\x11\xe0", b"PK\x03\x04")


def read(source: Input, *, max_paper_bytes: int = 64 << 20) -> Iterator[Row]:
    """The papers of one file."""
    whole = {"file": source.name, "offset": 0, "length": source.size_bytes}
    with store.open_input(source.path) as stream:
        try:
            content = open_decompressed(stream)
            head = content.read(_BLOCK)
            if _is_tar(head):
                yield from _of_tar(source, whole, _Whole(head, content), content is not stream, max_paper_bytes)
            else:
                yield _row(source.name, whole, _single(head, content, max_paper_bytes))
        except MemberError as error:
            yield _row(source.name, whole, error.reason)


def arxiv_number(name: str) -> str | None:
    """`2401.01234v2`, or `hep-th/9901001` of the years before 2007, where a file or folder is named by it."""
    for part in reversed(name.split("/")):
        if match := _NUMBER.match(part):
            number = match["new"] or f"{match['archive']}/{match['old']}"
            return number + (match["version"] or "")
    return None


def _of_tar(source: Input, whole: Row, stream: "_Whole", is_packed: bool, max_bytes: int) -> Iterator[Row]:
    """Papers that lie in a tar, or the one whose files it holds. A tar that is packed as a whole is not unpacked beyond the first file
    that is too large: it may have no end."""
    loose, num_papers, expected = _Files(max_bytes), 0, 0
    try:
        for tar, member in _members(stream):
            if member.offset > expected > 0:
                yield _row(f"{source.name}#{expected}", whole, "damaged")
            expected = member.offset_data + (-(-member.size // _BLOCK) * _BLOCK if member.isfile() else 0)
            if member.isfile() and _PACKED.search(member.name) and _NUMBER.match(member.name.rpartition("/")[2]):
                num_papers += 1
                place = whole if is_packed else {**whole, "offset": member.offset_data, "length": member.size}
                yield _row(member.name, place, _nested(tar, member, max_bytes))
            else:
                loose.add(tar, member)
            if is_packed and (loose.is_full or member.size > max_bytes):
                break
    except tarfile.TarError:
        yield _row(source.name, whole, stream.failure or "truncated")
        return
    if stream.failure or loose.found or loose.is_full or not num_papers:
        yield _row(source.name, whole, stream.failure or loose.outcome)


def _nested(tar: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> dict[str, bytes] | str:
    """The files of a paper that lies packed in a tar, or the reason why there are none."""
    if member.name.lower().endswith(_PRINTED):
        return "no_source"
    if member.size > max_bytes:
        return "too_large"
    try:
        content = open_decompressed(io.BytesIO(_content(tar, member)))
        head = content.read(_BLOCK)
        if not _is_tar(head):
            return _single(head, content, max_bytes)
    except MemberError as error:
        return error.reason
    stream, files = _Whole(head, content), _Files(max_bytes)
    try:
        for inner, one in _members(stream):
            files.add(inner, one)
            if files.is_full:
                break
    except tarfile.TarError:
        return stream.failure or "truncated"
    return stream.failure or files.outcome


def _members(stream: "_Whole") -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """What a tar holds, front to back; a damaged header is passed over. Raises TarError for one that ends too early."""
    with tarfile.open(fileobj=io.BufferedReader(stream), mode="r|", ignore_zeros=True) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # it would keep the header of every one
            yield tar, member


class _Files:
    """The TeX files of a paper, within bounds."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = self._num_files = 0
        self.found: dict[str, bytes] = {}

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Takes a member if it is a text and there is room."""
        self._num_bytes, self._num_files = self._num_bytes + member.size, self._num_files + 1
        if member.isfile() and not self.is_full and _is_text(member.name):
            self.found[_plain(member.name)] = _content(tar, member)

    @property
    def is_full(self) -> bool:
        return self._num_bytes > self._max_bytes or self._num_files > MAX_FILES

    @property
    def outcome(self) -> dict[str, bytes] | str:
        return "too_large" if self.is_full else self.found or "no_source"


def _single(head: bytes, content: BinaryIO, max_bytes: int) -> dict[str, bytes] | str:
    """A file that is one paper's only source, or the reason why it is none."""
    if not head.strip():
        return "empty"
    if head.lstrip().startswith(_NO_SOURCE):
        return "no_source"
    data = head + content.read(max_bytes + 1 - len(head))
    if len(data) > max_bytes:
        return "too_large"
    return {"paper.tex": data} if _TEX.search(_decoded(data)) else "no_source"


def _row(name: str, place: Row, found: dict[str, bytes] | str) -> Row:
    """The document of a paper's files; of a reason, a row that is dropped for it."""
    number = arxiv_number(name)
    row: Row = {"origin": f"arxiv:{number}" if number else name, "license": None, "raw": place}
    if isinstance(found, str):
        return {**row, "drop_reason": f"latex.{found}"}
    try:
        encoding = _encoding(found.values())
        made = paper({path: _decoded(data, encoding) for path, data in found.items()})
    except Unusable as error:
        return {**row, "drop_reason": f"latex.{error.reason}"}
    return {**row, "text": made.text, "meta": json.dumps({"type": "paper", **made.about})}


def _is_tar(head: bytes) -> bool:
    if len(head) < _BLOCK or not head.strip(b"\0"):
        return False
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _is_text(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return last.endswith(_TEXTS) or last.startswith("00readme")


def _plain(name: str) -> str:
    return name.removeprefix("./").encode("utf-8", "replace").decode()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _encoding(files: Iterable[bytes]) -> str:
    """What the sources say that they are written in; else Windows-1252, which has all of Latin 1."""
    named = (match for data in files for match in _ENCODING.finditer(data) if not _is_comment(data, match.start()))
    words = (
        word.strip().decode("ascii", "replace")
        for match in named
        for word in b",".join(filter(None, match.groups())).split(b",")
    )
    return next((_ENCODINGS[word] for word in words if word in _ENCODINGS), "cp1252")


def _is_comment(data: bytes, place: int) -> bool:
    """Whether a percent sign stands before a place on its line: templates offer the encodings of other systems so."""
    return b"%" in data[max(0, place - 200) : place].rpartition(b"\n")[2]


def _decoded(data: bytes, encoding: str = "cp1252") -> str:
    """UTF-8, else the encoding of the years before it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(encoding, "replace")


class _Whole(io.RawIOBase):
    """A stream whose beginning has been read already. It ends where its compression is broken: `failure` says why, and what was read
    before is not lost."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = head, rest
        self.failure: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.failure:
            return 0
        try:
            data = self._head[: len(buffer)] or self._rest.read1(len(buffer))
        except MemberError as error:
            self.failure, data = error.reason, b""
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)
