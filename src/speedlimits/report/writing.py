"""Reports: page and figures of a run, or of the trajectories of any training loops."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from speedlimits.report.curves import later_views
from speedlimits.report.figures.kernel import kernel_figure
from speedlimits.report.figures.overview import overview
from speedlimits.report.figures.sheet import save
from speedlimits.report.pages.noisy import write_noisy_page
from speedlimits.report.pages.page import write_page
from speedlimits.report.pages.recording import later_starts, write_recording_page
from speedlimits.report.words import loss_label, title
from speedlimits.runs.identity import check_still
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.recording import Recording
from speedlimits.runs.run import Run
from speedlimits.runs.trajectories import summarise_trajectories
from speedlimits.trajectory import Trajectory

PAGE, FIGURE, KERNEL = "report.html", "overview.png", "kernel.png"


def write(run: Run | NoisyRun | Recording, folder: str | Path | None = None) -> Path:
    """Write the report of a finished run, or of a recording.

    Args:
        run: from `speedlimits.load_run`, `speedlimits.train_run` or `speedlimits.runs.load_recording`.
        folder: where to, made if it is missing; by default the run's own.

    Returns:
        Where the page lies: ``report.html``. Beside it lie, without noise, ``overview.png`` and, where the run has a
        ``kernel.npz``, ``kernel.png``.

    Raises:
        RunFolderError: if ``kernel.npz`` is damaged, or another run has come into the folder.
        ValueError: if a recording has no folder yet and none is given, or has one record only.
        OSError: what the disk reports.
    """
    if folder is None:
        folder = _own(run)
    folder = _made(folder)
    if isinstance(run, Recording):
        write_recording_page(folder / PAGE, run)
        save(_recording_overview(run), folder / FIGURE)
        return folder / PAGE
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


def _own(run: Run | NoisyRun | Recording) -> Path:
    """The folder it was read from, if it still lies there."""
    if run.path is None:
        raise ValueError("`folder` must be given for a recording that was not read from one.")
    # Those of version 0.1 have no id.
    if identity := run.provenance.get("id"):
        check_still(run.path, identity, "recording" if isinstance(run, Recording) else "run")
    return run.path


def _recording_overview(recording: Recording) -> Figure:
    seen = [recording.trajectory]
    heading = title(recording.summary, f"{recording.config.weights:,} weights")
    return overview(seen, later_starts(seen), heading, loss_label(recording.summary), recording.noise)


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
    summary = summarise_trajectories(trajectories, warm, title, loss_name)
    save(overview(trajectories, warm, title, loss_label(summary)), folder / FIGURE)
    write_page(folder / PAGE, summary, {}, {"warm_start": warm_start}, trajectories)
    return folder / PAGE


def _made(folder: str | Path) -> Path:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
