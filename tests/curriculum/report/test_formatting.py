import math

import pytest

from curriculum.report import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (1000, "1k"), (999_950, "1M"), (12_345, "12.3k"),
     (1_234_567, "1.23M"), (2.5e13, "25T"), (math.inf, "∞")],
)  # fmt: skip
def test_compact(value: float | None, text: str) -> None:
    assert formatting.compact(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0.0%"), (1e-6, "<0.1%"), (0.0312, "3.1%"), (0.62, "62%"), (0.987, "98.7%"), (0.99999, ">99.9%"), (1.0, "100%")],
)  # fmt: skip
def test_percent_never_rounds_something_to_nothing_or_to_all(share: float | None, text: str) -> None:
    assert formatting.percent(share) == text


@pytest.mark.parametrize(
    ("length", "text"), [(256, "256"), (4096, "4096"), (32_768, "32Ki"), (131_072, "128Ki"), (16_000, "16k")]
)
def test_row_length(length: int, text: str) -> None:
    assert formatting.row_length(length) == text


def test_epochs_sizes_and_exact_numbers() -> None:
    assert [formatting.times(epochs) for epochs in (0, 0.001, 3.2, 12.4, math.inf)] == [
        "0.00",
        "<0.01",
        "3.20",
        "12",
        "∞",
    ]
    assert [formatting.size(count) for count in (None, 10, 2_500, 12_345_678)] == ["–", "10 B", "2.5 kB", "12.3 MB"]
    assert formatting.exact(1_234_567) == "1,234,567"
    assert formatting.significant(0.00025) == "0.00025"
