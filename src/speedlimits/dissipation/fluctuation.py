r"""The integral fluctuation theorem ⟨e^{−ΔS}⟩ = 1: a check of entropy production that any ensemble must pass.

For a path from p₀ and ANY normalised density q to start the reversed path from,

.. math:: \Delta S = \ln p_0(\theta_0) - \ln q(\theta_N) + \ln\frac{p[\theta|\theta_0]}{p[\tilde\theta|\theta_N]},
          \qquad \langle e^{-\Delta S}\rangle = 1, \qquad \langle\Delta S\rangle = R + \mathrm{KL}(p_T\|q),

exactly so for discrete paths with the log ratio of `path_measure`. With q = p_T the mean is R, Eqs. (3), (17).
"""

from typing import NamedTuple

import numpy as np

from speedlimits._checks import check_finite
from speedlimits._shapes import Members
from speedlimits.estimates import Estimate, check_members, from_mean

# With fewer effective members the average depends on a few rare ones, and so does its error.
FEWEST = 10.0


class FluctuationTheorem(NamedTuple):
    """The exponential average and how far to trust it.

    Args:
        average: ⟨e^{−ΔS}⟩, exactly 1 in expectation.
        effective_members: (Σw)²/Σw² of the weights w = e^{−ΔS}.
        computable: whether there are enough effective members for average and error to mean anything.
    """

    average: Estimate
    effective_members: float
    computable: bool


def fluctuation_theorem(entropy_productions: Members) -> FluctuationTheorem:
    """Average e^{−ΔS} over the members.

    Args:
        entropy_productions: ΔS of each member, a pure number.

    Returns:
        The average with its error, and its effective number of members: far from equilibrium, where ΔS spreads by
        much more than 1, paths that carry the average are too rare to be among them.

    Raises:
        ValueError: if a number is not finite or there are fewer than two members.
    """
    check_finite("entropy_productions", entropy_productions)
    check_members("entropy_productions", entropy_productions, 2)
    with np.errstate(over="ignore"):
        average = from_mean("fluctuation theorem", np.exp(-entropy_productions), "exact")
    # Scaled by the largest: weights overflow long before their ratios do.
    weights = np.exp(entropy_productions.min() - entropy_productions)
    effective = float(weights.sum() ** 2 / np.sum(weights**2))
    return FluctuationTheorem(average, effective, effective >= FEWEST)
