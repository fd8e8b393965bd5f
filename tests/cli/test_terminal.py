"""What the terminal gets: one line for every failure, from the first moment on, and no name that steers it."""

import os
import resource
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from speedlimits.cli import main as cli
from speedlimits.cli.main import main
from speedlimits.cli.text import one_line, printable
from speedlimits.errors import RunFolderError
from tests.cli.options import TINY

COMMAND = [sys.executable, "-m", "speedlimits"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T_SL ≥ 𝒲₂²/R", "T_SL ≥ 𝒲₂²/R"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x07\x9b\r", "\\x07\\x9b\\r"),
        ("one\ntwo", "one\ntwo"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_show(text, shown):
    """Greek letters stay; escape sequences, marks of direction and bytes that are no text become their codes."""
    assert printable(text) == shown


def test_one_line():
    """However a message is broken, it is one line."""
    assert one_line("a\n  b\r\n\tc\x1b[0m ") == "a b c\\x1b[0m"


def test_odd_names_are_shown_as_they_are(tmp_path, capsys):
    """Brackets are no markup and an escape sequence is none: folders of such names are compared."""
    names = [str(tmp_path / "x[/b]"), str(tmp_path / "y\x1b[31m")]
    for name in names:
        assert main(["run", "--out", name, *TINY, "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["compare", *names]) == 0
    printed = capsys.readouterr().out
    assert "x[/b]" in printed
    assert "y\\x1b[31m" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("where", ["config", "folder", "device"])
def test_fifos_and_devices_are_refused(tmp_path, capsys, where):
    """Nothing is waited for: a FIFO or a device in place of a file is one line."""
    fifo = tmp_path / "run" / "config.toml"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    command = {
        "config": ["run", "--out", str(tmp_path / "x"), "--config", str(fifo)],
        "device": ["run", "--out", str(tmp_path / "x"), "--config", "/dev/zero"],
        "folder": ["show", str(fifo.parent)],
    }
    assert main(command[where]) == (1 if where == "folder" else 2)
    error = capsys.readouterr().err
    assert ("holds no config.toml" if where == "folder" else "not a regular file") in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".".join(["a"] * 50_000) + " = 1\n", "it nests too deeply, by more than 50 levels in a line"),
        ("a = " + "[" * 50_000, "it nests too deeply"),
        ("#" * 2_000_000, "it has 2000000 bytes; at most 1048576 are read"),
        ("records = 100000000\n", "`records` must be an integer of at most 1000000; records = 100000000."),
    ],
)
def test_excess_is_refused_at_once(tmp_path, capsys, text, message):
    """A configuration that would take minutes to parse, or memory that nobody has to train, states the limit."""
    (tmp_path / "config.toml").write_text(text)
    began = time.monotonic()
    assert main(["run", "--out", str(tmp_path / "x"), "--config", str(tmp_path / "config.toml")]) == 2
    assert message in capsys.readouterr().err
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("log", ["progress.log", "workers.log"])
def test_linked_log_is_not_followed(tmp_path, capsys, log):
    """What a link in the folder points at gets no line."""
    out = tmp_path / "run"
    assert main(["run", "--out", str(out), *TINY, "--workers", "1"]) == 0
    for path in (*out.glob("members/*/member.json"), out / "summary.json", out / log):
        path.unlink()
    (tmp_path / "precious").write_text("mine\n")
    (out / log).symlink_to(tmp_path / "precious")
    capsys.readouterr()
    assert main(["run", "--out", str(out), "--resume", "--workers", "1"]) == 1
    assert f"a symbolic link is not followed ({out / log})" in capsys.readouterr().err
    assert (tmp_path / "precious").read_text() == "mine\n"


