"""Reads a model shape from its YAML file, and says of every mistake where it is and what to write."""

import dataclasses
from pathlib import Path
from typing import Any

from curriculum.document import Document, shown
from curriculum.fields import Fields
from curriculum.model_shape import ModelShape

MAY_BE_ZERO = ("dense_layers", "shared_ffn", "mtp_layers")


def read_shape(path: Path) -> ModelShape:
    """Raises ManifestError with all that is wrong: keys, types, and what makes the shape impossible."""
    document = Document(path, shown(path))
    types = {field.name: field.type for field in dataclasses.fields(ModelShape)}
    Fields(document).keys((), tuple(types), required=tuple(types))
    document.check()
    for key, kind in types.items():
        _check_type(document, key, kind)
    document.check()
    shape = ModelShape(**document.data)
    for problem in shape.problems():
        document.problem((problem.partition(":")[0],), problem.partition(": ")[2])
    document.check()
    return shape


def _check_type(document: Document, key: str, kind: Any) -> None:
    value, least = document.data[key], 0 if key in MAY_BE_ZERO else 1
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits, wanted = {
        int: (is_number and isinstance(value, int) and value >= least, f"a whole number, {least} or more"),
        float: (is_number, "a number"),
        bool: (isinstance(value, bool), "true or false"),
        str: (isinstance(value, str), "a text"),
    }[kind]
    if not fits:
        document.problem((key,), f"is {value!r}.", f"Write {wanted}.")
