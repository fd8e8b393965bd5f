"""Reports: page and figures of a run, or of the trajectories of any training loops."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits._numbers import deviation, finite_or_none
from speedlimits.bound import SpeedLimit, speed_limit
from speedlimits.report.curves import later_views
from speedlimits.report.figures.kernel import kernel_figure
from speedlimits.report.figures.overview import overview
from speedlimits.report.figures.sheet import save
from speedlimits.report.pages.noisy import write_noisy_page
from speedlimits.report.pages.page import write_page
from speedlimits.report.words import loss_label, title
from speedlimits.runs.identity import check_still
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.run import Run
from speedlimits.trajectory import Trajectory

PAGE, FIGURE, KERNEL = "report.html", "overview.png", "kernel.png"


def write(run: Run | NoisyRun, folder: str | Path | None = None) -> Path:
    """Write the report of a finished run.

    Args:
        run: from `speedlimits.load_run` or `speedlimits.train_run`.
        folder: where to, made if it is missing; by default the run's own.

    Returns:
        Where the page lies: ``report.html``. Beside it lie, without noise, ``overview.png`` and, where the run has a
        ``kernel.npz``, ``kernel.png``.

    Raises:
        RunFolderError: if ``kernel.npz`` is damaged, or another run has come into the folder.
        OSError: what the disk reports.
    """
    # Those of version 0.1 have no id.
    if folder is None and (identity := run.provenance.get("id")):
        check_still(run.path, identity)
    folder = _made(run.path if folder is None else folder)
    if isinstance(run, NoisyRun):
        write_noisy_page(folder / PAGE, run.summary)
        return folder / PAGE
    members = [run.trajectories[seed] for seed in run.config.seeds]
    warm = later_views(members, run.config.warm_start)
    heading = title(run.summary, f"{len(members)} seeds")
    save(overview(members, warm, heading, loss_label(run.summary)), folder / FIGURE)
    kernel = KernelRecord.of_run(run)
    if kernel is not None:
        heading = title(run.summary, f"seed {kernel.seed}")
        save(kernel_figure(kernel, run.trajectories[kernel.seed], heading), folder / KERNEL)
    config = run.config.to_dict()
    write_page(folder / PAGE, run.summary, run.provenance, config, members, kernel)
    return folder / PAGE


def write_trajectories(
    trajectories: Sequence[Trajectory],
    folder: str | Path,
    *,
    title: str,
    loss_name: str = "",
    warm_start: float = 0.01,
) -> Path:
    """Write the report of any training loops, such as `speedlimits.Recorder` has watched.

    Args:
        trajectories: one network or several alike, recorded at the same times. Accuracy, weight triples and kept
            weights may be missing: what needs them is left out.
        folder: where to; made if it is missing.
        title: of the page and the figure.
        loss_name: what the axis of the loss says beside "loss"; ``"squared"`` and ``"cross_entropy"`` are spelt out.
        warm_start: share of the time at which the second curves start, at the nearest kept weights.

    Returns:
        Where the page lies: ``report.html``, with ``overview.png`` beside it. All numbers are by the dissipation of
        the path, whose limit holds for any optimizer and any steps.

    Raises:
        ValueError: if there is no trajectory, one has a single record, or they were recorded at different times.
        OSError: what the disk reports.
    """
    if not trajectories:
        raise ValueError("`trajectories` must hold at least one; it is empty.")
    for k, run in enumerate(trajectories):
        if len(run) < 2:
            raise ValueError(f"`trajectories` must have two records or more; trajectories[{k}] has {len(run)}.")
    folder = _made(folder)
    warm = later_views(trajectories, warm_start)
    summary = _summary(trajectories, warm, title, loss_name)
    save(overview(trajectories, warm, title, loss_label(summary)), folder / FIGURE)
    write_page(folder / PAGE, summary, {}, {"warm_start": warm_start}, trajectories)
    return folder / PAGE


def _made(folder: str | Path) -> Path:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def _summary(
    trajectories: Sequence[Trajectory], warm: Sequence[Trajectory], name: str, loss_name: str
) -> dict[str, Any]:
    """What ``summary.json`` would hold, as far as trajectories alone say it."""
    limits = [speed_limit(run).final for run in trajectories]
    rows = [_row(k, run, limit) for k, (run, limit) in enumerate(zip(trajectories, limits, strict=True), start=1)]
    later = [_row(k, run, speed_limit(run).final) for k, run in enumerate(warm, start=1)]
    reasons = [reason for limit in limits for reason in limit.reasons]
    return {
        "name": name,
        "loss_name": loss_name,
        **dict.fromkeys(("samples", "parameters", "method")),
        "time": trajectories[0].time,
        "members": rows,
        **_over(rows),
        "warm_start": _over(later),
        "certified": not reasons,
        "reasons": reasons,
    }


def _row(seed: int, run: Trajectory, limit: SpeedLimit) -> dict[str, Any]:
    numbers = {
        "start_time": run.start_time,
        "loss_initial": run.losses[0],
        "loss_final": run.losses[-1],
        "spent": limit.dissipation,
        "gradient_evaluations": run.gradient_evaluations[-1],
        "test_accuracy": run.test_accuracy[-1],
        "points": limit.points,
    }
    limits = {key: getattr(limit, key) for key in ("w2_squared", "speed_limit", "inefficiency", "geometric", "pace")}
    return {"seed": seed} | {key: finite_or_none(value) for key, value in (numbers | limits).items()}


def _over(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and deviation (n − 1) of each number that all rows have."""
    keys = [key for key in (rows[0] if rows else {}) if key != "seed"]
    columns = {key: [row[key] for row in rows] for key in keys}
    held = {key: np.array(values) for key, values in columns.items() if None not in values}
    none: dict[str, float | None] = dict.fromkeys(keys)
    return {
        "mean": none | {key: float(values.mean()) for key, values in held.items()},
        "std": none | {key: finite_or_none(deviation(values)) for key, values in held.items()},
    }
