"""Exact deduplication: documents whose normalised text is the same keep one copy; so do pages of the same address.

Texts: Unicode NFKC, lower case, every run of white space one space. Equality is that of the xxh3-128 of the normalised text: among
10^12 documents the chance of any collision is about 1.5e-15. Addresses: `normalised_url`. Costs about 40 bytes of exchange per document.
"""

import re
import unicodedata
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.dedup import clusters
from curation.steps import RoutedStep

SLICE_CHARS = 1 << 16  # what stays in a core's cache
_ASCII = bytes(range(128))
_FOLDED = bytes(ord(" ") if chr(code).isspace() else code for code in _ASCII).lower() + bytes(range(128, 256))

_SPACE = re.compile(r"\s")
_PORTS = {"http": 80, "https": 443, "ftp": 21}
# What only says where a visitor came from or who he is: campaign tags, click ids, sessions. A session is told by its value, too:
# `sid=12` is the twelfth story of a site.
_TRACKING = re.compile(r"utm_\w+|\w*clid|mc_[ce]id|igshid|_ga|_gl|ref_src", re.I)
_SESSION_KEY = re.compile(r"(php|j|asp)?sess(ion)?(_?id)?|sid|zenid|osCsid", re.I)
_SESSION_VALUE = re.compile(r"[\w.!-]{16,}")
_PERCENT, _UNRESERVED = re.compile(r"%([0-9A-Fa-f]{2})"), re.compile(r"[A-Za-z0-9._~-]")
_SESSION = re.compile(r";(jsessionid|phpsessid|sid)=[^/?]*", re.IGNORECASE)
_DATE = r'"date": ?"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)T(?P<hour>\d\d):(?P<minute>\d\d):?(?P<second>\d{0,2})'
# Of the longest year and month: only the order counts.
_SECONDS = {"year": 32_140_800, "month": 2_678_400, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_FIRST_YEAR = 1990  # of the web; 31 bits of seconds from here on last until 2056


def normalised(text: str) -> str:
    """The form in which texts are compared: the plain definition."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def _normalised_utf8(text: str) -> bytes:
    """`normalised`, three times as fast where most is ASCII. The other characters are then looked at by themselves: seldom is one of them
    in upper case or white space, so that no more than a table for ASCII is needed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    utf8 = text.encode("utf-8", "surrogatepass")
    if len(utf8) > len(text) * 5 // 4:  # another script
        return " ".join(text.lower().split()).encode("utf-8", "surrogatepass")
    if not utf8.isascii():
        beyond = utf8.translate(None, _ASCII).decode("utf-8", "surrogatepass")
        if beyond.lower() != beyond:
            utf8 = text.lower().encode("utf-8", "surrogatepass")
        for space in set(_SPACE.findall(beyond)):
            utf8 = utf8.replace(space.encode(), b" ")
    codes_C = np.frombuffer(utf8.translate(_FOLDED), np.uint8)
    is_shown_C = codes_C != ord(" ")
    kept_C = is_shown_C.copy()
    kept_C[1:] |= is_shown_C[:-1]  # and the space behind a word
    return codes_C[kept_C].tobytes().removesuffix(b" ")


def digest(text: str) -> bytes:
    """xxh3-128 of the normalised text; a long one goes through in slices that end at white space, which also bounds its memory."""
    if len(text) <= SLICE_CHARS:
        return xxhash.xxh3_128_digest(_normalised_utf8(text))
    hasher, start, separator = xxhash.xxh3_128(), 0, b""
    while start < len(text):
        space = _SPACE.search(text, start + SLICE_CHARS)
        end = space.end() if space else len(text)
        if part := _normalised_utf8(text[start:end]):
            hasher.update(separator + part)
            separator = b" "
        start = end
    return hasher.digest()


def normalised_url(url: str) -> str:
    """The form in which addresses are compared: without scheme, `www.`, the dot that closes a host, default port, fragment, session and
    tracking parameters and closing slash; host in lower case, parameters sorted, percent signs as RFC 3986 wants them. What is no address
    stays as it is. So does `index.html`: a site may serve another page there, and a page lost to a wrong guess does not come back, while
    the copies that a guess would find have one text.
    """
    try:
        parts = urlsplit(_SESSION.sub("", url.strip()))
        host, port = parts.hostname or "", parts.port
        host = host.encode("idna").decode("ascii") if not host.isascii() else host
    except ValueError:  # also UnicodeError: a host that cannot be
        return url
    host = host.removesuffix(".")
    if "." in (bare := host.removeprefix("www.")):  # www.com is a domain of its own
        host = bare
    if parts.scheme not in _PORTS or not host:
        return url
    if port and port != _PORTS[parts.scheme]:
        host += f":{port}"
    query = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _is_of_visitor(*pair))
    path = _PERCENT.sub(_normal_percent, quote(parts.path, safe="/%:@!$&'()*+,;=~-._")).rstrip("/")
    return host + path + (f"?{urlencode(query)}" if query else "")


