"""Several studies in one folder, such as the same networks on more and more images: each a run folder of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from speedlimits.study.config import StudyConfig
from speedlimits.study.folder import Run
from speedlimits.study.run import Progress, run_study
from speedlimits.study.sweep_folder import load_sweep, writing


def run_sweep(
    studies: Mapping[str, StudyConfig],
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    workers: int | None = None,
    progress: Callable[[str, Progress], None] = lambda _, __: None,
) -> dict[str, Run]:
    """Run one study after the other, the members of each side by side.

    Args:
        studies: by the names of their run folders.
        out: the study folder: new, empty, or, with one of the flags, one that holds these very studies.
        resume: go on with what is there; finished studies are only read.
        force: replace what is there.
        workers: as of `run_study`.
        progress: called with a study's name when one of its members has moved on.

    Returns:
        The finished runs by name.

    Raises:
        ValueError: if a configuration names something unknown, or both flags are given.
        RunFolderError: if the folder is not fit to write to.
        SpeedLimitsError: if training fails, as `run_study`.
        OSError: what the disk reports.
    """
    with writing(Path(out), studies, resume=resume, force=force) as folder:
        for name, config in studies.items():
            begun = (folder / name / "config.toml").exists()
            run_study(
                config,
                folder / name,
                resume=begun,
                workers=workers,
                progress=lambda event, name=name: progress(name, event),
            )
    return load_sweep(out)
