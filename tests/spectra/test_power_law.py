"""Exponents fitted to spectra that have them."""

import numpy as np
import pytest

from speedlimits.spectra.power_law import PowerLawFit, fit_power_law


def law(alpha: float, delta: float, modes: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    k = np.arange(1.0, modes + 1)
    return 3.0 * k**-alpha, 2.0 * k ** (-delta / 2)


@pytest.mark.parametrize(("alpha", "delta"), [(1.0, 0.5), (1.0, 1.0), (1.5, 1.8), (2.0, -0.5), (1.2, 3.0)])
def test_exact_laws_are_found(alpha, delta):
    """On a power law without scatter all five numbers come back, in either order of the modes, and intervals close."""
    eigenvalues, residual = law(alpha, delta)
    for order in (slice(None), slice(None, None, -1)):
        fit = fit_power_law(eigenvalues[order], residual[order], generator=np.random.default_rng(0))
        # Sum against integral: (k₁)⁻² with k₁ = 20.
        assert fit.spectrum_exponent == pytest.approx(alpha, rel=1e-12)
        assert fit.residual_exponent == pytest.approx(delta, abs=4e-3)
        assert fit.exponent == pytest.approx((1 - delta) / alpha, abs=4e-3)
        assert fit.scale == pytest.approx(3.0, rel=1e-10)
        assert fit.residual_scale == pytest.approx(2.0, rel=0.01)
        assert np.ptp(fit.exponent_spread) < 1e-2
        assert fit.window == (20, 500)


@pytest.mark.parametrize(("alpha", "delta"), [(1.0, 0.5), (1.0, 1.4)])
def test_scattered_laws_are_found_without_bias(alpha, delta):
    """With Gaussian modes the mean over fits is a, and 90 % intervals hold it about so often (39 of 50 at least)."""
    eigenvalues, residual = law(alpha, delta)
    rng = np.random.default_rng(0)
    a = (1 - delta) / alpha
    fits = [
        fit_power_law(eigenvalues, residual * rng.standard_normal(1000), generator=rng, resamples=100)
        for _ in range(50)
    ]
    found = np.array([fit.exponent for fit in fits])
    assert abs(found.mean() - a) < 4 * found.std() / np.sqrt(50)
    assert found.std() < 0.2
    assert sum(fit.exponent_spread[0] <= a <= fit.exponent_spread[1] for fit in fits) >= 39


def test_correlated_scatter_widens_the_spread():
    """Eigenvalues that wander about the line, ten together, are not taken for independent ones: α stays inside."""
    eigenvalues, residual = law(1.3, 0.5)
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(50):
        wandering = eigenvalues * np.exp(np.convolve(rng.standard_normal(1009) * 0.02, np.ones(10), mode="valid"))
        low, high = fit_power_law(wandering, residual, generator=rng).spectrum_spread
        held += low < 1.3 < high
    # Resampled one by one, intervals would be √10 times too short and hold α 10 times.
    assert held >= 37


def test_fit_lies_in_its_spread():
    """A spectrum that falls ever faster is no power law; where resamples lie beside the fit, the spread holds both."""
    eigenvalues, residual = law(1.0, 1.5)
    eigenvalues *= np.exp(-0.004 * np.arange(1000))
    fit = fit_power_law(eigenvalues, residual, generator=np.random.default_rng(0))
    for name in ("spectrum", "residual"):
        low, high = getattr(fit, f"{name}_spread")
        assert low <= getattr(fit, f"{name}_exponent") <= high
    assert fit.exponent_spread[0] <= fit.exponent <= fit.exponent_spread[1]


def test_singular_spectra_are_fitted_above_rounding():
    """A kernel of low rank ends in rounding, thirty decades wide, which is no part of the law."""
    eigenvalues, residual = law(2.0, -2.0, 60)
    noise = 1e-17 * np.random.default_rng(0).random(60)
    fit = fit_power_law(
        np.concatenate([eigenvalues, noise]), np.concatenate([residual, residual]), generator=np.random.default_rng(0)
    )
    assert fit.window == (20, 60)
    assert fit.spectrum_exponent == pytest.approx(2.0, rel=1e-9)
    assert fit.exponent == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(
    ("interval", "regimes"),
    [
        ((0.2, 0.4), ("optimal",)),
        ((-0.1, 0.4), ("non-optimal", "optimal")),
        ((-0.5, -0.1), ("non-optimal",)),
        ((-3.0, -1.2), ("saturated",)),
        ((1.1, 1.2), ("straight",)),
        ((-2.0, 2.0), ("saturated", "non-optimal", "optimal", "straight")),
    ],
)
def test_regimes_are_those_the_spread_reaches(interval, regimes):
    """The fit names one regime where it decides, and all it cannot exclude where it does not."""
    fit = PowerLawFit(1.0, 0.5, 0.5, 1.0, 1.0, (1.0, 1.0), (0.5, 0.5), interval, (20, 500))
    assert fit.regimes == regimes


@pytest.mark.parametrize(
    ("eigenvalues", "residual", "options", "message"),
    [
        (np.ones(100), np.ones(99), {}, r"`residual` must have shape \(100\)"),
        (np.linspace(-1, 1, 100), np.ones(100), {}, r"`eigenvalues` must be non-negative and finite"),
        (np.ones(50), np.ones(50), {}, "must leave at least 8 modes between them; they are 20, 25"),
        (np.where(np.arange(100) < 22, 1.0, 0.0), np.ones(100), {}, "they are 20, 22"),
        (np.ones(100), np.zeros(100), {}, "`residual` must not be zero on all modes 20…50"),
        (np.ones(100), np.ones(100), {"confidence": 1.0}, "`confidence` must lie between 0 and 1; confidence = 1.0"),
        (np.ones(100), np.ones(100), {"first": 0}, "`first` must be an integer of at least 1; first = 0"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(eigenvalues, residual, options, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        fit_power_law(eigenvalues, residual, generator=np.random.default_rng(0), **options)
