"""`speedlimits theory`: which system to ask about."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from speedlimits.cli.theory.fokker_planck import FokkerPlanck
from speedlimits.cli.theory.linear_regression import LinearRegression
from speedlimits.cli.theory.ntk import Ntk


@dataclass(frozen=True)
class Theory:
    """Speed limits in closed form, without training anything."""

    system: (
        Annotated[LinearRegression, tyro.conf.subcommand("linear-regression")]
        | Annotated[Ntk, tyro.conf.subcommand("ntk")]
        | Annotated[FokkerPlanck, tyro.conf.subcommand("fokker-planck")]
    )

    def __call__(self) -> None:
        """Compute and print."""
        self.system()
