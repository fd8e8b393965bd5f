"""`speedlimits compare`: the flow beside gradient descent of the same networks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speedlimits import load_run
from speedlimits.cli.main import main
from speedlimits.report.figures.comparison import departure_time
from tests.cli.options import TINY


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """The flow, gradient descent with small steps and with momentum, and another problem."""
    folder = tmp_path_factory.mktemp("compare")
    ways = {
        "flow": [],
        "small": ["--method", "gd"],
        "momentum": ["--method", "gd", "--momentum", "0.9"],
        "other": ["--width", "5"],
    }
    for name, options in ways.items():
        assert main(["run", "--out", str(folder / name), *TINY, *options]) == 0
    return [folder / name for name in ways]


def test_every_run_has_its_row(folders, capsys):
    """The rows hold the summaries' own numbers, and small steps never leave the flow by a fifth."""
    assert main(["compare", *map(str, folders[:3]), "--json", "--tolerance", "0.2"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["method"], row["momentum"]) for row in rows] == [("rkc2", 0.0), ("gd", 0.0), ("gd", 0.9)]
    for row, folder in zip(rows, folders, strict=False):
        mean = load_run(folder).summary["mean"]
        assert {key: row[key] for key in ("inefficiency", "gradient_evaluations")} == {
            key: mean[key] for key in ("inefficiency", "gradient_evaluations")
        }
    assert [row["departure_time"] for row in rows[:2]] == [None, None]
    assert rows[0]["stability"] is None
    assert 0 < rows[1]["stability"] < 0.1


def test_table_and_figure(folders, tmp_path, capsys):
    """A line per run, and a figure in the format of its suffix."""
    assert main(["compare", *map(str, folders[:2]), "--plot", str(tmp_path / "both.svg")]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("│")] == list(map(str, folders[:2]))
    assert "<svg" in (tmp_path / "both.svg").read_text()


def test_a_run_leaves_when_it_does_not_come_back(folders):
    """A loss 10 % off from time 0.004 on has left there at a tolerance of 5 %, and not at one of 20 %."""
    run = load_run(folders[0]).trajectories[0]
    early = np.where(run.times < 0.001, 1.5, 1.0) * np.where(run.times > 0.004, 1.1, 1.0)
    other = replace(run, losses=run.losses * early)
    assert departure_time(run, other, 0.05) == run.times[run.times > 0.004][0]
    assert departure_time(run, other, 0.2) == np.inf
    assert departure_time(run, run, 1e-9) == np.inf


def test_runs_of_other_problems_are_refused(folders, tmp_path, capsys):
    """Other networks, one folder alone, an unknown figure format: one line each."""
    cases = [
        ([folders[0], folders[3]], "`width` must be the same in all runs; it is 4 in the first, 5 in"),
        ([folders[0]], "`directories` must be two run folders or more; found 1."),
        ([folders[0], folders[1], "--plot", tmp_path / "x.bmp"], "`plot` must end in"),
    ]
    for arguments, message in cases:
        assert main(["compare", *map(str, arguments)]) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1
