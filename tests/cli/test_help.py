"""What helps a user who does not know the commands yet: help that fits, examples that parse, near words suggested."""

import os
import pty
import shlex
import subprocess
import sys

import pytest

from speedlimits.cli.commands import parse
from speedlimits.cli.help import EXAMPLES
from speedlimits.cli.main import main

COMMANDS = [name for name in EXAMPLES if name]


def help_of(capsys, command: str) -> str:
    """What `--help` prints."""
    assert main([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


def test_nothing_is_a_call_for_help(capsys):
    """The bare command lists all commands and two examples, and is no failure."""
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text == help_of(capsys, "")
    assert "speedlimits run --out demo" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_two_examples(capsys, command):
    """They are of this command, one below the other, a line each or folded as a shell reads it."""
    tail = help_of(capsys, command).split("examples:\n")[1].replace("\\\n", " ")
    lines = [line.split() for line in tail.splitlines()]
    assert len(lines) == 2
    assert all(line[: 1 + len(command.split())] == ["speedlimits", *command.split()] for line in lines)


@pytest.mark.parametrize("example", [each for pair in EXAMPLES.values() for each in pair])
def test_examples_parse(example):
    """Each is a command line that is accepted."""
    command = parse("speedlimits", shlex.split(example))
    assert (command is None) == example.endswith("--help")


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits(capsys, monkeypatch, command, width):
    """No line is wider than the terminal, but for words that cannot be broken."""
    monkeypatch.setenv("COLUMNS", str(width))
    for line in help_of(capsys, command).splitlines():
        assert len(line) <= width or len(line.split()) == 1, line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "compare, theory; it is 'rnu'. Did you mean run?"),
        (["xyz"], "compare, theory; it is 'xyz'."),
        (["theory", "powerlaw"], "it is 'powerlaw'. Did you mean power-law?"),
        (["run", "--out", "x", "--widht", "3"], "Unrecognized options: --widht, 3. Did you mean --width?"),
        (["show", "x", "--jsn"], "Unrecognized options: --jsn. Did you mean --json?"),
        (["theory", "ntk", "--residuals", "x"], "Did you mean --residual?"),
    ],
)
def test_near_words_are_suggested(capsys, arguments, message):
    """A misspelt command, system or option is one line with the nearest that there is, and exit code 2."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_of_help(variable, coloured):
    """On a terminal help has colours, unless NO_COLOR is set or the terminal is dumb."""
    ours, theirs = pty.openpty()
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    environment = keep | {"TERM": "xterm"} | variable
    command = [sys.executable, "-m", "speedlimits", "show", "--help"]
    subprocess.run(command, stdout=theirs, env=environment, check=True)
    os.close(theirs)
    assert (b"\x1b[" in os.read(ours, 100_000)) is coloured


def test_study_takes_its_options_from_a_file(tmp_path, capsys):
    """What a file says is taken; what stands on the command line wins; what is no option of a study is refused."""
    file = tmp_path / "study.toml"
    file.write_text('preset = "smoke"\nsamples = [50, 100]\nseeds = [3]\ntime = 1.5\n')
    command = ["study", "--out", "x", "--config", str(file)]
    study = parse("speedlimits", [*command, "--time", "2"])
    assert (study.preset, study.samples, study.seeds, study.time) == ("smoke", (50, 100), (3,), 2.0)
    file.write_text("sample = 3\n")
    assert main(command) == 2
    assert f"{file}: `sample` must be one of preset, models, samples, " in (error := capsys.readouterr().err)
    assert error.endswith(" Did you mean samples?\n")
    file.write_text('samples = ["many"]\n')
    assert main(command) == 2
    assert main(["study", "--out", "x", "--config", "none.toml"]) == 2
    assert "`config` must be a readable TOML file; none.toml: No such file" in capsys.readouterr().err
