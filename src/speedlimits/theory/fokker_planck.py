r"""Langevin dynamics in any one-dimensional potential: the density, dissipation and speed limit at every time.

The Fokker–Planck equation (32), (33) is solved on cells of width h. The current between neighbours has the
exponential form of Scharfetter & Gummel (1969) and Chang & Cooper (1970), so that the discrete Gibbs law is exactly
stationary, probability is conserved to rounding, and the discrete free energy never grows. In time each step is the
L-stable Padé (4, 5) approximant of the exponential, of order 9.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from scipy.special import xlogy

from speedlimits._checks import (
    check_finite,
    check_increasing,
    check_integer,
    check_non_negative,
    check_positive,
    check_shape,
)
from speedlimits._shapes import Times
from speedlimits.bound import ROUNDING, SpeedLimit
from speedlimits.theory._cells import Generator, states
from speedlimits.transport.points import w2_squared_histograms

# Laws are followed down to e^-40 of their largest density: 4e-18, below the rounding of 1.
DEPTH = 40.0
# A law is resolved if no cell holds more than the first share of it, and inside the domain if no outer cell holds more
# than the second.
COARSEST, EDGE = 0.1, 1e-9
# Where the two routes to the dissipation differ by more than this share, the grid is too coarse.
UNRESOLVED = 0.01
# Of the extent: how well a distance between two laws is known.
PLACES = 2e-15

Field = Float64[np.ndarray, " cells"]
Potential = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class FokkerPlanck:
    r"""The Langevin dynamics of Eq. (1), η = 1, in any one-dimensional potential, from e^{−βV₀}/𝒵₀.

    .. math:: \partial_t p = -\partial_x J, \qquad J = -V'p - \beta^{-1}\partial_x p

    Args:
        potential: V(x) for an array of x [loss], confining.
        inverse_temperature: β [1/loss].
        start_potential: V₀(x) of the start; x² by default, Eq. (18).
        cells: number of cells; errors fall as its square.
        domain: lower and upper end; by default wide enough for both Gibbs laws.

    Raises:
        ValueError: if a potential is not finite or confines nothing, the cells are too coarse for a law, or β is not
            positive and finite.
    """

    potential: Potential
    _: KW_ONLY
    inverse_temperature: float
    start_potential: Potential = np.square
    cells: int = 1000
    domain: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_positive("inverse_temperature", self.inverse_temperature)
        check_integer("cells", self.cells, minimum=10)
        for law in (self._start, self._gibbs("potential")):
            if law.max() > COARSEST:
                raise ValueError(
                    f"`cells` must be enough that no cell holds more than {COARSEST:.0%} of a law; "
                    f"one of {self.cells} holds {law.max():.1%}."
                )

    @cached_property
    def edges(self) -> Float64[np.ndarray, " edges"]:
        """Edges of the cells, equally spaced."""
        domain = self.domain
        if domain is None:
            names = ("potential", "start_potential")
            ends = np.array([_extent(name, getattr(self, name), self.inverse_temperature) for name in names])
            domain = float(ends[:, 0].min()), float(ends[:, 1].max())
        check_finite("domain", domain)
        check_increasing("domain", domain)
        return np.linspace(*domain, self.cells + 1)

    def solution(self, times: Times) -> "FokkerPlanckSolution":
        r"""Follow the law, Eqs. (32), (33).

        Args:
            times: t [time], non-negative, in any order.

        Returns:
            Densities, free energies, dissipation, distance and speed limit at each time.

        Raises:
            ValueError: if a time is negative, or the law reaches an end of the domain.
        """
        check_shape("times", times, (None,))
        check_non_negative("times", times)
        values = self._values("potential")
        generator = Generator(values, self.inverse_temperature, self.edges[1] - self.edges[0])
        order = np.argsort(times)
        laws, (spent, lengths) = np.empty((times.size, self.cells)), np.empty((2, times.size))
        for index, state in zip(order, states(generator, self._start, times[order], generator.speeds), strict=True):
            laws[index], (spent[index], lengths[index]) = state
            _check_edges(laws[index], self.edges[0], self.edges[-1], float(times[index]))
        return FokkerPlanckSolution(
            inverse_temperature=float(self.inverse_temperature),
            edges=self.edges,
            potential=values,
            start=self._start,
            times=times.astype(float),
            probabilities=laws,
            dissipation=spent,
            arc_length=lengths,
        )

    def speed_limit(self, times: Times) -> SpeedLimit:
        """The speed limit of the `solution` at these times."""
        return self.solution(times).speed_limit

    @cached_property
    def _start(self) -> np.ndarray:
        return self._gibbs("start_potential")

    def _gibbs(self, name: str) -> np.ndarray:
        return _gibbs(self._values(name), self.inverse_temperature)

    def _values(self, name: str) -> np.ndarray:
        """A potential at the cell centres."""
        points = _centres(self.edges)
        values = np.asarray(getattr(self, name)(points), dtype=float)
        check_shape(name, values, points.shape)
        check_finite(name, values)
        return values


@dataclass(frozen=True, eq=False, kw_only=True)
class FokkerPlanckSolution:
    r"""The law at some times, as `FokkerPlanck.solution` finds it.

    Args:
        inverse_temperature: β [1/loss].
        edges: of the cells, equally spaced.
        potential: V at the cell centres [loss].
        start: probability in each cell at t = 0, of sum 1.
        times: t [time], as asked for.
        probabilities: probability in each cell at each time, of sum 1.
        dissipation: β⁻¹R(t) = ∫₀ᵗ⟨v²⟩ds, Eq. (23), of the piecewise uniform law with the scheme's own currents.
        arc_length: ∫₀ᵗ√⟨v²⟩ds, the length of the path of laws.
    """

    inverse_temperature: float
    edges: Float64[np.ndarray, " edges"]
    potential: Field
    start: Field
    times: Times
    probabilities: Float64[np.ndarray, "times cells"]
    dissipation: Times
    arc_length: Times

    @property
    def points(self) -> Field:
        """Cell centres x."""
        return _centres(self.edges)

    @property
    def densities(self) -> Float64[np.ndarray, "times cells"]:
        """p(x, t) in each cell."""
        return self.probabilities / np.diff(self.edges)

    @property
    def gibbs(self) -> Field:
        """Probability of each cell in equilibrium, e^{−βV}/𝒵, Eq. (34)."""
        return _gibbs(self.potential, self.inverse_temperature)

    @cached_property
    def free_energies(self) -> Times:
        r"""F(t) = ⟨V⟩ + β⁻¹⟨ln p⟩ at each time, Eq. (46) [loss]; non-increasing."""
        return np.array([self._free_energy(law) for law in self.probabilities])

    @property
    def free_energy_drop(self) -> Times:
        r"""F(0) − F(t), Eqs. (39), (44): β⁻¹R by another route than `dissipation`, equal up to O(h²) [loss]."""
        return self._free_energy(self.start) - self.free_energies

    @property
    def entropy_production(self) -> Times:
        """R(t), a pure number, Eq. (23)."""
        return self.inverse_temperature * self.dissipation

    @cached_property
    def w2_squared(self) -> Times:
        """𝒲₂ between the start and each time, exact for the piecewise uniform laws."""
        distances = np.array([w2_squared_histograms(self.edges, self.start, law) for law in self.probabilities])
        # Moves by rounding alone are no moves.
        rounding = 1e-12 * (self.edges[-1] - self.edges[0])
        return np.where(distances > rounding**2, distances, 0.0)

    @property
    def speed_limit(self) -> SpeedLimit:
        r"""T_SL(t) = 𝒲₂/(β⁻¹R), Eqs. (7), (26).

        Distance, dissipation and length are all of one path, that of the piecewise uniform laws. So T_SL ≤ T holds on
        any grid, not only in the limit of a fine one. Where the two routes to the dissipation differ by more than
        1 %, a caveat of that time says that the cells are too coarse.
        """
        gap = np.abs(self.dissipation - self.free_energy_drop)
        apart = gap > UNRESOLVED * self.dissipation + 1e-9 / self.inverse_temperature
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(apart, gap / self.dissipation, np.nan)
        return SpeedLimit(
            time=self.times,
            w2_squared=self.w2_squared,
            dissipation=self.dissipation,
            arc_length=self.arc_length,
            tolerance=_rounding(self.w2_squared, self.edges[-1] - self.edges[0]),
            caveats=(("the cells are too coarse: dissipation by velocity and by free energy differ by {:.2%}", share),),
        )

    def _free_energy(self, law: np.ndarray) -> float:
        density = law / np.diff(self.edges)
        return float(law @ self.potential + np.sum(xlogy(law, density)) / self.inverse_temperature)


def _gibbs(potential: np.ndarray, inverse_temperature: float) -> np.ndarray:
    weights = np.exp(-inverse_temperature * (potential - potential.min()))
    return weights / weights.sum()


def _rounding(w2_squared: Times, extent: float) -> Times:
    """How well 𝒲₂ is known, relative to it: its root has the rounding of numbers of the size of the extent."""
    with np.errstate(divide="ignore"):
        return np.maximum(ROUNDING, np.where(w2_squared > 0, 2.0 * PLACES * extent / np.sqrt(w2_squared), 0.0))


def _centres(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[1:] + edges[:-1])


def _extent(name: str, potential: Potential, inverse_temperature: float) -> tuple[float, float]:
    """The interval beyond which e^{−βV} is below e^{−DEPTH} of its largest value."""
    reach = 1.0
    while reach < 1e9:
        points = np.linspace(-reach, reach, 20_001)
        with np.errstate(all="ignore"):
            values = np.asarray(potential(points), dtype=float)
        check_shape(name, values, points.shape)
        # What overflows far out is a wall; what is not a number inside the extent is reported where the cells are.
        values = np.where(np.isnan(values), np.inf, values)
        inside = np.flatnonzero(inverse_temperature * values < inverse_temperature * values.min() + DEPTH)
        # Confined when the outer quarters are empty.
        if inside.size and points.size // 4 < inside[0] and inside[-1] < 3 * points.size // 4:
            return float(points[inside[0] - 1]), float(points[inside[-1] + 1])
        reach *= 2.0
    raise ValueError(f"`{name}` must confine its law; e^(-β {name}) does not decay within |x| < 5e8.")


def _check_edges(law: np.ndarray, lower: float, upper: float, time: float) -> None:
    for name, share in (("lower", law[0]), ("upper", law[-1])):
        if share > EDGE:
            raise ValueError(
                f"`domain` must hold the law at all times; at time {time:.4g} its {name} cell of "
                f"{lower:.4g}…{upper:.4g} holds {share:.2g}."
            )
