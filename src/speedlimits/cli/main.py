"""Entry point: parse the arguments, run one command, turn failures into one line and an exit code.

Exit codes: 0 done; 1 failed (run diverged, folder damaged, disk full); 2 wrong usage; 130 interrupted.
"""

import contextlib
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence

import tyro

import speedlimits
from speedlimits.cli.compare import CompareCommand
from speedlimits.cli.figure1 import Figure1Command
from speedlimits.cli.kernel import KernelCommand
from speedlimits.cli.langevin import LangevinCommand
from speedlimits.cli.report import ReportCommand
from speedlimits.cli.run import RunCommand
from speedlimits.cli.show import ShowCommand
from speedlimits.cli.study import StudyCommand
from speedlimits.cli.theory import TheoryCommand
from speedlimits.cli.training import Configuration, default_config
from speedlimits.cli.verify import VerifyCommand
from speedlimits.errors import SpeedLimitsError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.noisy import NoisyConfig

PROGRAM = "speedlimits"
DESCRIPTION = (
    f"{speedlimits.__doc__}\n\n"
    "Everywhere: --version prints the version; --debug shows tracebacks and the library's log."
)


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
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
    try:
        return _execute(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command with --resume goes on where it stood", 130, debug=debug)
    except BrokenPipeError:
        # Whoever read our output (head, less) has closed it; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ValueError as error:
        return _fail(str(error), 2, debug=debug)
    except SpeedLimitsError as error:
        return _fail(str(error), 1, debug=debug)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 1, debug=debug)
    except Exception as error:  # A fault of ours: still one line, and how to see more.
        return _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1, debug=debug)


def entry() -> None:
    """Run the command line and end the process.

    At once, with everything written: threads that torch and Arrow leave behind aborted one study in ten when the
    interpreter took itself apart, after all its work was done.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        # Whoever read it may be gone.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _execute(arguments: list[str]) -> int:
    command = _parse(arguments)
    if isinstance(command, int):
        return command
    command()
    return 0


def _parse(arguments: list[str]) -> Callable[[], None] | int:
    def started(kind: type[Configuration], command: str) -> Configuration:
        return default_config(arguments, kind) if arguments[:1] == [command] else kind()

    defaults = {
        "run": RunCommand(out=tyro.MISSING, config=started(RunConfig, "run")),
        "langevin": LangevinCommand(out=tyro.MISSING, config=started(NoisyConfig, "langevin")),
        "report": ReportCommand(directory=tyro.MISSING),
        "show": ShowCommand(directory=tyro.MISSING),
        "kernel": KernelCommand(directory=tyro.MISSING),
        "compare": CompareCommand(directories=tyro.MISSING),
        "study": StudyCommand(out=tyro.MISSING),
        "figure1": Figure1Command(directory=tyro.MISSING),
        "verify": VerifyCommand(directory=tyro.MISSING),
        "theory": TheoryCommand(system=tyro.MISSING),
    }
    commands = tyro.extras.subcommand_type_from_defaults(
        defaults, descriptions={name: command.__doc__ or "" for name, command in defaults.items()}
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                commands,
                prog=PROGRAM,
                description=DESCRIPTION,
                args=arguments,
                config=(
                    tyro.conf.FlagCreatePairsOff,
                    tyro.conf.OmitSubcommandPrefixes,
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.SuppressFixed,
                ),
            )
    except SystemExit as stop:
        if stop.code:
            return _fail(_one_line(complaint.getvalue()), 2, debug=False)
        return 0


def _one_line(box: str) -> str:
    """What stands in tyro's box, without the box and its footnotes."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    title, *body = [line for line in lines if line]
    ends = [k for k, line in enumerate(body) if set(line) <= {"─"} or line.startswith("For full helptext")]
    text = " ".join(" ".join(body[: min(ends, default=len(body))]).split()) or title.strip("─ ")
    # What tyro adds of its own workings: the name of a field that is no option, and every conversion it tried.
    return re.sub(r"^Error parsing [a-z_][\w.-]*: ", "", text).split(" Got errors:")[0]


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    entry()
