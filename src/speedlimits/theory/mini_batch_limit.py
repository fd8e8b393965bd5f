r"""Mini-batch descent in linear regression with many weights and samples, d, n → ∞ at d/n = γ and B/n = b.

The data have independent entries of variance 1; the loss is the mean over samples. Single errors fluctuate, but each
eigenvector of XXᵀ sees their mean square, because the other singular vectors are spread over all samples. So the noise
of a step depends on the loss alone, and the loss obeys a Volterra equation, as in Paquette, Lee, Pedregosa & Paquette
(2021), here for every batch that is a share of the data and every learning rate.
"""

from dataclasses import dataclass

import numpy as np

from speedlimits._checks import check_integer, check_non_negative, check_positive, check_share
from speedlimits.spectra.marchenko_pastur import quadrature
from speedlimits.theory.mini_batch_path import LONGEST, MiniBatchPath

# (1 − ηs)ᵏ varies faster with s than the powers that remain at rest.
SPACING = 0.05


@dataclass(frozen=True, eq=False, kw_only=True)
class MiniBatchLimit:
    """Mini-batch descent in the limit d, n → ∞.

    Args:
        aspect_ratio: γ = d/n, positive.
        batch_share: b = B/n, above 0; at most 1 without replacement.
        learning_rate: η [time].
        teacher_variance: α, d times the variance of a weight of the teacher.
        label_variance: of the noise of a label.
        start_variance: d times that of a weight of θ₀.
        replacement: whether a batch may hold a sample twice.

    Raises:
        ValueError: if a number breaks its rule.
    """

    aspect_ratio: float
    batch_share: float
    learning_rate: float
    teacher_variance: float
    label_variance: float = 0.0
    start_variance: float = 0.0
    replacement: bool = False

    def __post_init__(self) -> None:
        for name in ("aspect_ratio", "batch_share", "learning_rate"):
            check_positive(name, getattr(self, name))
        if not self.replacement:
            check_share("batch_share", self.batch_share)
        for name in ("teacher_variance", "label_variance", "start_variance"):
            check_non_negative(name, getattr(self, name))

    def path(self, steps: int) -> MiniBatchPath:
        r"""Follow N steps, Eq. (102).

        .. math:: C_{k+1}(s) = (1-\eta s)^2C_k(s) + \eta^2\kappa s\,2L_k, \qquad
                  2L_k = \int s\bigl[(1-\eta s)^{2k}M_0(s) + C_k(s)\bigr]d\rho(s) + \sigma^2(1-\gamma)_+

        with κ = fγ/b, f = 1 − b, or 1 with replacement, and M₀ = α + γσ²/s plus the variance of the start. The law of
        the eigenvalues ρ is Marchenko's and Pastur's; all moments are d times those of one direction.

        Args:
            steps: N.

        Returns:
            All steps, at the nodes of a quadrature over ρ.

        Raises:
            ValueError: if N is not a whole number from 1 to 100,000.
        """
        check_integer("steps", steps, minimum=1, maximum=LONGEST)
        nodes, weights, _ = quadrature(np.array(self.aspect_ratio), spacing=SPACING)
        start = self.teacher_variance + self.start_variance + self.aspect_ratio * self.label_variance / nodes
        carried = (1.0 - self.learning_rate * nodes) ** 2
        floor = 0.5 * self.label_variance * max(1.0 - self.aspect_ratio, 0.0)
        scatter, gradient_noise = np.zeros((steps + 1, nodes.size)), np.empty(steps)
        left = start
        for step in range(steps):
            squares = float(weights * nodes @ (left + scatter[step])) + 2.0 * floor
            gradient_noise[step] = self._noise * squares
            scatter[step + 1] = carried * scatter[step] + self.learning_rate**2 * nodes * gradient_noise[step]
            left = carried * left
        return MiniBatchPath(
            learning_rate=self.learning_rate,
            curvatures=nodes,
            weights=weights,
            start=start,
            scatter=scatter,
            gradient_noise=gradient_noise,
            floor=floor,
            directions=min(self.aspect_ratio, 1.0),
        )

    @property
    def noise_gain(self) -> float:
        r"""Loss that noise makes of loss, Eq. (107): from 1 on, descent diverges.

        .. math:: K = \eta\kappa\int\frac{s}{2-\eta s}\,d\rho(s)

        It is the sum over the later steps of what one step adds to 2L. It is infinite where descent by all data
        diverges, η(1 + √γ)² ≥ 2.
        """
        if self.learning_rate * (1.0 + np.sqrt(self.aspect_ratio)) ** 2 >= 2.0:
            return np.inf
        nodes, weights, _ = quadrature(np.array(self.aspect_ratio))
        share = float(weights @ (nodes / (2.0 - self.learning_rate * nodes)))
        return self.learning_rate * self._noise * share

    @property
    def loss_at_rest(self) -> float:
        r"""Loss that the path tends to, :math:`\tfrac12\sigma^2(1-\gamma)_+/(1-K)`, Eq. (107); infinite for K ≥ 1."""
        gain = self.noise_gain
        if gain >= 1.0:
            return np.inf
        return 0.5 * self.label_variance * max(1.0 - self.aspect_ratio, 0.0) / (1.0 - gain)

    @property
    def _noise(self) -> float:
        """⟨|ξ|²⟩ over 2L, κ = fγ/b."""
        left = 1.0 if self.replacement else 1.0 - self.batch_share
        return left * self.aspect_ratio / self.batch_share
