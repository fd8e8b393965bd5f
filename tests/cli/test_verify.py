"""`speedlimits verify`: a line for each problem, and an exit code."""

import json
import shutil
from pathlib import Path

from speedlimits.cli.main import main

STUDY = Path(__file__).parents[2] / "studies" / "small"


def test_a_line_for_each_problem(tmp_path, capsys):
    """Exit code 1 and the files by name; 0 where all is well; JSON has the same lines."""
    assert main(["verify", str(STUDY)]) == 0
    assert "no problem" in capsys.readouterr().out
    shutil.copytree(STUDY, tmp_path / "study")
    broken = [
        tmp_path / "study" / run / "members" / "seed-00000" / "member.json"
        for run in ("myrtle-n00125", "myrtle-n01000")
    ]
    for path in broken:
        path.write_text("{")
    assert main(["verify", str(tmp_path / "study")]) == 1
    printed = capsys.readouterr()
    for path in broken:
        assert sum(line.startswith(str(path)) for line in printed.out.splitlines()) == 1
    assert printed.err == f"speedlimits: {tmp_path / 'study'}: 2 problems found.\n"
    assert main(["verify", str(tmp_path / "study"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["problems"]) == 2
    assert len(found["remarks"]) == 4


def test_no_run_is_one_line(tmp_path, capsys):
    """An empty folder is no finding about a run."""
    assert main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
