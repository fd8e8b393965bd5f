r"""Training under a kernel that is measured again in each of some intervals of time, and constant within each.

In an interval the outputs are taken to be linear in the weights, :math:`r = r^* + J(\theta-\theta_a)`, around a
place of its own. Distance, dissipation and length then have closed forms at every time, as those of `ConstantKernel`.
How the kernels are found for a network is in `speedlimits.kernel.adapted_kernel`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_positive, check_shape
from speedlimits._shapes import Modes, Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import ConstantKernel, QuadraticLoss, blocks, checked_times, relaxation

# Weights decay at λ, the loss at 2λ. Of 1, 1.5 and 2 the largest error on 15 small networks is least with 1.5.
ONSET = 1.5
# Distance, dissipation and length of a path: a column a time.
Columns = Float[np.ndarray, "3 times"]


def interval_edges(sharpness: float, time: float, intervals: int) -> Float[np.ndarray, " edges"]:
    r"""Where intervals start, have their middle, and end: equal steps of :math:`u = \ln(1+\tfrac32\lambda_{max}t)`.

    From 1/λ_max on they are of one length in ln t, because modes are learned at all times. Twice as many intervals
    halve each of them.

    Args:
        sharpness: λ_max of the kernel at the start [1/time].
        time: T.
        intervals: how many.

    Returns:
        Start, middle, end, …: 2·intervals + 1 times from 0 to T.

    Raises:
        ValueError: if a number is not positive, or ``intervals`` no integer.
    """
    check_positive("sharpness", sharpness)
    check_positive("time", time)
    check_integer("intervals", intervals, minimum=1)
    rate = ONSET * sharpness
    edges = np.expm1(np.linspace(0.0, np.log1p(rate * time), 2 * intervals + 1)) / rate
    edges[-1] = time
    return edges


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelInterval(QuadraticLoss):
    """The kernel in one interval, and where the path stands when it begins.

    Args:
        eigenvalues: λ_k of the kernel at the interval's middle [1/time].
        residual: Δ_k = u_kᵀr*, what the outputs linear around the middle miss at the interval's start [√loss].
        moved: u_kᵀJ(θ_a − θ_0), the path so far as this Jacobian sees it [√loss].
        start_time: a, since the start of the path.
        moved_squared: |θ_a − θ_0|², distance so far.
        loss: L(θ_a) of the network itself [loss].
        drift: how far the kernel has turned since the first, 1 − ⟨K, K'⟩/(|K||K'|).
    """

    moved: Modes
    start_time: float
    moved_squared: float
    loss: float
    drift: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shape("moved", self.moved, self.eigenvalues.shape)
        check_finite("moved", self.moved)
        for name in ("start_time", "moved_squared", "loss", "drift"):
            check_non_negative(name, getattr(self, name))

    @property
    def kernel(self) -> ConstantKernel:
        """The same modes, as if training began here."""
        return ConstantKernel(eigenvalues=self.eigenvalues, residual=self.residual)

    def series(self, times: Times) -> Columns:
        r"""Squared distance from the start of the path, and dissipation and length since this interval's start.

        .. math:: |\theta-\theta_0|^2 = |\theta_a-\theta_0|^2
                  - 2\sum_k\Delta_k\,\bigl(u_k^\top J(\theta_a-\theta_0)\bigr)\frac{1-e^{-\lambda_kt}}{\lambda_k}
                  + \sum_k\Delta_k^2\lambda_k^{-1}(1-e^{-\lambda_kt})^2

        Args:
            times: since this interval's start.

        Returns:
            A row each.
        """
        limit = self.kernel.speed_limit(times)
        onwards, products = np.empty_like(times), self.residual * self.moved
        for part in blocks(times, products.size):
            onwards[part] = relaxation(self.eigenvalues, times[part, None]) @ products
        # Where the path comes back to its start, rounding takes it past zero.
        squared = np.maximum(self.moved_squared - 2.0 * onwards + limit.w2_squared, 0.0)
        return np.stack([squared, limit.dissipation, limit.arc_length])


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptedKernel:
    r"""Gradient flow of outputs that are linear around another place in each interval.

    The path is continuous and made of exact flows, so all that holds for a path holds for this one: dissipation is
    ∫|v|²dt, and T/T_SL = geometric × pace with both at least 1. Around the middle of an interval the linear outputs
    are wrong by the second derivative of f times a distance that changes its sign there. What the force is wrong by
    therefore cancels over an interval up to the third power of its length in u, Eq. (119): distance, dissipation and
    length converge as the square of 1/intervals. For outputs linear in the weights one interval is exact.

    Args:
        intervals: in the order of time; the first starts at 0. The last one's kernel holds beyond its end, too.
        end_time: of the last interval.
        end_loss: L of the network itself where the path ends [loss].
        gradients: what it took, in gradients of the whole loss.

    Raises:
        ValueError: if there is no interval, or they do not follow each other from 0 to a later end.
    """

    intervals: tuple[KernelInterval, ...]
    end_time: float
    end_loss: float
    gradients: int

    def __post_init__(self) -> None:
        edges = [each.start_time for each in self.intervals] + [self.end_time]
        if len(edges) < 2 or edges[0] != 0 or not all(np.diff(edges) > 0) or not np.isfinite(edges).all():
            raise ValueError(f"`intervals` must follow each other from 0 to the end; they start at {edges[:-1]}.")
        check_non_negative("end_loss", self.end_loss)
        check_integer("gradients", self.gradients, minimum=0)

    @property
    def edges(self) -> Times:
        """Starts of the intervals, and the end [time]."""
        return np.array([*(each.start_time for each in self.intervals), self.end_time])

    @property
    def losses(self) -> Times:
        """The network's own loss where the path passes the edges [loss]."""
        return np.array([*(each.loss for each in self.intervals), self.end_loss])

    def spent(self, interval: int) -> Modes:
        """How much of the loss each mode of an interval spends in it: ½Δ²(1 − e^{−2λ(b−a)}) [loss].

        Args:
            interval: which, from 0.

        Returns:
            One number a mode; they sum to the interval's share of the dissipation.
        """
        each, span = self.intervals[interval], np.diff(self.edges)[interval]
        return -0.5 * each.residual**2 * np.expm1(-2.0 * each.eigenvalues * span)

    def speed_limit(self, times: Times) -> SpeedLimit:
        """The speed limit along the path, Eq. (119), with its length.

        Args:
            times: since the start of the path, in any order [time].

        Returns:
            The limit as a series over the times.

        Raises:
            ValueError: if a time is negative or not finite.
        """
        times = checked_times("times", times)
        edges = self.edges
        found, before = np.zeros((3, times.size)), np.zeros((3, 1))
        for each, start, end in zip(self.intervals, edges[:-1], edges[1:], strict=True):
            last = each is self.intervals[-1]
            here = (times >= start) & ((times < end) | last)
            series = each.series(np.append(times[here] - start, end - start))
            # The distance is that from the start of the path already.
            series[1:] += before[1:]
            found[:, here], before = series[:, :-1], series[:, -1:]
        return SpeedLimit(time=times, w2_squared=found[0], dissipation=found[1], arc_length=found[2])
