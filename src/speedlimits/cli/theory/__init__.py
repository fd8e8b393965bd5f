"""`speedlimits theory`: the closed forms of the paper, one module per system they are for."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from speedlimits.cli.theory.constant_kernel import ConstantKernelCommand
from speedlimits.cli.theory.finite_steps import FiniteStepsCommand
from speedlimits.cli.theory.fokker_planck import FokkerPlanckCommand
from speedlimits.cli.theory.linear_regression import LinearRegressionCommand
from speedlimits.cli.theory.mini_batches import MiniBatchesCommand
from speedlimits.cli.theory.power_law import PowerLawCommand
from speedlimits.cli.theory.sampler import SamplerCommand
from speedlimits.cli.theory.schedules import SchedulesCommand
from speedlimits.cli.theory.surrogate import SurrogateCommand


@dataclass(frozen=True)
class TheoryCommand:
    """Speed limits in closed form, without training anything."""

    system: (
        Annotated[LinearRegressionCommand, tyro.conf.subcommand("linear-regression")]
        | Annotated[ConstantKernelCommand, tyro.conf.subcommand("ntk")]
        | Annotated[PowerLawCommand, tyro.conf.subcommand("power-law")]
        | Annotated[FokkerPlanckCommand, tyro.conf.subcommand("fokker-planck")]
        | Annotated[MiniBatchesCommand, tyro.conf.subcommand("mini-batches")]
        | Annotated[SamplerCommand, tyro.conf.subcommand("sampler")]
        | Annotated[FiniteStepsCommand, tyro.conf.subcommand("finite-steps")]
        | Annotated[SurrogateCommand, tyro.conf.subcommand("surrogate")]
        | Annotated[SchedulesCommand, tyro.conf.subcommand("schedules")]
    )

    def __call__(self) -> None:
        """Compute and print."""
        self.system()
