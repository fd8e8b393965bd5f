"""Several studies in one folder, such as the same networks on more and more images: each a run folder of its own."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import Run, RunFolder
from speedlimits.runs.study import load_study, writing
from speedlimits.training.engines.engine import Engine, choose
from speedlimits.training.train import Progress, check_all, execute


def train_study(
    studies: Mapping[str, RunConfig],
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    engine: str | Engine = "local",
    workers: int | None = None,
    progress: Callable[[str, Progress], None] = lambda _, __: None,
) -> dict[str, Run]:
    """Run several studies, the members of all of them in one queue, those with most images first.

    Args:
        studies: by the names of their run folders.
        out: the study folder: new, empty, or, with one of the flags, one that holds these very studies.
        resume: go on with what is there; finished members are only read.
        force: replace what is there.
        engine: as of `train_run`.
        workers: as of `train_run`.
        progress: called with a study's name when one of its members has moved on.

    Returns:
        The finished runs by name.

    Raises:
        ValueError: if a configuration names something unknown, or both flags are given.
        RunFolderError: if the folder is not fit to write to.
        SpeedLimitsError: if training fails, as `train_run`.
        OSError: what the disk reports.
    """
    chosen = choose(engine, workers)
    check_all(studies, chosen)
    with writing(Path(out), studies, resume=resume, force=force) as folder, contextlib.ExitStack() as locks:
        runs: dict[str, RunFolder] = {}
        for name, config in studies.items():
            begun = (folder / name / "config.toml").exists()
            runs[name] = locks.enter_context(RunFolder.writing(folder / name, config, resume=begun))
        execute(runs, chosen, log=folder / "workers.log", replace=force, progress=progress)
    return load_study(out)
