"""`speedlimits theory`: which system to ask about."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from speedlimits.cli.theory.fokker_planck import FokkerPlanck
from speedlimits.cli.theory.linear_regression import LinearRegression
from speedlimits.cli.theory.ntk import Ntk
from speedlimits.cli.theory.power_law import PowerLaw


@dataclass(frozen=True)
class Theory:
    """Speed limits in closed form, without training anything."""

    system: (
        Annotated[LinearRegression, tyro.conf.subcommand("linear-regression")]
        | Annotated[Ntk, tyro.conf.subcommand("ntk")]
        | Annotated[PowerLaw, tyro.conf.subcommand("power-law")]
        | Annotated[FokkerPlanck, tyro.conf.subcommand("fokker-planck")]
    )

    def __call__(self) -> None:
        """Compute and print."""
        self.system()
