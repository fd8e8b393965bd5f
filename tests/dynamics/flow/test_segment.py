"""A step as a cubic: its ends, its length and dissipation, and the inequalities between them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from speedlimits.dynamics.flow.segment import Segment, monotone

NUMBERS = st.floats(-10, 10)
VECTORS = st.lists(NUMBERS, min_size=2, max_size=2).map(lambda v: torch.tensor(v, dtype=torch.float64))


def between(time: float, size: float, begin, end, start, stop) -> Segment:
    velocities = (end - begin) / size, start, stop
    rows = torch.stack(velocities)
    return Segment(time, size, begin, *velocities, (rows @ rows.T).numpy())


@pytest.fixture
def segment() -> Segment:
    """A bent step as an integrator makes them: the velocities differ from the chord's by a third or so."""
    begin, chord, first, second = torch.randn(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return between(0.3, 0.7, begin, begin + 0.7 * chord, chord + 0.3 * first, chord + 0.3 * second)


def slope(segment: Segment, u: float, step: float = 1e-6) -> torch.Tensor:
    return (segment.position(u + step) - segment.position(u - step)) / (2 * step * segment.size)


def test_cubic_meets_both_ends():
    """Position and velocity at both ends are those given."""
    begin, end, start, stop = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    segment = between(0.0, 0.5, begin, end, start, stop)
    torch.testing.assert_close(segment.position(0.0), begin)
    torch.testing.assert_close(segment.position(1.0), end)
    torch.testing.assert_close(slope(segment, 0.0), start, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slope(segment, 1.0), stop, rtol=1e-6, atol=1e-6)


def test_speed_is_that_of_the_curve(segment):
    """|v(u)|² equals the numerical derivative of the position."""
    for u in (0.1, 0.5, 0.8):
        assert segment.speed_squared(u) == pytest.approx(float(slope(segment, u).square().sum()), rel=1e-6)


@pytest.mark.parametrize("u", [0.2, 0.7, 1.0])
def test_length_and_dissipation_are_integrals_of_the_speed(segment, u):
    """∫|v|dt and ∫|v|²dt against adaptive quadrature, over a part of the step or all of it."""

    def speed(x):
        return np.sqrt(segment.speed_squared(x))

    length, dissipation = segment.travelled(u)
    assert length == pytest.approx(segment.size * quad(speed, 0, u)[0], rel=1e-9)
    assert dissipation == pytest.approx(segment.size * quad(lambda x: speed(x) ** 2, 0, u)[0], rel=1e-12)


def test_straight_segments_keep_their_speed():
    """Between kinks the path counts as its chord: length |chord|, dissipation |chord|²/h, position along it."""
    begin, velocity = torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, -4.0]).double()
    segment = Segment.straight(0.0, 0.5, begin, velocity, 25.0)
    assert segment.travelled() == pytest.approx((2.5, 12.5), rel=1e-14)
    assert segment.travelled(0.3) == pytest.approx((0.75, 3.75), rel=1e-14)
    torch.testing.assert_close(segment.position(0.3), begin + 0.15 * velocity)


@given(VECTORS, VECTORS, VECTORS, VECTORS, st.floats(0.01, 100.0))
def test_time_dissipation_length_and_chord_are_ordered(begin, end, start, stop, size):
    """h·∫|v|²dt ≥ l² ≥ |chord|² for every cubic: what makes T_SL ≤ T hold for the record."""
    segment = between(0.0, size, begin, end, start, stop)
    length, dissipation = segment.travelled()
    chord = float((end - begin).norm())
    assert size * dissipation >= length**2 * (1 - 1e-9)
    # A quadrature of |v| is not ≥ |∫v| exactly, but the same nodes integrate v exactly: Σw|v| ≥ |Σwv| = |chord|.
    assert length >= chord * (1 - 1e-9) - 1e-12


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS), st.floats(0, 1))
def test_monotone_interpolation_stays_between_its_ends(values, slopes, u):
    """No interpolated loss lies outside those of the step's ends."""
    found = monotone(u, values, slopes)
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9


def test_monotone_interpolation_is_the_cubic_where_it_may_be():
    """For a smooth fall, e^{−u} on [0, 1], it is the Hermite cubic: error below f⁗/384."""
    values, slopes = (1.0, np.exp(-1.0)), (-1.0, -np.exp(-1.0))
    for u in (0.25, 0.5, 0.75):
        assert abs(monotone(u, values, slopes) - np.exp(-u)) < 1 / 384
