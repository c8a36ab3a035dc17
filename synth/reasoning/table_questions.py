"""Questions about tables: which queries are asked of one, in which words, and how the rows lead to the answer."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from synth.draw import Stream
from synth.reasoning.queries import NUMERIC, Query, kept, run, run_again
from synth.reasoning.tables import Column, Table, is_empty

MAX_TRIES = 60  # queries drawn for one table
MAX_OF_KIND = {"cell": 4}  # others: 2
_WHERE = {
    "=": "[“{column}” is “{cell}”|the column “{column}” says “{cell}”|“{cell}” stands under “{column}”]",
    "is not": "[“{column}” is anything but “{cell}”|“{column}” is not “{cell}”]",
    ">": "“{column}” is [above|greater than|more than] {cell}",
    "<": "“{column}” is [below|less than|smaller than] {cell}",
}
_ASK = {
    "cell": "[What is “{column}”|What does the table give as “{column}”|Which “{column}” is listed] where {where}?",
    "count": "[How many rows are there where|How many entries are listed where|In how many rows does it hold that] {where}?",
    "sum": "[What is the sum of “{column}”|What do the values of “{column}” add up to|What is the total of “{column}”]{rows}?",
    "mean": "[What is the mean of “{column}”|What is “{column}” on average]{rows}, as an exact fraction or decimal?",
    "span": (
        "[By how much do the largest and the smallest “{column}” differ|"
        "How much larger is the largest “{column}” than the smallest]{rows}?"
    ),
    "most": (
        "[Which “{key}” has the largest “{column}”|Where is “{column}” highest: which “{key}” is it|"
        "For which “{key}” is “{column}” greatest]{rows}?"
    ),
    "least": (
        "[Which “{key}” has the smallest “{column}”|Where is “{column}” lowest: which “{key}” is it|"
        "For which “{key}” is “{column}” least]{rows}?"
    ),
    "rank": "[Which “{key}” has the {n} largest “{column}”|Sorted by “{column}” from the top, which “{key}” comes {n}]{rows}?",
    "distinct": "[How many different values does “{column}” have|How many distinct entries stand under “{column}”]{rows}?",
    "less": (
        "[By how much does “{column}” of “{one}” exceed that of “{other}”, as a signed number|"
        "What is “{column}” of “{one}” less “{column}” of “{other}”]?"
    ),
    "larger": "[Which has the larger “{column}”, “{one}” or “{other}”|Of “{one}” and “{other}”, which one is higher in “{column}”]?",
}
_LEAD = "[{Title} has this table:|Here is a table from {title}.|Look at this table of {title}.|The following table stands in {title}.]"
_ORDER = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


class Asked(NamedTuple):
    query: Query
    question: str
    answer: str
    again: str | None  # what the second evaluation says
    compare: str
    thoughts: str
    num_rows: int  # that the answer rests on


def questions(table: Table, title: str, draw: Stream, *, limit: int) -> Iterator[Asked]:
    """At most `limit` questions of as many kinds as the table allows, no two of the same query."""
    seen: set[str] = set()
    kinds: dict[str, int] = {}
    for _ in range(MAX_TRIES):
        query = _drawn(table, draw)
        if (
            query is None
            or str(query) in seen
            or kinds.get(query["ask"][0], 0) >= MAX_OF_KIND.get(query["ask"][0], 2)
            or len(seen) >= limit
        ):
            continue
        answer = run(table, query)
        if answer is None or _is_obvious(table, query):
            continue
        seen.add(str(query))
        kind = query["ask"][0]
        kinds[kind] = kinds.get(kind, 0) + 1
        numeric = kind in NUMERIC
        shown = _decimal(Fraction(answer)) if numeric else answer
        asked = f"{draw.say(_LEAD, {'title': title, 'Title': title[:1].upper() + title[1:]})}\n\n{table.text}\n\n{_worded(query, draw)}"
        yield Asked(
            query,
            asked,
            shown,
            run_again(table, query),
            "number" if numeric else "text",
            _thoughts(table, query, answer, draw),
            len(_used(table, query)),
        )


def _is_obvious(table: Table, query: Query) -> bool:
    """Whether all rows differ where it is counted how many do, or are alike."""
    if query["ask"][0] == "distinct":
        cells = [table.column(query["ask"][1]).cells[row] for row in kept(table, query["where"])]
        return len(set(cells)) in (1, len(cells))
    return query["ask"][0] == "count" and all(_tells_all_apart(table.column(name)) for name, _, _ in query["where"])


def _tells_all_apart(column: Column) -> bool:
    return column.numbers is None and len(set(column.cells)) == len(column.cells)


def _drawn(table: Table, draw: Stream) -> Query | None:
    """A query of a kind that the columns allow."""
    key, numbers = table.key(), [column for column in table.columns if column.numbers is not None]
    words = [column for column in table.columns if column.numbers is None and column is not key]
    kinds = ["cell", "cell", "count"] + ["distinct"] * bool(words)
    if numbers:
        kinds += ["sum", "mean", "span"]
        kinds += ["most", "least", "rank", "less", "larger"] if key else []
    kind = draw.pick(kinds)
    if kind in ("less", "larger"):
        assert key is not None
        return {"where": [], "ask": [kind, draw.pick(numbers).name, key.name, *draw.sample(key.cells, 2)]}
    if kind == "cell":
        given, wanted = draw.sample(table.columns, 2)
        where = _conditions(table, draw, [given], equal=True)
        return {"where": where, "ask": ["cell", wanted.name]} if where else None
    if kind == "count":
        columns = draw.sample([column for column in table.columns if column is not key], draw.integer(1, 2))
        where = _conditions(table, draw, columns, equal=False)
        return {"where": where, "ask": ["count"]} if where else None
    asked = draw.pick(words if kind == "distinct" else numbers)
    others = [column for column in table.columns if column not in (asked, key)]
    where = _conditions(table, draw, draw.sample(others, 1), equal=False) if others and draw.chance(40) else []
    rest = [key.name] if kind in ("most", "least", "rank") and key else []
    if len(kept(table, where)) < 2:
        return None
    return {"where": where, "ask": [kind, asked.name, *rest, *([draw.integer(2, 5)] if kind == "rank" else [])]}


def _conditions(table: Table, draw: Stream, columns: list[Column], *, equal: bool) -> list[list[str]]:
    where = []
    for column in columns:
        row = draw.integer(0, table.num_rows - 1)
        if column.numbers is not None:
            number = column.number(row)
            where.append([column.name, "=" if equal else draw.pick((">", "<")), _decimal(number)])
        elif is_empty(column.cells[row]):
            return []
        else:
            where.append([column.name, "=" if equal or draw.chance(70) else "is not", column.cells[row]])
    return where


def _worded(query: Query, draw: Stream) -> str:
    where = " and ".join(draw.say(_WHERE[sign], {"column": name, "cell": cell}) for name, sign, cell in query["where"])
    kind, *rest = query["ask"]
    words: dict[str, Any] = dict(zip(("column", "key", "one", "other"), rest, strict=False))
    if kind == "rank":
        words["n"] = _ORDER[rest[2]]
    rows = (
        draw.say(
            "[, counting only rows where {w}|, among the rows where {w}|, if only rows count where {w}]", {"w": where}
        )
        if where
        else ""
    )
    return draw.say(_ASK[kind], {"where": where, "rows": rows, **words})


def _used(table: Table, query: Query) -> list[int]:
    kind, *rest = query["ask"]
    if kind in ("less", "larger"):
        return [table.column(rest[1]).cells.index(cell) for cell in rest[2:]]
    return kept(table, query["where"])


def _thoughts(table: Table, query: Query, answer: str, draw: Stream) -> str:
    """The rows that are used, with the cells that count, and the step from them to the answer."""
    kind, *rest = query["ask"]
    rows, label = _used(table, query), table.key() or table.columns[0]
    lines = []
    if query["where"]:
        conditions = " and ".join(f"{name} {sign} {cell}" for name, sign, cell in query["where"])
        lines.append(draw.say("[Rows with {c}:|These rows meet {c}:|First the rows with {c}:]", {"c": conditions}))
    elif kind in ("less", "larger"):
        lines.append("The two rows:")
    else:
        lines.append(draw.say("[All {n} rows count.|Every row counts, {n} in all.]", {"n": str(len(rows))}))
    shown = table.column(rest[0]) if rest else None
    for place, row in enumerate(rows, 1):
        cell = f": {shown.cells[row] or '(empty)'}" if shown is not None and shown.name != label.name else ""
        lines.append(f"{place}. {label.cells[row] or '(empty)'}{cell}")
    return "\n".join([*lines, _conclusion(table, query, rows, answer)])


def _conclusion(table: Table, query: Query, rows: list[int], answer: str) -> str:
    kind, *rest = query["ask"]
    numbers = (
        [_decimal(table.column(rest[0]).number(row)) for row in rows] if rest and table.column(rest[0]).numbers else []
    )
    match kind:
        case "sum":
            return f"{' + '.join(map(_signed, numbers))} = {_decimal(Fraction(answer))}"
        case "mean":
            return f"({' + '.join(map(_signed, numbers))})/{len(rows)} = {answer}"
        case "span":
            high, low = max(numbers, key=Fraction), min(numbers, key=Fraction)
            return f"Largest less smallest: {high} - {_signed(low)} = {_decimal(Fraction(answer))}"
        case "less":
            return f"{numbers[0]} - {_signed(numbers[1])} = {_decimal(Fraction(answer))}"
        case "distinct":
            cells = dict.fromkeys(table.column(rest[0]).cells[row] for row in rows)
            return f"Different ones: {', '.join(cells)}. That makes {answer}."
        case "count":
            return f"That makes {answer}."
        case "rank":
            order = sorted(numbers, key=Fraction, reverse=True)[: rest[2]]
            return f"From the top: {', '.join(order)}. The last of these belongs to {answer.rstrip('.')}."
        case "most" | "least" | "larger":
            number = (min if kind == "least" else max)(numbers, key=Fraction)
            which = {"most": "largest", "least": "smallest", "larger": "larger"}[kind]
            return f"The {which} is {number}, of {answer.rstrip('.')}."
    return f"So: {answer}"


def _decimal(value: Fraction) -> str:
    """As a decimal where it ends within 9 digits, else as a fraction."""
    scaled = value * 10**9
    if scaled.denominator != 1:
        return str(value)
    whole, part = divmod(abs(int(scaled)), 10**9)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{part:09d}".rstrip("0") if part else "")


def _signed(number: str) -> str:
    return f"({number})" if number.startswith("-") else number
