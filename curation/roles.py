"""Keeping source files by what they are for: a reader of repositories writes each file's role into `meta`.

Roles are source, test, documentation, configuration, legal, data, vendored, generated, minified (datapipe/readers/roles.py). A document
without one, such as a web page, is kept. Some 1 M documents per CPU second.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

ROLES = ("source", "test", "documentation", "configuration", "legal", "data", "vendored", "generated", "minified")
KEPT = ("source", "test", "documentation", "configuration")

_ROLE = rf'"role": ?"(?P<role>{"|".join(ROLES)})"'


def role(docs: pa.Table, *, keep: Sequence[str] = KEPT) -> pa.Array:
    """One reason per row, null = keep: `role.vendored` and so on for a role that is not in `keep`.

    Raises ValueError for a `keep` that is no list of roles.
    """
    check(keep=keep)
    roles = pc.struct_field(pc.extract_regex(docs["meta"].combine_chunks(), _ROLE), "role")
    is_kept = pc.fill_null(pc.is_in(roles, pa.array(list(keep), pa.string())), False)
    dropped = pc.and_(pc.is_valid(roles), pc.invert(is_kept))
    return pc.if_else(dropped, pc.binary_join_element_wise("role", roles, "."), pa.scalar(None, pa.string()))


def check(*, keep: Sequence[str] = KEPT) -> None:
    """Raises ValueError for what cannot be meant."""
    if isinstance(keep, str):
        raise ValueError(f"filter.role: keep is the text {keep!r}, but it is a list: type [{keep}]")
    if unknown := sorted(set(keep) - set(ROLES)):
        raise ValueError(f"filter.role: keep names {', '.join(map(repr, unknown))}; the roles are {', '.join(ROLES)}")
