"""Lists and tables that a corpus file names instead of holding: `words: {file: blocked.txt}`.

Wherever a step's parameter is `{file: NAME}` with NAME ending in `.txt` or `.yaml`, the content of that file takes its place, so that what
was in it is part of the step's key: of a `.txt` the list of its lines without blank ones and comments (`# ...`), of a `.yaml` the
mapping in it. In a list, such an item brings in all its entries: `words: [{file: blocked.txt}, casino]`. NAME is looked for beside the
corpus file, then among the shipped lists (`manifests/lists`). Lists travel with every task: that is nothing up to some 100,000 entries.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curriculum.document import Document, ManifestError, Where, shown
from curriculum.fields import did_you_mean

SUFFIXES = (".txt", ".yaml")
SHIPPED = Path(__file__).resolve().parent.parent / "manifests" / "lists"


def filled_in(document: Document, where: Where, value: Any) -> Any:
    """`value` with every `{file: NAME}` in it replaced; what is wrong goes to the document."""
    if isinstance(value, Mapping):
        if set(value) == {"file"} and str(value["file"]).endswith(SUFFIXES):
            return _content(document, where, value["file"])
        return {key: filled_in(document, (*where, key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        filled: list[Any] = []
        for index, item in enumerate(value):
            inner = filled_in(document, (*where, index), item)
            filled += inner if isinstance(item, Mapping) and isinstance(inner, list) else [inner]
        return filled
    return value


def _content(document: Document, where: Where, name: Any) -> Any:
    places = [folder / str(name) for folder in (document.path.parent, SHIPPED)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        known = {path.name for path in SHIPPED.glob("*.*")}
        document.problem(
            where, f"{name}: no such file beside the corpus file, nor a shipped list.", did_you_mean(str(name), known)
        )
        return []
    if found.suffix == ".yaml":
        try:
            return Document(found, shown(found)).data
        except ManifestError as error:
            document.problems.extend(error.problems)
            return {}
    try:
        lines = found.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        document.problem(where, f"{name}: is not UTF-8 (byte {error.start}).", "Save it as UTF-8.")
        return []
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
