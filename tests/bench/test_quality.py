import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quality import QUALITY_FORMULA, quality

shares = st.floats(0, 1)


def test_quality_at_known_values() -> None:
    assert QUALITY_FORMULA == 1
    assert quality(accuracy=1, completed=1) == pytest.approx(10)
    assert quality(accuracy=1, completed=1, consistency=1, readability=100) == pytest.approx(10)
    assert quality(accuracy=0, completed=0, consistency=0, readability=0) == 0
    assert quality(accuracy=0.5, completed=1) == pytest.approx(10 * (0.35 + 0.1) / 0.8)
    assert quality(accuracy=0.5, completed=1, consistency=0.2) == pytest.approx(10 * (0.35 + 0.1 + 0.02) / 0.9)
    assert quality(accuracy=0.5, completed=1, readability=60) == pytest.approx(10 * (0.35 + 0.1 + 0.06) / 0.9)
    assert quality(accuracy=0.5, completed=0.9, consistency=0.8, readability=60) == pytest.approx(5.8)


@given(shares, shares, st.none() | shares, st.none() | st.floats(0, 100))
def test_quality_lies_between_its_worst_and_best_part(
    accuracy: float, completed: float, consistency: float | None, readability: float | None
) -> None:
    figure = quality(accuracy=accuracy, completed=completed, consistency=consistency, readability=readability)
    parts = [accuracy, completed]
    parts += [] if consistency is None else [consistency]
    parts += [] if readability is None else [readability / 100]
    assert 10 * min(parts) - 1e-9 <= figure <= 10 * max(parts) + 1e-9


@given(shares, shares, shares, st.none() | shares)
def test_a_better_accuracy_never_lowers_quality(
    a: float, b: float, completed: float, consistency: float | None
) -> None:
    low, high = sorted((a, b))
    assert quality(accuracy=low, completed=completed, consistency=consistency) <= quality(
        accuracy=high, completed=completed, consistency=consistency
    )


@pytest.mark.parametrize(("accuracy", "readability"), [(1.1, None), (-0.1, None), (1, 101), (1, -1), (float("nan"), 1)])
def test_values_out_of_range(accuracy: float, readability: float | None) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quality(accuracy=accuracy, completed=1, readability=readability)