def test_modules_in_the_current_folder_are_not_imported(tmp_path):
    """A torch.py or random.py where the command is given hides nothing, in the command and in its workers."""
    for name in ("torch", "random", "numpy", "tyro", "speedlimits"):
        (tmp_path / f"{name}.py").write_text("open('touched', 'w').close()\n")
    found = subprocess.run(
        [Path(sys.executable).parent / "speedlimits", "run", "--out", "run", *TINY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert not (tmp_path / "touched").exists()


def test_command_as_a_module_leaves_the_current_folder_out(tmp_path):
    """`python -m speedlimits` looks for other packages where they are installed."""
    for name in ("torch", "random", "numpy", "tyro"):
        (tmp_path / f"{name}.py").write_text("open('touched', 'w').close()\n")
    found = subprocess.run([*COMMAND, "show", "none"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stderr == "speedlimits: `directory` must be a run folder; none does not exist.\n"
    assert not (tmp_path / "touched").exists()


def test_interrupt_within_an_import_ends_at_once(tmp_path):
    """Compiled libraries end the process at an exception, with words of their own: there none is raised."""
    (tmp_path / "mine.py").write_text(
        "import signal\nprint('said before')\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    open('caught', 'w')\n"
    )
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from speedlimits.cli.main import entry; entry()"
    arguments = ["run", "--problem", "mine.py:build", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == "speedlimits: interrupted; the same command with --resume goes on where it stood\n"
    assert done.stdout == "said before\n"
    assert done.returncode == 130
    assert not (tmp_path / "caught").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 1.0])
def test_interrupt_while_it_starts_is_one_line(tmp_path, seconds):
    """Ctrl-C while libraries are imported: one line, exit code 130, nothing written."""
    # A shell that starts something behind it has it ignore Ctrl-C; a user's terminal does not.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from speedlimits.cli.main import entry; print(flush=True); entry()"
    arguments = ["run", "--out", str(tmp_path / "run"), "--time", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert error == "speedlimits: interrupted; the same command with --resume goes on where it stood\n"
    assert process.returncode == 130


@pytest.mark.parametrize("megabytes", [60, 120, 190])
def test_little_memory_is_one_line(megabytes):
    """Where libraries find no room, be it NumPy's, ours or Arrow's, the command says so.

    Whatever they say themselves: a package without metadata, a damaged file.
    """
    limit = megabytes * 10**6
    found = subprocess.run(
        [*COMMAND, "show", str(Path(__file__).parents[2] / "studies" / "small" / "myrtle-n00125")],
        capture_output=True,
        text=True,
        # Each thread of NumPy's has a stack of its own.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        check=False,
    )
    assert found.returncode == 1
    assert found.stderr.startswith("speedlimits: memory is short: ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [PackageNotFoundError("typeguard"), RunFolderError("part-0.parquet is damaged.")])
def test_errors_without_room_are_memorys(monkeypatch, capsys, error):
    """What a library says where it finds no room is not believed: the package is there, the file is whole."""

    def execute(*_, **__):
        raise error

    monkeypatch.setattr(cli, "_execute", execute)
    assert main(["show", "run"]) == 1
    assert not capsys.readouterr().err.startswith("speedlimits: memory is short")
    monkeypatch.setattr(cli, "has_room", lambda _: False)
    assert main(["show", "run"]) == 1
    assert capsys.readouterr().err.startswith(f"speedlimits: memory is short: {error}")


def test_terminal_without_greek_letters(tmp_path):
    """An ASCII terminal gets the letters' codes, and the numbers."""
    out = str(tmp_path / "run")
    assert main(["run", "--out", out, *TINY, "--workers", "1"]) == 0
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    found = subprocess.run([*COMMAND, "show", out], capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr
    assert "times slower than thermodynamics allows" in found.stdout


def test_run_without_triples(tmp_path, capsys):
    """A run that traces no weights is written and read like any other."""
    out = str(tmp_path / "run")
    assert main(["run", "--out", out, *TINY, "--workers", "1", "--triples", "0"]) == 0
    assert main(["show", out]) == 0


def test_damaged_plan_says_what_to_do(tmp_path, capsys):
    """A plan that parses but lacks a key is one line that says how to go on, and so it goes on."""
    out = tmp_path / "run"
    assert main(["run", "--out", str(out), *TINY, "--workers", "1"]) == 0
    for path in (*out.glob("members/*/member.json"), out / "summary.json"):
        path.unlink()
    (out / "plan.json").write_text("{}")
    resume = ["run", "--out", str(out), "--resume", "--workers", "1"]
    assert main(resume) == 1
    assert "plan.json is not what the run wrote, by its SHA-256 in manifest.json: del" in capsys.readouterr().err
    (out / "plan.json").unlink()
    assert main(resume) == 0
