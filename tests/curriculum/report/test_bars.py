import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.report.bars import histogram, stacked


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any))
def test_a_stacked_bar_fills_its_width_in_proportion(amounts: list[int]) -> None:
    bar = stacked("planned", "", [(f"web/{index}", "tone-1", amount, "") for index, amount in enumerate(amounts)])
    assert sum(part.width for part in bar.segments) == pytest.approx(100, abs=0.02)
    assert len(bar.segments) == sum(amount > 0 for amount in amounts)
    assert all(
        part.left == pytest.approx(sum(p.width for p in bar.segments[:i]), abs=0.02)
        for i, part in enumerate(bar.segments)
    )


def test_buckets_of_a_corpus_are_labelled_together() -> None:
    bar = stacked("planned", "", [("web/high", "a", 30, ""), ("web/low", "b", 30, ""), ("code/all", "c", 40, "")])
    assert [(group.label, group.tip, group.left) for group in bar.groups] == [("web", "60%", 0), ("code", "40%", 60)]


def test_a_histogram_says_where_its_bins_and_the_row_lengths_lie() -> None:
    chart = histogram("lengths", [16, 32, 64, 128, 256, 512], [0, 10, 40, 20, 0], marks=[64, 4096])
    assert chart.bars == (
        (25.0, "32 to 64 tokens: 10 documents"),
        (100.0, "64 to 128 tokens: 40 documents"),
        (50.0, "128 to 256 tokens: 20 documents"),
    )
    assert [(mark.label, mark.at) for mark in chart.marks] == [("64", 33.33)]  # fmt: skip


def test_histograms_beside_each_other_have_the_same_axes() -> None:
    edges, left, right = [16, 32, 64, 128], [0, 5, 0, 0], [0, 0, 10, 0]
    charts = [
        histogram("a", edges, left, what="tokens", beside=right),
        histogram("b", edges, right, what="tokens", beside=left),
    ]
    assert charts[0].bars == ((50.0, "32 to 64 tokens: 5 tokens"), (0.0, "64 to 128 tokens: 0 tokens"))
    assert [height for height, _ in charts[1].bars] == [0.0, 100.0]
    assert charts[0].ticks == charts[1].ticks


def test_the_last_bin_of_a_histogram_may_be_open() -> None:
    assert histogram("lengths", [16, 32], [1, 2]).bars[-1] == (100.0, "32 or more tokens: 2 documents")


def test_bins_without_edges_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"3 bins need 4 edges \(or 3\), not 2"):
        histogram("lengths", [1, 2], [1, 2, 3])
