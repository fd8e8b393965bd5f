r"""Dissipation from start and end alone: free energies, entropies and relative entropies.

The potential is V, the Langevin dynamics is Eq. (1) with η = 1, and β = `inverse_temperature`. Where the paper
writes R, a pure number, functions here either say `entropy_production` or return the dissipation β⁻¹R [loss].
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular

from speedlimits._checks import (
    check_covariance,
    check_finite,
    check_inverse_temperature,
    check_non_negative,
    check_positive,
    check_shape,
)
from speedlimits._shapes import Matrix, Vector


def loss_drop(losses_start: Float[np.ndarray, " seeds"], losses_end: Float[np.ndarray, " seeds"]) -> float:
    r"""Dissipation of an ensemble of gradient flows, β⁻¹ = 0: its mean loss drop, Eq. (6).

    .. math:: \beta^{-1}R = \langle L(\theta(0)) - L(\theta(T)) \rangle

    Args:
        losses_start: L(θ(0)) of each seed [loss].
        losses_end: L(θ(T)) of each seed, in the same order [loss].

    Returns:
        β⁻¹R [loss], non-negative for a flow. Steps too large for a flow may raise the loss; it is then negative.

    Raises:
        ValueError: if a loss is not finite, there is no seed, or the lengths differ.
    """
    check_shape("losses_start", losses_start, (None,))
    check_shape("losses_end", losses_end, losses_start.shape)
    check_finite("losses_start", losses_start)
    check_finite("losses_end", losses_end)
    if not losses_start.size:
        raise ValueError("`losses_start` must have at least one seed; losses_start.size = 0.")
    # Paired before averaging: the spread between seeds often exceeds the drop.
    return float(np.mean(losses_start - losses_end))


def log_partition(stiffness: Matrix, force: Vector, offset: float, inverse_temperature: float) -> float:
    r"""Partition function, ln 𝒵, of a quadratic potential V = ½θᵀHθ − bᵀθ + V₀, Eqs. (18), (19).

    .. math:: \ln\mathcal Z = \ln\int e^{-\beta V}d\theta
              = \tfrac D2\ln\frac{2\pi}\beta - \tfrac12\ln\det H + \beta\bigl(\tfrac12 b^{\mathsf T}H^{-1}b - V_0\bigr)

    The paper's start, V = |θ|², is H = 2·1, b = 0: ln 𝒵₀ = (D/2) ln(π/β).

    Args:
        stiffness: H, positive definite [loss].
        force: b [loss].
        offset: V₀ [loss].
        inverse_temperature: β, positive and finite [1/loss].

    Returns:
        ln 𝒵.

    Raises:
        ValueError: if H is not positive definite, a number is not finite, or the shapes differ.

    Note:
        Erratum of §2, text before Eq. (2): the start is e^{−β|θ|²}, as in Eq. (18), not e^{−|θ|²}.
    """
    check_shape("force", force, (None,))
    check_finite("force", force)
    check_finite("offset", offset)
    check_covariance("stiffness", stiffness, force.size, definite=True)
    check_positive("inverse_temperature", inverse_temperature)
    root = cholesky(stiffness, lower=True)
    half = solve_triangular(root, force, lower=True)
    volume = 0.5 * force.size * np.log(2 * np.pi / inverse_temperature) - np.log(np.diag(root)).sum()
    return float(volume + inverse_temperature * (0.5 * half @ half - offset))


def equilibrium_dissipation(
    log_partition_start: float, log_partition_end: float, mean_loss_start: float, inverse_temperature: float
) -> float:
    r"""Dissipation of training to equilibrium, T = ∞, Eqs. (4), (21).

    .. math:: \beta^{-1}R = \beta^{-1}\ln\mathcal Z_\infty - \beta^{-1}\ln\mathcal Z_0 + \langle L(\theta(0))\rangle

    Args:
        log_partition_start: ln 𝒵₀ of the start e^{−β(V−L)}/𝒵₀, equilibrium without the loss.
        log_partition_end: ln 𝒵_∞ of the end e^{−βV}/𝒵_∞.
        mean_loss_start: ⟨L(θ(0))⟩ [loss].
        inverse_temperature: β [1/loss].

    Returns:
        β⁻¹R [loss].

    Raises:
        ValueError: if β is not positive and finite, or a number is not finite.

    Note:
        Erratum below Eq. (4): the densities are e^{−βV}/𝒵, not e^{−βV}/ln 𝒵. Equations (4) and (21) hold for
        T = ∞ only; `divergence_dissipation` holds for every T.
    """
    for name, value in (("log_partition_start", log_partition_start), ("log_partition_end", log_partition_end)):
        check_finite(name, value)
    check_finite("mean_loss_start", mean_loss_start)
    check_positive("inverse_temperature", inverse_temperature)
    return (log_partition_end - log_partition_start) / inverse_temperature + mean_loss_start


def divergence_dissipation(divergence_start: float, divergence_end: float, inverse_temperature: float) -> float:
    r"""Dissipation up to any time T as a loss of relative entropy to equilibrium, from Eqs. (39), (46).

    .. math:: \beta^{-1}R_T = \beta^{-1}\bigl[\mathrm{KL}(p_0\|p_\infty) - \mathrm{KL}(p_T\|p_\infty)\bigr]

    Args:
        divergence_start: KL(p₀‖p_∞).
        divergence_end: KL(p_T‖p_∞); 0 at T = ∞, where this is Eq. (21).
        inverse_temperature: β [1/loss].

    Returns:
        β⁻¹R_T [loss].

    Raises:
        ValueError: if a divergence is negative or not finite, or β is not positive and finite.
    """
    check_non_negative("divergence_start", divergence_start)
    check_non_negative("divergence_end", divergence_end)
    check_positive("inverse_temperature", inverse_temperature)
    return (divergence_start - divergence_end) / inverse_temperature


def boundary_entropy_production(
    mean_potential_end: float,
    mean_start_potential: float,
    log_partition_start: float,
    log_partition_end: float,
    inverse_temperature: float,
) -> float:
    r"""First part of Eq. (17), R₀ = ⟨ln p(θ(0))/p(θ(T))⟩, between two Gibbs laws, Eq. (20).

    .. math:: R_0 = \beta\langle V(\theta(T))\rangle - \beta\langle V_0(\theta(0))\rangle
              + \ln\mathcal Z_T - \ln\mathcal Z_0

    Args:
        mean_potential_end: ⟨V(θ(T))⟩, in the end's own potential [loss].
        mean_start_potential: ⟨V₀(θ(0))⟩, in the start's own potential, |θ|² in the paper [loss].
        log_partition_start: ln 𝒵₀.
        log_partition_end: ln 𝒵_T.
        inverse_temperature: β [1/loss].

    Returns:
        R₀, a pure number; for any law it is the gain in entropy S_T − S_0. Valid at T = ∞, as Eq. (21).

    Raises:
        ValueError: if β is not positive and finite.
    """
    check_positive("inverse_temperature", inverse_temperature)
    energies = inverse_temperature * (mean_potential_end - mean_start_potential)
    return energies + log_partition_end - log_partition_start


def bath_entropy_production(
    mean_potential_start: float, mean_potential_end: float, inverse_temperature: float
) -> float:
    r"""Second part of Eq. (17), R₁, the heat given to the bath over its temperature, Eq. (38), last line.

    .. math:: R_1 = \beta\bigl(\langle V(\theta(0))\rangle - \langle V(\theta(T))\rangle\bigr)

    Args:
        mean_potential_start: ⟨V(θ(0))⟩, in the potential of the dynamics [loss].
        mean_potential_end: ⟨V(θ(T))⟩ [loss].
        inverse_temperature: β [1/loss].

    Returns:
        R₁, a pure number.

    Raises:
        ValueError: if β is not positive and finite.
    """
    check_positive("inverse_temperature", inverse_temperature)
    return inverse_temperature * (mean_potential_start - mean_potential_end)


def nonequilibrium_free_energy(mean_potential: float, entropy: float, inverse_temperature: float) -> float:
    r"""Free energy of any law, in or out of equilibrium, Eq. (46).

    .. math:: F = \langle V\rangle + \beta^{-1}\langle\ln p\rangle = \langle V\rangle - \beta^{-1}S

    Differences are dissipation, β⁻¹R = F(0) − F(T), Eqs. (39), (44); in equilibrium F = −β⁻¹ ln 𝒵.

    Args:
        mean_potential: ⟨V⟩ [loss].
        entropy: S = −⟨ln p⟩, in units of k_B.
        inverse_temperature: β [1/loss]; infinity for no noise, where F = ⟨V⟩.

    Returns:
        F [loss].

    Raises:
        ValueError: if β is not positive.
    """
    check_inverse_temperature("inverse_temperature", inverse_temperature)
    # An entropy of −∞, a Dirac delta, costs nothing without noise.
    return mean_potential - (entropy / inverse_temperature if np.isfinite(inverse_temperature) else 0.0)


def gaussian_entropy(covariance: Matrix) -> float:
    r"""Entropy of a Gaussian, :math:`S = \tfrac12\ln\det(2\pi e\,C)`, as used in Eq. (46).

    Args:
        covariance: C, without negative eigenvalues.

    Returns:
        S; −∞ for a singular covariance.

    Raises:
        ValueError: if C is not a valid covariance.
    """
    check_covariance("covariance", covariance, len(covariance))
    sign, log_determinant = np.linalg.slogdet(2 * np.pi * np.e * covariance)
    return 0.5 * float(log_determinant) if sign > 0 else -np.inf


def gaussian_divergence(
    mean: Vector, covariance: Matrix, reference_mean: Vector, reference_covariance: Matrix
) -> float:
    r"""Relative entropy KL(p‖q) of two Gaussians, the ends of `divergence_dissipation`.

    .. math:: \mathrm{KL} = \tfrac12\Bigl[\sum_k\bigl(x_k - \ln(1+x_k)\bigr)
              + (m-m')^{\mathsf T}C'^{-1}(m-m')\Bigr]

    with x_k the eigenvalues of C′^{-1/2}(C − C′)C′^{-1/2}: no cancellation when the laws are nearly equal.

    Args:
        mean: m of p.
        covariance: C of p, positive definite.
        reference_mean: m′ of q.
        reference_covariance: C′ of q, positive definite.

    Returns:
        KL(p‖q) ≥ 0.

    Raises:
        ValueError: if a covariance is not positive definite, a mean not finite, or the shapes differ.
    """
    check_shape("mean", mean, (None,))
    check_shape("reference_mean", reference_mean, mean.shape)
    check_finite("mean", mean)
    check_finite("reference_mean", reference_mean)
    check_covariance("covariance", covariance, mean.size, definite=True)
    check_covariance("reference_covariance", reference_covariance, mean.size, definite=True)
    root = cholesky(reference_covariance, lower=True)
    shift = solve_triangular(root, mean - reference_mean, lower=True)
    excess = solve_triangular(root, covariance - reference_covariance, lower=True)
    excess = solve_triangular(root, excess.T, lower=True)
    return 0.5 * float(np.sum(_excess_over_log(np.linalg.eigvalsh(excess))) + shift @ shift)


def _excess_over_log(x: np.ndarray) -> np.ndarray:
    """X − ln(1 + x) to full relative precision, for x > −1."""
    # With y = x/(2+x): ln(1+x) = 2 artanh y and x − 2y = xy, so the leading terms cancel on paper.
    y = x / (2.0 + x)
    series = x * y - 2.0 * sum(y ** (2 * k + 1) / (2 * k + 1) for k in range(1, 9))
    return np.where(np.abs(x) < 0.1, series, x - np.log1p(x))
