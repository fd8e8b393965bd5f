"""`speedlimits kernel` as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from speedlimits.cli.main import main

TINY = ["--samples", "12", "--width", "4", "--seeds", "0", "1", "--time", "0.1", "--records", "20", "--snapshots", "6"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["run", "--out", str(folder), *TINY]) == 0
    return folder


def test_kernel_prints_prediction_beside_measurement(finished, capsys):
    """A table of both at the end, the exponents and the drift; the report gains its panels and a picture."""
    assert main(["kernel", str(finished)]) == 0
    printed = capsys.readouterr().out
    for text in ("predicted", "measured", "T/T_SL", "Largest eigenvalues", "Exponents in modes 20 to", "has turned by"):
        assert text in printed
    assert {"kernel.npz", "kernel.png"} <= {path.name for path in finished.iterdir()}
    page = (finished / "report.html").read_text()
    assert page.count('class="plot"') == 7
    assert "Predicted by the kernel beside measured" in page


def test_kernels_on_the_way_are_shown(finished, capsys):
    """A table of the intervals, what it took, a line and a panel on the page."""
    assert main(["kernel", str(finished), "--adapt", "2"]) == 0
    printed = capsys.readouterr().out
    for text in ("adapted", "turned by", "spent there", "Half as many intervals", "gradients; training took"):
        assert text in printed
    page = (finished / "report.html").read_text()
    assert page.count('class="plot"') == 8
    assert "Where the loss goes while the kernel changes" in page


def test_report_keeps_the_kernel(finished):
    """A report drawn again, without the kernel being measured again, still has its panels."""
    assert main(["kernel", str(finished), "--seed", "1"]) == 0
    (finished / "report.html").unlink()
    assert main(["report", str(finished)]) == 0
    assert "Tangent kernel of seed 1" in (finished / "report.html").read_text()


@pytest.mark.parametrize("options", [["--adapt", "2"], ["--matrix-free"], ["--at", "0.005"]])
def test_json_has_the_promised_keys(finished, capsys, options):
    """One JSON object without NaN: prediction and measurement at the same times, exponents, drift."""
    assert main(["kernel", str(finished), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert {"eigenvalues_top", "exponents", "predicted", "measured", "drift"} <= found.keys()
    for kind, more in (("predicted", set()), ("measured", {"certified"})):
        assert set(found[kind]) == {"time", "w2_squared", "dissipation", "inefficiency", "geometric", "pace"} | more
    assert all(found["measured"]["certified"])
    assert (found["adapted"] or {}).keys() == (found["predicted"].keys() if "--adapt" in options else set())
    assert found["predicted"]["time"] == found["measured"]["time"]
    assert (found["start_time"] > 0) == ("--at" in options)
    assert found["exponents"]["window"][0] == 20


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--seed", "7"], 2, "`seed` must be one of 0, 1; seed = 7."),
        (["--at", "3"], 2, "`at` must lie in [0, 0.1), before the run's end; at = 3."),
        (["--adapt", "5"], 2, "`adapt` must be even, because half as many intervals tell the error; adapt = 5."),
        (["--memory", "1e-9"], 2, "`memory` must be at least"),
        (["--memory", "0"], 2, "`memory` must be positive and finite; memory = 0."),
    ],
)
def test_wrong_usage_is_one_line(finished, capfd, options, code, message):
    """Argument, rule and value in one line on stderr."""
    assert main(["kernel", str(finished), *options]) == code
    printed = capfd.readouterr()
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_missing_weights_cost_no_download(tmp_path, capsys, monkeypatch):
    """Of a study kept without its weights: they are missed before CIFAR-10 is looked for, which would fail here."""
    monkeypatch.setenv("SPEEDLIMITS_DATA", str(tmp_path / "none"))
    kept = Path(__file__).parents[2] / "studies" / "width128" / "myrtle-n00500"
    copy = shutil.copytree(kept, tmp_path / "run")
    assert main(["kernel", str(copy)]) == 1
    member = copy / "members" / "seed-00000"
    assert f"speedlimits: {member} is without its weights: delete {member}, and" in capsys.readouterr().err


def test_damaged_kernel_is_one_line(finished, capsys):
    """A report asked for over a damaged kernel.npz names the file."""
    content = (finished / "kernel.npz").read_bytes()
    (finished / "kernel.npz").write_bytes(content[:100])
    assert main(["report", str(finished)]) == 1
    assert (
        f"speedlimits: `path` must be a saved kernel; {finished / 'kernel.npz'} is damaged" in capsys.readouterr().err
    )
    (finished / "kernel.npz").write_bytes(content)
