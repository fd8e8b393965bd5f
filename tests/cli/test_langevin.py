"""`speedlimits langevin`: what it leaves, that it goes on in the same bits, and how it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from speedlimits.cli.main import main
from speedlimits.runs.noisy import NoisyFolder
from tests.cli.options import NOISY as TINY


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run made by the command."""
    folder = tmp_path_factory.mktemp("langevin") / "run"
    assert main(["langevin", "--out", str(folder), *TINY]) == 0
    return folder


@pytest.fixture(scope="module")
def summary(finished) -> dict:
    """The numbers of its summary.json."""
    return json.loads((finished / "summary.json").read_text())


def test_folder_is_whole(finished):
    """Configuration, provenance, ensemble, numbers and page lie there, and nothing temporary."""
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert names == {
        *("config.toml", "provenance.json", "checkpoint.safetensors", "summary.json", "report.html"),
        "manifest.json",
    }


def test_limit_is_certified_from_the_right_sides(summary):
    """T_SL is the distance's limit from below over the dissipation's from above, certified, and below T."""
    assert summary["certified"]
    assert 0 < summary["speed_limit"] < summary["time"]
    assert summary["speed_limit"] == pytest.approx(
        summary["w2_squared_limit"] / summary["dissipation_limit"], rel=1e-12
    )
    sides = {each["name"]: each["side"] for each in summary["w2_squared"] + summary["dissipation"]}
    assert [sides[name] for name in summary["pair"]] == ["lower", "upper"]
    assert f"T_SL ≥ {summary['speed_limit']:.4g} at 0.95 confidence" in summary["verdict"]


def test_brackets_enclose_at_every_time(summary):
    """Lower limits stay below upper ones, the free energy never certainly rises, and the last record is the end."""
    for row in summary["series"]:
        assert row["w2_squared_lower_limit"] <= row["w2_squared_upper_limit"]
        assert row["dissipation_lower_limit"] <= row["dissipation_upper_limit"]
        assert row["speed_limit"] <= row["time"]
    assert summary["free_energy_rises_at"] == []
    assert summary["series"][-1]["time"] == pytest.approx(summary["time"], rel=1e-12)


def test_page_shows_it(finished, summary):
    """The page stands alone and says what was certified, from which pair."""
    page = (finished / "report.html").read_text()
    assert ">certified</a>" in page
    assert summary["pair"][0] in page
    assert "<script src=" not in page


def test_resumed_run_ends_in_the_same_bits(finished, summary, tmp_path, monkeypatch, capsys):
    """Stopped at the third record and resumed: the same weights, bit by bit, and the same summary."""

    class Stopped(Exception):
        """Raised where a process would be killed."""

    calls = []
    keep = NoisyFolder.write_checkpoint

    def stop_at_the_third(*arguments: object) -> None:
        keep(*arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 3:
            raise Stopped

    out = str(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(NoisyFolder, "write_checkpoint", stop_at_the_third)
        assert main(["langevin", "--out", out, *TINY]) == 1
    assert main(["langevin", "--out", out, *TINY, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == summary
    ours, theirs = (load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "run", finished))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_linear_network_agrees_with_theory(tmp_path):
    """Depth 0: between its bounds lies the exact dissipation of linear regression, and T_SL is below the exact one."""
    from speedlimits.data.digits import digits
    from speedlimits.theory.linear_regression import LinearRegression

    out = tmp_path / "run"
    options = ["--depth", "0", "--samples", "8", "--members", "240", "--records", "3", "--strengths", "2"]
    assert main(["langevin", "--out", str(out), *options, "--scheme", "leimkuhler-matthews"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    data = digits(8)
    inputs = data.inputs.reshape(8, -1).T / 8.0
    # V = κ|θ|² is the paper's decay λd/(2β) with λ = 2βκ/d; one regression for each of the ten outputs.
    decay = 2 * summary["inverse_temperature"] * summary["prior_precision"] / 64
    spent = moved = 0.0
    for target in data.targets.T:
        exact = LinearRegression(
            inputs=inputs,
            targets=target.copy(),
            weight_decay=decay,
            inverse_temperature=summary["inverse_temperature"],
            learning_rate=1.0,
        ).speed_limit(np.array([1.0]))
        spent += float(exact.dissipation[0])
        moved += float(exact.w2_squared[0])
    for quantity, truth in (("w2_squared", moved), ("dissipation", spent)):
        for each in summary[quantity]:
            sign = {"lower": 1, "upper": -1}[each["side"]]
            assert sign * (each["value"] - truth) < 4 * each["standard_error"], each["name"]
    assert summary["certified"]
    assert 0.5 * moved / spent < summary["speed_limit"] < moved / spent


def refused(out, options):
    """The summary of a run that ends well and certifies nothing."""
    few = ["--records", "2", "--strengths", "2", "--anneal-steps", "1"]
    assert main(["langevin", "--out", str(out), *few, *options]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert not summary["certified"]
    return summary


def test_long_step_is_not_certified(tmp_path):
    """At 0.6 of the limit of stability T_SL would come out eight times too large: not certified, and told why."""
    options = ["--depth", "0", "--samples", "5", "--inverse-temperature", "1", "--time", "4", "--step", "0.3637"]
    summary = refused(tmp_path / "run", [*options, "--members", "240"])
    assert summary["reasons"][0].startswith("the step is 0.6")
    assert all(row["speed_limit"] is None for row in summary["series"])
    assert "the step is 0.6" in (tmp_path / "run" / "report.html").read_text()


def test_heavy_tails_are_not_certified(tmp_path):
    """Width 1, depth 8: no step diverges, and the loss at the start, carried by a few members, certifies nothing."""
    options = ["--depth", "8", "--width", "1", "--activation", "identity", "--samples", "4", "--members", "240"]
    summary = refused(tmp_path / "run", [*options, "--time", "0.05"])
    assert "a few rare members carry the mean" in summary["reasons"][0]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--inverse-temperature", "0"], 2, "`inverse_temperature` must be positive and finite; inverse_temperature"),
        (["--members", "100"], 2, "`members` must be at least 201 for a limit at 0.95 confidence; members = 100."),
        (["--step", "0.5"], 2, "`time_step` must be below 2/λ_max = "),
        (["--scheme", "heun"], 2, "`scheme` must be one of 'euler-maruyama', 'leimkuhler-matthews', 'metropolis';"),
        (["--dataset", "mnist"], 2, "`dataset` must be one of 'cifar10', 'digits'; dataset = 'mnist'."),
        (["--resume"], 1, "`resume` must go on with the same run;"),
        (["--resume", "--force"], 2, "`resume` must not be given with `force`"),
        (["--confidence", "1"], 2, "`confidence` must be between 0 and 1; confidence = 1.0."),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, capfd, options, code, message):
    """Argument, rule and value in one line, and nothing written."""
    assert main(["langevin", "--out", str(tmp_path / "x"), *options]) == code
    assert capfd.readouterr().err.startswith(f"speedlimits: {message}")
    assert not (tmp_path / "x").exists()


def test_other_runs_are_not_overwritten(finished, tmp_path, capsys):
    """A folder that holds a run, or something else, is refused by name."""
    (tmp_path / "note.txt").write_text("mine")
    assert main(["langevin", "--out", str(finished), *TINY]) == 1
    assert "holds a run (--resume goes on with it, --force replaces it)" in capsys.readouterr().err
    assert main(["langevin", "--out", str(tmp_path), *TINY]) == 1
    assert "holds something else" in capsys.readouterr().err
