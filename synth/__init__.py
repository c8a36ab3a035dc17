"""Make documents: rows that a program verified against the text they came from."""

from synth.generators import GENERATORS, Generator

__all__ = ["GENERATORS", "Generator"]
