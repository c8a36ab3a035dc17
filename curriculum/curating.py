"""Corpora on their own: from corpus files to kept documents, without a curriculum around them. What the verb `curate` does.

The parts lie where a build of a manifest with the same corpus would put them, so a later `build` in the same folder finds them done.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curriculum.corpus import load_corpus_files
from curriculum.curate import Curated, curate
from curriculum.waves import Observer, run_jobs
from datapipe import store
from datapipe.engine import Engine

CURATED = "curated.json"


def curate_files(files: Sequence[str], root: str, data: str, engine: Engine, observe: Observer) -> dict[str, Any]:
    """Curate the corpora of some corpus files, each named by its file's stem; returns what is written to OUT/curated.json.

    Relative paths of sources start from the folder `data`. Raises ManifestError for what the files say, BuildError when nothing is left
    of a corpus or a step dropped too much of it, StoreError when a file or bucket cannot be reached.
    """
    corpora = load_corpus_files([Path(file) for file in files])
    results: dict[str, Curated] = run_jobs(
        {name: curate(corpus, root, data) for name, corpus in corpora.items()}, engine, observe
    )
    curated = {"corpora": {name: _entry(results[name], root) for name in corpora}}
    store.write_bytes(store.join(root, CURATED), (json.dumps(curated, sort_keys=True, indent=1) + "\n").encode())
    return curated


def _entry(curated: Curated, root: str) -> dict[str, Any]:
    return {
        "kind": curated.corpus.kind,
        "key": curated.key,
        "source": curated.source,
        "steps": curated.steps,
        "buckets": curated.buckets,
        "languages": curated.languages,
        "licenses": curated.licenses,
        "clusters": curated.clusters,
        "parts": [path.removeprefix(root).lstrip("/") for path in curated.parts],
    }
