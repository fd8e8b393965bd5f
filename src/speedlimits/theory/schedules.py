r"""Learning-rate schedules on power laws with gradient noise: the best one, known ones, and what the limit allows.

Modes :math:`\lambda_k = k^{-\alpha}`, :math:`\Delta_k^2 = k^{-\delta}` for all k ≥ 1 are trained by N steps with rates
η up to a largest one. Noise of the gradients adds :math:`\eta^2\lambda_k^2v` to Δ_k² at each step, which later steps
forget. For small ηλ the loss depends on the flow time T = Ση, and on the age x = T − t at which noise came in:

.. math:: L = \tfrac12\sum_k\Delta_k^2e^{-2\lambda_kT} + v\int_0^TK(x)\,\eta\,dx, \qquad
          K(x) = \tfrac12\sum_k\lambda_k^2e^{-2\lambda_kx}, \qquad N = \int_0^T\frac{dx}{\eta}

Without noise the schedule is only a clock: the path, and so T and T_SL, are those of the flow. With noise it decides
how much flow time N steps afford. That a power decay is best for some exponents, and warm-up–stable–decay for others,
is known: Li, Wang, Chen et al., "Optimal learning-rate schedules under functional scaling laws" (2026), whose border
s = 1 − 1/β is δ = α here. What the speed limit allows beside it, and the best schedule in closed form, are ours.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_positive
from speedlimits._shapes import Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.schedule_phases import ScheduleExponents, check_exponents, schedule_exponents

Points = Float[np.ndarray, " points"]
# Share of the steps done → rate, in units of the largest.
Rates = Callable[[Points], Points]

# Modes that are summed one by one; beyond, integrals over ln k to the last. Panels of Gauss' rule there.
SINGLE, LAST, PANELS, NODES = 256, 1e15, 45, 12
# Ages at which the memory of noise is known, and shares of the steps; in between it is smooth.
AGES, SHARES, FIRST_SHARE = 3000, 1000, 1e-9
# The longest flow: beyond, modes after the last would move.
LONGEST = 1e9


class ScheduledLoss(NamedTuple):
    """What a schedule leaves: the flow time it affords, and both parts of the loss.

    Args:
        time: T = Ση [time].
        signal: loss of the modes that are not learned yet.
        noise: loss by noise that is not forgotten yet.
    """

    time: float
    signal: float
    noise: float

    @property
    def loss(self) -> float:
        """Both parts."""
        return self.signal + self.noise


class BestSchedule(NamedTuple):
    """The best schedule: stable at the largest rate, then a decay.

    Args:
        found: what it leaves.
        shares: of the steps, from 0 to 1.
        rates: η there [time].
        decay: share of the steps in the decay.
    """

    found: ScheduledLoss
    shares: Points
    rates: Points
    decay: float


def polynomial_decay(power: float) -> Rates:
    """(1 − k/N)^power: for power = 2α − 1, the best schedule where noise decides.

    Raises:
        ValueError: if the power is negative.
    """
    check_non_negative("power", power)
    return lambda shares: (1.0 - shares) ** power


def stable_decay(warm_up: float, decay: float) -> Rates:
    """Warm-up, stable, decay: a linear rise, a constant rate, a linear fall to zero.

    Args:
        warm_up: its share of the steps.
        decay: its share of the steps.

    Raises:
        ValueError: if a share is negative, or both are more than all.
    """
    for name, share in (("warm_up", warm_up), ("decay", decay)):
        check_non_negative(name, share)
    if warm_up + decay > 1:
        raise ValueError(f"`warm_up` and `decay` must be shares of the steps, at most 1; they are {warm_up + decay:g}.")
    tiny = np.finfo(float).tiny
    return lambda shares: np.clip(
        np.minimum(shares / max(warm_up, tiny) if warm_up else 1.0, (1.0 - shares) / max(decay, tiny)), 0.0, 1.0
    )


@dataclass(frozen=True, kw_only=True)
class NoisyPowerLaw:
    """Power laws of infinitely many modes, trained by steps with gradient noise.

    Args:
        spectrum_exponent: α, above 1 [time unit: 1/λ_1].
        residual_exponent: δ, above 1: the loss is finite [loss unit: Δ_1²].
        noise: v, what a step adds to Δ_k², over η²λ_k²; as 1/batch size.
        largest_rate: of the steps; small against 1, as the formulas are those of small ηλ.

    Raises:
        ValueError: if α or δ is not above 1, α above 10, or the noise or the rate not positive.
    """

    spectrum_exponent: float
    residual_exponent: float
    noise: float
    largest_rate: float

    def __post_init__(self) -> None:
        check_exponents(self.spectrum_exponent, self.residual_exponent)
        for name in ("noise", "largest_rate"):
            check_positive(name, getattr(self, name))

    @property
    def exponents(self) -> ScheduleExponents:
        """How the loss falls with the steps, `schedule_exponents`."""
        return schedule_exponents(self.spectrum_exponent, self.residual_exponent)

    @property
    def regime(self) -> str:
        """Which part matters: "stable" for δ ≤ α, where the decay's share of the steps vanishes, "decay" above."""
        return "stable" if self.residual_exponent <= self.spectrum_exponent else "decay"

    def signal(self, times: Times) -> Times:
        """Loss of what is not learned at flow times t, ½ΣΔ²e^{−2λt}."""
        indices, counts = _modes()
        beyond = LAST ** (1.0 - self.residual_exponent) / (self.residual_exponent - 1.0)
        return 0.5 * (self._decayed(times) @ (counts * indices**-self.residual_exponent) + beyond)

    def memory(self, ages: Points) -> Points:
        """How much noise is left at an age, K(x) = ½Σλ²e^{−2λx} [1/time²]."""
        indices, counts = _modes()
        return 0.5 * self._decayed(ages) @ (counts * indices ** (-2.0 * self.spectrum_exponent))

    def limit(self, times: Times) -> SpeedLimit:
        """The speed limit of the flow without noise; over the largest rate it is the least number of steps."""
        indices, counts = _modes()
        kernel = ConstantKernel(
            eigenvalues=indices**-self.spectrum_exponent,
            residual=np.sqrt(counts) * indices ** (-0.5 * self.residual_exponent),
        )
        return kernel.speed_limit(times)

    def followed(self, rates: Rates, steps: int) -> ScheduledLoss:
        """What any schedule leaves after N steps.

        Args:
            rates: share of the steps → rate, in units of the largest, from 0 to 1.
            steps: N.

        Returns:
            Flow time and both parts of the loss.

        Raises:
            ValueError: if N is no positive integer, the flow longer than 10⁹, or a rate outside 0…1.
        """
        self._check_steps(steps)
        left = np.concatenate([[0.0], np.geomspace(FIRST_SHARE, 1.0, SHARES)])
        found = np.asarray(rates(1.0 - left), dtype=float) * np.ones_like(left)
        check_finite("rates", found)
        if not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"`rates` must lie in 0…1, units of the largest; they reach {found.min():g}…{found.max():g}."
            )
        found *= self.largest_rate
        ages = steps * _integral(found, left)
        noise = steps * _integral(self.memory(ages) * found**2, left)[-1]
        return ScheduledLoss(float(ages[-1]), float(self.signal(ages[-1:])[0]), self.noise * float(noise))

    def tuned(self, families: Iterable[Rates], peaks: Iterable[float], steps: int) -> ScheduledLoss:
        """The best of some schedules, each with its largest rate lowered to some peaks.

        Args:
            families: schedules.
            peaks: shares of the largest rate.
            steps: N.

        Returns:
            What the best leaves.

        Raises:
            ValueError: as `followed`, or if there is no schedule or no peak.
        """
        tried = [
            self.followed(lambda shares, rates=rates, peak=peak: peak * rates(shares), steps)
            for rates, peak in itertools.product(families, peaks)
        ]
        if not tried:
            raise ValueError("`families` and `peaks` must hold at least one each.")
        return min(tried, key=lambda each: each.loss)

    def best(self, steps: int) -> BestSchedule:
        r"""The schedule of the least loss after N steps, Eq. (120).

        At a given T, the noise is linear in η and the constraint ∫dx/η = N is convex. So the best rates obey
        :math:`\eta = \min(\eta_{max}, cK(x)^{-1/2})`: since K falls with the age, they are stable before an age x_c,
        and decay after it. One parameter is left: x_c, or T where the largest rate is never reached. Along it the loss
        is least where more flow time costs as much noise as it takes away signal, with η_T the first rate:

        .. math:: \sum_k\lambda_k\Delta_k^2e^{-2\lambda_kT} = v\Bigl(K(T)\,\eta_T + \frac{c^2}{\eta_T}\Bigr)

        Args:
            steps: N.

        Returns:
            The schedule, and what it leaves.

        Raises:
            ValueError: if N is no positive integer, or the flow longer than 10⁹.
        """
        self._check_steps(steps)
        top, ages = self.largest_rate, np.expm1(np.linspace(0.0, np.log1p(self.largest_rate * steps), AGES))
        memory = self.memory(ages)
        roots, squares = _integral(np.sqrt(memory), ages), _integral(memory, ages)
        place, stable = self._turn(steps, ages, memory, roots)
        decay = np.append(ages[ages < place], place)
        left = np.sqrt(self.memory(decay))
        last, root = left[-1], _integral(left, decay)[-1]
        if stable:
            scale, time = top * last, top * steps + place - root / last
            early, late = np.interp([time, place], ages, squares)
            noise = scale * root + top * (early - late)
        else:
            scale, time = root / steps, place
            noise = scale * root
        remaining, rates = _integral(left, decay) / scale / steps, scale / left
        return BestSchedule(
            ScheduledLoss(float(time), float(self.signal(np.array([time]))[0]), self.noise * float(noise)),
            np.append(0.0, 1.0 - remaining[::-1]),
            np.append(rates[-1], rates[::-1]),
            float(remaining[-1]),
        )

    def _turn(self, steps: int, ages: Points, memory: Points, roots: Points) -> tuple[float, bool]:
        """The age at which the best decay begins, and whether a stable phase comes before it."""
        top = self.largest_rate
        afforded = top * steps + ages - roots / np.sqrt(memory)
        # Later turns would leave fewer steps than their decay takes; decays from the start afford any earlier T.
        possible = afforded >= ages
        ages, memory, roots, afforded = ages[possible], memory[possible], roots[possible], afforded[possible]
        times = np.append(afforded, ages[::-1])
        costs = np.append(top * (self.memory(afforded) + memory), (2.0 * np.sqrt(memory) * roots / steps)[::-1])
        indices, counts = _modes()
        gains = self._decayed(times) @ (counts * indices ** -(self.spectrum_exponent + self.residual_exponent))
        balance = gains - self.noise * costs
        after = int(np.argmax(balance >= 0))
        if after == 0:
            # Noise is too weak for any decay.
            return 0.0, True
        share = balance[after] / (balance[after] - balance[after - 1])
        places = np.append(ages, ages[::-1])
        return float(places[after] + share * (places[after - 1] - places[after])), after < ages.size

    @cached_property
    def _rates(self) -> Points:
        return _modes()[0] ** -self.spectrum_exponent

    def _decayed(self, times: Points) -> Float[np.ndarray, "points modes"]:
        return np.exp(-2.0 * np.outer(times, self._rates))

    def _check_steps(self, steps: int) -> None:
        check_integer("steps", steps, minimum=1)
        if self.largest_rate * steps > LONGEST:
            raise ValueError(
                f"`steps` × `largest_rate` must be at most {LONGEST:g}, units of 1/λ_1; it is "
                f"{self.largest_rate * steps:g}."
            )


@cache
def _modes() -> tuple[Points, Points]:
    """Indices k, and how many modes each stands for: single ones, then Gauss' rule over ln k from SINGLE + ½ on."""
    edges = np.linspace(np.log(SINGLE + 0.5), np.log(LAST), PANELS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = 0.5 * np.diff(edges)[:, None]
    indices = np.exp(edges[:-1, None] + half * (1.0 + nodes)).ravel()
    single = np.arange(1.0, SINGLE + 1)
    return np.concatenate([single, indices]), np.concatenate([np.ones(SINGLE), (half * weights).ravel() * indices])


def _integral(values: Points, places: Points) -> Points:
    """Running integral by trapezoids."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(places))])
