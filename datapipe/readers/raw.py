"""Pages as they were read, for documents whose text has been replaced since: later stages parse the HTML of a page again.

A document says where it lies (`raw`, and `record` in `meta` where a compressed member holds several), its source says how to read that.
The documents of a file are read in the order of offsets, neighbours with one request; of a WARC file only their members, of a JSON Lines
file only their lines unless it is compressed, of a Parquet file their row groups. What is found must have the origin of the document:
a file that was replaced is an error and not another page.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from datapipe import store
from datapipe.readers.places import Place
from datapipe.readers.split import Input, sound


def by_file(documents: Sequence[Mapping[str, Any]]) -> dict[str, dict[Place, list[int]]]:
    """Which of the documents lie where: the indices of each place of each file, files and places in order."""
    places: defaultdict[str, defaultdict[Place, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, one in enumerate(documents):
        raw = one["raw"]
        if raw is None or raw["file"] is None or raw["offset"] is None:
            raise ValueError(f"{one['origin']} does not say where it was read from: its `raw` is {raw!r}")
        record = json.loads(one.get("meta") or "{}").get("record", 0)
        places[raw["file"]][Place(raw["offset"], raw["length"], record)].append(index)
    return {name: dict(sorted(places[name].items(), key=lambda item: item[0].offset)) for name in sorted(places)}


def locate(name: str, prefixes: Sequence[str]) -> Input:
    """The file of this name, below the first prefix that has it; where none has it, opening it will say so."""
    paths = [name] if name.startswith(store.S3_PREFIX) else [prefix + name for prefix in dict.fromkeys(prefixes)]
    path = next((path for path in paths[:-1] if store.exists(path)), paths[-1])
    return Input(path, name, 0, "")


def text_of(row: Mapping[str, Any] | None, document: Mapping[str, Any], file: Input) -> str:
    """The page, if the row read again is the document's. Raises StoreError."""
    if row is None or row.get("drop_reason") or sound(row["origin"]) != document["origin"]:
        where = f"byte or row {document['raw']['offset']}"
        raise store.StoreError(
            file.path, f"holds no page {document['origin']} at {where}", "the file has changed: build the corpus again"
        )
    return sound(row["text"])
