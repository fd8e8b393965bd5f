"""The command line: hostile options, files and names end in time, with an exit code and at most one line of error."""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

from speedlimits import RunConfig
from speedlimits.cli.main import main
from speedlimits.data.cifar10 import ENVIRONMENT
from speedlimits.runs import NoisyConfig
from speedlimits.training import analyse_kernel, train_noisy, train_run, train_study
from tests.torture._campaign import Tally

TRIES = 1600
SHARE = 25
# Seconds of a processor that one command may take, and of a clock: a machine may be busy with other things.
LIMIT, CLOCK_LIMIT = 60.0, 600.0
# So many of a thousand tries are processes of their own.
PROCESSES = 15
CODES = {0: "done", 1: "refused by content", 2: "refused by usage"}

# Of runs that take a second.
TINY = {"samples": 6, "width": 2, "time": 0.001, "records": 3, "snapshots": 2, "triples": 1}
NOISY = {"samples": 4, "width": 1, "members": 220, "time": 0.01, "records": 2, "strengths": 2, "step": 0.005}
NOISY |= {"anneal_steps": 1, "inverse_temperature": 5.0}

VALUES = ["", "x[/b]", "\x1b[31m", "ü𝒲\u202e", "a" * 5000, "'", '"', "\n", "\0", "../..", "/dev/zero", "~", "--", "-"]
VALUES += ["-1", "0", "nan", "inf", "-inf", "1e400", "1e-320", "1e8", "9" * 20, "auto", "None", "True", "{}"]
OPTIONS = {
    name: words.split()
    for name, words in {
        "run": "samples width depth activation seeds time method rtol learning-rate momentum dtype device records "
        "snapshots warm-start triples problem dataset model config workers nonsense",
        "langevin": "samples model width depth activation inverse-temperature prior-precision members time step scheme "
        "records confidence strengths anneal-steps seed problem config dataset",
        "study": "preset models samples seeds method rtol dtype device engine address gpus storage problem",
        "kernel": "at seed modes adapt memory problem",
        "compare": "tolerance plot",
        "report": "nonsense json",
        "show": "json nonsense",
        "verify": "json nonsense",
        "serve": "port nonsense",
        "figure1": "threshold start-time problem out",
        "linear-regression": "weight-decay inverse-temperature aspect-ratio teacher-variance time draws dimension "
        "samples rng-seed plot",
        "ntk": "eigenvalues residual time plot",
        "power-law": "spectrum-exponent residual-exponent modes time plot",
        "fokker-planck": "potential start-potential time inverse-temperature cells domain observable",
        "mini-batches": "aspect-ratio batch-share learning-rate teacher-variance steps label-variance start-variance "
        "dimension samples draws rng-seed plot",
        "finite-steps": "eigenvalues residual learning-rate steps momentum sharpness softening plot",
        "surrogate": "eigenvalues residual start-variance time plot",
        "schedules": "spectrum-exponent residual-exponent noise largest-rate steps plot",
        "sampler": "radius components deviation schedule steps particles rng-seed plot",
    }.items()
}
THEORY = {
    name: words.split()
    for name, words in {
        "linear-regression": "--weight-decay 1 --inverse-temperature 1 --aspect-ratio 1 --teacher-variance 1",
        "ntk": "--eigenvalues numbers.txt --residual numbers.txt --time 1",
        "power-law": "--spectrum-exponent 1.5 --residual-exponent 0.5 --modes 50 --time 5",
        "fokker-planck": "--potential x**2 --time 1 --inverse-temperature 1 --cells 50",
        "mini-batches": "--aspect-ratio 1 --batch-share 0.5 --learning-rate 0.1 --teacher-variance 1 --steps 5",
        "finite-steps": "--eigenvalues numbers.txt --residual numbers.txt --learning-rate 0.1 --steps 5",
        "surrogate": "--eigenvalues numbers.txt --residual numbers.txt --start-variance 1 --time 1",
        "schedules": "--spectrum-exponent 2 --residual-exponent 1.4 --steps 10",
        "sampler": "--radius 2 --components 2 --schedule cosine --steps 2 --particles 5",
    }.items()
}
# Those that draw take seconds, and are tried less often.
READERS = ("show", "show", "show", "verify", "verify", "compare", "compare", "kernel", "report", "figure1")
JSON = [b"", b"{", b"[]", b"{}", b"null", b"[" * 100_000, b'{"a": 1e999}', b"\xff\xfe", b'{"members": 1, "mean": []}']
TEXT = [b"", b"a = [", b".".join([b"a"] * 5000) + b" = 1", b"\xff", b"time = 'x'", b"[[[", b"inverse_temperature = {}"]


