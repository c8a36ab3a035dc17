"""The ways in which a teacher says a passage again, in one table: its prompt, how much it sees, what its answer must look like.

The first five are those of Nemotron-CC (arXiv 2412.02595), with prompts in words of our own: `wikipedia` for pages of low quality, the
other four for those of high quality. The lengths are those of NVIDIA's own recipe (NeMo Curator, tutorial
synthetic/nemotron_cc), in tokens. `plain` and `hard` are the easy and the terse style of WRAP (arXiv 2401.16380), whose third, questions,
is `diverse_qa`. What a style may do to a text (`Limits`) is ours: neither paper checks an answer against its source.
"""

from typing import Literal, NamedTuple

from synth.rephrase.guards import Limits

Form = Literal["prose", "list", "pairs"]


class Style(NamedTuple):
    opening: str  # first line of the answer; one without it is no answer
    form: Form
    whole: bool  # the answers on all passages of a document are one row, in their order; else a row each
    max_input: int  # tokens of a passage
    max_output: int  # tokens of an answer
    min_input: int  # tokens; a shorter passage is left as it is, or out
    limits: Limits


STYLES: dict[str, Style] = {
    "wikipedia": Style("Rewritten text:", "prose", True, 512, 512, 5, Limits((0.4, 1.5), kept=0.8)),
    "diverse_qa": Style("Questions and answers:", "pairs", False, 1000, 600, 30, Limits((0.0, 2.0), 10, copied=1.0)),
    "distill": Style("Shorter text:", "prose", False, 2000, 1600, 30, Limits((0.15, 1.0), kept=0.3)),
    "extract_knowledge": Style("Knowledge:", "prose", False, 1400, 1400, 30, Limits((0.1, 1.3), kept=0.3)),
    "knowledge_list": Style("Facts:", "list", False, 1000, 600, 30, Limits((0.1, 1.2), kept=0.2, copied=0.9)),
    "plain": Style("Simpler text:", "prose", True, 512, 768, 5, Limits((0.4, 1.8), kept=0.8, shared=0.35)),
    "hard": Style("Terser text:", "prose", True, 512, 512, 5, Limits((0.3, 1.3), kept=0.8, shared=0.35)),
}
LOW = ("wikipedia",)
HIGH = ("diverse_qa", "distill", "extract_knowledge", "knowledge_list")
