"""Repository documents from file documents: all files of one repository and version, in dependency order, cut into rows.

`emit` reads each text once, for its imports; `reduce` sees what was found there until it writes the documents, one by one and in
batches, so that a receiver holds its rows, its documents and little more: 100,000 Go files of 1.0 GB peaked at 2.6 times that. A
repository that fits a row is one document, `name@version:part-1-of-1`; a larger one is cut where that divides least (`split.py`). The
size of a row is in characters, for nothing is tokenised yet, and packing fills the rest. Of the documents of several files of nine
repositories (GPT-NeoX's tokenizer, rows of 32,768; sources, tests, documentation) 0.3 % are longer than a row at 2.0 characters per
token, 1.3 at 2.25, 4.5 at 2.5, 21 at 3.0; they fill 60, 68, 76 and 90 % of one. A file that is longer alone is no matter of that number:
7 % of all documents at 2.0.

A file is dropped when its origin names no repository (`repository.no_place`) or a path that was there already
(`repository.repeated_path`, of equal paths the smallest text stays); a repository when it has too few files
(`repository.too_few_files`) or is too large (`repository.too_large`). Imports, order and text of whole packages together, on a busy
machine: 26 to 72 MB per CPU second for Python, JavaScript and Java, 12 to 40 for Go, Rust, C# and C++ headers of 4 KB. Not covered:
near-duplicates among repositories, and files of unwanted roles: filter them before.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from datapipe.schema import DOCUMENT, DROP, code_origin, code_place, document_id
from synth.generators import Generator
from synth.joined import license_of_all, provenance, text_sha
from synth.repository import imports, render
from synth.repository.arrange import arranged
from synth.repository.file import File, Mentions, Tree

NO_PLACE, REPEATED = "repository.no_place", "repository.repeated_path"
TOO_FEW, TOO_LARGE = "repository.too_few_files", "repository.too_large"
BATCH_CHARS = 32 << 20  # of documents that are rendered before they go to Arrow

_NAMES = pa.list_(pa.string())
FILES = pa.schema(
    [
        ("key", pa.uint64()),  # hash of name and version
        ("name", pa.string()),
        ("version", pa.string()),
        ("path", pa.string()),
        ("role", pa.string()),
        ("license_confidence", pa.float64()),
        ("num_chars", pa.int64()),
        ("imports", _NAMES),
        ("declares", _NAMES),
        ("uses", _NAMES),
        *(DOCUMENT.field(name) for name in ("id", "origin", "text", "lang", "license")),
        (DROP, pa.string()),
    ]
)
MADE = DOCUMENT.append(pa.field(DROP, pa.string()))


def check(
    *,
    row_tokens: int = 32768,
    chars_per_token: float = 2.0,
    min_files: int = 2,
    max_files: int = 500_000,
    max_chars: int = 2_000_000_000,
) -> None:
    """Raises ValueError for limits that leave nothing."""
    if row_tokens * chars_per_token < 1000:
        raise ValueError(
            f"row_tokens {row_tokens} * chars_per_token {chars_per_token} are fewer than 1000 characters: "
            "type the row length of the stage, such as 32768, and what its tokenizer averages on code, such as 2"
        )
    if not 1 <= min_files <= max_files:
        raise ValueError(f"min_files {min_files} is not between 1 and max_files {max_files}: type 2")
    if max_chars < 1:
        raise ValueError(
            f"max_chars is {max_chars}: type how many characters a repository may have, such as 2000000000"
        )


def emit(docs: pa.Table) -> pa.Table:
    """One row per file, in any order: its repository as the key, and what it mentions of other files."""
    columns = [docs[name].to_pylist() for name in ("origin", "lang", "meta")]
    rows = [
        _file_row(origin, lang, meta, text.as_py() or "")
        for origin, lang, meta, text in zip(*columns, docs["text"], strict=True)
    ]
    found = pa.Table.from_pylist(
        rows, schema=pa.schema([field for field in FILES if field.name not in docs.column_names])
    )
    kept = docs.select([name for name in FILES.names if name not in found.column_names])
    for name in found.column_names:
        kept = kept.append_column(found.schema.field(name), found[name])
    return kept.select(FILES.names).cast(FILES)


def _file_row(origin: str, lang: str | None, meta: str | None, text: str) -> dict[str, Any]:
    place = code_place(origin)
    if place is None:
        return {"key": xxhash.xxh3_64_intdigest(origin.encode("utf-8", "surrogatepass")), DROP: NO_PLACE}
    name, version, path = place
    about = json.loads(meta or "{}")
    mentions = imports.scan(path, lang, text)
    return {
        "key": xxhash.xxh3_64_intdigest(f"{name}@{version}".encode("utf-8", "surrogatepass")),
        "name": name,
        "version": version,
        "path": path,
        "role": about.get("role") or "source",
        "license_confidence": about.get("license_confidence"),
        "num_chars": len(text),
        **mentions._asdict(),
    }


class _Planned(NamedTuple):
    """A row of the result before its text is made."""

    origin: str
    rows: Sequence[int]  # of the received table, in the order of the text
    about: Mapping[str, Any]  # columns
    drop: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return document_id(self.origin), self.origin, self.drop or ""


def reduce(
    rows: pa.Table,
    *,
    row_tokens: int = 32768,
    chars_per_token: float = 2.0,
    min_files: int = 2,
    max_files: int = 500_000,
    max_chars: int = 2_000_000_000,
) -> pa.Table:
    """The documents of every repository received, sorted by id; what was left out follows from its `drop_reason`.

    row_tokens: of the rows of the stage that will pack them. chars_per_token: how many characters a token has on average; lower is safer.
    max_chars: of a whole repository.
    """
    received = _Received(rows)
    planned = received.dropped()
    for name, version, numbers in received.repositories(planned):
        num_chars = sum(received.num_chars[number] for number in numbers)
        if len(numbers) < min_files or len(numbers) > max_files or num_chars > max_chars:
            reason = TOO_FEW if len(numbers) < min_files else TOO_LARGE
            about = {"meta": {"files": len(numbers), "chars": num_chars}}
            planned.append(_Planned(code_origin(name, version, "part-1-of-1"), (), about, reason))
        else:
            planned += _parts(received, name, version, numbers, int(row_tokens * chars_per_token))
    return pa.concat_tables([MADE.empty_table(), *_made(received, sorted(planned, key=lambda one: one.key))])


class _Received:
    """What a receiver has got: small columns as lists, texts where they are."""

    def __init__(self, rows: pa.Table):
        self._rows = rows
        small = (
            "name",
            "version",
            "path",
            "lang",
            "license",
            "role",
            "license_confidence",
            "num_chars",
            "origin",
            DROP,
        )
        lists = {name: rows[name].to_pylist() for name in small}
        self.name, self.version, self.path = lists["name"], lists["version"], lists["path"]
        self.lang, self.license, self.role = lists["lang"], lists["license"], lists["role"]
        self.confidence, self.num_chars = lists["license_confidence"], lists["num_chars"]
        self.origin, self.drop = lists["origin"], lists[DROP]

    def text(self, number: int) -> str:
        return self._rows["text"][number].as_py() or ""

    def mentions(self, number: int, held: dict[str, str]) -> Mentions:
        """What a file mentions; a name that many files mention is held once (`sys.intern` of Python 3.12 would hold it for ever)."""
        lists = (self._rows[name][number].as_py() or () for name in Mentions._fields)
        return Mentions(*([held.setdefault(name, name) for name in names] for names in lists))

    def dropped(self) -> list[_Planned]:
        return [self.left_out(number, reason) for number, reason in enumerate(self.drop) if reason]

    def left_out(self, number: int, reason: str) -> _Planned:
        return _Planned(
            self.origin[number], (number,), {"lang": self.lang[number], "license": self.license[number]}, reason
        )

    def repositories(self, planned: list[_Planned]) -> Iterator[tuple[str, str, list[int]]]:
        """(name, version, rows by path) of each; of rows with one path all but the smallest text go to `planned`."""
        by_path: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for number, reason in enumerate(self.drop):
            if reason is None:
                files, path = by_path[self.name[number], self.version[number]], self.path[number]
                if path in files:
                    number, other = sorted((files[path], number), key=self.text)
                    planned.append(self.left_out(other, REPEATED))
                files[path] = number
        for name, version in sorted(by_path):
            files = by_path.pop((name, version))
            yield name, version, [files[path] for path in sorted(files)]


def _parts(received: _Received, name: str, version: str, numbers: list[int], capacity: int) -> Iterator[_Planned]:
    held: dict[str, str] = {}
    files = [
        File(received.path[n], received.lang[n], received.role[n], received.num_chars[n], received.mentions(n, held))
        for n in numbers
    ]
    sizes = [file.num_chars + render.overhead(file.path, file.lang) for file in files]
    longest = max(len(render.heading(name, file.lang)) for file in files)
    parts = arranged(Tree(name, files), sizes, capacity - longest)
    for index, part in enumerate(parts, 1):
        chosen = [numbers[place] for place in part.numbers]
        meta = {
            **provenance("repository", ([document_id(received.origin[n]), text_sha(received.text(n))] for n in chosen)),
            "repository": name,
            "revision": version,
            "part": index,
            "parts": len(parts),
            "files": len(chosen),
            "roles": dict(sorted(Counter(received.role[n] for n in chosen).items())),
            "imports": part.num_edges,
            "imports_in_cycles": part.num_broken,
            "imports_divided": part.num_divided,
        }
        known = [received.confidence[n] for n in chosen if received.confidence[n] is not None]
        if known:
            meta["license_confidence"] = min(known)
        about = {
            "lang": _main_language(received, chosen),
            "license": license_of_all(received.license[n] for n in chosen),
            "meta": meta,
        }
        yield _Planned(code_origin(name, version, f"part-{index}-of-{len(parts)}"), chosen, about)


def _main_language(received: _Received, numbers: Sequence[int]) -> str | None:
    """The language with most characters among the source files, or among all files where there is no source."""
    sizes: Counter[str] = Counter()
    is_code = [received.role[n] not in ("documentation", "configuration", "legal", "data") for n in numbers]
    for n, code in zip(numbers, is_code, strict=True):
        if received.lang[n] and (code or not any(is_code)):
            sizes[received.lang[n]] += received.num_chars[n]
    return min(sizes, key=lambda lang: (-sizes[lang], lang), default=None)


def _made(received: _Received, planned: Sequence[_Planned]) -> Iterator[pa.Table]:
    """The documents in order, batch by batch."""
    batch: list[dict[str, Any]] = []
    num_chars = 0
    for one in planned:
        text = _text(received, one)
        meta = json.dumps(one.about.get("meta", {}), ensure_ascii=False)
        row = {"id": document_id(one.origin), "origin": one.origin, "text": text, "kind": "repo", DROP: one.drop}
        batch.append({**row, **one.about, "meta": meta})
        num_chars += len(text)
        if num_chars >= BATCH_CHARS:
            yield pa.Table.from_pylist(batch, schema=MADE)
            batch, num_chars = [], 0
    yield pa.Table.from_pylist(batch, schema=MADE)


def _text(received: _Received, one: _Planned) -> str:
    if one.drop:
        return received.text(one.rows[0]) if one.rows else ""
    name, first = received.name[one.rows[0]], received.lang[one.rows[0]]
    files = (render.with_header(received.path[n], received.lang[n], received.text(n)) for n in one.rows)
    return render.heading(name, first) + "\n" + "\n".join(files)


REPOSITORY = Generator(emit, reduce, check)
