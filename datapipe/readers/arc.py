"""The header line of a record in an ARC file, the format of web archives before WARC (Burner and Kahle, "Arc File Format", 1996).

A record is one line and a block. Version 1 has five fields, `URL IP date mime length`; version 2 puts result code, checksum, location,
offset and file name before the length. Both are read alike: what is needed stands around the date and at the end. URLs of that time hold
spaces, so the date is looked for. Of the version block only the length matters.
"""

import re

VERSION_BLOCK = "filedesc:"
_SCHEME = rb"[A-Za-z][A-Za-z0-9+.-]{1,20}:"
_LINE_START = re.compile(_SCHEME + rb"\S")
_DATE = re.compile(rb"\d{14}")
_LENGTH = re.compile(rb"\d{1,15}")
# Behind damage in an uncompressed file: at the beginning of a line, without spaces in the URL, with an address.
RECORD_START = re.compile(
    rb"(?<=\n)" + _SCHEME + rb"\S{1,3000}[ \t][\d.:A-Fa-f]{2,40}[ \t]\d{14}[ \t][^\r\n]{1,900}?[ \t]\d{1,15}[ \t]*\r?\n"
)
RECORD_START_BYTES = 4096  # at most, of a match


def headers(line: bytes) -> dict[str, str] | None:
    """The line in the terms of a WARC record (names in lower case), None when it is no such line."""
    if not line.endswith(b"\n") or not _LINE_START.match(line):
        return None
    fields = line.split()
    at = next((index for index in range(2, len(fields) - 2) if _DATE.fullmatch(fields[index])), None)
    if at is None or not _LENGTH.fullmatch(fields[-1]):
        return None
    uri = b" ".join(fields[: at - 1]).decode("utf-8", "replace")
    date, mime = fields[at].decode(), fields[at + 1].decode("utf-8", "replace")
    is_http = uri.lower().startswith(("http:", "https:"))
    return {
        "warc-type": "warcinfo" if uri.startswith(VERSION_BLOCK) else "response" if is_http else "resource",
        "warc-target-uri": uri,
        "warc-date": f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z",
        "content-type": "application/http" if is_http else mime,
        "content-length": fields[-1].decode(),
    }
