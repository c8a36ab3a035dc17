"""Pages that show code, told by their markup alone: the first half of GLM-4.5's first stage of looking for pages on code.

It reads the page as it came, before any extraction: some 400 MB of HTML per CPU second. Not covered: pages that show code without markup
for it (a classifier's job: `score.quality` against pages on code), and markup that a script writes.
"""

import pyarrow as pa
import pyarrow.compute as pc

OPENING = r"(?i)<(?:pre|code|samp|kbd|xmp|listing)[\s>]|class=[\"']?[^\"'>]*\b(?:highlight|hljs|prettyprint|sourceCode|codehilite)\b"


def code_tags(docs: pa.Table) -> pa.Array:
    """How many elements of each page, its HTML, are marked as code: by their tag, or by a class that highlighters of code give."""
    return pc.count_substring_regex(docs["text"], OPENING).cast(pa.float32()).combine_chunks()
