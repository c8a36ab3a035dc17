"""Stored rows for other tools: OpenAI messages, ShareGPT, slime, SWE-bench; and messages of others as turns."""

from synth.export.formats import FORMATS, Row
from synth.export.messages import MessagesError, turns_of
from synth.export.write import export

__all__ = ["FORMATS", "MessagesError", "Row", "export", "turns_of"]
