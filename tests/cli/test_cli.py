"""The command line: what it prints, where it fails, and with which exit code."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import speedlimits
from speedlimits.cli.main import main
from tests.cli.options import TINY


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run made by the command."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["run", "--out", str(folder), *TINY]) == 0
    return folder


def test_run_leaves_a_whole_folder(finished):
    """Configuration, provenance, numbers, page and picture lie there, and nothing temporary."""
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert names == {
        "config.toml",
        "manifest.json",
        "members",
        "overview.png",
        "plan.json",
        "progress.log",
        "provenance.json",
        "report.html",
        "summary.json",
        "workers.log",
    }
    assert not list(finished.rglob("*.tmp"))
    assert (finished / "workers.log").read_text() == ""


def test_show_prints_one_table(finished, capsys):
    """A row per seed, mean and deviation, and the verdict in words."""
    assert main(["show", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("│")] == ["0", "1", "mean", "±"]
    assert "times slower than thermodynamics allows: T = 0.01" in printed


def test_show_json_is_the_summary(finished, capsys):
    """One JSON object on stdout: `summary.json` with every digit."""
    assert main(["show", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((finished / "summary.json").read_text())


def test_report_is_drawn_again(finished, capsys):
    """A deleted report comes back from the series alone."""
    (finished / "report.html").unlink()
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").exists()
    assert "report.html" in capsys.readouterr().out


def test_version(capsys):
    """--version names the program and its version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"speedlimits {speedlimits.__version__}\n"


