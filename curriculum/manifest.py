"""The manifest: what data, in what order, how much. Read once, checked completely, before any data is touched.

Rules: one unit per key, unknown keys are errors, nothing measured is written by hand, nothing about machines enters the fingerprint
(`paths` of a source are context: what lies there is identified by content). All problems of all files are reported together.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from curriculum.corpus import Corpus, load_corpora
from curriculum.document import Document, ManifestError, shown
from curriculum.fields import Fields
from curriculum.model_shape import ModelShape
from curriculum.shape_file import read_shape
from curriculum.stage_fields import load_stages
from curriculum.stages import StageSpec
from synth.render import DEFAULT, TEMPLATES

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"


VALIDATION_STEPS = 500  # unless the manifest says how often


class Validation(NamedTuple):
    """What is kept out of training, to measure the loss on."""

    tokens: int = 0  # of every source in every packing
    every_steps: int = 0  # how often to measure between the ends of stages; 0 = nothing is measured


@dataclasses.dataclass(frozen=True)
class Manifest:
    name: str
    version: str
    seed: int
    model: ModelShape
    tokenizer: dict[str, Any]  # {"path": ...} or {"train": {"vocab_size", "sample_bytes"}}
    corpora: dict[str, Corpus]
    stages: tuple[StageSpec, ...]
    training: dict[str, Any]
    validation: Validation
    shard_tokens: int
    chat_template: str  # a version of `synth.render.TEMPLATES`, of all conversations that are made
    documents: dict[str, Document] = dataclasses.field(compare=False, repr=False)

    def fingerprint(self) -> str:
        """Hex sha256 of everything that decides the outcome, the order of buckets and mixtures included: no comments, no paths."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "documents"}
        fields["model"] = dataclasses.asdict(self.model)
        fields["corpora"] = {name: _identity(corpus) for name, corpus in self.corpora.items()}
        stages = [dataclasses.asdict(stage) for stage in self.stages]  # without `max_share`, which only refuses
        fields["stages"] = [{key: value for key, value in stage.items() if key != "max_share"} for stage in stages]
        fields["tokenizer"] = {key: value for key, value in self.tokenizer.items() if key != "path"}
        if self.chat_template == DEFAULT:
            del fields["chat_template"]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def build_order(self) -> list[str]:
        """Corpora so that whatever one needs stands before it (`check` has refused cycles)."""
        order: list[str] = []

        def visit(name: str) -> None:
            if name not in order:
                for needed in (*self.corpora[name].generated_from, *self.corpora[name].references):
                    visit(needed)
                order.append(name)

        for name in self.corpora:
            visit(name)
        return order


def _identity(corpus: Corpus) -> dict[str, Any]:
    source = {key: value for key, value in corpus.source.items() if key != "paths"}
    steps = [[step.name, step.step.version, step.params] for step in corpus.steps]
    fim = {"fim": corpus.fim} if corpus.fim else {}
    return {"kind": corpus.kind, "source": source, "steps": steps, **fim}


