"""`speedlimits theory sampler`: the speed limit of generation, and where a sampler should spend its steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits._checks import check_integer, check_non_negative, check_one_of, check_positive
from speedlimits.cli.theory.output import Output, limit_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.theory.samplers import Sampler

# Beyond these a sampler takes minutes, or does not fit into memory.
MOST = {"steps": 10_000, "components": 1000, "particles": 100_000}


@dataclass(frozen=True, kw_only=True)
class SamplerCommand(Output):
    """Diffusion and flow-matching samplers of Gaussians on a ring, with exact velocities.

    For each ring and schedule: the speed limit of the flow, and the error of Euler's method on three grids of times.
    By default these are 24 cells: two rings, three schedules, four numbers of steps. The distance between noise and
    several Gaussians is known from below, by means and covariances; T/T_SL is then at most what is shown.
    """

    radius: Annotated[tuple[float, ...], tyro.conf.arg(metavar="R [R …]")] = (2.0, 6.0)
    """Of the ring: one or more."""
    components: Annotated[int, tyro.conf.arg(metavar="K")] = 8
    """Gaussians on the ring, with equal weights."""
    deviation: Annotated[float, tyro.conf.arg(metavar="S")] = 0.1
    """Of each Gaussian."""
    schedule: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME …]")] = ("vp-linear", "cosine", "cond-ot")
    """How noise becomes data."""
    steps: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N …]")] = (5, 10, 20, 40)
    """Of Euler's method."""
    particles: Annotated[int, tyro.conf.arg(metavar="P")] = 300
    """Draws of the noise."""
    rng_seed: Annotated[int, tyro.conf.arg(metavar="S")] = 0
    """Seed of the draws."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        from speedlimits.theory.samplers import GRIDS, Sampler

        self._check()
        noise = np.random.default_rng(self.rng_seed).standard_normal((self.particles, 2))
        angles = 2.0 * np.pi * np.arange(self.components) / self.components
        ring = np.column_stack((np.cos(angles), np.sin(angles)))
        record: dict[str, Any] = {}
        samplers: list[Sampler] = []
        for radius in self.radius:
            for schedule in self.schedule:
                sampler = Sampler(means=radius * ring, deviations=np.full(2, self.deviation), schedule=schedule)
                samplers.append(sampler)
                record[f"radius {radius:g}, {schedule}"] = self._cells(sampler, noise)
        errors = {kind: np.concatenate([part["errors"][kind] for part in record.values()]) for kind in GRIDS}
        for kind in GRIDS[1:]:
            held = int(np.sum(errors[kind] <= errors["uniform"]))
            record[f"{kind} grid"] = f"no worse than the uniform one in {held} of {errors[kind].size} cells"
        self.emit(record, lambda: self._figure(samplers[0], record))

    def _check(self) -> None:
        from speedlimits.theory.samplers import SCHEDULES

        for name in ("radius", "schedule", "steps"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must be one or more; there is none.")
        check_non_negative("radius", self.radius)
        check_positive("deviation", self.deviation)
        for schedule in self.schedule:
            check_one_of("schedule", schedule, SCHEDULES)
        for steps in self.steps:
            check_integer("steps", steps, minimum=1, maximum=MOST["steps"])
        for name in ("components", "particles"):
            check_integer(name, getattr(self, name), minimum=1, maximum=MOST[name])
        check_integer("rng_seed", self.rng_seed, minimum=0)

    def _cells(self, sampler: "Sampler", noise: np.ndarray) -> dict[str, Any]:
        """The limit of one flow, and the errors of all grids."""
        from speedlimits.theory.samplers import GRIDS

        grids = [sampler.grid(steps, kind) for steps in self.steps for kind in GRIDS]
        errors = np.reshape(sampler.errors(noise, grids), (len(self.steps), len(GRIDS)))
        return {
            "limit": limit_record(sampler.speed_limit)
            | {"distance": "exact" if self.components == 1 else "from below"},
            "errors": {"steps": np.array(self.steps, dtype=float)} | dict(zip(GRIDS, errors.T, strict=True)),
        }

    def _figure(self, sampler: "Sampler", record: dict[str, Any]) -> "Figure":
        from speedlimits.report.figures.panels import Panel, panels
        from speedlimits.theory.samplers import GRIDS

        name = f"radius {self.radius[0]:g}, {sampler.schedule}"
        errors = record[name]["errors"]
        shares = np.linspace(0.0, 1.0, 41)
        return panels(
            f"{self.components} Gaussians, {name}",
            Panel(
                "Error of Euler's method",
                "steps",
                "relative",
                {kind: (errors["steps"], errors[kind]) for kind in GRIDS},
            ),
            Panel(
                "Where the steps are spent",
                "share of the steps",
                "time $t$, from noise to data",
                {kind: (shares, sampler.grid(40, kind)) for kind in GRIDS},
                ("linear", "linear"),
            ),
        )
