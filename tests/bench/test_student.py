"""Student's t distribution beside published values, and its own laws."""

from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.student import digamma, quantile, trigamma, trigamma_inverse, two_sided

freedoms = st.floats(0.3, 1e5)


@pytest.mark.parametrize(
    ("p_value", "freedom", "t"),
    [
        (0.05, 1, 12.7062),
        (0.01, 1, 63.6567),
        (0.01, 3, 5.8409),
        (0.01, 10, 3.1693),
        (0.05, 30, 2.0423),
        (0.01, 120, 2.6174),
        (0.01, 1e9, 2.5758),
        (1, 5, 0),
    ],
)
def test_quantiles_are_those_of_the_tables(p_value: float, freedom: float, t: float) -> None:
    assert quantile(p_value, freedom) == pytest.approx(t, abs=1e-4)


@given(st.floats(1e-6, 0.999), freedoms)
def test_a_quantile_has_its_p_value(p_value: float, freedom: float) -> None:
    assert two_sided(quantile(p_value, freedom), freedom) == pytest.approx(p_value, rel=1e-6)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), freedoms)
def test_what_lies_further_out_is_less_likely(one: float, other: float, freedom: float) -> None:
    near, far = sorted((abs(one), abs(other)))
    assert 0 <= two_sided(far, freedom) <= two_sided(near, freedom) + 1e-8 <= 1 + 1e-8
    assert two_sided(-far, freedom) == two_sided(far, freedom)


def test_the_ends_are_certain() -> None:
    assert two_sided(0.0, 4) == 1
    assert two_sided(float("inf"), 4) == 0
    assert two_sided(1e200, 4) == 0


@pytest.mark.parametrize("freedom", [0.0, -1.0])
def test_there_is_no_distribution_without_freedom(freedom: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        two_sided(1.0, freedom)


@pytest.mark.parametrize("p_value", [0.0, 1.1, -0.1])
def test_what_is_no_p_value_has_no_quantile(p_value: float) -> None:
    with pytest.raises(ValueError, match="p-value"):
        quantile(p_value, 3)


def test_digamma_and_trigamma_of_known_places() -> None:
    euler = 0.5772156649015329
    assert digamma(1) == pytest.approx(-euler)
    assert digamma(20) == pytest.approx(2.9705239922)
    assert trigamma(1) == pytest.approx(pi**2 / 6)
    assert trigamma(0.5) == pytest.approx(pi**2 / 2)


@given(st.floats(1e-6, 1e6))
def test_trigamma_is_inverted(y: float) -> None:
    assert trigamma(trigamma_inverse(y)) == pytest.approx(y, rel=1e-6)
