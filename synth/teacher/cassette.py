"""Answers that were recorded: a file of answers is played, and nobody is asked."""

from synth.teacher.protocol import Answer, Request


class NotRecorded:
    """Says of every request that reaches it that the cassette does not hold it."""

    def __init__(self, cassette: str) -> None:
        self.cassette = cassette

    async def __aenter__(self) -> "NotRecorded":
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Nothing to close."""

    async def answer(self, request: Request, key: str) -> Answer:
        """A failure; the text names the key and the remedy."""
        said = f"{self.cassette} has no answer to {key}: record it with `record: true` and whom to ask."
        return Answer(said, "", 0, 0, failure="not_recorded", is_final=False)
