"""Entry point: run one command, turn failures into one line and an exit code.

Exit codes: 0 done; 1 failed (run diverged, folder damaged, disk full); 2 wrong usage; 130 interrupted.
Whatever takes time to import comes late: Ctrl-C and too little memory are one line from the first moment on.
"""

import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import IO, Any, NoReturn

import speedlimits
from speedlimits._extras import missing
from speedlimits._machine import has_room
from speedlimits.cli.text import one_line
from speedlimits.errors import SpeedLimitsError

PROGRAM = "speedlimits"
# What libraries say, each in its own words, where memory ends.
NO_MEMORY = (
    "allocate memory",
    "out of memory",
    "failed to map segment",
    "bad_alloc",
    "not enough memory",
    "malloc of size",
)
# Bytes that must be free for an error to be of another kind: libraries that find none also say that a file is damaged,
# or that a package is missing.
ROOM = 64 * 10**6

_interrupted = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if arguments == ["--version"]:
        print(f"{PROGRAM} {speedlimits.__version__}")
        return 0
    try:
        return _execute(arguments, debug=debug)
    except BrokenPipeError:
        # Whoever read our output (head, less) has closed it; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, Exception) as error:
        if debug:
            import traceback

            traceback.print_exc()
        message, code = _failure(error, arguments)
        print(f"{PROGRAM}: {one_line(message)}", file=sys.stderr)
        return code


def entry() -> None:
    """Run the command line and end the process.

    At once, with everything written: threads that torch and Arrow leave behind aborted one study in ten when the
    interpreter took itself apart, after all its work was done.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _unraisable
    warnings.showwarning = _warn
    # None where the shell has closed it.
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    for stream in streams:
        # A terminal without Greek letters, or a file name that is no text: its code stands for what cannot be printed.
        stream.reconfigure(errors="backslashreplace")
    _end(main(), streams)


def _end(code: int, streams: Sequence[IO[str]]) -> NoReturn:
    for stream in streams:
        # Whoever read it may be gone; and where a signal hit, it may be in use.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def _execute(arguments: list[str], *, debug: bool) -> int:
    import gc
    import logging

    # What imports leave behind stays: looking for garbage among it takes a tenth of their time.
    gc.disable()
    from speedlimits.cli.commands import parse

    gc.enable()
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
    command = parse(PROGRAM, arguments)
    if command is not None:
        command()
    return 0


def _failure(error: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    # A library may turn the interrupt into an error of its own while it is being imported.
    if isinstance(error, KeyboardInterrupt) or _interrupted:
        trains = arguments[:1] in (["run"], ["study"], ["langevin"])
        return "interrupted" + ("; the same command with --resume goes on where it stood" if trains else ""), 130
    text = str(error)
    told = isinstance(error, MemoryError) or any(words in text.lower() for words in NO_MEMORY)
    if told or not (isinstance(error, ValueError) or has_room(ROOM)):
        return f"memory is short: {text or 'nothing was left'}", 1
    if message := missing(arguments[0] if arguments else PROGRAM, error):
        return message, 1
    if isinstance(error, ValueError):
        return text, 2
    if isinstance(error, SpeedLimitsError):
        return text, 1
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else ""), 1
    # A fault of ours: still one line, and how to see more.
    return f"unexpected {type(error).__name__}: {text} (--debug shows where)", 1


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    print(f"{PROGRAM}: warning: {one_line(str(message))}", file=sys.stderr)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    if _importing(frame):
        # A compiled library that is being imported ends the process at any exception, with words of its own.
        said, code = _failure(KeyboardInterrupt(), sys.argv[1:])
        with contextlib.suppress(OSError):
            os.write(2, f"{PROGRAM}: {said}\n".encode())
        _end(code, [stream for stream in (sys.stdout, sys.stderr) if stream is not None])
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _unraisable(lost: Any) -> None:
    """Where an interrupt hit a function whose errors Python drops, such as one that tidies up: once more, outside."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    entry()