def test_options_win_over_the_file(tmp_path, capsys):
    """--config gives the study; options beside it change it; --resume takes the folder's own."""
    (tmp_path / "study.toml").write_text("samples = 20\nwidth = 4\nseeds = [7]\ntime = 0.01\nrecords = 20\n")
    out = str(tmp_path / "run")
    assert main(["run", "--out", out, "--config", str(tmp_path / "study.toml"), "--width", "5"]) == 0
    config = speedlimits.RunConfig.read(tmp_path / "run" / "config.toml")
    assert (config.samples, config.width, config.seeds) == (20, 5, (7,))
    assert main(["run", "--out", out, "--resume"]) == 0
    capsys.readouterr()
    assert main(["run", "--out", out, "--resume", "--width", "6"]) == 1
    assert "`width` must be 5 as in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["dance"], 2, "theory; it is 'dance'."),
        (["run"], 2, "Missing from speedlimits run: --out DIR"),
        (["show"], 2, "Missing from speedlimits show: DIR"),
        (["run", "--out", "{tmp}/x", "--smaples", "3"], 2, "Unrecognized options: --smaples, 3"),
        (["run", "--out", "{tmp}/x", "--samples", "0"], 2, "`samples` must be an integer of at least 1; samples = 0."),
        (["run", "--out", "{tmp}/x", "--samples", "2000"], 2, "`samples` must lie in 1…1297 for digits; samples ="),
        (["run", "--out", "{tmp}/x", "--time", "-1"], 2, "`time` must be positive and finite; time = -1."),
        (["run", "--out", "{tmp}/x", "--dataset", "mnist"], 2, "`dataset` must be one of 'cifar10', 'digits'; dataset"),
        (["run", "--out", "{tmp}/x", "--model", "cnn"], 2, "`model` must be one of 'fcn', 'myrtle'; model ="),
        (
            ["run", "--out", "{tmp}/x", "--method", "sgd"],
            2,
            "`method` must be one of 'gd', 'rkc2', 'rock4', 'rk4', 'etd', 'auto'; method = 'sgd'.",
        ),
        (["run", "--out", "{tmp}/x", "--activation", "step"], 2, "`activation` must be one of 'erf', 'gelu',"),
        (
            ["run", "--out", "{tmp}/x", "--device", "abacus"],
            2,
            "`device` must be one that torch can use here, such as cpu,",
        ),
        (["run", "--out", "{tmp}/x", "--learning-rate", "fast"], 2, "Error parsing --learning-rate"),
        (["run", "--out", "{tmp}/x", "--workers", "0"], 2, "`workers` must be an integer of at least 1; workers = 0."),
        (["run", "--out", "{tmp}/x", "--config", "{tmp}/none.toml"], 2, "`config` must be a readable TOML file;"),
        (["run", "--out", "{tmp}/x", "--config", "{tmp}/bad.toml"], 2, "config key = 'smaples'."),
        (["run", "--out", "{tmp}/bad.toml/x"], 1, "`out` must be a folder that can be made;"),
        (["run", "--out", "{tmp}/x", "--resume"], 1, "{tmp}/x does not exist."),
        (["show", "{tmp}/x"], 1, "`directory` must be a run folder; {tmp}/x does not exist."),
        (["show", "{tmp}/empty"], 1, "`directory` must be a run folder; {tmp}/empty is empty."),
        (["report", "{tmp}"], 1, "`directory` must be a run folder; {tmp} holds no config.toml."),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, capfd, arguments, code, message):
    """Argument, rule and value in one line on stderr, exit code 2 for usage and 1 for failure, nothing written."""
    (tmp_path / "bad.toml").write_text("smaples = 3\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(tmp=tmp_path) for argument in arguments]) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("speedlimits: ")
    assert printed.err.count("\n") == 1
    assert message.replace("{tmp}", str(tmp_path)) in printed.err
    assert sorted(tmp_path.rglob("*")) == before


def test_diverged_run_is_one_line(tmp_path, capfd):
    """A learning rate far above 2/λ_max: exit code 1, the rule, the value, and --debug for the traceback."""
    arguments = [
        "run",
        "--out",
        str(tmp_path / "run"),
        *TINY,
        "--depth",
        "0",
        "--time",
        "10",
        "--method",
        "gd",
        "--learning-rate",
        "5",
    ]
    assert main(arguments) == 1
    error = capfd.readouterr().err.splitlines()[-1]
    assert "training diverged" in error
    assert (
        "`learning_rate` must be smaller, below 2/λ_max (2(1 + μ)/λ_max with momentum μ); learning_rate = 5." in error
    )
    assert main([*arguments, "--force", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_damaged_folder_is_one_line(finished, tmp_path, capsys):
    """A truncated series is named with its path."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    part = next(copy.rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:200])
    assert main(["show", str(copy)]) == 1
    assert f"speedlimits: {part} is damaged" in capsys.readouterr().err


def test_full_disk_is_one_line_and_leaves_no_halves(finished, tmp_path):
    """Where no file can grow past a kilobyte: exit code 1, the path and the reason, the old report untouched."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    process = subprocess.run(
        [sys.executable, "-m", "speedlimits.cli.main", "report", str(copy)],
        capture_output=True,
        text=True,
        env=os.environ | {"MPLCONFIGDIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)),
        check=False,
    )
    assert process.returncode == 1
    line = process.stderr.splitlines()[-1]
    assert line == f"speedlimits: File too large ({copy / 'overview.png'})"
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


# What takes longest to import, and what a command may need of it beside Python.
SLOW = {"torch", "matplotlib", "plotly", "pandas", "scipy", "pyarrow", "rich", "tyro", "numpy"}
POWER_LAW = "theory power-law --spectrum-exponent 1.5 --residual-exponent 0.5 --modes 1000 --time 1"


@pytest.mark.parametrize(
    ("arguments", "needed", "most"),
    [
        ("--version", set(), 100),
        ("--help", {"numpy", "tyro"}, 600),
        ("show RUN --json", {"numpy", "tyro", "pyarrow"}, 680),
        ("show RUN", {"numpy", "tyro", "pyarrow", "rich"}, 700),
        ("theory fokker-planck --help", {"numpy", "tyro"}, 600),
        (POWER_LAW, {"numpy", "tyro", "rich", "scipy"}, 820),
    ],
)
def test_commands_start_with_few_imports(finished, arguments, needed, most):
    """What is read or computed alone waits for no plotting, and for no more modules than it needs: 0.4 s or so."""
    code = (
        "import sys; from speedlimits.cli.main import main; main(sys.argv[1:]); "
        f"print(len(sys.modules), *({SLOW!r} & set(sys.modules)))"
    )
    words = [str(finished) if word == "RUN" else word for word in arguments.split()]
    process = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    count, *loaded = process.stdout.splitlines()[-1].split()
    assert set(loaded) == needed
    assert int(count) < most


def test_reading_needs_no_torch(finished):
    """`show` and `report` work where torch cannot be imported: figures redraw on any laptop."""
    code = (
        "import sys\n"
        "class Wall:\n"
        "    def find_spec(name, *_):\n"
        "        if name.partition('.')[0] == 'torch': raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, Wall)\n"
        "from speedlimits.cli.main import main\n"
        f"sys.exit(main(['show', {str(finished)!r}]) or main(['report', {str(finished)!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["show", "nowhere"], 1), (["show"], 2)])
def test_process_ends_with_the_exit_code(arguments, code):
    """The console script ends at once with its exit code, and everything is written."""
    program = "from speedlimits.cli.main import entry; entry()"
    process = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == code
    assert (process.stderr if code else process.stdout).startswith("speedlimits")
