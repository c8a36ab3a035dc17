"""Steps of the manifest that ask a model: what `curation.steps.STEPS` is for the rest, with its kinds and its rules."""

from curation.steps import Step

STEPS: dict[str, Step] = {
    "embed.endpoint": Step("map", "synth.embeddings:endpoint", 1),
    "embed.model": Step("map", "synth.embeddings:model", 1),
}
