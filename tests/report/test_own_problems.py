"""`figure1`, `kernel`, `show` and `compare` of networks and data of one's own: named by what they are, no accuracy."""

from pathlib import Path

import pytest

from speedlimits import RunConfig
from speedlimits.cli.main import main
from speedlimits.training.train import train_study

SOURCE = """
import torch
from torch import nn
from speedlimits import Problem

def sums(seed, samples=12):
    inputs = torch.randn(samples, 3, generator=torch.Generator().manual_seed(7))
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return Problem(model, inputs, inputs.sum(dim=1, keepdim=True), name="sums, tanh MLP")

def signs(seed, samples=12):
    inputs = torch.randn(samples, 3, generator=torch.Generator().manual_seed(7))
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return Problem(model, inputs, (inputs[:, 0] > 0).long(), loss="cross_entropy", name="signs/MLP")
"""

pytestmark = pytest.mark.usefixtures("as_user")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("own") / "mine.py"
    file.write_text(SOURCE)
    return file


@pytest.fixture(scope="module")
def study(source) -> Path:
    """Sums of two sizes, and signs."""
    common = {"seeds": (0, 1), "time": 0.1, "records": 20, "snapshots": 6}
    runs = {
        f"{function}-{n}": RunConfig(problem=f"{source}:{function}", samples=n, **common)
        for function, n in (("sums", 12), ("sums", 24), ("signs", 12))
    }
    train_study(runs, source.parent / "study", workers=1)
    return source.parent / "study"


@pytest.mark.slow
def test_figure1_is_by_name(study, source, capfd):
    """A folder of figures for each problem; the kernel's panel where the code is named, and said where it is not."""
    assert main(["figure1", str(study)]) == 0
    printed = capfd.readouterr()
    assert f"Panel (f) is left out: --problem {source}:sums draws it." in printed.err
    assert printed.err.count("Panel (f)") == 1
    assert "sums, tanh MLP; held out: nothing" in printed.out
    folders = {path.name for path in (study / "figure1").iterdir()}
    assert folders == {"sums-tanh-MLP", "signs-MLP"}
    assert "needs a warm start" in (study / "figure1" / "signs-MLP" / "claims.md").read_text()
    assert main(["figure1", str(study), "--problem", f"{source}:sums", "--start-time", "0.01"]) == 0
    assert (study / "figure1" / "sums-tanh-MLP" / "panel_f.png").exists()
    assert not (study / "figure1" / "signs-MLP" / "panel_f.png").exists()


def test_kernel_runs_only_the_code_that_is_named(study, source, capsys):
    """Without --problem it is refused; with it the report gains its panels; of another loss there is no prediction."""
    run = str(study / "sums-12")
    assert main(["kernel", run]) == 2
    assert "`problem` must be named by you" in capsys.readouterr().err
    assert main(["kernel", run, "--problem", f"{source}:sums"]) == 0
    assert "Tangent kernel of seed 0" in (study / "sums-12" / "report.html").read_text()
    assert main(["kernel", str(study / "signs-12"), "--problem", f"{source}:signs"]) == 2
    assert "`loss` must be 'squared'" in capsys.readouterr().err


def test_changed_code_is_refused_until_it_is_allowed(study, source, capsys):
    """The same function in an edited file: refused, and taken with --changed."""
    edited = source.parent / "edited" / "mine.py"
    edited.parent.mkdir()
    edited.write_text(SOURCE + "\n# edited\n")
    arguments = ["kernel", str(study / "sums-24"), "--problem", f"{edited}:sums"]
    assert main(arguments) == 1
    assert "its source has changed" in capsys.readouterr().err
    assert main([*arguments, "--changed"]) == 0


def test_table_has_no_column_without_numbers(study, capsys):
    """Nothing was held out, so no accuracy is shown; two sizes of one problem are not compared."""
    assert main(["show", str(study / "signs-12")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("signs/MLP, n = 12, ")
    assert "accuracy" not in printed
    assert main(["compare", str(study / "sums-12"), str(study / "sums-24")]) == 2
    assert "`samples` must be the same in all runs" in capsys.readouterr().err
