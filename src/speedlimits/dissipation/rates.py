r"""Dissipation of an ensemble as the time integral of Eqs. (5), (24), (48), from gradients and curvatures.

.. math:: \beta^{-1}R = \int_0^T\langle|\nabla V|^2\rangle - 2\beta^{-1}\langle\Delta V\rangle
          + \beta^{-2}\langle|\nabla\ln p|^2\rangle\,dt
"""

import numpy as np
from jaxtyping import Float
from scipy.integrate import simpson

from speedlimits._checks import check_finite, check_increasing, check_one_of, check_positive, check_shape
from speedlimits._shapes import Ensemble, Times
from speedlimits.estimates import Estimate, Side, check_members, from_mean

Series = Float[np.ndarray, "times members"]


def score_squared_bound(ensemble: Ensemble) -> float:
    r"""Least mean squared score that these variances allow, the Cramér–Rao bound, for Eq. (5).

    .. math:: \langle|\nabla\ln p|^2\rangle \ge \mathrm{Tr}\,\Sigma^{-1} \ge \sum_i\Sigma_{ii}^{-1}

    The full inverse is taken where there are three members for each dimension, the diagonal elsewhere. Inverses of
    sample covariances are too large; the factor (n − P − 2)/(n − 1), with P = 1 for single variances, makes them
    unbiased for Gaussian members.

    Args:
        ensemble: members.

    Returns:
        ⟨|∇ln p|²⟩ from below; with equality for a Gaussian law.

    Raises:
        ValueError: if a number is not finite or there are fewer than 8 members.
    """
    check_shape("ensemble", ensemble, (None, None))
    check_finite("ensemble", ensemble)
    check_members("ensemble", ensemble, 8)
    n, dims = ensemble.shape
    if n >= 3 * dims:
        covariance = np.atleast_2d(np.cov(ensemble, rowvar=False))
        if np.linalg.matrix_rank(covariance) < dims:
            raise ValueError("`ensemble` must vary along every direction: its covariance is singular.")
        return float((n - dims - 2) / (n - 1) * np.trace(np.linalg.inv(covariance)))
    variances = np.var(ensemble, axis=0, ddof=1, dtype=float)
    check_positive("variances of `ensemble`", variances)
    return float((n - 3) / (n - 1) * np.sum(1.0 / variances))


def rate_integral(
    times: Times,
    forces_squared: Series,
    laplacians: Series,
    scores_squared: Times,
    inverse_temperature: float,
    *,
    side: Side = "lower",
) -> Estimate:
    """Dissipation from gradients, curvatures and scores along the way, Eqs. (5), (24), (48).

    Args:
        times: t at which the ensemble was measured, strictly increasing [time].
        forces_squared: |∇V|² of each member at each time [loss/time].
        laplacians: ΔV of each member, or an unbiased estimate such as Hutchinson's zᵀ∇∇V z [loss].
        scores_squared: ⟨|∇ln p|²⟩ at each time, known, or from `score_squared_bound`.
        inverse_temperature: β [1/loss].
        side: that of the scores.

    Returns:
        β⁻¹R between the first and the last time [loss], by Simpson's rule. The standard error is that of
        the members, without the error of the rule, as the caveat says.

    Raises:
        ValueError: if shapes differ, times do not increase, a number is not finite, or β is not positive and finite.
    """
    check_shape("forces_squared", forces_squared, (times.size, None))
    check_shape("laplacians", laplacians, forces_squared.shape)
    check_shape("scores_squared", scores_squared, times.shape)
    check_increasing("times", times)
    named = {"forces_squared": forces_squared, "laplacians": laplacians, "scores_squared": scores_squared}
    for name, values in named.items():
        check_finite(name, values)
    check_positive("inverse_temperature", inverse_temperature)
    check_one_of("side", side, ("lower", "upper", "exact", "unsigned"))
    scores = scores_squared[:, None] / inverse_temperature**2
    rates = forces_squared - 2.0 / inverse_temperature * laplacians + scores
    spent = simpson(rates, x=times, axis=0)
    return from_mean("rate integral", np.asarray(spent), side, "the times must be dense enough for Simpson's rule")
