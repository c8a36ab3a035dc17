"""Questions without context: asked from memory, answered with the words of the source, and a thought that quotes them.

`<|user|>` question `<|assistant|>` thought, answer. Worked examples of pure arithmetic think in computed steps instead of a quotation.
"""

import pyarrow as pa

from synth.candidates import fit, kept_row, left_out, questions, sources, table
from synth.closed_world import settle
from synth.generators import Generator
from synth.render import Turn
from synth.rows import Made


def emit(
    docs: pa.Table, *, seed: int = 0, max_per_document: int = 8, min_chars: int = 500, max_scan_chars: int = 1_000_000
) -> pa.Table:
    """Candidates of one partition: at most `max_per_document` questions per document that pass, and the others with a reason."""
    rows, made = [], Made("qa", seed)
    for source in sources(docs, min_chars=min_chars, max_scan_chars=max_scan_chars):
        asked = questions(source, seed=seed)
        chosen = fit(asked, max_per_document, seed=seed, source=source)
        for q in chosen:
            turns = [Turn("user", q.question), Turn("assistant", q.answer, think=q.thoughts)]
            rows.append(kept_row(made, "reasoning", source, q.fact.start, [q], turns))
        rows += left_out(made, "reasoning", source, asked, chosen)
    return table(rows)


QA = Generator(emit, settle)
