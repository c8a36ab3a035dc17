import pytest

from curation.extraction.code_tags import code_tags
from datapipe.schema import documents


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ("<p>no code</p>", 0),
        ("<PRE>a</PRE> <code class=x>b</code>", 2),
        ("<pre><code>a</code></pre>", 2),
        ("<precode>no tag of ours</precode> <codex>", 0),
        ("text that says pre code", 0),
        ('<div class="highlight-python notranslate"><div class="highlight">', 2),
        ("<div class='src hljs'>", 1),
        ("<div class=prettyprint>", 1),
        ('<p class="highlights">', 0),
        ("", 0),
    ],
)
def test_elements_marked_as_code_are_counted(page: str, count: int) -> None:
    table = documents([{"text": page, "origin": "a"}])
    assert code_tags(table).to_pylist() == [count]
    assert len(code_tags(table.slice(0, 0))) == 0
