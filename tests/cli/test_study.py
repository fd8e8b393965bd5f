"""`speedlimits study` and `figure1`: from nothing to the paper's figure, and what is refused on the way."""

import json
import shutil
from pathlib import Path

import pytest

from speedlimits.cli.main import main


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A part of the smallest preset, made by the command."""
    folder = tmp_path_factory.mktemp("study") / "smoke"
    arguments = ["--preset", "smoke", "--samples", "20", "40", "--seeds", "0", "--workers", "1"]
    assert main(["study", "--out", str(folder), *arguments]) == 0
    return folder


def test_study_says_how_long_and_what_is_next(study, capfd):
    """The estimate comes before the run, on stderr; resumed when finished, nothing is trained."""
    arguments = ["--preset", "smoke", "--samples", "20", "40", "--seeds", "0", "--workers", "1"]
    assert main(["study", "--out", str(study), *arguments, "--resume"]) == 0
    printed = capfd.readouterr()
    assert printed.out == f"Study: {study}; speedlimits figure1 {study} draws it.\n"
    assert main(["study", "--out", str(study), *arguments, "--resume", "--json"]) == 0
    runs = json.loads(capfd.readouterr().out)
    assert [run["samples"] for run in runs.values()] == [20, 40]
    assert all(json.loads((study / name / "summary.json").read_text()) == run for name, run in runs.items())
    assert main(["study", "--out", str(study), *arguments]) == 1
    printed = capfd.readouterr()
    assert "gradients of myrtle per second at n = 20: about" in printed.err
    assert "holds a study (--resume goes on with it, --force replaces it)" in printed.err


@pytest.mark.slow
def test_each_kind_of_network_has_its_figure(tmp_path):
    """Two kinds side by side in one study: a folder of figures for each."""
    arguments = [
        "--preset",
        "smoke",
        "--models",
        "fcn",
        "myrtle",
        "--samples",
        "10",
        "20",
        "--seeds",
        "0",
        "--workers",
        "1",
    ]
    assert main(["study", "--out", str(tmp_path / "both"), *arguments]) == 0
    assert main(["figure1", str(tmp_path / "both"), "--no-kernel"]) == 0
    for model in ("fcn", "myrtle"):
        assert (tmp_path / "both" / "figure1" / model / "claims.md").exists()


def test_figure1_is_drawn_and_judged(study, tmp_path, capsys):
    """Panels with their data in the folder asked for, the claims printed and written."""
    assert main(["figure1", str(study), "--out", str(tmp_path / "figure"), "--no-kernel"]) == 0
    assert (tmp_path / "figure" / "figure1.png").exists()
    assert (tmp_path / "figure" / "claims.md").read_text().count("not tested") >= 3
    printed = capsys.readouterr().out
    assert "myrtle of width 4; held out: the last 500 images" in printed
    assert main(["figure1", str(study), "--out", str(tmp_path / "figure"), "--no-kernel", "--json"]) == 0
    (figure,) = json.loads(capsys.readouterr().out)["figures"]
    assert Path(figure["figure"]).exists()
    assert all(claim["paper"][:20] in printed for claim in figure["claims"])
    assert "not tested" in printed


@pytest.mark.slow
def test_kernel_is_found_once(study, tmp_path, capfd):
    """Panel (f) makes kernel.npz in the run with the most images; the next figure reads it; or no kernel."""
    for said in ("The tangent kernel of", ""):
        assert main(["figure1", str(study), "--out", str(tmp_path / "with")]) == 0
        assert (said in capfd.readouterr().err) if said else capfd.readouterr().err == ""
        (study / "myrtle-n00040" / "kernel.npz").stat()
    assert (tmp_path / "with" / "panel_f.png").exists()
    assert main(["figure1", str(study), "--out", str(tmp_path / "without"), "--no-kernel"]) == 0
    assert not (tmp_path / "without" / "panel_f.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["figure1", "{tmp}"], 1, "`study` must be a study folder; {tmp} holds no study.toml."),
        (["figure1", "{study}", "--start-time", "99"], 2, "`time` must lie in [0, 2), the snapshots; time = 99."),
        (["figure1", "{study}", "--threshold", "-1"], 2, "`threshold` must be a share from 0 to 1; threshold = -1"),
        (
            ["study", "--out", "{tmp}/x", "--preset", "huge"],
            2,
            "invalid choice 'huge' for argument '--preset'",
        ),
        (["study", "--out", "{tmp}/x", "--seeds", "1", "1"], 2, "`seeds` must be one or more different"),
    ],
)
def test_wrong_usage_is_one_line(study, tmp_path, capfd, arguments, code, message):
    """Argument, rule and value in one line on stderr."""
    places = {"tmp": tmp_path, "study": study}
    assert main([argument.format(**places) for argument in arguments]) == code
    error = capfd.readouterr().err
    assert message.replace("{tmp}", str(tmp_path)) in error
    assert error.startswith("speedlimits: ")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "`study` must be a study folder; {} holds no study.toml."),
        ([], "`out` must be a new or empty folder; {} holds something else."),
    ],
)
def test_wrong_folder_is_refused_before_any_download(tmp_path, capsys, monkeypatch, arguments, message):
    """A folder that holds something else costs no download of CIFAR-10, which would fail here."""
    monkeypatch.setenv("SPEEDLIMITS_DATA", str(tmp_path / "none"))
    (tmp_path / "foreign").write_text("")
    assert main(["study", "--out", str(tmp_path), *arguments]) == 1
    assert capsys.readouterr().err == f"speedlimits: {message.format(tmp_path)}\n"


def test_figure_is_drawn_again_without_weights(tmp_path, capsys):
    """A study kept without its weights and without a kernel gives all panels but (f), and says so."""
    study = Path(__file__).parents[2] / "studies" / "width128"
    kept = shutil.copytree(study, tmp_path / "kept", ignore=shutil.ignore_patterns("kernel.npz", "figure1"))
    assert main(["figure1", str(kept), "--out", str(tmp_path / "figure")]) == 0
    assert f"Panel (f) is left out: {kept / 'myrtle-n00500'} is without its weights." in capsys.readouterr().err
    drawn, there = (
        (folder / "claims.md").read_text().splitlines() for folder in (tmp_path / "figure", study / "figure1")
    )
    (kernel,) = set(drawn) - set(there)
    assert kernel.startswith("| the first few kernel eigenvalues")
    assert kernel.endswith("| not tested |")
    assert len(drawn) == len(there)
    assert not (tmp_path / "figure" / "panel_f.csv").exists()


@pytest.mark.slow
def test_kernel_is_that_of_the_largest_run_that_can_have_one(study, tmp_path, capsys):
    """The run of the most images is kept without its weights: the next one's kernel is found and shown."""
    copy = shutil.copytree(study, tmp_path / "kept", ignore=shutil.ignore_patterns("kernel.npz", "figure1"))
    for weights in (copy / "myrtle-n00040").rglob("snapshots/*.safetensors"):
        weights.unlink()
    assert main(["figure1", str(copy), "--out", str(tmp_path / "figure")]) == 0
    assert f"The tangent kernel of {copy / 'myrtle-n00020'} takes a while." in capsys.readouterr().err
    assert (tmp_path / "figure" / "panel_f.csv").exists()
