"""Lines that many documents share, through the whole exchange and against plain Python."""

import json
import re
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.dedup.lines import LINES, check, line_hashes
from curation.steps import COUNTS
from datapipe.schema import documents

Drive = Callable[..., pa.Table]
FOOTER = "All rights reserved, see our terms of use and privacy policy."


def page(number: int, *lines: str) -> dict[str, str]:
    return {"text": "\n".join(lines), "origin": f"page {number}"}


def test_a_shared_line_stays_in_the_longest_page_only(drive: Drive) -> None:
    own = [f"Page {n} tells its own story in a line of many words, {'and more ' * n}" for n in range(6)]
    docs = documents([page(n, own[n], FOOTER if n % 2 else FOOTER.upper() + "  ", "Back") for n in range(6)])
    result = {row["origin"]: row["text"] for row in drive(LINES, docs).to_pylist()}
    for n in range(5):
        assert result[f"page {n}"] == f"{own[n]}\nBack"
    assert result["page 5"] == f"{own[5]}\n{FOOTER}\nBack"


def test_short_lines_and_what_few_pages_share_stay(drive: Drive) -> None:
    quotation = "it was the best of times it was the worst of times"
    docs = documents([page(n, "a heading", quotation if n < 3 else f"{n} " * 9) for n in range(6)])
    assert drive(LINES, docs)["text"].to_pylist() == docs.sort_by("id")["text"].to_pylist()
    fewer = drive(LINES, docs, max_documents=2, min_kept=0)
    assert sum(quotation in text for text in fewer["text"].to_pylist()) == 1


def test_a_page_of_which_little_is_left_goes(drive: Drive) -> None:
    docs = documents([page(n, FOOTER, f"and {n}") for n in range(5)])
    result = drive(LINES, docs)
    assert Counter(result["drop_reason"].to_pylist()) == {"dedup.lines": 4, None: 1}
    assert drive(LINES, docs, min_kept=0)["drop_reason"].null_count == 5


def test_what_stays_counts_what_it_lost() -> None:
    other = "One more line that very many pages of this crawl repeat."
    own = "A line of its own that only this page has, and it is long enough to outweigh the rest. " * 2
    docs = documents([page(n, f"{n} {own}", FOOTER, other, f"end {n}") for n in range(4)])
    docs = pa.concat_tables([docs, documents([page(9, FOOTER, "x")])])
    lost = LINES.judge(numbered(LINES.emit(docs)))
    found = lost.rename_columns(["row", "line"]).sort_by("row")
    result = LINES.apply(docs, found)
    kept = docs.filter(pc.is_null(result["drop_reason"]))
    removed = (len(FOOTER) + 1) * 3 + (len(other) + 1) * 3
    assert result["drop_reason"].to_pylist() == [None] * 4 + ["dedup.lines"]
    assert len("".join(kept["text"].to_pylist())) - len("".join(result["text"].to_pylist()[:4])) == removed
    counts = json.loads(result.schema.metadata[COUNTS])
    assert counts == {"lines_removed": 6, "chars_removed": removed, "documents_changed": 3}
    assert set(json.loads(LINES.apply(docs, found[:0]).schema.metadata[COUNTS]).values()) == {0}


def numbered(rows: pa.Table) -> pa.Table:
    """`row` as the engine names it in a corpus of one partition."""
    return rows.set_column(rows.schema.get_field_index("row"), "doc", rows["row"].cast(pa.uint64()))


@pytest.mark.parametrize("seed", range(3))
def test_partitions_receivers_and_order_do_not_matter(drive: Drive, seed: int) -> None:
    lines = [f"line {n} has quite a few words that one could count if one wanted" for n in range(9)]
    docs = documents([page(n, *(lines[(n * k) % 9] for k in range(5))) for n in range(20)])
    expected = drive(LINES, docs, partitions=1, receivers=1)
    assert drive(LINES, docs, partitions=seed + 2, receivers=4 - seed, shuffle=seed).equals(expected)
    assert expected["drop_reason"].null_count < 20


@given(st.lists(st.text(st.sampled_from("aB .\n中é_"), max_size=40), min_size=1, max_size=4))
def test_lines_are_equal_when_their_words_are(texts: list[str]) -> None:
    chunk = words.chunk_of(texts)
    _, hashes, counts = line_hashes(chunk)
    expected = []
    for text in texts:
        for line in filter(str.strip, text.split("\n")):
            expected.append(tuple(re.findall(r"中|[aBé_]+", line.lower().replace("b", "B"))))
    assert [len(each) for each in expected] == counts.tolist()
    same = {
        (a == b, x == y) for a, x in zip(expected, hashes, strict=True) for b, y in zip(expected, hashes, strict=True)
    }
    assert same <= {(True, True), (False, False)}


def test_wrong_parameters_and_no_documents(drive: Drive) -> None:
    check()
    with pytest.raises(ValueError, match=r"min_kept is 2"):
        check(min_kept=2)
    with pytest.raises(ValueError, match="min_words 0"):
        check(min_words=0)
    assert drive(LINES, documents([page(0, "a")])[:0]).num_rows == 0
