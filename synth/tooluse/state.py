"""The state of an environment: a small SQLite database in memory, with a canonical dump and a hash of it.

Copying goes through SQLite's own image (`serialize`), 0.07 ms for a state of a hundred rows, and is what makes replays cheap. Money is in
cents and dates are ISO texts, so a dump holds only integers, texts and nulls and is the same on every machine.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import xxhash

Tables = Mapping[str, Sequence[Sequence[Any]]]  # rows by name of the table, values in the order of its columns
_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


class State:
    """One database. `State(schema, tables)` opens it; `copy()` gives one that is independent of it."""

    def __init__(self, schema: str, tables: Tables) -> None:
        self._open()
        self._db.executescript(schema)
        for name, rows in sorted(tables.items()):
            for row in rows:
                self._db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", list(row))

    def _open(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)

    def copy(self) -> "State":
        other = State.__new__(State)
        other._open()
        other._db.deserialize(self._db.serialize())
        return other

    def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, args).fetchall()

    def row(self, sql: str, *args: Any) -> tuple[Any, ...] | None:
        return self._db.execute(sql, args).fetchone()

    def value(self, sql: str, *args: Any) -> Any:
        """The first value of the first row; None where there is none."""
        found = self.row(sql, *args)
        return found[0] if found else None

    def records(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Rows as dicts by the names of their columns."""
        cursor = self._db.execute(sql, args)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """What happens inside happens whole, or, when an exception leaves it, not at all."""
        self._db.execute("BEGIN")
        end = "ROLLBACK"
        try:
            yield
            end = "COMMIT"
        finally:
            self._db.execute(end)

    def dump(self) -> dict[str, list[list[Any]]]:
        """All tables by name; rows sorted by their JSON, so that no order of insertion is left."""
        return {
            name: sorted((list(row) for row in self.rows(f"SELECT * FROM {name}")), key=_as_text)
            for (name,) in self.rows(_NAMES)
        }

    def hash(self) -> str:
        """xxh3-128, 32 hex digits, of the dump as JSON with sorted keys and without spaces."""
        return xxhash.xxh3_128_hexdigest(_as_text(self.dump()).encode("utf-8", "surrogatepass"))


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
