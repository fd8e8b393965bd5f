"""The job script for Slurm: each seed a run, requeued jobs go on, and all of them are one page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speedlimits import load_run, report
from tests.cli.options import TINY

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm.sh"
# Of the seeds the array takes care.
OPTIONS = [*TINY[: TINY.index("--seeds")], *TINY[TINY.index("--time") :]]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def job(folder: Path, seed: int, *options: str) -> subprocess.CompletedProcess:
    """One task of the array, as Slurm starts it."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(seed), "PATH": path}
    return subprocess.run(
        ["bash", SCRIPT, folder, *options], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_array_of_seeds_is_one_page(tmp_path):
    """Two tasks are two runs of one seed each; requeued ones end as they were; their trajectories make one report."""
    for seed in (0, 1):
        done = job(tmp_path, seed, *OPTIONS)
        assert done.returncode == 0, done.stderr
    runs = [load_run(path) for path in sorted(tmp_path.iterdir())]
    assert [list(run.trajectories) for run in runs] == [[0], [1]]
    # Stopped before its end: the member has no last file, the run no summary.
    for name in ("members/seed-00001/member.json", "summary.json", "manifest.json"):
        (tmp_path / "seed-00001" / name).unlink()
    again = job(tmp_path, 1, *OPTIONS)
    assert again.returncode == 0, again.stderr
    members = [member for run in runs for member in run.trajectories.values()]
    assert load_run(tmp_path / "seed-00001").trajectories[1].losses.tolist() == members[1].losses.tolist()
    assert report.write_trajectories(members, tmp_path / "all", title="Two seeds").exists()


def test_folder_is_asked_for(tmp_path):
    """Without a folder the job says so and writes nothing."""
    done = subprocess.run(["bash", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the folder of all runs is the first argument" in done.stderr
    assert not list(tmp_path.iterdir())