def run(tries: int, seed: int, folder: Path) -> Tally:
    """Give hostile commands, most of them in this process, some in one of their own.

    Args:
        tries: how many.
        seed: of what is tried.
        folder: where to work.

    Returns:
        How they ended.
    """
    chance, tally = random.Random(seed), Tally()
    # Nothing is downloaded: there is a folder for data, and none in it.
    with contextlib.chdir(folder), mock.patch.dict(os.environ, {ENVIRONMENT: str(folder)}):
        Path("numbers.txt").write_text("3\n2\n1\n")
        config = RunConfig(**TINY, seeds=(0,))
        train_run(config, Path("whole-run"), engine="inline")
        analyse_kernel(Path("whole-run"))
        train_noisy(NoisyConfig(**NOISY), Path("whole-langevin"))
        train_study({"small": config, "large": replace(config, samples=7)}, Path("whole-study"), engine="inline")
        for number in range(tries):
            arguments = chance.choice((_options, _options, _damaged, _damaged, _theory, _places))(chance)
            call = process if chance.random() < PROCESSES / 1000 else called
            ending, failure = judged(*call(arguments))
            shown = [argument[:80] for argument in arguments]
            tally.add(ending, failure and f"{number}: {shown}: {failure}")
    return tally


# Exit code (None if it was stopped), stdout, stderr, seconds.
Ended = tuple[int | None, str, str, float]


def judged(code: int | None, out: str, error: str, seconds: float) -> tuple[str, str | None]:
    """How a command ended, and what it broke.

    Args:
        code: its exit code; None if it was stopped.
        out: what it printed.
        error: the same on stderr.
        seconds: how long it took.

    Returns:
        The ending in a word or two, and the broken promise, if any.
    """
    if code is None:
        return "hung", f"no end after {seconds:.0f} s"
    lines = [line for line in error.splitlines() if re.match("speedlimits: (?!warning: )", line)]
    if code not in CODES:
        return "died", f"exit code {code}: {error[-300:]!r}"
    ending = CODES[code]
    if "Traceback" in error + out or "unexpected " in error:
        return ending, f"fault of ours: {error[-300:]!r}"
    if "\x1b" in out + error:
        return ending, "an escape sequence reached the terminal"
    if code and (len(lines) != 1 or not error.endswith(lines[0] + "\n")):
        return ending, f"{error.count(chr(10))} lines: {error[-300:]!r}"
    if not code and lines:
        return ending, f"error without a code: {error[-300:]!r}"
    return ending, None


def called(arguments: Sequence[str]) -> Ended:
    """Run a command in this process.

    Args:
        arguments: of the command.

    Returns:
        How it ended.
    """

    def stop(*_: object) -> None:
        raise TimeLimitError

    out, error, code = io.StringIO(), io.StringIO(), None
    timers = {signal.ITIMER_PROF: (signal.SIGPROF, LIMIT), signal.ITIMER_REAL: (signal.SIGALRM, CLOCK_LIMIT)}
    before = {number: signal.signal(number, stop) for number, _ in timers.values()}
    began = time.monotonic()
    try:
        for timer, (_, seconds) in timers.items():
            signal.setitimer(timer, seconds)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main(list(arguments))
    except TimeLimitError:
        pass
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return code, out.getvalue(), error.getvalue(), time.monotonic() - began


class TimeLimitError(BaseException):
    """The time is over; no handler of the command's own may catch this."""


