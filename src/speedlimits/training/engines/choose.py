"""An engine by its name."""

from typing import Any

from speedlimits._checks import check_one_of
from speedlimits.errors import SpeedLimitsError
from speedlimits.training.engines.engine import Engine
from speedlimits.training.engines.inline import InlineEngine
from speedlimits.training.engines.local import LocalEngine

ENGINES = ("local", "inline", "ray")


def choose(engine: str | Engine, workers: int | None, **options: Any) -> Engine:
    """An engine by its name, or as it is.

    Args:
        engine: local, inline, ray, or an engine.
        workers: jobs side by side, for an engine given by name.
        **options: those of `RayEngine`; None stands for an option not given.

    Returns:
        The engine.

    Raises:
        ValueError: if there is none of that name, or an option is given that it does not have.
        SpeedLimitsError: if what it needs is not installed.
    """
    if not isinstance(engine, str):
        if workers is not None:
            raise ValueError(f"`workers` must be given to the engine itself, or its name be used; workers = {workers}.")
        return engine
    check_one_of("engine", engine, ENGINES)
    if engine == "ray":
        # Late: Ray need not be installed.
        try:
            from speedlimits.training.engines.ray import RayEngine
        except ModuleNotFoundError as error:
            if error.name not in {"ray", "fsspec"}:
                raise
            raise SpeedLimitsError(f"engine ray needs {error.name}: pip install 'speedlimits[ray]'.") from None
        return RayEngine(workers=workers, **options)
    for key, value in options.items():
        if value is not None:
            raise ValueError(f"`{key}` must be left out unless `engine` is 'ray'; {key} = {value}.")
    if engine == "local":
        return LocalEngine(workers=workers)
    if workers not in {None, 1}:
        raise ValueError(f"`workers` must be left out, or 1, with engine 'inline'; workers = {workers}.")
    return InlineEngine()
