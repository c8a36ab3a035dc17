"""What a step's output depends on beyond the words of the manifest: the content of the files it names, the model and prompt of a teacher.

Paths and addresses are context and enter no key: the same model in another folder gives the same corpus, another one under the same name
does not.
"""

import glob
from pathlib import Path
from typing import Any

from curation.steps import CorpusStep, load
from curriculum.segment import Bound
from datapipe import store
from synth.generators import Generator

MODEL_FILES = ("model", "path")  # parameters that name a file or folder of weights on this machine


def identity(step: Bound, data: str) -> dict[str, Any]:
    """The parameters of a step as its key has them. `data` is the folder that paths of sources and labels start from."""
    params = dict(step.params)
    for name in MODEL_FILES:
        if isinstance(params.get(name), str) and Path(params[name]).exists():
            params[name] = _content(params[name])
    params |= {name: _content(path) for name, path in files_of(step, data).items()}
    loaded = load(step.step)
    if isinstance(loaded, CorpusStep) and loaded.is_labelled:
        if params.get("teacher"):
            from synth.labels import settings_of

            params["teacher"] = settings_of(params["teacher"]).identity
        if params.get("labels"):
            params["labels"] = _content(resolved(params["labels"]["file"], data))
    return params


def files_of(step: Bound, data: str) -> dict[str, str]:
    """The files that a generator reads beside its corpora: where they lie, by parameter."""
    loaded = load(step.step)
    names = loaded.files if isinstance(loaded, Generator) else ()
    return {name: resolved(step.params[name], data) for name in names}


def resolved(path: str, data: str) -> str:
    """A path of the manifest: relative ones start from `data`."""
    return path if store.is_s3(path) else store.join(data, path)


def _content(path: str) -> list[str]:
    """Fingerprints of a file, or of the files in a folder."""
    if store.is_s3(path) or Path(path).is_file():
        return [store.fingerprint(store.stat(path))]
    infos = store.glob(store.join(glob.escape(path), "**"))
    return [f"{info.path.removeprefix(path)} {store.fingerprint(info)}" for info in infos]
