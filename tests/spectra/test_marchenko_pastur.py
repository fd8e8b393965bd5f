"""The quadrature rule of the Marchenko–Pastur law, against its moments, its transforms and drawn matrices."""

import mpmath
import numpy as np
import pytest

from speedlimits.spectra.marchenko_pastur import Quadrature, quadrature

# Far from γ = 1 on both sides, at it, and so near that the gap to s = 0 is 1e-16.
RATIOS = np.array([1e-4, 0.3, 1.0 - 2e-8, 1.0, 1.0 + 1e-3, 4.0, 1e4])


def mean(function, rule: Quadrature) -> np.ndarray:
    """∫f dρ by the rule."""
    return rule.atom * function(0.0) + np.sum(rule.weights * function(rule.nodes), axis=0)


def stieltjes(shift: float, ratio: float) -> float:
    """∫dρ/(s + z), the positive root of γz m² + (z + 1 − γ)m = 1, Marchenko and Pastur (1967), in 40 digits."""
    with mpmath.workdps(40):
        z, g = mpmath.mpf(shift), mpmath.mpf(ratio)
        b = z + 1 - g
        return float((mpmath.sqrt(b**2 + 4 * g * z) - b) / (2 * g * z))


def shannon(shift: float, ratio: float) -> float:
    """∫ln(s + z)dρ in closed form, Tulino and Verdú (2004), in 40 digits."""
    with mpmath.workdps(40):
        g = mpmath.mpf(ratio)
        x = 1 / mpmath.mpf(shift)
        f = (mpmath.sqrt(x * (1 + mpmath.sqrt(g)) ** 2 + 1) - mpmath.sqrt(x * (1 - mpmath.sqrt(g)) ** 2 + 1)) ** 2
        value = mpmath.log(1 + x - f / 4) + mpmath.log(1 + x * g - f / 4) / g - f / (4 * x * g)
        return float(value - mpmath.log(x))


def test_moments():
    """Mass 1, mean 1, ∫s² = 1 + γ, ∫s³ = 1 + 3γ + γ²: the rule ends where 1e-12 of the mass is left."""
    rule = quadrature(RATIOS)
    for power, exact in enumerate((1.0, 1.0, 1.0 + RATIOS, 1.0 + 3.0 * RATIOS + RATIOS**2)):
        np.testing.assert_allclose(mean(lambda s, k=power: s**k, rule), np.broadcast_to(exact, 7), rtol=2e-12)


@pytest.mark.parametrize("shift", [1e-10, 1e-3, 1.0, 1e6])
def test_transforms(shift):
    """Stieltjes and Shannon transforms by the rule and in closed form: singular 1e-10 off the spectrum's edge."""
    rule = quadrature(RATIOS)
    exact = [stieltjes(shift, ratio) for ratio in RATIOS]
    # At γ = 1 the law holds 1e-12 below s = 1e-24, where the rule ends; against the peak 1/z that is 1e-7 at worst.
    np.testing.assert_allclose(mean(lambda s: 1.0 / (s + shift), rule), exact, rtol=1e-10 + 2e-17 / shift)
    exact = [shannon(shift, ratio) for ratio in RATIOS]
    np.testing.assert_allclose(mean(lambda s: np.log(s + shift), rule), exact, rtol=1e-10, atol=2e-11)


def test_drawn_matrices_have_this_law():
    """Eigenvalues of XXᵀ/n: averages of √(1 + s) over 40 draws meet the law within 4 standard errors and 1/d."""
    rng = np.random.default_rng(0)
    for dims, samples in ((60, 120), (120, 60)):
        draws = rng.standard_normal((40, dims, samples))
        eigenvalues = np.linalg.eigvalsh(draws @ draws.transpose(0, 2, 1) / samples)
        averages = np.sqrt(1.0 + np.maximum(eigenvalues, 0.0)).mean(axis=1)
        error = 4.0 * averages.std(ddof=1) / np.sqrt(40) + 0.05 / dims
        expected = mean(lambda s: np.sqrt(1.0 + s), quadrature(np.array(dims / samples)))
        assert averages.mean() == pytest.approx(expected, rel=0.0, abs=error)


def test_small_functions_keep_their_digits():
    """Where f vanishes at s = 0 the precision is relative: ∫(1 − (1 + εs)⁻¹)dρ → ε for ε → 0, atom or not."""
    rule = quadrature(RATIOS)
    share = mean(lambda s: 1e-30 * s / (1.0 + 1e-30 * s), rule)
    np.testing.assert_allclose(share, 1e-30, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("ratio", "spacing", "message"),
    [
        ([1.0, 0.0], 0.25, r"`aspect_ratio` must be positive and finite; aspect_ratio\[1\] = 0\."),
        ([np.nan], 0.25, r"`aspect_ratio` must be positive and finite; aspect_ratio\[0\] = nan"),
        ([1.0], -1.0, r"`spacing` must be positive and finite; spacing = -1\."),
    ],
)
def test_bad_input_is_named(ratio, spacing, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        quadrature(np.array(ratio), spacing=spacing)
