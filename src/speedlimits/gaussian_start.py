r"""Ensembles that start from a Gaussian of known width: 𝒲₂ and β⁻¹R, sharp though weights outnumber members.

The start is :math:`p_0 = N(0, \sigma^2 1)`, in equilibrium with the potential without the loss, Eq. (18). Then

.. math:: \beta^{-1}R_T = \langle L\rangle_0 - \langle L\rangle_T - \beta^{-1}\,\mathrm{KL}(p_T\,\|\,p_0),

which is Eq. (4) at finite T. A divergence of projections bounds KL from below, as their distances bound 𝒲₂. Along
orthonormal directions u_k one fit gives both, the mean m_k of the end and its ratio ρ_k of variances to the start:

.. math:: \mathcal W_2 \ge \sum_k \bigl\langle (1-\rho_k^{-1/2})(y_k-m_k)^2 + 2m_ky_k - m_k^2\bigr\rangle_T
              + \sigma^2(1-\rho_k^{1/2})

.. math:: \mathrm{KL}(p_T\,\|\,p_0) \ge \tfrac12\sum_k \bigl\langle y_k^2/\sigma^2 - (y_k-m_k)^2/(\rho_k\sigma^2)
              - \ln\rho_k\bigr\rangle_T

hold for every m and ρ and laws of any shape, with equality for Gaussians. Directions are those in which the gradients
are largest: where the loss is flat, nothing changes. m and ρ are fitted on some members; what is left is a mean over
the others. The averages over the start are known, so a member's own start only serves to take noise away.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive, check_shape
from speedlimits._shapes import Ensemble, Members
from speedlimits.estimates import Estimate, check_ensemble, check_members, from_mean, from_means

Directions = Float[np.ndarray, "dims directions"]
Line = Float[np.ndarray, " directions"]

FEWEST = 8
# One member in three fits, the others are averaged.
FITTED = 3
# A mean or a variance counts as changed beyond so many standard errors: below, the fit costs more than it finds.
SIGNIFICANT = 2.0
# Of the largest mean square of a gradient: directions below it carry rounding only.
FLAT = 1e-10
# Numbers in the matrix of directions: 0.5 GB.
LARGEST = 1 << 26


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage:
    """Members at two times, with their losses.

    Args:
        start: θ(0), a member in each row.
        end: θ(T) of the same members.
        losses_start: L(θ(0)) of each [loss].
        losses_end: L(θ(T)) of each [loss].

    Raises:
        ValueError: if a number is not finite, shapes differ, or there are fewer than 8 members.
    """

    start: Ensemble
    end: Ensemble
    losses_start: Members
    losses_end: Members

    def __post_init__(self) -> None:
        check_ensemble("start", self.start, FEWEST)
        check_shape("end", self.end, self.start.shape)
        check_ensemble("end", self.end, FEWEST)
        for name in ("losses_start", "losses_end"):
            check_shape(name, getattr(self, name), (len(self.start),))

    def __getitem__(self, rows: slice) -> "Passage":
        """Some of the members."""
        return Passage(
            start=self.start[rows],
            end=self.end[rows],
            losses_start=self.losses_start[rows],
            losses_end=self.losses_end[rows],
        )


def fitting(members: int) -> tuple[slice, slice]:
    """The members to fit on, and those to average over.

    Args:
        members: how many there are.

    Returns:
        The first third, and the rest.
    """
    return slice(0, members // FITTED), slice(members // FITTED, members)


def steepest_directions(gradients: Ensemble) -> Directions:
    """The principal directions of gradients, at the members that are fitted on or at other draws.

    Args:
        gradients: ∇L, one in each row.

    Returns:
        Orthonormal columns, the steepest first; as many as there are gradients or weights, or as memory allows, without
        those that carry rounding only.
    """
    check_ensemble("gradients", gradients, 1)
    count, dims = gradients.shape
    wide = dims > count
    values, vectors = np.linalg.eigh(gradients @ gradients.T if wide else gradients.T @ gradients)
    kept = np.flatnonzero(values > FLAT * max(values[-1], 0.0))[::-1][: max(1, LARGEST // dims)]
    directions = gradients.T @ (vectors[:, kept] / np.sqrt(values[kept])) if wide else vectors[:, kept]
    # Rounding of small eigenvalues tilts their vectors; the bounds need right angles.
    return np.linalg.qr(directions)[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What a fit to some members says about how the start's law has changed; evaluated on others it gives bounds.

    Args:
        directions: u_k, orthonormal columns.
        means: m_k of the end along each.
        ratios: ρ_k of the variances, positive.
        start_variance: σ² of each weight at the start.
        inverse_temperature: β [1/loss].
        start_weight: how much of a member's own start to take away from its gain in distance.
        loss_weight: how much of a member's own loss at the start to use, 0 to 1; of the rest the mean is taken over
            other draws of the start.
    """

    directions: Directions
    means: Line
    ratios: Line
    start_variance: float
    inverse_temperature: float
    start_weight: float
    loss_weight: float

    @classmethod
    def fitted(
        cls, passage: Passage, directions: Directions, *, start_variance: float, inverse_temperature: float
    ) -> "Change":
        """Fit m, ρ and the two weights.

        Args:
            passage: the members to fit on.
            directions: found without looking at the members that will be averaged over.
            start_variance: σ².
            inverse_temperature: β [1/loss].

        Returns:
            The fit.

        Raises:
            ValueError: if a number is not positive, or shapes differ.
        """
        check_positive("start_variance", start_variance)
        check_positive("inverse_temperature", inverse_temperature)
        check_shape("directions", directions, (passage.start.shape[1], None))
        first, last = passage.start @ directions, passage.end @ directions
        means = _significant(last - first)
        # With its own start taken away a member's square has the smaller error early, and the larger one late.
        own, paired = (
            (last - last.mean(axis=0)) ** 2 / start_variance - 1.0,
            ((last - last.mean(axis=0)) ** 2 - (first - first.mean(axis=0)) ** 2) / start_variance,
        )
        early = (paired.std(axis=0) < own.std(axis=0)) & (paired.mean(axis=0) > -0.8)
        plain = cls(
            directions=directions,
            means=means,
            ratios=1.0 + np.where(early, _significant(paired), _significant(own)),
            start_variance=start_variance,
            inverse_temperature=inverse_temperature,
            start_weight=0.0,
            loss_weight=0.0,
        )
        weights = {
            "start_weight": -_slope(plain._start_gains(first), plain._end_gains(last)),
            "loss_weight": min(max(_slope(passage.losses_start, plain._energies(passage, last)), 0.0), 1.0),
        }
        return cls(**{**vars(plain), **weights})

    def w2_squared(self, passage: Passage) -> Estimate:
        """𝒲₂ from below.

        Args:
            passage: members that were not fitted on.

        Returns:
            A plain mean over them.
        """
        start = self._start_gains(passage.start @ self.directions)
        known = self.start_variance * float(np.sum(1.0 - np.sqrt(self.ratios)))
        gains = self._end_gains(passage.end @ self.directions) + known + self.start_weight * (start - known)
        return from_mean("fitted Gaussian map", gains, "lower")

    def dissipation(self, passage: Passage, fresh_losses: Float[np.ndarray, " draws"]) -> Estimate:
        """β⁻¹R from above.

        Args:
            passage: members that were not fitted on.
            fresh_losses: L of other draws of the start, as many as one likes [loss].

        Returns:
            A plain mean over the members, and one over the fresh draws [loss].

        Raises:
            ValueError: if there are fewer than two fresh draws.
        """
        check_members("fresh_losses", fresh_losses, 2)
        spent = self.loss_weight * passage.losses_start - self._energies(passage, passage.end @ self.directions)
        return from_means("loss less information", [spent, (1.0 - self.loss_weight) * fresh_losses], "upper")

    def _start_gains(self, along: np.ndarray) -> np.ndarray:
        return along**2 @ (1.0 - np.sqrt(self.ratios)) - 2.0 * along @ self.means

    def _end_gains(self, along: np.ndarray) -> np.ndarray:
        stretched = (along - self.means) ** 2 @ (1.0 - 1.0 / np.sqrt(self.ratios))
        return stretched + 2.0 * along @ self.means - self.means @ self.means

    def _energies(self, passage: Passage, along: np.ndarray) -> np.ndarray:
        """L + β⁻¹ ln q/p₀ of each member at its end, with the Gaussian q that was fitted."""
        surprise = (along - self.means) ** 2 @ (1.0 / self.ratios)
        information = 0.5 * (np.sum(along**2, axis=1) - surprise) / self.start_variance
        information -= 0.5 * np.log(self.ratios).sum()
        return passage.losses_end + information / self.inverse_temperature


def _significant(columns: np.ndarray) -> np.ndarray:
    """The mean of each column, and zero where it may be noise."""
    means = columns.mean(axis=0)
    errors = columns.std(axis=0, ddof=1) / np.sqrt(len(columns))
    return np.where(np.abs(means) > SIGNIFICANT * errors, means, 0.0)


def _slope(known: np.ndarray, noisy: np.ndarray) -> float:
    """The least-squares slope of one number against another; 0 where nothing varies."""
    away = known - known.mean()
    square = float(away @ away)
    return float(away @ noisy) / square if square > 0 else 0.0
