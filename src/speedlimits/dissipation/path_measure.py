r"""Probabilities of whole Euler–Maruyama paths, forward and backward, and the entropy production of a path.

One step is :math:`\theta' = \theta + f(\theta)\,dt + d\mathcal B` with :math:`d\mathcal B\sim\mathcal N(0,
2\beta^{-1}dt)` and the force at the left end, f = −∇V.
"""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive, check_shape
from speedlimits._shapes import Path


def euler_maruyama_step(
    theta: Float[np.ndarray, "*batch dims"],
    force: Float[np.ndarray, "*batch dims"],
    normal: Float[np.ndarray, "*batch dims"],
    inverse_temperature: float,
    time_step: float,
) -> Float[np.ndarray, "*batch dims"]:
    r"""One step of the discretised Langevin dynamics, Eqs. (27), (28).

    .. math:: \theta_{l+1} = \theta_l + f_l\,dt + \sqrt{2\beta^{-1}dt}\,\xi_l

    Args:
        theta: θ_l.
        force: f_l = −∇V(θ_l).
        normal: ξ_l, standard normal numbers.
        inverse_temperature: β.
        time_step: dt [time].

    Returns:
        θ_{l+1}.

    Raises:
        ValueError: if β or dt is not positive and finite, or the shapes differ.

    Note:
        Erratum 28: the paper sets f = ∇V, which climbs; the force is −∇V, as in Eq. (27).
    """
    _check_step(inverse_temperature, time_step)
    check_shape("force", force, theta.shape)
    check_shape("normal", normal, theta.shape)
    if not np.isfinite(2.0 * time_step / inverse_temperature):
        raise ValueError(
            f"`inverse_temperature` must be so large that the noise is finite; inverse_temperature = "
            f"{inverse_temperature:g}, time_step = {time_step:g}."
        )
    return theta + force * time_step + np.sqrt(2.0 * time_step / inverse_temperature) * normal


def log_path_density(
    path: Path, forces: Path, inverse_temperature: float, time_step: float
) -> Float[np.ndarray, "*batch"]:
    r"""Log density ln p(θ₁ … θ_N | θ₀) of a discrete path, Eqs. (29), (30), (31), with its normalisation.

    .. math:: \ln p = \sum_l \Bigl(A_l\,dt - \tfrac D2\ln\frac{4\pi\,dt}\beta\Bigr), \qquad
              A_l = -\frac\beta4\Bigl|\frac{\theta_{l+1}-\theta_l}{dt} - f_l\Bigr|^2

    Args:
        path: θ₀ … θ_N.
        forces: f = −∇V at each of these states; the last one is not used.
        inverse_temperature: β.
        time_step: dt [time].

    Returns:
        ln p, one number for each path.

    Raises:
        ValueError: if β or dt is not positive and finite, or the shapes differ.

    Note:
        Erratum 29: f = −∇V, where the paper has ∇V.
    """
    steps = _steps(path, forces, inverse_temperature, time_step)
    lagrangian = -0.25 * inverse_temperature * np.sum((steps / time_step - forces[..., :-1, :]) ** 2, axis=-1)
    constant = 0.5 * path.shape[-1] * np.log(4 * np.pi * time_step / inverse_temperature)
    return np.asarray(np.sum(lagrangian * time_step - constant, axis=-1))


def log_path_ratio(
    path: Path, forces: Path, inverse_temperature: float, time_step: float
) -> Float[np.ndarray, "*batch"]:
    r"""Log ratio ln p[θ|θ₀]/p[θ̃|θ_N] of a path against its reversal, Eqs. (3), (17), (37), (38).

    .. math:: \ln\frac{p}{\tilde p} = \sum_l \frac\beta2(f_l+f_{l+1})\cdot(\theta_{l+1}-\theta_l)
              + \frac{\beta\,dt}4\bigl(|f_{l+1}|^2-|f_l|^2\bigr)

    It is exact for Euler–Maruyama. Its mean over paths is R₁; with R₀ = ⟨ln p(θ₀) − ln p(θ_N)⟩ added it is R.

    Args:
        path: θ₀ … θ_N.
        forces: f = −∇V at each of these states, the last one too.
        inverse_temperature: β.
        time_step: dt [time].

    Returns:
        The log ratio, one number for each path.

    Raises:
        ValueError: if β or dt is not positive and finite, or the shapes differ.

    Note:
        Erratum 38: ∫f·dθ is the Stratonovich (midpoint) integral; read as Itô's it lacks β⁻¹∫∇·f dt.
    """
    steps = _steps(path, forces, inverse_temperature, time_step)
    work = 0.5 * np.sum((forces[..., 1:, :] + forces[..., :-1, :]) * steps, axis=(-2, -1))
    # The second sum telescopes.
    change = np.sum(forces[..., -1, :] ** 2 - forces[..., 0, :] ** 2, axis=-1)
    return np.asarray(inverse_temperature * (work + 0.25 * time_step * change))


def _steps(path: np.ndarray, forces: np.ndarray, inverse_temperature: float, time_step: float) -> np.ndarray:
    _check_step(inverse_temperature, time_step)
    check_shape("forces", forces, path.shape)
    if path.shape[-2] < 2:
        raise ValueError(f"`path` must have at least two states; path.shape = {path.shape}.")
    return np.diff(path, axis=-2)


def _check_step(inverse_temperature: float, time_step: float) -> None:
    check_positive("inverse_temperature", inverse_temperature)
    check_positive("time_step", time_step)
