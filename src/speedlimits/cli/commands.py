"""The commands by name, and what arguments make of them: a command, help, or one line that says what is wrong."""

import contextlib
import io
import re
from collections.abc import Callable, Sequence

import tyro

import speedlimits
from speedlimits.cli.compare import CompareCommand
from speedlimits.cli.figure1 import Figure1Command
from speedlimits.cli.help import EXAMPLES, Captured, captured_help, command_of, examples, nearest, options
from speedlimits.cli.kernel import KernelCommand
from speedlimits.cli.langevin import LangevinCommand
from speedlimits.cli.report import ReportCommand
from speedlimits.cli.run import RunCommand
from speedlimits.cli.serve import ServeCommand
from speedlimits.cli.show import ShowCommand
from speedlimits.cli.study import StudyCommand, study_words
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
        arguments: without the program's name; none ask for help.

    Returns:
        The command, to be called; None where help was asked for, and printed.

    Raises:
        ValueError: if the arguments are no command's.
    """
    arguments = list(arguments) or ["--help"]
    if {"-h", "--help"} & set(arguments):
        print(help_text(program, arguments))
        return None
    _check_names(arguments)
    # In the letters whose boxes are taken away below, whatever the terminal has.
    printed, complaint = Captured("utf-8"), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
            return _cli(program, arguments)
    except SystemExit as stop:
        if stop.code:
            meant = _meant(program, arguments)
            text = _unboxed(complaint.getvalue())
            raise ValueError(f"{text.rstrip('.')}.{meant}" if meant else text) from None
        # A completion script.
        print(printed.getvalue(), end="")
        return None


def help_text(program: str, arguments: Sequence[str]) -> str:
    """The help of the command that arguments begin with, and its examples.

    Args:
        program: its name.
        arguments: without the program's name.

    Returns:
        The lines.
    """
    text = captured_help(lambda: _cli(program, [*arguments, "--help"]))
    return "\n\n".join(filter(None, (text, examples(program, command_of(arguments)))))


def _cli(program: str, arguments: Sequence[str]) -> Callable[[], None]:
    """Let tyro parse them: it prints help or a complaint and ends in `SystemExit`, or returns the command."""

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
        "serve": ServeCommand(directory=tyro.MISSING),
        "verify": VerifyCommand(directory=tyro.MISSING),
        "theory": TheoryCommand(system=tyro.MISSING),
    }
    commands = tyro.extras.subcommand_type_from_defaults(
        defaults, descriptions={name: command.__doc__ or "" for name, command in defaults.items()}
    )
    return tyro.cli(
        commands,
        prog=program,
        description=DESCRIPTION,
        args=study_words(arguments) if arguments[:1] == ["study"] else arguments,
        config=(
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.OmitSubcommandPrefixes,
            tyro.conf.OmitArgPrefixes,
            tyro.conf.SuppressFixed,
        ),
    )


def _check_names(arguments: Sequence[str]) -> None:
    """Raise unless the arguments begin with a command that there is."""
    known, place, word = [name for name in EXAMPLES if name and " " not in name], "command", arguments[0]
    if arguments[0] == "theory" and len(arguments) > 1:
        known, place, word = [name.split()[1] for name in EXAMPLES if " " in name], "system", arguments[1]
    if word not in known and not word.startswith("-"):
        raise ValueError(f"`{place}` must be one of {', '.join(known)}; it is {word!r}.{nearest(word, known)}")


def _meant(program: str, arguments: Sequence[str]) -> str:
    """Which option was meant, where one is not known."""
    command = command_of(arguments)
    known = options(captured_help(lambda: _cli(program, [*command.split(), "--help"])))
    given = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    return next((nearest(word, known) for word in given if word not in known), "")


def _unboxed(box: str) -> str:
    """What stands in tyro's box, without the box and its footnotes."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    title, *body = [line for line in lines if line]
    ends = [k for k, line in enumerate(body) if set(line) <= {"─"} or line.startswith("For full helptext")]
    text = " ".join(" ".join(body[: min(ends, default=len(body))]).split()) or title.strip("─ ")
    # What tyro adds of its own workings: the name of a field that is no option, and every conversion it tried.
    return re.sub(r"^Error parsing [a-z_][\w.-]*: ", "", text).split(" Got errors:")[0]
