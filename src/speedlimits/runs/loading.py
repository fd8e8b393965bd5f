"""Reading whatever lies in a folder: a run, a run with noise, or a recording."""

from pathlib import Path

from speedlimits.runs.identity import MARKS
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.recording import Recording, load_recording
from speedlimits.runs.run import Run, load_run


def load(directory: str | Path) -> Run | NoisyRun | Recording:
    """Read a finished run, with noise or without, or a recording; needs no torch.

    Args:
        directory: the folder.

    Returns:
        What lies there, checked.

    Raises:
        RunFolderError: if it is neither, the run has not ended, or a file is missing or damaged.
    """
    return load_recording(directory) if (Path(directory) / MARKS["recording"]).exists() else load_run(directory)
