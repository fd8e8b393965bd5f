r"""What mini-batches do to distance, dissipation and speed limit on a quadratic loss, from second moments of the path.

A step is :math:`\delta_k = -\eta(\nabla L(\theta_k) + \xi_k)`. The noise ξ has mean 0 whatever came before, so each
mode carries q = 1 − ηλ of itself to the next step, and noise and drift have no mixed terms on average. With the start
M₀ = ⟨u₀²⟩ of u = θ − θ⋆ and the scatter C that noise has added, a mode has

.. math:: \langle u_k^2\rangle = q^{2k}M_0 + C_k, \qquad \langle u_{k+m}u_k\rangle = q^m\langle u_k^2\rangle

and everything here is a sum over modes. `mini_batches` finds C for given data, `mini_batch_limit` for many weights and
samples. Means of a quotient are not the quotients of means; here are the latter.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from speedlimits._checks import check_integer
from speedlimits._shapes import Modes
from speedlimits.bound import SpeedLimit
from speedlimits.theory.heavy_ball import HeavyBall

Steps = Float[np.ndarray, " steps"]
# Every step of every mode is held: half a gigabyte for the modes of the limit.
LONGEST = 100_000


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedStrides:
    r"""What `speedlimits.noise.StrideCurve` holds on average.

    Args:
        strides: m [steps].
        dissipation: D, Σ|Δ|²/τ of chunks of m steps; the last may be shorter [loss].
        noise: V, what neighbouring chunks do not share of it; NaN where there is one chunk [loss].
        noise_moved: M, the same of |Δθ|² [distance²].
    """

    strides: Int[np.ndarray, " strides"]
    dissipation: Float[np.ndarray, " strides"]
    noise: Float[np.ndarray, " strides"]
    noise_moved: Float[np.ndarray, " strides"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MiniBatchPath:
    """The path of N steps; every series has N + 1 values, the start first.

    Args:
        learning_rate: η [time].
        curvatures: λ of each mode [1/time].
        weights: how many directions a mode stands for; 1 for given data, a law of eigenvalues in the limit.
        start: M₀ of each mode [distance²].
        scatter: C of each mode after each step, what noise has added to ⟨u²⟩ [distance²].
        gradient_noise: ⟨|ξ|²⟩ in each step.
        floor: the smallest loss [loss].
        directions: that the data pull, for each sample.
    """

    learning_rate: float
    curvatures: Modes
    weights: Modes
    start: Modes
    scatter: Float[np.ndarray, "steps modes"]
    gradient_noise: Float[np.ndarray, " moves"]
    floor: float
    directions: float

    @property
    def steps(self) -> Steps:
        """0, 1, …, N."""
        return np.arange(len(self.scatter), dtype=float)

    @property
    def times(self) -> Steps:
        """η × steps [time]."""
        return self.learning_rate * self.steps

    @cached_property
    def losses(self) -> Steps:
        r"""Mean of the loss ½⟨r²⟩ for each sample, L⋆ + ½Σλ⟨u²⟩ [loss]."""
        return self.floor + 0.5 * self._second_moments @ (self.weights * self.curvatures)

    @cached_property
    def noise(self) -> Steps:
        r"""Noise in Σ|δ|²/η, Eq. (103): V = ηΣ⟨|ξ|²⟩ [loss].

        At a given time and batch it tends to ∫⟨|ξ|²⟩dt as η → 0, and so does not go away. At a given temperature,
        where ⟨|ξ|²⟩ grows as 1/η, it diverges: Σ|δ|²/η is then no estimate of β⁻¹R.
        """
        return self.learning_rate * _summed(self.gradient_noise)

    @property
    def noise_moved(self) -> Steps:
        r"""What noise would move if the drift forgot none of it, Eq. (103): M = η²Σ⟨|ξ|²⟩ [distance²].

        The recorder takes M for the noise of |Δθ|²; `moved_by_noise` is less, because stiff modes forget.
        """
        return self.learning_rate * self.noise

    @cached_property
    def moved_by_noise(self) -> Steps:
        """Noise in |Δθ|², the scatter ΣC of the end, Eq. (103) [distance²]."""
        return self.scatter @ self.weights

    @cached_property
    def drift(self) -> SpeedLimit:
        r"""Speed limit of descent by all data from the same starts, the mean path, Eq. (104).

        .. math:: |\Delta\theta|^2 = \sum M_0(1-q^N)^2, \qquad
                  \sum\frac{|\delta|^2}\eta = \sum\lambda M_0\frac{1-q^{2N}}{2-\eta\lambda}

        Gradients are linear in the weights, so the mean of all paths is the path of the mean.
        """
        residual = np.sqrt(self.weights * self.curvatures * self.start)
        descent = HeavyBall(eigenvalues=self.curvatures, residual=residual, learning_rate=self.learning_rate)
        return descent.speed_limit(self.steps)

    @cached_property
    def raw(self) -> SpeedLimit:
        r"""Speed limit by the means of |Δθ|² and Σ|δ|²/η, noise included, Eq. (103).

        .. math:: \langle|\theta_N-\theta_0|^2\rangle = \sum M_0(1-q^N)^2 + C_N, \quad
                  \Bigl\langle\sum\frac{|\delta|^2}\eta\Bigr\rangle = V+\eta\sum_{k<N}\sum\lambda^2\langle u_k^2\rangle
        """
        distance = ((1.0 - self._powers) ** 2 * self.start + self.scatter) @ self.weights
        drifts = self._second_moments[:-1] @ (self.weights * self.curvatures**2)
        dissipation = self.noise + self.learning_rate * _summed(drifts)
        return SpeedLimit(time=self.times, w2_squared=distance, dissipation=dissipation)

    @property
    def estimate(self) -> Steps:
        """T(D − V)/(|Δθ|² − M) of the means: what the recorder's estimates of the drift's T/T_SL tend to.

        It departs from the drift's where noise bends the path: D − V has the gradients on the noisy path, and M is more
        than `moved_by_noise`.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            kept = self.raw.w2_squared - self.noise_moved
            return self.times * (self.raw.dissipation - self.noise) / kept

    @property
    def inverse_temperature(self) -> Float[np.ndarray, " moves"]:
        r"""Effective β of each step for the loss summed over the samples, Eq. (105); infinity without noise [1/loss].

        .. math:: \beta_k^{-1} = \frac{\eta}{2(r/n)}\langle|\xi_k|^2\rangle

        with r directions that the data pull. Langevin training with this β has noise of the same size. At rest the
        mean of the loss is above its floor by what equipartition says, r/2β of the sum, but for a finite step:
        uₖ₊₁ and uₖ have the same ⟨|u|²⟩ exactly where

        .. math:: \langle L\rangle - L_\star = \tfrac\eta4\bigl(\langle|\xi|^2\rangle + \langle|\nabla L|^2\rangle\bigr)

        Single directions have temperatures of their own: noise of the shape of the curvature makes stiff ones hot.

        Note:
            β⁻¹R of such a law is finite only if it starts with a width wherever there is noise: from a point the mean
            velocity grows as (θ − ⟨θ⟩)/2t, so that ⟨|v|²⟩ ≈ r/2βt, and its integral diverges as a logarithm.
        """
        with np.errstate(divide="ignore"):
            return 2.0 * self.directions / (self.learning_rate * self.gradient_noise)

    def strides(self) -> ExpectedStrides:
        r"""The path seen every 1, 2, 4, … steps, as the recorder's meter sees it, Eq. (106).

        .. math:: \langle|u_{k+m}-u_k|^2\rangle = \sum(1-q^m)^2\langle u_k^2\rangle + c, \qquad
                  \langle\Delta_{j+1}\Delta_j\rangle = \sum(1-q^m)\bigl((1-q^m)q^m\langle u_k^2\rangle - c\bigr)

        with :math:`c = C_{k+m} - q^{2m}C_k`, the noise of the chunk that begins at step k.

        Where the drift v and the noise stay as they are, ληN ≪ 1, a chunk moves by m²η²|v|² + mη²⟨|ξ|²⟩. So with
        s = ⟨|ξ|²⟩/|v|² the raw ratio is T·D/|Δθ|² = (1 + s/m)/(1 + s/N), times that of the drift, which is 1 here.

        Raises:
            ValueError: if the path has no step.
        """
        last = len(self.scatter) - 1
        check_integer("steps", last, minimum=1)
        strides = 2 ** np.arange(last.bit_length())
        dissipation, noise, moved = np.array([self._stride(int(stride)) for stride in strides]).T
        return ExpectedStrides(strides=strides, dissipation=dissipation, noise=noise, noise_moved=moved)

    def _stride(self, stride: int) -> tuple[float, float, float]:
        """D, V and M of one stride."""
        ends = np.append(np.arange(0, len(self.scatter) - 1, stride), len(self.scatter) - 1)
        lengths = np.diff(ends)[:, None]
        carried = (1.0 - self.learning_rate * self.curvatures) ** lengths
        drifts = (1.0 - carried) * self._second_moments[ends[:-1]]
        noise = self.scatter[ends[1:]] - carried**2 * self.scatter[ends[:-1]]
        squares = ((1.0 - carried) * drifts + noise) @ self.weights
        dissipation = np.sum(squares / (self.learning_rate * lengths[:, 0]))
        whole = (len(self.scatter) - 1) // stride
        if whole < 2:
            return dissipation, np.nan, np.nan
        products = ((1.0 - carried) * (carried * drifts - noise) @ self.weights)[: whole - 1]
        apart = 0.5 * (squares[1:whole] + squares[: whole - 1]) - products
        # The first and last chunk stand in one pair each, all others in two.
        moved = whole / (whole - 1) * np.sum(apart)
        return dissipation, moved / (self.learning_rate * stride), moved

    @cached_property
    def _powers(self) -> Float[np.ndarray, "steps modes"]:
        """Each mode's qᵏ."""
        return (1.0 - self.learning_rate * self.curvatures) ** self.steps[:, None]

    @cached_property
    def _second_moments(self) -> Float[np.ndarray, "steps modes"]:
        """Each mode's ⟨u²⟩."""
        return self._powers**2 * self.start + self.scatter


def _summed(terms: np.ndarray) -> np.ndarray:
    return np.append(0.0, np.cumsum(terms))