def process(arguments: Sequence[str]) -> Ended:
    """The same as `called`, in a process of its own."""
    if any("\0" in argument for argument in arguments):
        return called(arguments)  # No process can have a zero byte in its arguments.
    began, command = time.monotonic(), [sys.executable, "-m", "speedlimits", *arguments]
    try:
        found = subprocess.run(command, capture_output=True, timeout=CLOCK_LIMIT, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return None, "", "", CLOCK_LIMIT
    out, error = (text.decode(errors="replace") for text in (found.stdout, found.stderr))
    return found.returncode, out, error, time.monotonic() - began


def _options(chance: random.Random) -> list[str]:
    """A training or reading command with a hostile value or two; --resume of nothing keeps it from training long."""
    name = chance.choice([name for name in OPTIONS if name not in THEORY])
    hostile: list[str] = []
    for option in chance.sample(OPTIONS[name], chance.choice((1, 1, 2))):
        value = chance.choice(VALUES)
        hostile += chance.choice(([f"--{option}", value], [f"--{option}={value}"]))
    if name in READERS:
        # A study is drawn for seconds.
        study = name == "figure1" and chance.random() < 0.2
        whole = "whole-study" if study else chance.choice(("whole-run", "whole-run", "whole-langevin"))
        places = [whole, *([whole] if name == "compare" else []), *(["--no-kernel"] if name == "figure1" else [])]
        return [name, *places, *hostile]
    if name == "serve":
        # Of what is there it would show until it is interrupted.
        return [name, "nowhere", *hostile]
    shutil.rmtree("out", ignore_errors=True)
    plain = {
        "run": [*_options_of(TINY), "--seeds", "0", "--workers", "1"],
        "langevin": _options_of(NOISY),
        "study": ["--preset", "smoke", "--resume"],
    }[name]
    return [name, "--out", "out", *plain, *hostile]


def _options_of(config: Mapping[str, float]) -> list[str]:
    return [word for key, value in config.items() for word in (f"--{key.replace('_', '-')}", str(value))]


def _theory(chance: random.Random) -> list[str]:
    """A closed form of hostile numbers."""
    name = chance.choice(list(THEORY))
    option, value = chance.choice(OPTIONS[name]), chance.choice(VALUES)
    return ["theory", name, *THEORY[name], chance.choice(("--json", f"--{option}={value}")), f"--{option}={value}"]


def _places(chance: random.Random) -> list[str]:
    """A folder or file that is none of ours, or of another kind."""
    shutil.rmtree("place", ignore_errors=True)
    Path("place").mkdir()
    name = chance.choice(["x[/b]", "\x1b[2J", "a b", "-x", "ü", os.fsdecode(b"\xff"), "%00", "$x^", "config.toml"])
    path = Path("place") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = chance.choice(("missing", "file", "empty", "fifo", "loop", "link", "foreign", "copy", "noisy"))
    {
        "missing": lambda: None,
        "file": lambda: path.write_bytes(chance.randbytes(50)),
        "empty": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path.name),
        "link": lambda: path.symlink_to("/dev/zero"),
        "foreign": lambda: (path.mkdir(), (path / "config.toml").write_bytes(chance.choice(TEXT))),
        "copy": lambda: shutil.copytree("whole-run", path),
        "noisy": lambda: shutil.copytree("whole-langevin", path),
    }[kind]()
    return _command(chance, str(path))


def _damaged(chance: random.Random) -> list[str]:
    """A run of ours, of which one file was changed into something that may still be parsed."""
    shutil.rmtree("place", ignore_errors=True)
    whole = chance.choice(("whole-run", "whole-run", "whole-langevin", "whole-study"))
    shutil.copytree(whole, "place")
    files = sorted(path for path in Path("place").rglob("*") if path.is_file() and path.name != ".lock")
    path = chance.choice(files)
    content, changed = path.read_bytes(), chance.choice((_cut, _flipped, _keys, _other))
    path.write_bytes(changed(chance, path, content))
    if chance.random() < 0.1:
        path.unlink()
        chance.choice((lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), path.mkdir))()
    if chance.random() < 0.1:
        Path("place/summary.json").unlink(missing_ok=True)
        return ["run", "--out", "place", "--resume", "--workers", "1"]
    if whole == "whole-study":
        name = chance.choice(("verify", "verify", "verify", "verify", "figure1"))
        return [name, "place", *(["--no-kernel"] if name == "figure1" else [])]
    return _command(chance, "place")


def _command(chance: random.Random, place: str) -> list[str]:
    name = chance.choice((*READERS, "resume", "resume"))
    if name == "resume":
        return [chance.choice(("run", "langevin", "study")), "--out", place, "--resume"]
    return [name, "whole-run", place] if name == "compare" else [name, place]


def _cut(chance: random.Random, _: Path, content: bytes) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _flipped(chance: random.Random, _: Path, content: bytes) -> bytes:
    changed = bytearray(content or b"x")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _keys(chance: random.Random, _: Path, content: bytes) -> bytes:
    """A key or a number of a text file becomes another."""
    words = content.split(b'"') if b'"' in content else content.split(b" ")
    words[chance.randrange(len(words))] = chance.choice((b"x", b"null", b"-1", b"[]", b"{}", b""))
    return (b'"' if b'"' in content else b" ").join(words)


def _other(chance: random.Random, path: Path, _: bytes) -> bytes:
    return chance.choice(TEXT if path.suffix == ".toml" else JSON)
