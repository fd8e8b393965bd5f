"""Trackers as mirrors of a recorder: TensorBoard, MLflow and Weights & Biases, written to and never read."""

import importlib
from pathlib import Path
from typing import Any

from speedlimits._checks import shown

# What the trackers show together.
GROUP = "speedlimits"


class TensorBoard:
    """Event files for TensorBoard.

    Args:
        where: a folder, or a ``SummaryWriter`` in use, which stays open.

    Raises:
        ImportError: if tensorboard is not installed.
        ValueError: if ``where`` is neither.
    """

    def __init__(self, where: str | Path | Any) -> None:
        _need("tensorboard", "tensorboard")
        folder = isinstance(where, str | Path)
        _check(folder or hasattr(where, "add_scalar"), "where", "a folder or a SummaryWriter", where)
        self._where = where
        self._writer: Any = None if folder else where

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One point for each number; see `speedlimits.recorder.mirrors.Mirror`."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._where))
        for name, number in numbers.items():
            self._writer.add_scalar(f"{GROUP}/{name}", number, step)

    def close(self) -> None:
        """Write what waits; close the writer, unless it was given."""
        if self._writer is not None:
            self._writer.flush()
            if self._writer is not self._where:
                self._writer.close()
                self._writer = None


class MLflow:
    """Metrics of a run of MLflow.

    Args:
        run_id: of a run; by default the active one, or else a new one, which is ended by `close`.

    Raises:
        ImportError: if neither mlflow nor mlflow-skinny is installed.
        ValueError: if ``run_id`` is no text.
    """

    def __init__(self, run_id: str | None = None) -> None:
        _need("mlflow", "mlflow")
        _check(run_id is None or isinstance(run_id, str), "run_id", "a text or None", run_id)
        self._run_id = run_id
        self._own = False

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One value for each number; see `speedlimits.recorder.mirrors.Mirror`."""
        import mlflow

        if self._run_id is None:
            active = mlflow.active_run()
            self._own = active is None
            self._run_id = (active or mlflow.start_run()).info.run_id
        metrics = {f"{GROUP}/{name}": number for name, number in numbers.items()}
        mlflow.log_metrics(metrics, step=step, run_id=self._run_id)

    def close(self) -> None:
        """End the run, unless it was there before."""
        if self._own:
            import mlflow

            mlflow.end_run()
            self._own, self._run_id = False, None


class WandB:
    """Metrics of a run of Weights & Biases, over an axis of their own, ``speedlimits/step``.

    Args:
        run: a run; by default the active one, or else a new one, which is finished by `close`.
        **options: of ``wandb.init`` for a new one, such as ``project`` or ``mode="offline"``.

    Raises:
        ImportError: if wandb is not installed.
        ValueError: if ``run`` is none, such as the name of a project.
    """

    def __init__(self, run: Any = None, **options: Any) -> None:
        _need("wandb", "wandb")
        _check(run is None or hasattr(run, "define_metric"), "run", "a run of wandb or None", run)
        self._run: Any = run
        self._options = options
        self._own = self._ready = False

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One point for each number; see `speedlimits.recorder.mirrors.Mirror`."""
        if not self._ready:
            self._open()
        self._run.log({f"{GROUP}/{name}": number for name, number in numbers.items()} | {f"{GROUP}/step": step})

    def close(self) -> None:
        """Finish the run, unless it was there before."""
        if self._own:
            self._run.finish()
            self._run = None
        self._own = self._ready = False

    def _open(self) -> None:
        import wandb

        if self._run is None:
            self._run = wandb.run
        if self._run is None:
            self._run, self._own = wandb.init(**self._options), True
        # The tracker's own step is the training's, and may be further on than a record: it would drop the record.
        self._run.define_metric(f"{GROUP}/*", step_metric=f"{GROUP}/step")
        self._ready = True


def _check(right: bool, name: str, rule: str, value: object) -> None:
    if not right:
        raise ValueError(f"`{name}` must be {rule}; {name} = {shown(value)}.")


def _need(module: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this tracker needs {module}: pip install 'speedlimits[{extra}]'") from error
