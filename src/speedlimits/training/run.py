"""Run a study: plan, train every member, summarise."""

from collections.abc import Callable
from pathlib import Path

from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import Run, RunFolder, load_run
from speedlimits.training.engines.engine import Engine, choose
from speedlimits.training.train import Progress, check_all, execute


def train_run(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    engine: str | Engine = "local",
    workers: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Train every member of a study and write its run folder.

    The numbers do not depend on ``engine`` nor ``workers`` nor on whether the run was interrupted: on the CPU, bit for
    bit.

    Args:
        config: the study.
        out: the run folder: new, empty, or, with one of the flags, one that holds this study.
        resume: go on with the interrupted run that is there.
        force: replace the run that is there.
        engine: what does the work: local, processes on this machine; ray, a Ray cluster; or an engine such as
            ``RayEngine(storage="s3://…")`` of `speedlimits.training.engines.ray`.
        workers: members side by side, one thread each; by default one for each core.
        progress: called when a member has moved on.

    Returns:
        The finished run.

    Raises:
        ValueError: if the configuration names something unknown or asks for too much.
        RunFolderError: if the folder is not fit to write to, see `RunFolder.writing`.
        DivergenceError: if a member's loss stops being finite.
        SpeedLimitsError: if a worker process fails.
        OSError: what the disk reports.
    """
    chosen = choose(engine, workers)
    name = Path(out).resolve().name
    check_all({name: config}, chosen)
    with RunFolder.writing(out, config, resume=resume, force=force) as run:
        execute(
            {name: run},
            chosen,
            log=run.path / "workers.log",
            replace=force,
            progress=lambda _, event: progress(event),
        )
    return load_run(out)
