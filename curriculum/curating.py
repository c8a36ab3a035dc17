"""Corpora on their own: from corpus files to kept documents, without a curriculum around them. What the verb `curate` does. And
OUT/curated.json, which a build writes too.

The parts lie where a build of a manifest with the same corpus would put them, so a later `build` in the same folder finds them done.

A folder is often filled by several calls, one after the other or at once. So every corpus has an entry of its own beside its documents,
corpora/NAME/curated.json, which only a call with that corpus replaces; OUT/curated.json is all of them in one file. Who wrote it looks at
the entries once more, and writes again if another call added one meanwhile: whoever writes last has seen all. That needs no lock, which
object stores do not have. Cost: one listing and one small read per corpus, each time.

Left out is an entry whose documents are gone, and one that was made from a corpus that is recorded with another key than it had then: its
plan has changed, and curating it again says what it is now.
"""

import glob
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
FORMAT = 2
Entries = dict[str, dict[str, Any]]  # of OUT/curated.json, by corpus


def curate_files(files: Sequence[str], root: str, data: str, engine: Engine, observe: Observer) -> dict[str, Any]:
    """Curate the corpora of some corpus files, or shipped ones by name; returns what OUT/curated.json then says of these.

    What they refer to is found beside them. Relative paths of sources start from the folder `data`. Raises ManifestError for what the files
    say, BuildError when nothing is left of a corpus or a step dropped too much of it, StoreError when a file or bucket cannot be reached.
    """
    corpora = load_corpus_files(with_needed([path for name in files for path in find(name)]))
    results: dict[str, Curated] = run_jobs(
        {name: curate(corpus, root, data) for name, corpus in corpora.items()}, engine, observe
    )
    return write_curated(root, {name: results[name] for name in corpora})


def write_curated(root: str, results: Mapping[str, Curated]) -> dict[str, Any]:
    """Records what was counted in these corpora and where their documents lie, beside what other calls recorded; returns these alone."""
    entries = {name: _entry(result, results, root) for name, result in results.items()}
    for name, entry in entries.items():
        store.write_bytes(store.join(root, "corpora", name, CURATED), _json({"format": FORMAT, **entry}))
    written, recorded = None, _recorded(root)
    while recorded != written:
        store.write_bytes(store.join(root, CURATED), _json({"format": FORMAT, "corpora": recorded}))
        written, recorded = recorded, _recorded(root)
    return {"format": FORMAT, "corpora": entries}


def _recorded(root: str) -> Entries:
    """The entries of all corpora whose documents are there and were made from what is recorded."""
    entries: Entries = {}
    for file in store.glob(store.join(glob.escape(root), "corpora", "*", CURATED)):
        entry = json.loads(store.read_bytes(file.path))
        if entry.pop("format") == FORMAT and all(store.exists(store.join(root, place)) for place in _places(entry)):
            entries[file.path.split("/")[-2]] = entry
    stale: set[str] = set()
    while more := {name for name in entries.keys() - stale if _is_stale(entries[name]["from"], entries, stale)}:
        stale |= more
    return {name: entry for name, entry in entries.items() if name not in stale}


def _is_stale(made_from: Mapping[str, str], entries: Entries, stale: set[str]) -> bool:
    """Whether one of these corpora has another key now, or is stale itself. One that is not recorded any more says nothing."""
    return any(name in entries and (name in stale or entries[name]["key"] != key) for name, key in made_from.items())


def _places(entry: Mapping[str, Any]) -> set[str]:
    return {part.rpartition("/")[0] for part in entry["parts"]}


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


def _entry(curated: Curated, results: Mapping[str, Curated], root: str) -> dict[str, Any]:
    corpus = curated.corpus
    needed = sorted({*corpus.generated_from, *corpus.references} & set(results))
    return {
        "kind": corpus.kind,
        "key": curated.key,
        "from": {name: results[name].key for name in needed},
        "source": curated.source,
        "steps": curated.steps,
        "buckets": {
            bucket: {**counts, "epochs": corpus.bucket_epochs[bucket]} for bucket, counts in curated.buckets.items()
        },
        "languages": curated.languages,
        "licenses": curated.licenses,
        "clusters": curated.clusters,
        "parts": [path.removeprefix(root).lstrip("/") for path in curated.parts],
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()
