r"""Linear regression with many weights and samples, d, n → ∞ at d/n = γ: distance, dissipation and speed limit.

This is the setting of §3.1. The data have independent entries of variance 1. The teacher's weights have variance α/d,
and the labels have no noise. Training is Langevin dynamics at inverse temperature β with learning rate 1/n and weight
decay λd/β. It starts in equilibrium with the weight decay alone. Each formula is an integral over the
Marchenko–Pastur law ρ of what one direction with eigenvalue s of XXᵀ/n does. The paper has T = ∞; here every time is
exact.

Written with the pull :math:`u = \beta s/(\gamma\lambda)`, every integrand is positive and free of cancellation. The
relative precision is 1e-10 or better from β = 1e-6 to 1e12 and γ = 1e-4 to 1e4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from speedlimits._checks import check_non_negative, check_positive, check_time
from speedlimits._shapes import Values
from speedlimits.bound import SpeedLimit
from speedlimits.spectra.marchenko_pastur import quadrature
from speedlimits.theory._mode import moved_and_spent

# e^{−rt} varies faster with s than the powers that remain at T = ∞.
SPACING_AT_END, SPACING_ON_THE_WAY = 0.25, 0.05
# Points in a block per unit of spacing: arrays of 80 kB stay in the processor's cache.
BLOCK = 256


@dataclass(frozen=True, eq=False, kw_only=True)
class RegressionLimit:
    r"""Linear regression in the limit d, n → ∞.

    Parameters are numbers, or arrays that broadcast against each other and against the times. Times are t of Eq. (74)
    with η = 1/n; infinity, the default of all methods, is the paper's case. A ValueError names a time that is
    negative or NaN.

    Args:
        weight_decay: λ, positive; the start has variance 1/(λd).
        inverse_temperature: β [1/loss], positive and finite.
        aspect_ratio: γ = d/n, positive.
        teacher_variance: α, d times the variance of a teacher's weight, non-negative.

    Raises:
        ValueError: if a parameter breaks its rule or the shapes do not broadcast.
    """

    weight_decay: ArrayLike
    inverse_temperature: ArrayLike
    aspect_ratio: ArrayLike
    teacher_variance: ArrayLike

    def __post_init__(self) -> None:
        for name in ("weight_decay", "inverse_temperature", "aspect_ratio"):
            check_positive(name, getattr(self, name))
        check_non_negative("teacher_variance", self.teacher_variance)
        self._arrays()

    def w2_squared(self, times: ArrayLike = np.inf) -> Values:
        r"""Squared Wasserstein-2 distance from the start, the numerator of Eq. (79) and its form at every time.

        .. math:: \mathcal W_2 = \int \alpha a^2\Bigl(\frac{u}{1+u}\Bigr)^2
                  + \frac1\lambda\bigl(1-\sqrt v\bigr)^2 d\rho(s), \qquad u = \frac{\beta s}{\gamma\lambda},

        .. math:: a = 1-e^{-rt}, \quad r = s + \gamma\lambda/\beta, \quad
                  v = \frac{1+ue^{-2rt}}{1+u}
        """
        return self._moved_and_spent(times)[0]

    def dissipation(self, times: ArrayLike = np.inf) -> Values:
        r"""Dissipation per sample, the denominator of Eq. (79) and its form at every time, Eqs. (76), (77) [loss].

        .. math:: (n\beta)^{-1}R = \frac\gamma{2\beta}\int
                  E u\,\Bigl(1 + \frac{\alpha\lambda u}{1+u}\Bigr) + \ln v\;d\rho(s), \qquad E = 1-e^{-2rt}

        The symbols u, v and r are those of `w2_squared`. At T = ∞ this is

        .. math:: \frac\gamma{2\beta}\Bigl[\ln c - \int\ln(c+s/\gamma)\,d\rho\Bigr] + \frac1{2\lambda}\int s\,d\rho
                  + \frac\alpha2\int\frac{s^2}{c\gamma+s}\,d\rho, \qquad c = \lambda/\beta

        Note:
            Erratum 79: the paper loses the last term, the work done on the mean, although Eq. (77) has it.
        """
        return self._moved_and_spent(times)[1]

    def speed_limit(self, times: ArrayLike = np.inf) -> SpeedLimit:
        r"""The speed limit T_SL = 𝒲₂/((nβ)⁻¹R) ≤ t with learning rate 1/n, Eqs. (78), (79), at every time.

        Note:
            Erratum 79: the printed denominator makes T_SL too large, by 1 + αλ for β → ∞ and 1 + 2αλ for β → 0.
        """
        moved, spent = self._moved_and_spent(times)
        return SpeedLimit(time=times, w2_squared=moved, dissipation=spent)

    def limit_zero_temperature(self) -> Values:
        r"""T_SL at T = ∞ for β → ∞, Eqs. (8), (80), whatever λ and α are.

        .. math:: T_{SL} \to \frac{2\min(1, 1/\gamma)}{\int s\,d\rho(s)}, \qquad \int s\,d\rho(s) = 1

        It vanishes for γ → ∞, as `limit_wide` does for β → ∞.

        Note:
            Erratum 8: the paper prints 2(1 + αλ)/∫s dρ. The work on the mean, lost in Eq. (79), cancels the factor
            1 + αλ, and directions without data (γ > 1) do not move.
        """
        _, _, aspect_ratio, _ = self._arrays()
        return (2.0 / np.maximum(1.0, aspect_ratio))[()]

    def limit_high_temperature(self) -> Values:
        r"""T_SL at T = ∞ for β → 0, Eqs. (9), (81), to leading order in β; right where β(1 + √γ)² ≪ γλ.

        .. math:: T_{SL} \simeq \frac\beta{\gamma\lambda}\,\frac{1+4\alpha\lambda}{1+2\alpha\lambda} \to 0
        """
        weight_decay, inverse_temperature, aspect_ratio, teacher_variance = self._arrays()
        signal = teacher_variance * weight_decay
        pull = inverse_temperature / (aspect_ratio * weight_decay)
        return (pull * (1.0 + 4.0 * signal) / (1.0 + 2.0 * signal))[()]

    def limit_many_samples(self) -> Values:
        r"""T_SL at T = ∞ for n → ∞, that is γ → 0, Eqs. (10), (83): it is 2, because every parameter drops out.

        Note:
            Erratum 10: the paper prints 2λα, because here, too, the work on the mean is lost.
        """
        return np.full_like(self._arrays()[0], 2.0)[()]

    def limit_wide(self) -> Values:
        r"""T_SL at T = ∞ for d → ∞, that is γ → ∞, Eqs. (11), (82), to leading order in 1/γ.

        .. math:: T_{SL} \simeq \frac{2\beta}{\gamma\lambda}\,
                  \frac{\alpha\lambda\bigl(\frac{u}{1+u}\bigr)^2 + \bigl(1-\frac1{\sqrt{1+u}}\bigr)^2}
                  {u - \ln(1+u) + \alpha\lambda\frac{u^2}{1+u}} \to 0, \qquad u = \beta/\lambda

        It tends to 2/γ for β → ∞, so this limit and `limit_zero_temperature` commute.

        Note:
            Erratum 82: the text after Eq. (80) and below Eq. (11) says that they do not commute.
        """
        weight_decay, inverse_temperature, aspect_ratio, teacher_variance = self._arrays()
        # All n directions with data have s = γ, and u no longer depends on γ.
        pull = inverse_temperature / weight_decay
        mean = teacher_variance * weight_decay * (pull / (1.0 + pull)) ** 2
        moved, spent = moved_and_spent(pull, 1.0, mean)
        return (2.0 * pull / aspect_ratio * moved / spent)[()]

    def _arrays(self, **times: ArrayLike) -> tuple[np.ndarray, ...]:
        """The parameters λ, β, γ, α, and the times if given, as arrays of their common shape."""
        given = {name: np.asarray(value, dtype=np.float64) for name, value in (vars(self) | times).items()}
        try:
            return np.broadcast_arrays(*given.values())
        except ValueError:
            shapes = ", ".join(f"{name}: {value.shape}" for name, value in given.items())
            raise ValueError(f"the parameters must broadcast; shapes are {shapes}.") from None

    def _moved_and_spent(self, times: ArrayLike) -> tuple[Values, Values]:
        """𝒲₂ and (nβ)⁻¹R."""
        check_time("times", times)
        arrays = self._arrays(times=times)
        flat = np.stack([array.ravel() for array in arrays])
        spacing = SPACING_AT_END if np.isinf(flat[-1]).all() else SPACING_ON_THE_WAY
        results = np.empty((2, flat.shape[1]))
        size = int(BLOCK * spacing)
        for first in range(0, flat.shape[1], size):
            block = slice(first, first + size)
            results[:, block] = _integrals(flat[:, block], spacing)
        moved, spent = results.reshape(2, *arrays[0].shape)
        return moved[()], spent[()]


def _integrals(parameters: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    weight_decay, inverse_temperature, aspect_ratio, teacher_variance, time = parameters
    # The atom at s = 0 is left out: directions without data neither move nor dissipate.
    nodes, weights, _ = quadrature(aspect_ratio, spacing=spacing)
    floor = aspect_ratio * weight_decay / inverse_temperature
    pull = nodes / floor
    advance = 1.0 if np.isinf(time).all() else -np.expm1(-(nodes + floor) * time)
    mean = teacher_variance * weight_decay * (pull / (1.0 + pull)) ** 2
    moved, spent = (np.einsum("np,np->p", weights, term) for term in moved_and_spent(pull, advance, mean))
    return moved / weight_decay, 0.5 * aspect_ratio / inverse_temperature * spent
