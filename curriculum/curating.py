"""Corpora on their own: from corpus files to kept documents, without a curriculum around them. What the verb `curate` does.

The parts lie where a build of a manifest with the same corpus would put them, so a later `build` in the same folder finds them done.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curriculum.corpus import load_corpus_files
from curriculum.curate import Curated, curate
from curriculum.document import ManifestError
from curriculum.manifest import MANIFESTS
from curriculum.waves import Observer, run_jobs
from datapipe import store
from datapipe.engine import Engine

CURATED = "curated.json"
FORMAT = 1


def curate_files(files: Sequence[str], root: str, data: str, engine: Engine, observe: Observer) -> dict[str, Any]:
    """Curate the corpora of some corpus files (or shipped sets of them); returns what is written to OUT/curated.json.

    Relative paths of sources start from the folder `data`. Raises ManifestError for what the files say, BuildError when nothing is left
    of a corpus or a step dropped too much of it, StoreError when a file or bucket cannot be reached.
    """
    corpora = load_corpus_files([path for name in files for path in find(name)])
    results: dict[str, Curated] = run_jobs(
        {name: curate(corpus, root, data) for name, corpus in corpora.items()}, engine, observe
    )
    curated = {"format": FORMAT, "corpora": {name: _entry(results[name], root) for name in corpora}}
    store.write_bytes(store.join(root, CURATED), (json.dumps(curated, sort_keys=True, indent=1) + "\n").encode())
    return curated


def find(name: str) -> list[Path]:
    """The corpus file of a path, or all files of a set that ships with tokenloom, such as `web`. Raises ManifestError."""
    if Path(name).is_file():
        return [Path(name)]
    shipped = sorted((MANIFESTS / "corpora" / name).glob("*.yaml")) if name.isidentifier() else []
    if not shipped:
        known = ", ".join(sorted(folder.name for folder in (MANIFESTS / "corpora").iterdir() if folder.is_dir()))
        raise ManifestError(
            [f"{name}: no such file. Give the paths of corpus files, or a shipped set of them: {known}."]
        )
    return shipped


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
