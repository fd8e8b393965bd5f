"""Recordings on the command line: shown, reported, verified and compared like runs."""

import json
from pathlib import Path

import pytest

from speedlimits.cli.main import main
from speedlimits.runs import load_recording
from tests.cli.options import TINY
from tests.recordings import by_hand, noisy, steady


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """A noisy loop, the same network with batches that tell the drift, a loop by hand, and a run."""
    folder = tmp_path_factory.mktemp("recordings")
    for recording, name in ((noisy, "noisy"), (steady, "steady"), (by_hand, "hand")):
        recording().save(folder / name)
    assert main(["run", "--out", str(folder / "run"), *TINY]) == 0
    return [folder / name for name in ("noisy", "steady", "hand", "run")]


def test_show(folders, capsys):
    """The table has the numbers of the summary, the verdict follows; JSON is the summary."""
    assert main(["show", str(folders[0])]) == 0
    printed = capsys.readouterr().out
    recording = load_recording(folders[0])
    assert f"{recording.summary['mean']['inefficiency']:.3g}" in printed
    assert printed.splitlines()[-len(recording.summary["verdict"]) :] == recording.summary["verdict"]
    assert main(["show", str(folders[0]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == recording.summary


def test_report_and_verify(folders, capsys):
    """A report leaves the recording whole; damage is told, with exit code 1."""
    assert main(["report", str(folders[1])]) == 0
    assert main(["verify", str(folders[1])]) == 0
    assert "no problem; 5 files" in capsys.readouterr().out
    path = folders[2] / "summary.json"
    content = path.read_text()
    path.write_text(content.replace("1", "2", 1))
    try:
        for command in ("verify", "show", "report"):
            assert main([command, str(folders[2])]) == 1
            printed = capsys.readouterr()
            assert printed.err.count("\n") == 1
            assert "summary.json" in printed.out + printed.err
    finally:
        path.write_text(content)


def test_compare_recordings_beside_runs(folders, tmp_path, capsys):
    """A row each, by the dissipation of the path; none where a kind has no number, or the start is another."""
    assert main(["compare", *map(str, folders), "--json", "--tolerance", "0.001"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    for row, folder in zip(rows[:3], folders, strict=False):
        summary = load_recording(folder).summary
        assert row["path_inefficiency"] == summary["mean"]["inefficiency"]
        assert row["drift_inefficiency"] == (summary["noise"] or {}).get("inefficiency")
        assert row["inefficiency"] is None
    assert rows[3]["inefficiency"] > 1
    assert rows[3]["drift_inefficiency"] is None
    assert [row["departure_time"] is None for row in rows] == [True, False, True, True]
    assert main(["compare", *map(str, folders), "--plot", str(tmp_path / "all.svg")]) == 0
    printed = capsys.readouterr().out
    assert "of the drift" in printed
    assert "η/η_max" not in printed
    assert "<svg" in (tmp_path / "all.svg").read_text()


def test_other_commands_take_runs_only(folders, capsys):
    """One line each."""
    for command in (["kernel", str(folders[0])], ["figure1", str(folders[0])]):
        assert main(command) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
