"""Where else a recorder's numbers go while it records: what a tracker must be able to do, and what it is given."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from speedlimits._checks import shown
from speedlimits.bound import SpeedLimit
from speedlimits.noise import Noise


@runtime_checkable
class Mirror(Protocol):
    """Anything that shows numbers while they come in. It is only written to."""

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Show the numbers of one record.

        Args:
            step: gradients spent so far, steps unless the user counts otherwise.
            numbers: by name, all finite; see `numbers_of`.
        """
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class Mirrors:
    """Writes to all mirrors; one that fails is named in the log once, and left out from then on.

    Of several processes only the first writes.

    Args:
        mirrors: any.

    Raises:
        ValueError: if one is none.
    """

    def __init__(self, mirrors: Iterable[Mirror]) -> None:
        self._mirrors = list(mirrors)
        for mirror in self._mirrors:
            if isinstance(mirror, type) or not isinstance(mirror, Mirror):
                raise ValueError(f"`mirrors` must have `write` and `close`, see `Mirror`; got {shown(mirror)}.")

    def __bool__(self) -> bool:
        return bool(self._mirrors)

    def show(
        self, record: Mapping[str, Any], noise: Callable[[], Noise], layers: Callable[[], Mapping[str, SpeedLimit]]
    ) -> None:
        """Write one record to each.

        Args:
            record: see `numbers_of`, and ``gradient_evaluations``.
            noise: gives what is known of it so far.
            layers: gives the limits of those layers that are wanted.
        """
        try:
            share = noise().share
        except ValueError:
            # No time has passed yet, or the path is not seen at strides.
            share = math.nan
        limits = layers() if record["time"] > 0 else {}
        of_layers = {
            f"{number}/{name}": float(getattr(limit, number))
            for name, limit in limits.items()
            for number in ("inefficiency", "geometric", "pace")
        }
        self.write(record["gradient_evaluations"], numbers_of(record, share) | of_layers)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Write these to each; numbers that are not finite are left out.

        Args:
            step: see `Mirror.write`.
            numbers: by name.
        """
        finite = {name: float(number) for name, number in numbers.items() if math.isfinite(number)}
        for mirror in list(self._mirrors) if first_rank() else []:
            try:
                mirror.write(step, finite)
            except Exception as error:
                self._leave_out(mirror, error)

    def close(self) -> None:
        """Close each."""
        for mirror in list(self._mirrors) if first_rank() else []:
            try:
                mirror.close()
            except Exception as error:
                self._leave_out(mirror, error)

    def _leave_out(self, mirror: Mirror, error: Exception) -> None:
        self._mirrors.remove(mirror)
        # A warning could have been made an error, and would stop the training after all.
        logging.getLogger(__name__).warning(
            "%s is written to no more: %s: %s", type(mirror).__name__, type(error).__name__, error
        )


def numbers_of(record: Mapping[str, float], noise_share: float) -> dict[str, float]:
    r"""What mirrors are given of a record.

    .. math:: T_{SL} = \frac{|\Delta\theta|^2}{\sum|\delta|^2/\Delta t}, \qquad
       \frac{T}{T_{SL}} = \underbrace{\frac{l^2}{|\Delta\theta|^2}}_{\text{geometric}}
       \underbrace{\frac{T\sum|\delta|^2/\Delta t}{l^2}}_{\text{pace}}

    Args:
        record: ``time`` T, ``loss``, ``w2_squared`` |Δθ|², ``arc_length`` l and ``path_dissipation`` Σ|δ|²/Δt.
        noise_share: of noise in the dissipation; NaN where it is not known.

    Returns:
        By name; NaN where nothing has moved.
    """
    time, w2_squared, squared_length = record["time"], record["w2_squared"], record["arc_length"] ** 2
    path_dissipation = record["path_dissipation"]
    return {
        "time": time,
        "loss": record["loss"],
        "speed_limit": _ratio(w2_squared, path_dissipation),
        "inefficiency": _ratio(time * path_dissipation, w2_squared),
        "geometric": _ratio(squared_length, w2_squared),
        "pace": _ratio(time * path_dissipation, squared_length),
        "noise_share": noise_share,
    }


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def first_rank() -> bool:
    """Whether this is the one process, or the first of several."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
