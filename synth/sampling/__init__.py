"""Rejection sampling of responses and selection of prompts (GLM-4.5 report, section 3.1)."""

from synth.sampling.reject import Response, chosen, judged, keep
from synth.sampling.unfit import unfit

__all__ = ["Response", "chosen", "judged", "keep", "unfit"]
