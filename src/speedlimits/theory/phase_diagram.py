"""Inefficiency over the plane of the two power-law exponents: exact sums beside the asymptotics."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_shape
from speedlimits.theory import constant_kernel
from speedlimits.theory.power_law import PowerLaw

Grid = Float[np.ndarray, "spectrum residual"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PhaseDiagram:
    """T/T_SL of power laws, a row for each spectrum exponent α and a column for each residual exponent δ.

    Args:
        spectrum_exponents: α of each row.
        residual_exponents: δ of each column.
        modes: n.
        times: t of each law [time].
        exponents: a = (1 − δ)/α.
        exact: T/T_SL by the sums over all modes.
        asymptotic: T/T_SL by the leading terms for Λ⁻¹ ≪ t ≪ λ_n⁻¹.
    """

    spectrum_exponents: Float[np.ndarray, " spectrum"]
    residual_exponents: Float[np.ndarray, " residual"]
    modes: int
    times: Grid
    exponents: Grid
    exact: Grid
    asymptotic: Grid


def phase_diagram(
    spectrum_exponents: Float[np.ndarray, " spectrum"],
    residual_exponents: Float[np.ndarray, " residual"],
    modes: int,
    time: float | Callable[[PowerLaw], float],
) -> PhaseDiagram:
    """Where the flow is near its limit and where not: the regimes of Eqs. (14), (15) on the plane of exponents.

    Args:
        spectrum_exponents: α, positive.
        residual_exponents: δ.
        modes: n.
        time: t, positive, for all laws, or a function of the law such as ``lambda law: 0.01 * law.last_time``.

    Returns:
        Exact and asymptotic T/T_SL on the grid.

    Raises:
        ValueError: if an exponent α or a time is not positive, δ not finite, or n not a positive integer.
    """
    check_shape("spectrum_exponents", spectrum_exponents, (None,))
    check_shape("residual_exponents", residual_exponents, (None,))
    shape = spectrum_exponents.size, residual_exponents.size
    times, exponents, exact, asymptotic = np.empty((4, *shape))
    for place in np.ndindex(shape):
        law = PowerLaw(float(spectrum_exponents[place[0]]), float(residual_exponents[place[1]]), modes)
        when = np.array([time(law) if callable(time) else time], dtype=float)
        arguments = law.eigenvalues, law.residual, when
        times[place] = when[0]
        exponents[place] = law.exponent
        asymptotic[place] = float(law.asymptotic(when).final.inefficiency)
        exact[place] = float(when @ constant_kernel.dissipation(*arguments)) / float(
            constant_kernel.w2_squared(*arguments)[0]
        )
    return PhaseDiagram(
        spectrum_exponents=spectrum_exponents,
        residual_exponents=residual_exponents,
        modes=modes,
        times=times,
        exponents=exponents,
        exact=exact,
        asymptotic=asymptotic,
    )
