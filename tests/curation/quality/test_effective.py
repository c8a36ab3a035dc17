"""The law of repeated data against values of the paper's formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.quality.effective import MANY_EPOCHS, effective_tokens, worth


@pytest.mark.parametrize(("epochs", "share"), [(3.2, 0.953), (MANY_EPOCHS, 0.931), (8, 0.828), (16, 0.661)])
def test_what_repetition_is_worth(epochs: float, share: float) -> None:
    assert worth(epochs) == pytest.approx(share, abs=5e-4)
    assert effective_tokens(2e12, epochs) == pytest.approx(2e12 * epochs * worth(epochs))
    assert effective_tokens(1, epochs) == pytest.approx(1 + 15.387756 * (1 - math.exp(-(epochs - 1) / 15.387756)))


@given(st.floats(0, 1e13), st.floats(0, 1e4), st.floats(0, 1e4))
def test_more_epochs_are_worth_more_and_each_less(tokens: float, fewer: float, more: float) -> None:
    fewer, more = sorted([fewer, more])
    assert effective_tokens(tokens, fewer) <= effective_tokens(tokens, more) * (1 + 1e-12)
    assert effective_tokens(tokens, more) <= tokens * min(more, 1 + 15.387756) * (1 + 1e-12)
    assert worth(more) <= worth(fewer) * (1 + 1e-12) <= 1 + 1e-12


def test_the_ends() -> None:
    assert effective_tokens(100, 0.25) == 25
    assert effective_tokens(100, math.inf) == pytest.approx(1638.7756)
    assert worth(math.inf) == 0
    assert worth(0) == 1
    with pytest.raises(ValueError, match="neither can be negative"):
        effective_tokens(-1, 2)
