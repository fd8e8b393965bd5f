"""`speedlimits compare`: the flow beside gradient descent of the same networks; runs with noise beside each other."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speedlimits import load_run
from speedlimits._files import digest as digest_of
from speedlimits.cli.main import main
from speedlimits.report.figures.comparison import departure_time
from speedlimits.runs.identity import read_identity
from speedlimits.runs.manifest import Manifest
from tests.cli.options import NOISY, TINY


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


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> list[Path]:
    """Two temperatures of one problem, and another problem."""
    folder = tmp_path_factory.mktemp("noisy")
    ways = {"cold": [], "hot": ["--inverse-temperature", "2", "--prior-precision", "0.1"], "other": ["--width", "3"]}
    for name, options in ways.items():
        assert main(["langevin", "--out", str(folder / name), *NOISY, "--prior-precision", "0.1", *options]) == 0
    return [folder / name for name in ways]


def test_runs_with_noise_are_compared(noisy, capsys):
    """A row for each, of the summaries' own numbers; as a table each has its line."""
    assert main(["compare", *map(str, noisy[:2]), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row["inverse_temperature"] for row in rows] == [5.0, 2.0]
    for row, folder in zip(rows, noisy, strict=False):
        summary = load_run(folder).summary
        for key in ("members", "time", "speed_limit", "w2_squared_limit", "dissipation_limit", "certified"):
            assert row[key] == summary[key], key
        assert row["loss"] == summary["loss"]["value"]
    assert main(["compare", *map(str, noisy[:2])]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [line[1] for line in lines] == list(map(str, noisy[:2]))


def test_noise_and_none_are_not_compared(folders, noisy, tmp_path, capsys):
    """A run with noise beside one without, another problem, a figure: one line each."""
    cases = [
        (
            [noisy[0], folders[0]],
            f"`directories` must be runs of one kind; {noisy[0]} has noise, {folders[0]} has none.",
        ),
        ([noisy[0], noisy[2]], "`width` must be the same in all runs; it is 2 in the first, 3 in"),
        ([*noisy[:2], "--plot", tmp_path / "x.png"], "`plot` must be left out for runs with noise"),
        ([noisy[0], noisy[0]], "`directories` must be two run folders or more; found 1."),
    ]
    for arguments, message in cases:
        assert main(["compare", *map(str, arguments)]) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1


def test_problems_are_compared_by_their_digest(folders, tmp_path, capsys):
    """One function's name, another content: two problems of one's own are told apart by what they built."""
    for name, digest in (("one", "a" * 64), ("two", "b" * 64), ("three", "a" * 64)):
        shutil.copytree(folders[0], tmp_path / name)
        path = tmp_path / name / "provenance.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"problem": {"name": "f.py:f", "digest": digest}}))
        written = Manifest.read(path.parent, read_identity("run", path.parent)[0].id)
        Manifest(written.folder, written.run, {**written.files, path.name: digest_of(path)}).write()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two")]) == 2
    assert (
        "`digest of the problem` must be the same in all runs; it is 'aaaaaaaa' in the first" in capsys.readouterr().err
    )
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "three")]) == 0


def test_show_and_report_read_runs_with_noise(noisy, capsys):
    """The verdict and every estimate, the pair that the limit rests on marked; as JSON the summary; the page again."""
    summary = load_run(noisy[0]).summary
    assert main(["show", str(noisy[0])]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(summary["verdict"])
    used = [line for line in printed.splitlines() if line.startswith("│") and "yes" in line.split("│")[-2]]
    assert len(used) == 2
    assert all(name in line for name, line in zip(summary["pair"], used, strict=True))
    assert main(["show", str(noisy[0]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary
    before = (noisy[0] / "report.html").read_text()
    (noisy[0] / "report.html").unlink()
    assert main(["report", str(noisy[0])]) == 0
    page = (noisy[0] / "report.html").read_text()
    # Words are explained and indices stand below: the marks of both are no text.
    shown = re.sub(r"<[^>]*>", "", page)
    assert summary["verdict"].split(" (")[0].replace("T_SL", "TSL") in shown
    assert len(page) == len(before)


def test_kernel_of_a_run_with_noise_is_refused(noisy, capsys):
    """Its networks move with their noise: the tangent kernel of one says nothing of it."""
    assert main(["kernel", str(noisy[0])]) == 1
    assert "`directory` must be a run without noise" in capsys.readouterr().err
