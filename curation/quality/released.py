"""A score from a fastText classifier that somebody released, such as DCLM's (Li et al. 2024, section 4.4; its labels are the defaults).

The model reads a text as one line, as it was trained: line feeds become spaces. Its words are fastText's own, split at white space only.
About 1,500 texts of 2,600 characters per CPU second. The model is read from this machine.
"""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.steps import StepError
from datapipe.schema import with_column


def fasttext(
    docs: pa.Table,
    *,
    model: str,
    label: str = "__label__hq",
    column: str = "fasttext",
    max_chars: int = 1_000_000,
) -> pa.Table:
    """Adds `column` (float32): the model's probability of `label`, null for a text without letters, digits or signs.

    Raises StepError without the model, and when it does not know the label.
    """
    classifier = _load(model, label)
    scores: list[float | None] = []
    for text in docs["text"]:
        line = " ".join((text.as_py() or "")[:max_chars].split())
        found = classifier.predict(line + "\n", -1, 0.0, "replace") if line else []
        by_label = {name: min(score, 1.0) for score, name in found}  # they may add up to a little more than one
        scores.append(by_label.get(label, 0.0) if line else None)
    return with_column(docs, column, pa.array(scores, pa.float32()))


def check(*, model: str) -> None:
    """Raises ValueError without the model."""
    if not Path(model).is_file():
        raise ValueError(_absent(model))


def _absent(path: str) -> str:
    return f"model {path}: no such file on this machine; name a fastText model that every machine with workers has at that path"


@functools.lru_cache(maxsize=2)
def _load(path: str, label: str) -> Any:
    """The low-level model; its Python wrapper's `predict` does not work with numpy 2."""
    if not Path(path).is_file():
        raise StepError(_absent(path))
    import fasttext

    try:
        model = fasttext.load_model(path)
    except ValueError as error:  # no model of fastText's; one that is cut in the middle is loaded as if it were whole
        raise StepError(
            f"model {path} cannot be loaded ({' '.join(str(error).split())}): name a fastText model (.bin or .ftz)"
        ) from error
    if label not in model.get_labels():
        known = ", ".join(sorted(model.get_labels())[:8])
        raise StepError(f"{path} has no label {label!r}: type one of {known}")
    return model.f
