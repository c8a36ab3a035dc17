"""Bytes of a page to text: which of the charsets that a page claims, and that its bytes allow, is the right one.

The order is that of browsers (WHATWG Encoding Standard, HTML §13.2.3: byte order mark, HTTP header, `<meta charset>`), with two changes for
crawls. A claim counts only if the bytes bear it out; and text that is valid UTF-8 is UTF-8 even when a server says windows-1252 or
ISO-8859-1, which servers say unasked. Without a claim: UTF-8, then detection on a prefix (charset-normalizer, up to 0.1 s), then
windows-1252. Never raises. Not covered: pages that mix charsets, UTF-7, ISO-2022 escapes without a claim.
"""

import codecs
import re

PRESCAN_BYTES = 4096  # browsers look at 1,024; real pages put long comments and scripts first
DETECT_BYTES = 32 << 10
MAX_REPLACED_SHARE = 0.005  # a claimed charset may fail on this share of characters: stray bytes, cut ends

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# No two neighbours match the same white space: a page of spaces must not cost a square of its length.
_HTTP_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([\w.:-]+)", re.IGNORECASE)
_META_CHARSET = re.compile(
    rb"<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*(?:[\"']\s*)?([\w.:-]+)", re.IGNORECASE
)

# Python has codecs that must not be reachable from a page's header (unicode_escape, idna, punycode, utf-7): these names only.
_ALLOWED = re.compile(
    r"utf-8|utf-(16|32)(-[lb]e)?|iso8859-\d+|cp(125\d|866|874|932|949|950)|koi8-[ru]|gb2312|gbk|gb18030|hz|big5(hkscs)?|shift_jis(x0213|_2004)?"
    r"|euc_(jp|kr)|johab|iso2022_(jp|kr)|mac-(roman|cyrillic)|ascii|tis-620"
)
# What browsers use instead: supersets that sites rely on (WHATWG Encoding Standard §4.2).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_DETECTABLE = [
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859_2", "koi8_r", "cp866", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]


def decode(data: bytes, http_content_type: str | None = None) -> tuple[str, str]:
    """The text of `data` without NULs, and the Python name of the charset it was decoded from.

    `http_content_type` is the value of the Content-Type header, if there is one.
    """
    text, charset = _decode(data, http_content_type)
    return text.replace("\0", ""), charset


def _decode(data: bytes, http_content_type: str | None) -> tuple[str, str]:
    for mark, charset in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(charset, "replace"), charset
    claims = _claims(data, http_content_type)
    for charset in [*claims, "utf-8"]:
        if charset == "cp1252" and _strict(data, "utf-8") is not None:
            charset = "utf-8"
        if (text := _strict(data, charset)) is not None:
            return text, charset
    for charset in claims or ["utf-8"]:
        text = data.decode(charset, "replace")
        if text.count("\ufffd") <= MAX_REPLACED_SHARE * len(text):
            return text, charset
    charset = _detected(data) or "cp1252"
    return data.decode(charset, "replace"), charset


def _claims(data: bytes, http_content_type: str | None) -> list[str]:
    """The charsets that the HTTP header and the page's head name, as far as Python has them, without repetition."""
    claims = []
    if header := _HTTP_CHARSET.search(http_content_type or ""):
        claims.append(_codec(header[1]))
    if meta := _META_CHARSET.search(data[:PRESCAN_BYTES]):
        charset = _codec(meta[1].decode("ascii", "replace"))
        is_impossible = charset is not None and charset.startswith(("utf-16", "utf-32"))  # the claim was read as ASCII
        claims.append("utf-8" if is_impossible else charset)
    return list(dict.fromkeys(charset for charset in claims if charset))


def _codec(label: str) -> str | None:
    """The Python codec for a label, None for unknown and for unsafe ones."""
    label = label.lower().removeprefix("x-")
    label = {"sjis": "shift_jis", "utf8mb4": "utf-8", "unicode-1-1-utf-8": "utf-8"}.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    return _SUPERSETS.get(name, name) if _ALLOWED.fullmatch(name) else None


def _strict(data: bytes, charset: str) -> str | None:
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        return None


def _detected(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    prefix = data[:DETECT_BYTES]
    if len(data) > DETECT_BYTES:  # end between lines, not inside a character
        prefix = prefix[: prefix.rfind(b"\n") + 1] or prefix
    best = from_bytes(prefix, cp_isolation=_DETECTABLE, preemptive_behaviour=False).best()
    return best.encoding if best else None
