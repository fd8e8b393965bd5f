"""Without torch: what only reads, draws and computes works; what trains says how to install it."""

import subprocess
import sys

import pytest

from speedlimits._extras import missing

# As where only `pip install speedlimits` was run.
LIGHT = """
import sys
class Light:
    def find_spec(self, name, path=None, target=None):
        if name in ('torch', 'sklearn', 'threadpoolctl', 'pooch', 'uvicorn'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Light())
"""
NEEDED = "pip install 'speedlimits[train]'"


def light(program: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a program where the packages of the extra cannot be imported."""
    command = [sys.executable, "-c", LIGHT + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("speedlimits.Recorder", "torch"),
        ("speedlimits.train_run", "torch"),
        ("speedlimits.kernel.empirical_kernel", "torch"),
        ("speedlimits.dynamics.Langevin", "torch"),
    ],
)
def test_names_that_train_say_what_they_need(name, package):
    """A name of the library is an ImportError of one line with the command that brings its package."""
    home, _, word = name.rpartition(".")
    found = light(f"from {home} import {word}")
    assert found.stderr.splitlines()[-1] == f"ImportError: `{word}` needs {package}: {NEEDED}"


@pytest.mark.parametrize("command", ["run --out x", "langevin --out x", "study --out x --preset smoke", "kernel x"])
def test_commands_that_train_say_what_they_need(command, tmp_path, monkeypatch):
    """A command that trains is one line, exit code 1, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    found = light("from speedlimits.cli.main import entry; entry()", *command.split())
    assert found.stderr == f"speedlimits: `{command.split()[0]}` needs torch: {NEEDED}\n"
    assert found.returncode == 1
    assert not list(tmp_path.iterdir())


def test_serving_says_what_it_needs(tmp_path):
    """Each extra is named by its own name."""
    found = light("from speedlimits.cli.main import entry; entry()", "serve", str(tmp_path))
    assert found.stderr == "speedlimits: `serve` needs uvicorn: pip install 'speedlimits[serve]'\n"
    assert found.returncode == 1


def test_theory_needs_no_torch():
    """A closed form is computed by the command without it."""
    command = "theory power-law --spectrum-exponent 1 --residual-exponent 0.5 --modes 100 --time 2 --json"
    assert light("from speedlimits.cli.main import entry; entry()", *command.split()).returncode == 0


def test_other_errors_stay():
    """A module of ours that is missing, and an error of another kind, are none of the extra's."""
    assert missing("run", ModuleNotFoundError("no", name="speedlimits.nothing")) is None
    assert missing("run", ImportError("broken", name="torch")) is None
    assert missing("run", ModuleNotFoundError("no", name="torch._C")) == f"`run` needs torch: {NEEDED}"
