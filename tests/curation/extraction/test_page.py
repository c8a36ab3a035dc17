"""One page in this process: its reasons and what is tidied."""

from collections import Counter

import pytest

from curation.extraction.engines import Found
from curation.extraction.exchange import EMPTY, FAILED, TOO_LARGE, Page
from curation.extraction.kept import Kept
from curation.extraction.page import extract_page, tidy


def test_text_facts_and_counts() -> None:
    kept = Kept()
    code, formula = kept.mark("a\n\n\n  b", "code", block=True), kept.mark(r"\(x\)", "formula", block=False)
    found = Found(f"one {formula} and \\(y\\)  \n\n\n\n{code}", kept, {"title": "t"})
    page = extract_page("<p>", lambda source, most: found, 9)
    assert page == Page("one \\(x\\) and \\(y\\)\n\na\n\n\n  b", {"title": "t", "code_blocks": 1, "formulas": 2})
    assert Counter(found.facts) == {"title": "t"}


def test_reasons() -> None:
    assert extract_page("<p>" * 17, lambda source, most: pytest.fail("has too many tags"), 4).reason == TOO_LARGE
    assert extract_page("<p>" * 16, lambda source, most: None, 4).reason == TOO_LARGE
    assert extract_page("", lambda source, most: Found("\n", Kept(), {"title": "t"}), 4) == Page(
        "", {"title": "t"}, EMPTY
    )
    for error in (ValueError(), RecursionError()):

        def refuses(source: str, most: int, error: Exception = error) -> Found:
            raise error

        assert extract_page("", refuses, 4) == Page(reason=FAILED)


def test_tidy() -> None:
    assert tidy("\n a  \n\n\n\nb\n |  | |\n| c |  |\n|  | d |\n \n") == " a\n\nb\n| c |\n|  | d |"
