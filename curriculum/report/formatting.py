"""Numbers as people read them: 12.3k, 4.56M, 62%. The exact value travels beside them in the page (`<data value>`). And texts."""

import math
import re

UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
DASH = "–"
# C0/C1 controls but tab and newline; and the marks that reorder text around them (Unicode TR9)
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FILTERS = (
    "compact",
    "exact",
    "percent",
    "short",
    "row_length",
    "significant",
    "size",
    "times",
)  # names the templates use


def shown(text: str) -> str:
    """`text` without control and direction characters."""
    return UNSAFE.sub("\ufffd", text)


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, no exponent for 1e-4 <= |value| < 1e6, no trailing zeros."""
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e6:
        text = f"{float(text):.0f}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def compact(value: float | None) -> str:
    """A count with three significant digits and a decimal unit: 999, 1k, 12.3k, 4.56M."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return "∞"
    for size, unit in UNITS:
        if abs(value) >= 0.9995 * size:
            return significant(value / size) + unit
    return significant(value)


def exact(value: float) -> str:
    """A count in full, thousands separated: 1,234,567."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def row_length(num_tokens: float) -> str:
    """A length in tokens, which is mostly a power of two: 256, 4096, 32Ki."""
    if num_tokens >= 10_000 and num_tokens % 1024 == 0:
        return f"{num_tokens / 1024:.0f}Ki"
    return f"{num_tokens:.0f}" if num_tokens < 10_000 else compact(num_tokens)


def size(num_bytes: float | None) -> str:
    """A size in decimal bytes: 12.3 MB."""
    if num_bytes is None:
        return DASH
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= 0.9995 * limit:
            return f"{significant(num_bytes / limit)} {unit}"
    return f"{num_bytes:.0f} B"


def percent(share: float | None) -> str:
    """A share of one as a percentage that never rounds something to nothing, nor almost all to all."""
    if share is None or not math.isfinite(share):
        return DASH
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%" if abs(share) < 0.0995 or 0.9 < share < 1 else f"{100 * share:.0f}%"


def times(epochs: float | None) -> str:
    """A number of epochs: 0.25, 3.2, 12."""
    if epochs is None:
        return DASH
    if 0 < epochs < 0.005:
        return "<0.01"
    return "∞" if math.isinf(epochs) else f"{epochs:.2f}" if epochs < 9.995 else f"{epochs:.0f}"


def short(fingerprint: str) -> str:
    """The first 12 characters of a fingerprint: enough to tell two builds apart."""
    return fingerprint[:12] or DASH
