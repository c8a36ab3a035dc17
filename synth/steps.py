"""Steps of the manifest that ask a model or know conversations: what `curation.steps.STEPS` is for the rest, with its kinds and rules."""

from curation.steps import Step

STEPS: dict[str, Step] = {
    "embed.endpoint": Step("map", "synth.embeddings:endpoint", 1),
    "embed.model": Step("map", "synth.embeddings:model", 1),
    "filter.difficulty": Step("filter", "synth.reasoning.difficulty:difficulty", 1),
    "filter.responses": Step("filter", "synth.sampling.select:responses", 1),
    "select.prompts": Step("corpus", "synth.sampling.select:PROMPTS", 1),
}