def find(name: str) -> Path:
    """The file of a manifest: a path, or the name of one that ships with tokenloom."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = MANIFESTS / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    known = sorted(file.stem for file in MANIFESTS.glob("*.yaml"))
    raise ManifestError(
        [f"{name}: no such manifest. Give the path of a YAML file, or one of the shipped ones: {', '.join(known)}."]
    )


def load_manifest(name: str) -> Manifest:
    """Read and check a manifest and the files it names; raises ManifestError with every problem found."""
    path = find(name)
    document = Document(path, shown(path))
    data = document.data
    fields = Fields(document)
    fields.keys(
        (),
        (
            "name",
            "version",
            "seed",
            "model",
            "tokenizer",
            "corpora",
            "stages",
            "training",
            "validation",
            "shard_tokens",
            "chat_template",
        ),
        required=("name", "version", "model", "corpora", "stages"),
    )
    document.check()
    corpora, files = load_corpora(fields, path)
    template = fields.choice(("chat_template",), tuple(TEMPLATES), DEFAULT)
    corpora = {name: dataclasses.replace(corpus, template=template) for name, corpus in corpora.items()}
    named = data["corpora"] if isinstance(data["corpora"], Mapping) else {}
    stages = load_stages(fields, set(named))
    manifest = Manifest(
        name=str(data["name"]),
        version=str(data["version"]),
        seed=fields.count(("seed",), 0),
        model=_load_model(fields, path),
        tokenizer=_load_tokenizer(fields),
        corpora=corpora,
        stages=stages,
        training=_load_training(fields),
        validation=_load_validation(fields),
        shard_tokens=fields.count(("shard_tokens",), 64 * 2**20, least=1),
        chat_template=template,
        documents={"": document, **files},
    )
    if "path" not in manifest.tokenizer:
        for name in (name for name, corpus in corpora.items() if corpus.is_imported):
            document.problem(
                ("corpora", name),
                "comes as tokens, and the manifest trains a tokenizer of its own.",
                "Name the tokenizer that made them: `tokenizer: {path: tokenizer.json}`.",
            )
    problems = [problem for doc in (document, *files.values()) for problem in doc.problems]
    if problems:
        raise ManifestError(problems)
    return manifest


def _load_model(fields: Fields, path: Path) -> ModelShape:
    name = str(fields.get(("model",)))
    for candidate in (path.parent / name, MANIFESTS / name):
        if candidate.is_file():
            return read_shape(candidate)
    fields.document.problem(
        ("model",),
        f"{name}: no such file beside the manifest.",
        "Shipped: models/tiny.yaml, models/glm45_air.yaml, models/glm45.yaml.",
    )
    return ModelShape("missing", 1, 1, 0, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1.0, False, False, 1.0, 0, 1e-5, 0.02)


def _load_tokenizer(fields: Fields) -> dict[str, Any]:
    fields.keys(("tokenizer",), ("path", "train"))
    if fields.get(("tokenizer", "path")):
        return {"path": str(fields.get(("tokenizer", "path")))}
    fields.keys(("tokenizer", "train"), ("vocab_size", "sample_bytes"))
    return {
        "train": {
            "vocab_size": fields.count(("tokenizer", "train", "vocab_size"), 4096),
            "sample_bytes": fields.count(("tokenizer", "train", "sample_bytes"), 8 * 2**20),
        }
    }


TRAINING_DEFAULTS: dict[str, Any] = {
    "optimizer": "muon",
    "head": "muon",
    "lr": {"peak": 2.5e-4, "end": 2.5e-5, "warmup_tokens": 0},
    "weight_decay": 0.1,
    "clip_norm": 1.0,
    "muon": {"momentum": 0.95, "ns_steps": 5, "update_rms": 0.2},
    "adam": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
    "sequence_balance_weight": 1e-4,
    "checkpoint_steps": 1000,
    "spikes": {"policy": "warn", "window": 128, "deviations": 6.0},
}
"""GLM-4.5 report, section 2.4; the betas of AdamW, the warm-up and the clip norm are not disclosed there (Moonlight's are used). What is
a spike is OLMo-core's."""

TRAINING_CHOICES = {
    ("optimizer",): ("muon", "adamw"),  # of every matrix but the word embeddings
    ("head",): ("muon", "adamw"),  # of the output head, which is a matrix in the report and not one in most code
    ("spikes", "policy"): ("warn", "skip", "stop"),
}


def _load_training(fields: Fields) -> dict[str, Any]:
    fields.keys(("training",), tuple(TRAINING_DEFAULTS))
    training: dict[str, Any] = {}
    for key, default in TRAINING_DEFAULTS.items():
        if isinstance(default, dict):
            fields.keys(("training", key), tuple(default))
            training[key] = {inner: _load_setting(fields, (key, inner), value) for inner, value in default.items()}
        else:
            training[key] = _load_setting(fields, (key,), default)
    return training


def _load_setting(fields: Fields, key: tuple[str, ...], default: Any) -> Any:
    where = ("training", *key)
    if key in TRAINING_CHOICES:
        return fields.choice(where, TRAINING_CHOICES[key], default)
    return fields.count(where, default) if isinstance(default, int) else fields.number(where, default)


def _load_validation(fields: Fields) -> Validation:
    """Nothing is held out unless the manifest asks for it."""
    where = ("validation",)
    if fields.get(where) is None:
        return Validation()
    fields.keys(where, Validation._fields, required=("tokens",))
    tokens = fields.count((*where, "tokens"), 0)
    every_steps = fields.count((*where, "every_steps"), VALIDATION_STEPS)
    return Validation(tokens, every_steps if tokens else 0)
