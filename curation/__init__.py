"""Judge documents: pure functions on Arrow tables. `curation.steps.STEPS` is the vocabulary of the manifest."""
