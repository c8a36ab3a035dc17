"""Corpora on their own: from corpus files to kept documents, without a curriculum around them. What the verb `curate` does. And
OUT/curated.json, which a build writes too.

The parts lie where a build of a manifest with the same corpus would put them, so a later `build` in the same folder finds them done.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curriculum.corpus import load_corpus_files
from curriculum.curate import Curated, curate
from curriculum.document import Document, ManifestError, shown
from curriculum.manifest import MANIFESTS
from curriculum.waves import Observer, run_jobs
from datapipe import store
from datapipe.engine import Engine

CURATED = "curated.json"
FORMAT = 1


def curate_files(files: Sequence[str], root: str, data: str, engine: Engine, observe: Observer) -> dict[str, Any]:
    """Curate the corpora of some corpus files, or shipped ones by name; returns what is written to OUT/curated.json.

    What they refer to is found beside them. Relative paths of sources start from the folder `data`. Raises ManifestError for what the files
    say, BuildError when nothing is left of a corpus or a step dropped too much of it, StoreError when a file or bucket cannot be reached.
    """
    corpora = load_corpus_files(with_needed([path for name in files for path in find(name)]))
    results: dict[str, Curated] = run_jobs(
        {name: curate(corpus, root, data) for name, corpus in corpora.items()}, engine, observe
    )
    return write_curated(root, {name: results[name] for name in corpora})


def write_curated(root: str, results: Mapping[str, Curated]) -> dict[str, Any]:
    """Writes OUT/curated.json, which says of every corpus what was counted and where its documents lie; returns it."""
    curated = {"format": FORMAT, "corpora": {name: _entry(result, root) for name, result in results.items()}}
    store.write_bytes(store.join(root, CURATED), (json.dumps(curated, sort_keys=True, indent=1) + "\n").encode())
    return curated


def find(name: str) -> list[Path]:
    """The corpus file of a path, of a shipped corpus such as `web`, or all of a shipped set such as `quickstart`. Raises ManifestError."""
    if Path(name).is_file():
        return [Path(name)]
    shipped = MANIFESTS / "corpora"
    found = [shipped / f"{name}.yaml"] if name.isidentifier() else []
    found = [path for path in found if path.is_file()] or (sorted((shipped / name).glob("*.yaml")) if found else [])
    if not found:
        known = ", ".join(sorted(path.stem for path in shipped.iterdir() if path.is_dir() or path.suffix == ".yaml"))
        raise ManifestError(
            [f"{name}: no such file. Give the paths of corpus files, or names of shipped ones: {known}."]
        )
    return found


def with_needed(paths: Sequence[Path]) -> list[Path]:
    """`paths`, and the files beside them of the corpora that they refer to and that are not named already."""
    found = {path.stem: path for path in paths}
    every = list(paths)
    for path in every:  # grows
        for name in _needed(Document(path, shown(path)).data):
            beside = path.parent / f"{name}.yaml"
            if name not in found and beside.is_file():
                found[name] = beside
                every.append(beside)
    return every


def _needed(corpus: Mapping[str, Any]) -> Iterator[str]:
    """Names of the corpora that a corpus file refers to, as far as it is well formed."""
    source, steps = corpus.get("source"), corpus.get("steps")
    named = source.get("from") if isinstance(source, Mapping) else None
    params = (
        [value for step in steps or () if isinstance(step, Mapping) for value in step.values()]
        if isinstance(steps, list)
        else []
    )
    references = [value.get("reference") for value in params if isinstance(value, Mapping)]
    yield from (name for name in [*(named if isinstance(named, list) else ()), *references] if isinstance(name, str))


def _entry(curated: Curated, root: str) -> dict[str, Any]:
    epochs = curated.corpus.bucket_epochs
    return {
        "kind": curated.corpus.kind,
        "key": curated.key,
        "source": curated.source,
        "steps": curated.steps,
        "buckets": {bucket: {**counts, "epochs": epochs[bucket]} for bucket, counts in curated.buckets.items()},
        "languages": curated.languages,
        "licenses": curated.licenses,
        "clusters": curated.clusters,
        "parts": [path.removeprefix(root).lstrip("/") for path in curated.parts],
    }
