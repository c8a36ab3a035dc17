"""Rules whose thresholds differ by language: the parameter `languages` of every step of rules.

    filter.gopher_quality: {min_words: 50, languages: {fr: {min_alpha_ratio: 0.812, stop_words: [le, la, de]}}}

A document whose `lang` is `fr` is judged with what stands under `fr`, and with the other parameters of the step; all others with those
alone. FineWeb-2 (Penedo et al. 2025) found such values for a thousand languages. A table of one language costs nothing
extra, one of several a copy of its texts.
"""

import difflib
import functools
import inspect
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from curation.steps import COUNTS

Languages = Mapping[str, Mapping[str, Any]]
Result = TypeVar("Result", pa.Array, pa.Table)
_NONE: Languages = {}
_CODE = re.compile(r"[a-z]{2,3}(?:[_-]\w+)*")


class Checked(Protocol):
    """A step that says what is wrong with its parameters, before any data is touched."""

    check: Callable[..., None]

    def __call__(self, docs: pa.Table, **params: Any) -> Any: ...


def per_language(step: Callable[..., Result], *, own: Languages = _NONE, names: re.Pattern[str] = _CODE) -> Checked:
    """`step` with the parameter `languages`, parameters by the language code in the column `lang`, and a `check` of all parameters.

    `step` takes documents and keyword-only parameters with defaults, and returns one row per document in their order. `own`: what holds for
    a language where `languages` says nothing else. `names`: what a language may be called.
    """
    signature: inspect.Signature = inspect.signature(step)

    @functools.wraps(step)
    def apart(docs: pa.Table, *, languages: Languages = _NONE, **params: Any) -> Result:
        languages = {code: {**own.get(code, {}), **languages.get(code, {})} for code in {**own, **languages}}
        if not languages:
            return step(docs, **params)
        langs = np.array(docs["lang"].to_pylist(), object)
        rows = [np.flatnonzero(langs == code) for code in languages]
        rows.append(np.setdiff1d(np.arange(docs.num_rows), np.concatenate(rows)))
        settings = [{**params, **each} for each in languages.values()] + [params]
        found = [
            step(docs.take(pa.array(mine)), **each)
            for mine, each in zip(rows, settings, strict=True)
            if len(mine) or not docs.num_rows
        ]
        joined = _joined(found) if isinstance(found[0], pa.Table) else pa.concat_arrays(found)
        return joined.take(pa.array(np.argsort(np.concatenate(rows))))

    def check(*, languages: Languages = _NONE, **params: Any) -> None:
        _check(params, signature, "")
        if not isinstance(languages, Mapping):
            raise ValueError(
                f"languages is {languages!r}; type `languages: {{fr: {{...}}}}`, parameters by language code"
            )
        for code, given in languages.items():
            if not isinstance(code, str) or not names.fullmatch(code):
                raise ValueError(
                    f"languages has {code!r}, which is no code that documents have: type for instance fr, or fra_Latn if the model says "
                    "so; Norwegian stands in quotes, for YAML reads no as false"
                )
            if not isinstance(given, Mapping):
                raise ValueError(
                    f"languages.{code} is {given!r}; type parameters of this step: `{code}: {{name: value}}`"
                )
            for name in given:
                if name not in signature.parameters:
                    raise ValueError(
                        f"languages.{code}.{name} is not a parameter of this step; type {_nearest(name, signature)}"
                    )
            _check({**params, **given}, signature, f"languages.{code}.")

    extra = inspect.Parameter("languages", inspect.Parameter.KEYWORD_ONLY, default=_NONE, annotation=Languages)
    parameters = [*signature.parameters.values(), extra]
    apart.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    check.__signature__ = signature.replace(parameters=parameters[1:], return_annotation=None)  # type: ignore[attr-defined]
    apart.check = check  # type: ignore[attr-defined]
    return apart  # type: ignore[return-value]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all, and the sum of what each counted."""
    counts = Counter[str]()
    for table in tables:
        counts.update(json.loads((table.schema.metadata or {}).get(COUNTS, b"{}")))
    return pa.concat_tables(tables).replace_schema_metadata({COUNTS: json.dumps(counts)} if counts else None)


def _check(params: Mapping[str, Any], signature: inspect.Signature, where: str) -> None:
    """Raise ValueError for a value of another kind than the default's, and for a range that nothing is in."""
    values = {name: parameter.default for name, parameter in signature.parameters.items()} | dict(params)
    for name, value in params.items():
        problem = _problem(value, signature.parameters[name].default)
        if problem:
            raise ValueError(f"{where}{name} is {value!r}; type {problem}")
    for name, least in values.items():
        most = values.get(name.replace("min_", "max_", 1)) if name.startswith("min_") else None
        if most is not None and least > most and {name, name.replace("min_", "max_", 1)} & set(params):
            raise ValueError(
                f"{where}{name} is {least} and {name.replace('min_', 'max_', 1)} {most}: no document is in between; swap them"
            )


def _problem(value: Any, default: Any) -> str:
    """What to type instead; empty if the value is of the default's kind."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int | float):
        is_share = isinstance(default, float) and 0 < default <= 1
        if not _is_number(value) or value < 0 or (is_share and value > 1):
            return f"{'a share from 0 to 1' if is_share else 'a number of 0 or more'} such as {default}"
        return ""
    if isinstance(default, str):
        return "" if isinstance(value, str) else f"a text such as {default!r}"
    if isinstance(default, Mapping):
        fine = isinstance(value, Mapping) and all(
            str(key).isdecimal() and int(key) > 0 and _is_number(limit) for key, limit in value.items()
        )
        return "" if fine else f"limits by length of n-gram, such as {dict(default)}"
    fine = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)
    return "" if fine else "a list of texts such as [one, two]"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _nearest(name: str, signature: inspect.Signature) -> str:
    known = [name for name in signature.parameters if name != "docs"]
    close = difflib.get_close_matches(str(name), known, 1)
    return close[0] if close else f"one of {', '.join(known)}"
