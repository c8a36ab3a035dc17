"""National phone numbers by country, and what looks like them."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.pii import national
from curation.pii.numbers import find_phones

NUMBERS = [
    "020 7946 0958", "0161 496 0123", "0871 527 8806", "01632 960983", "07700 900123", "07700 900 123", "0412 345 678",  # UK, AU
    "030/1234567", "0711 / 12 34 56", "0711/123456-78", "0171 12345678", "0160/1234567",  # DE
    "010-12345678", "0755-86512345", "020-1234567", "06-12345678",  # CN, NL
    "03-1234-5678", "090-1234-5678", "0123-45-6789", "02-751-1500", "010-1234-5678",  # JP, KR
    "(0711) 123456", "(01632) 960983", "(02) 9876 5432", "(020)7946 0958", "(11) 91234-5678", "(11) 3456-7890",  # brackets, BR
    "8 (495) 123-45-67", "8(495)1-23-45", "212/555-0123", "138-1234-5678", "138 1234 5678",  # RU, US, CN
    "020\u00a07946\u00a00958",
]  # fmt: skip
OTHERS = [
    "2023-10-12 01-02-2003 01/02/2003 05/2019 2019/05/01 10:00-11:00 00-01-02",
    "ISBN 0-306-40615-2, 978-0-306-40615-7, ISSN 0317-8471, SSN 012-34-5678, part 030-1234, 0120-1234",
    "0.000 020 7946 0958 1234, 12 020 7946 0958, 020 7946 0958 77, -0871 527 8806, x0412 345 678, 0412 345 678-9",
    "1.007 276 466 5789, 13.605 693 122 990, 724 32 71 99, 0x0171 12345678, 017700000001, 0171 1234567890",
    "f(05) 1234567, (05) 1234, (0711) 12, (01234) 567, sin(010) 1234-5678",
    "13812345678 1381234567890 order 13812345678, 中文 12812345678, 中文 138123456789, 中文 13812345678.5",
    "212/155-0123 1212/555-0123 212/555-01234 8(495)123-45-678 138-1234 5678",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("around", ["{}", "Inquiry\n{}\nthen", "or {}, or", "write ({})."])
def test_a_number_goes_whole(number: str, around: str) -> None:
    text = around.format(number)
    start = text.index(number)
    assert national.find(text) == find_phones(text) == [(start, start + len(number))]
    assert pc.match_substring_regex(pa.array([text]), national.TRACE)[0].as_py()


def test_a_chinese_mobile_number_needs_chinese_before_it() -> None:
    for text in ("咨询13812345678张", "李：13812345678", "李, 13812345678"):
        (span,) = find_phones(text)
        assert text[slice(*span)] == "13812345678"
        assert pc.match_substring_regex(pa.array([text]), national.TRACE)[0].as_py()


@pytest.mark.parametrize("text", OTHERS)
def test_what_looks_like_one_stays(text: str) -> None:
    assert find_phones(text) == []
