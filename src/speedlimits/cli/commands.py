"""The commands by name, and what the arguments make of them."""

import contextlib
import io
import re
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
from speedlimits.runs.config import RunConfig
from speedlimits.runs.noisy import NoisyConfig

DESCRIPTION = (
    f"{speedlimits.__doc__}\n\n"
    "Everywhere: --version prints the version; --debug shows tracebacks and the library's log."
)


def parse(program: str, arguments: Sequence[str]) -> Callable[[], None] | None:
    """The command that the arguments ask for.

    Args:
        program: its name, for the help.
        arguments: without the program's name.

    Returns:
        The command, to be called; None where help was asked for, and printed.

    Raises:
        ValueError: if the arguments are no command's.
    """

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
                prog=program,
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
            raise ValueError(_unboxed(complaint.getvalue())) from None
        return None


def _unboxed(box: str) -> str:
    """What stands in tyro's box, without the box and its footnotes."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    title, *body = [line for line in lines if line]
    ends = [k for k, line in enumerate(body) if set(line) <= {"─"} or line.startswith("For full helptext")]
    text = " ".join(" ".join(body[: min(ends, default=len(body))]).split()) or title.strip("─ ")
    # What tyro adds of its own workings: the name of a field that is no option, and every conversion it tried.
    return re.sub(r"^Error parsing [a-z_][\w.-]*: ", "", text).split(" Got errors:")[0]
