"""Numbers as people write them: SI for tokens (15T), binary for batches and bytes (64Mi)."""

import re

SI = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_NUMBER = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*(Ki|Mi|Gi|Ti|[kKMBGT])?$")


def parse_count(value: object) -> int:
    """An exact count from an integer or a text such as `15T`, `500B`, `64Mi`, `1.5k`; ValueError says what is accepted."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _NUMBER.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(
            f"{value!r} is not a count: write an integer, or a number with k, M, B, T (powers of 1000) or Ki, Mi, Gi (of 1024)"
        )
    digits, suffix = match[1].replace("_", ""), match[2] or ""
    whole, _, fraction = digits.partition(".")
    scale = SI.get(suffix) or BINARY[suffix]
    total = int(whole + fraction) * scale
    if total % 10 ** len(fraction):
        raise ValueError(f"{value!r} is not a whole number")
    return total // 10 ** len(fraction)


def si(count: float) -> str:
    """`15T`, `1.54T`, `820k`: three significant digits at most, for people."""
    for suffix, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= 0.9995 * scale:  # what would round to 1000 of the smaller unit
            return f"{count / scale:.3g}{suffix}"
    return f"{count:.3g}" if count != int(count) else str(int(count))


def exact(count: int) -> str:
    """`15T`, `1.5B` when one decimal says it exactly, otherwise as `binary`: what `parse_count` reads back."""
    for suffix, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= scale and count % (scale // 10) == 0:
            tenths = count // (scale // 10)
            return f"{tenths // 10}{f'.{tenths % 10}' if tenths % 10 else ''}{suffix}"
    return binary(count)


def binary(count: int) -> str:
    """`64Mi` when that is exact, otherwise the plain integer."""
    for suffix, scale in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count >= scale and count % scale == 0:
            return f"{count // scale}{suffix}"
    return str(count)


def size(num_bytes: float) -> str:
    """Bytes for people: `1.2 GiB`."""
    for suffix, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g} {suffix}"
    return f"{int(num_bytes)} B"
