"""What every `speedlimits theory` command leaves: one JSON object or tables on stdout, and a figure if asked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits._numbers import plain
from speedlimits.bound import SpeedLimit
from speedlimits.cli.table import print_table
from speedlimits.cli.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = ("time", "w2_squared", "dissipation", "arc_length", "speed_limit", "inefficiency", "geometric", "pace")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Options that all commands share."""

    json: bool = False
    """Print one JSON object with every digit: numbers for one time, lists for several; null is not a finite number."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw a figure; the suffix says how: .png, .pdf or .svg."""

    def __post_init__(self) -> None:
        if self.plot is not None:
            from speedlimits.report.figures.sheet import check_suffix

            check_suffix("plot", self.plot)

    def emit(self, record: Mapping[str, Any], draw: Callable[[], "Figure"]) -> None:
        """Draw the figure if asked for, then print.

        Args:
            record: names and values; arrays are series over the times, mappings are parts with a heading.
            draw: makes the figure; not called without need, because matplotlib takes a second to import.
        """
        if self.plot is not None:
            from speedlimits.report.figures.sheet import save

            save(draw(), self.plot)
        if self.json:
            print(json.dumps(plain(record), allow_nan=False))
        else:
            print_tables(record)


def time_array(times: tuple[float, ...]) -> np.ndarray:
    """The times asked for, as an array.

    Args:
        times: as the command line has them.

    Returns:
        The same.

    Raises:
        ValueError: if there is none.
    """
    if not times:
        raise ValueError("`time` must be one number or more; there is none.")
    return np.array(times)


def limit_record(limit: SpeedLimit) -> dict[str, np.ndarray]:
    """Every number of a speed limit by name.

    Args:
        limit: for one time or several.

    Returns:
        Name to value, each of the shape of the limit's times.
    """
    return {name: getattr(limit, name) for name in QUANTITIES}


def squeezed(limit: SpeedLimit) -> SpeedLimit:
    """One time is a number, several are a series.

    Args:
        limit: a series.

    Returns:
        The same, without its axis if that holds one time only.
    """
    return limit[0] if len(limit) == 1 else limit


def print_tables(record: Mapping[str, Any], heading: str = "") -> None:
    """Print a record for a reader: one table with a row per time, then its texts, then its parts.

    Args:
        record: as given to `Output.emit`.
        heading: above the table.
    """
    columns = {name: np.atleast_1d(value) for name, value in record.items() if isinstance(value, np.ndarray | float)}
    if columns:
        rows = [[f"{value:.6g}" for value in row] for row in zip(*columns.values(), strict=True)]
        print_table(list(columns), rows, title=heading)
    for name, value in record.items():
        if isinstance(value, Mapping):
            print_tables(value, f"{heading} {name}".strip())
        elif name not in columns and value != ():
            say(f"{name}: {'; '.join(value) if isinstance(value, tuple) else value}")
