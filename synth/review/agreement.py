"""How far reviewers agree, and how many of a generator's rows they accept.

Some items are read by two people who do not see each other's decision. Cohen's kappa (Cohen 1960) is 1 when they always agree and 0 when
no more than chance would have it. Acceptance per generator version comes with its 95 % Wilson interval (Wilson 1927): when even the upper
end is low, the generator should be mended before more is read.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synth.review.log import Entry

Z_95 = 1.959964


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two readings of the same items; None without items, and 1 where chance alone would agree and they did."""
    if not pairs:
        return None
    observed = sum(first == second for first, second in pairs) / len(pairs)
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(firsts[label] * seconds[label] for label in firsts) / len(pairs) ** 2
    return 1.0 if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


def wilson(accepted: int, read: int) -> tuple[float, float]:
    """The interval in which the share of accepted rows lies, with 95 % confidence; (0, 1) when nothing was read."""
    if not read:
        return 0.0, 1.0
    share, z2 = accepted / read, Z_95**2
    centre = (share + z2 / (2 * read)) / (1 + z2 / read)
    half = Z_95 * math.sqrt(share * (1 - share) / read + z2 / (4 * read**2)) / (1 + z2 / read)
    return max(0.0, centre - half), min(1.0, centre + half)


def pairs(decided: Mapping[str, Mapping[str, Entry]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Readings of the same item by two reviewers: (one, other) -> [(label, label), ...]. An edit is an acceptance with a correction."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for _, by_reviewer in sorted(decided.items()):
        for one, other in itertools.combinations(sorted(by_reviewer), 2):
            labels = by_reviewer[one].action, by_reviewer[other].action
            found.setdefault((one, other), []).append(labels)
    return found


def summary(decided: Mapping[str, Mapping[str, Entry]], versions: Mapping[str, str]) -> dict[str, Any]:
    """Counts by action, kappa by pair of reviewers, acceptance by generator version (`versions`: item -> `search 3`)."""
    actions = Counter(entry.action for by_reviewer in decided.values() for entry in by_reviewer.values())
    read, accepted = Counter[str](), Counter[str]()
    for item, by_reviewer in decided.items():
        for entry in by_reviewer.values():
            if item in versions and entry.action != "unsure":
                read[versions[item]] += 1
                accepted[versions[item]] += entry.action in ("accept", "edit")
    return {
        "decisions": dict(sorted(actions.items())),
        "agreement": [
            {"reviewers": list(names), "items": len(read_twice), "kappa": kappa(read_twice)}
            for names, read_twice in pairs(decided).items()
        ],
        "acceptance": [
            {
                "generator": name,
                "read": read[name],
                "accepted": accepted[name],
                "interval": wilson(accepted[name], read[name]),
            }
            for name in sorted(read)
        ],
    }


def queue(names: Iterable[str], flagged: Iterable[str], draw: Mapping[str, int]) -> list[str]:
    """The order in which items are read: flagged ones first, then all others, each by its draw."""
    first = set(flagged)
    return sorted(names, key=lambda name: (name not in first, draw[name], name))