def _is_of_visitor(key: str, value: str) -> bool:
    if _TRACKING.fullmatch(key):
        return True
    return bool(_SESSION_KEY.fullmatch(key) and (not value or _SESSION_VALUE.fullmatch(value)))


def _normal_percent(escaped: re.Match[str]) -> str:
    """Upper case; letters, digits, `-._~` as themselves (RFC 3986, sections 6.2.2.1 and 6.2.2.2)."""
    character = chr(int(escaped[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escaped[0].upper()


def emit(docs: pa.Table, *, prefer: str = "none") -> pa.Table:
    """One row per document: key and rest (the two halves of its hash) and its place in the order: with a known licence first.

    `prefer`: of those the one of the repository with the most `stars`, of equals the newest, by its meta; `none` cares for neither.
    """
    digests = [digest(text or "") for text in docs["text"].to_pylist()]
    return _emitted(digests, clusters.place(docs, pc.is_null(docs["license"]).to_numpy(), prefer=prefer))


def emit_url(docs: pa.Table) -> pa.Table:
    """One row per document: key and rest (the two halves of its address' hash) and its place in the order: the latest capture first,
    to the second, by the date in its meta; then those without a date; of equal ones the longest."""
    digests = [
        xxhash.xxh3_128_digest(normalised_url(url).encode("utf-8", "surrogatepass"))
        for url in docs["origin"].to_pylist()
    ]
    place = clusters.place(docs)
    # From the top: one bit for no date, 31 for how early, 32 for how short.
    early = (clusters.MAX_RANK - _seconds(docs["meta"])).astype(np.uint64)
    undated = early == clusters.MAX_RANK
    rank = np.where(undated, np.uint64(1 << 63), early << np.uint64(32)) | place["rank"].to_numpy().astype(np.uint64)
    return _emitted(digests, {**place, "rank": pa.array(rank)})


def _emitted(digests: list[bytes], place: dict[str, pa.Array]) -> pa.Table:
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    return pa.table({"key": pa.array(halves[:, 0]), "rest": pa.array(halves[:, 1]), **place})


def _seconds(metas: pa.ChunkedArray) -> np.ndarray:
    """int64 per document: a number that grows with the `date` in its meta, above 0 and below 2**31 - 1; 0 for one without."""
    found = pc.extract_regex(pc.fill_null(metas, ""), _DATE)
    seconds = np.full(len(metas), -_FIRST_YEAR * _SECONDS["year"], np.int64)
    for name, factor in _SECONDS.items():
        digits = pc.fill_null(pc.struct_field(found, name), "")
        seconds += pc.utf8_lpad(digits, 2, "0").cast(pa.int64()).to_numpy() * factor  # a date may end with its minutes
    return np.where(pc.is_valid(found).to_numpy(), np.clip(seconds, 1, clusters.MAX_RANK - 1), 0)


def judge(rows: pa.Table) -> pa.Table:
    """Links from every document to the best one of the same hash."""
    shared = clusters.shared_keys(rows["key"].to_numpy())
    rows = rows.filter(pa.array(shared, pa.bool_())).sort_by(
        [(n, "ascending") for n in ("key", "rest", "rank", "tie", "doc")]
    )
    key, rest = rows["key"].to_numpy(), rows["rest"].to_numpy()
    first = np.ones(rows.num_rows, bool)
    first[1:] = (key[1:] != key[:-1]) | (rest[1:] != rest[:-1])
    best = np.flatnonzero(first)[np.cumsum(first) - 1] if rows.num_rows else np.empty(0, np.int64)
    lost = np.flatnonzero(~first)
    joined = clusters.Joined(rows)
    joined.add(best[lost], lost)
    return joined.links()


def apply(docs: pa.Table, found: pa.Table) -> pa.Table:
    """See `clusters.drop_lost`."""
    return clusters.drop_lost(docs, found, "dedup.exact")


def apply_url(docs: pa.Table, found: pa.Table) -> pa.Table:
    """See `clusters.drop_lost`."""
    return clusters.drop_lost(docs, found, "dedup.url")


def check(*, prefer: str = "none") -> None:
    """Raises ValueError for a preference that there is not."""
    clusters.check_preference(prefer)


EXACT = RoutedStep(emit, judge, apply, check, clusters=True)
URL = RoutedStep(emit_url, judge, apply_url, clusters=True)
