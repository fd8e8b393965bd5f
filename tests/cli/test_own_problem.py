"""Problems of one's own from the command line: run, resumed, noisy, studied, and refused in one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speedlimits.cli.main import main
from tests import own_problems

FILE = str(Path(own_problems.__file__))
SHORT = ["--seeds", "0", "1", "--time", "0.05", "--records", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run of a transformer on tokens."""
    out = tmp_path_factory.mktemp("own") / "run"
    options = [*SHORT, "--snapshots", "4", "--workers", "1"]
    assert main(["run", "--problem", f"{FILE}:transformer", "--out", str(out), *options]) == 0
    return out


def test_run_has_page_and_provenance(folder):
    """The page is written; provenance has the source's hash, the configuration no word of built-in networks."""
    assert (folder / "report.html").stat().st_size > 100_000
    problem = json.loads((folder / "provenance.json").read_text())["problem"]
    assert problem["name"] == f"{FILE}:transformer"
    assert len(problem["sha256"]) == 64
    text = (folder / "config.toml").read_text()
    assert "dataset" not in text
    assert "width" not in text


def test_resume_needs_the_name_once_more(folder, tmp_path, capsys):
    """A folder alone runs no code: --resume asks for --problem, and goes on with it."""
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    out = ["run", "--out", str(tmp_path / "run"), "--resume"]
    assert main(out) == 2
    assert "`problem` must be named by you, because its code will run" in capsys.readouterr().err
    assert main([*out, "--problem", f"{FILE}:signal"]) == 1
    assert "`problem` must be 'transformer' as in" in capsys.readouterr().err
    assert main([*out, "--problem", f"{FILE}:transformer"]) == 0


def test_study_and_figure(tmp_path, capsys):
    """`study --problem --samples` writes a run for each number; without numbers, or with a preset, one line."""
    own = ["study", "--problem", f"{FILE}:tabular", "--out", str(tmp_path / "study")]
    assert main(own) == 2
    assert "`samples` must be one number or more for a problem of your own" in capsys.readouterr().err
    assert main([*own, "--samples", "4", "--preset", "smoke"]) == 2
    assert "`preset` must be left out with a problem of your own" in capsys.readouterr().err
    assert main([*own, "--samples", "4", "8", *SHORT, "--workers", "1"]) == 0
    assert sorted(path.name for path in (tmp_path / "study").iterdir() if path.is_dir()) == ["n00004", "n00008"]


def test_langevin(tmp_path, capsys):
    """Noisy training of two-input networks ends with a page and a verdict."""
    options = ["--members", "400", "--time", "0.02", "--records", "2", "--strengths", "2", "--anneal-steps", "1"]
    assert main(["langevin", "--problem", f"{FILE}:two_inputs", "--out", str(tmp_path / "run"), *options]) == 0
    assert "T_SL" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").exists()


def test_broken_file_is_one_line(tmp_path):
    """The last line of the file's own traceback is shown, the rest with --debug."""
    (tmp_path / "mine.py").write_text("import no_such_package\n")
    command = [sys.executable, "-m", "speedlimits.cli.main", "run", "--problem", "mine.py:build", "--out", "run"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "speedlimits: `problem` must be importable; mine.py:build failed: ModuleNotFoundError: No module named "
        "'no_such_package'"
    ]
    found = subprocess.run([*command, "--debug"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'mine.py", line 1, in <module>' in found.stderr


def test_neighbouring_module_is_found(tmp_path):
    """A file may import what lies beside it, in the workers too; a neighbour named torch hides nothing."""
    (tmp_path / "shapes.py").write_text("WIDTH = 2\n")
    (tmp_path / "torch.py").write_text("raise RuntimeError('hidden')\n")
    (tmp_path / "mine.py").write_text(
        "import shapes, torch\nfrom speedlimits import Problem\n\ndef build(seed):\n"
        "    x = torch.ones(3, shapes.WIDTH)\n    return Problem(torch.nn.Linear(shapes.WIDTH, 1), x, x[:, :1])\n"
    )
    command = [Path(sys.executable).parent / "speedlimits", "run", "--problem", "mine.py:build", "--out", "run", *SHORT]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
