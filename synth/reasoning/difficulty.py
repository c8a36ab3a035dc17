"""How hard a problem is for the model that was asked, and a filter by it.

Labels follow GLM-4.5's curriculum of two stages (GLM-4.5 report, arXiv 2508.06471, section 3.2: moderate problems first, then those with
pass@8 = 0 and pass@512 > 0 from a pool with verified answers), because a group of answers that are all right or all wrong teaches nothing:

    too_easy   all samples pass                     moderate   some of the first eight pass, or all of fewer than eight and not all later
    hard       none of the first eight, but a later one, and the answer is verified
    unsolved   none passes: the problem may be broken, and is not for training

More samples of the same model only add to those that are known (`Request.sample` counts on), so `samples: 512` can follow on `samples: 8`.
"""

import json
from collections.abc import Sequence
from fractions import Fraction
from math import comb
from typing import Any

import pyarrow as pa

FIRST = 8  # samples that tell moderate from hard
LABELS = ("too_easy", "moderate", "hard", "unsolved")
MAJORITY = "majority"


def pass_at(k: int, num_samples: int, num_passed: int) -> Fraction:
    """The unbiased estimate of pass@k from n >= k samples of which c pass: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, equation 1)."""
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} cannot be told from {num_samples} samples: ask at least {k}")
    return 1 - Fraction(comb(num_samples - num_passed, k), comb(num_samples, k))


def label(passed: Sequence[bool], *, verified: bool) -> str:
    """The label of a problem whose samples, in their order, passed or not. Without a verified answer none is `hard`."""
    if not any(passed):
        return "unsolved"
    if all(passed):
        return "too_easy"
    if any(passed[:FIRST]):
        return "moderate"
    return "hard" if verified else "unsolved"


def pass_rate(passed: Sequence[bool], verified_by: str) -> dict[str, Any]:
    """What is stored as `task.pass_rate`: {n, passed, first: of the first eight, verified_by, pass_at: {k: estimate}}."""
    num_passed = sum(passed)
    known = [k for k in (1, FIRST, 64, 512) if k <= len(passed)]
    estimates = {str(k): round(float(pass_at(k, len(passed), num_passed)), 6) for k in known}
    first = sum(passed[:FIRST])
    return {"n": len(passed), "passed": num_passed, "first": first, "verified_by": verified_by, "pass_at": estimates}


def difficulty(
    docs: pa.Table, *, keep: Sequence[str] = ("moderate", "hard"), unlabelled: bool = True, verified: bool = False
) -> pa.Array:
    """A filter: rows whose label is one of `keep`. Rows that no model was asked about stay with `unlabelled`.

    With `verified` only rows whose answers were judged by a program stay, not by what most answers say.
    """
    check(keep=keep)
    reasons: list[str | None] = []
    for meta in docs["meta"].to_pylist():
        task = json.loads(meta or "{}").get("task") or {}
        rate = task.get("pass_rate")
        if rate is None:
            reasons.append(None if unlabelled else "difficulty.unlabelled")
        elif verified and rate["verified_by"] == MAJORITY:
            reasons.append("difficulty.majority")
        else:
            reasons.append(None if task["difficulty"] in keep else f"difficulty.{task['difficulty']}")
    return pa.array(reasons, pa.string())


def check(*, keep: Sequence[str] = ()) -> None:
    """ValueError for a label that there is not."""
    unknown = sorted(set(keep) - set(LABELS))
    if unknown:
        raise ValueError(f"keep: no problem is {unknown[0]!r}; labels are {', '.join(LABELS)}")
