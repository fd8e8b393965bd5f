"""Help in a terminal: as wide and as coloured as it may be, with examples, and the nearest to what is not known."""

import contextlib
import difflib
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Sequence

# Two for each command, by its name; copied from here they run, where their folders are there.
EXAMPLES: dict[str, tuple[str, str]] = {
    "": ("run --out demo", "theory power-law --spectrum-exponent 1 --residual-exponent 0.5 --modes 200000 --time 2000"),
    "run": ("run --out demo", "run --out wide --width 256 --seeds 0 1 --time 2 --json"),
    "study": ("study --preset smoke --out smoke", "study --preset small --seeds 0 1 2 3 4 5 --out small --resume"),
    "figure1": ("figure1 smoke", "figure1 smoke --start-time 0.02 --no-kernel"),
    "report": ("report demo", "report recording"),
    "show": ("show demo", "show demo --json"),
    "kernel": ("kernel demo", "kernel demo --at 0.01 --matrix-free --modes 60"),
    "langevin": ("langevin --out noisy", "langevin --out cold --inverse-temperature 100 --members 500 --json"),
    "serve": ("serve demo", "serve small --port 9000"),
    "verify": ("verify demo", "verify small --json"),
    "compare": ("compare demo large-steps", "compare demo large-steps --plot compared.png"),
    "theory": ("theory ntk --help", "theory linear-regression --help"),
    "theory linear-regression": (
        "theory linear-regression --weight-decay 1 --inverse-temperature 10 --aspect-ratio 2 --teacher-variance 1",
        "theory linear-regression --weight-decay 1 --inverse-temperature 10 --aspect-ratio 2 --teacher-variance 1 "
        "--time 1 10 --json",
    ),
    "theory ntk": (
        "theory ntk --eigenvalues eigenvalues.txt --residual residual.txt --time 1",
        "theory ntk --eigenvalues eigenvalues.npy --residual residual.npy --time 1 10 100 --plot ntk.pdf",
    ),
    "theory power-law": (
        "theory power-law --spectrum-exponent 1 --residual-exponent 0.5 --modes 200000 --time 2000",
        "theory power-law --spectrum-exponent 1.5 --residual-exponent 0.5 --modes 1000 --time 1 10 100 --json",
    ),
    "theory fokker-planck": (
        'theory fokker-planck --potential "x**2+1.5*(x-1.2)**4" --inverse-temperature 2 --time 1',
        'theory fokker-planck --potential "x**2" --inverse-temperature 1 --time 0.1 1 --observable x --json',
    ),
    "theory mini-batches": (
        "theory mini-batches --aspect-ratio 0.5 --batch-share 0.1 --learning-rate 0.1 --teacher-variance 1 --steps 100",
        "theory mini-batches --aspect-ratio 2 --batch-share 0.1 --learning-rate 0.05 --teacher-variance 1 "
        "--steps 10 100 --json",
    ),
    "theory finite-steps": (
        "theory finite-steps --eigenvalues eigenvalues.txt --residual residual.txt --learning-rate 0.1 --steps 10 100",
        "theory finite-steps --eigenvalues eigenvalues.txt --residual residual.txt --learning-rate 0.1 --steps 50 "
        "--momentum 0.9",
    ),
    "theory surrogate": (
        "theory surrogate --eigenvalues eigenvalues.txt --residual residual.txt --start-variance 1 --time 1",
        "theory surrogate --eigenvalues eigenvalues.txt --residual residual.txt --start-variance 1 --time 1 10 --json",
    ),
    "theory schedules": (
        "theory schedules --spectrum-exponent 2 --residual-exponent 1.4",
        "theory schedules --spectrum-exponent 2 --residual-exponent 3 --steps 1000 100000 --json",
    ),
    "theory sampler": (
        "theory sampler --radius 4 --components 8 --schedule linear --steps 5",
        "theory sampler --radius 4 --components 8 --schedule cosine --steps 5 10 20 --plot sampler.png",
    ),
}
# Below this likeness a word is another one, not misspelt.
LIKENESS = 0.6


class Captured(io.StringIO):
    """What would be printed, by a writer who asks which letters there are and whether colours may be used.

    Args:
        encoding: what it is told.
    """

    # That of a file opened for text; a StringIO has none.
    encoding = ""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.encoding = encoding

    def isatty(self) -> bool:
        """Whether colours may be used (https://no-color.org)."""
        return sys.__stdout__ is not None and sys.__stdout__.isatty() and not os.environ.get("NO_COLOR")


def captured_help(show: Callable[[], object]) -> str:
    """What a parser prints as help, its text wrapped to the terminal.

    Args:
        show: prints it, and may end in `SystemExit`.

    Returns:
        The help; without colours where ``NO_COLOR`` is set.
    """
    out = Captured(getattr(sys.__stdout__, "encoding", "ascii"))
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        show()
    width = shutil.get_terminal_size().columns
    # Boxes are as wide as the terminal already; the text above them is not.
    lines = (line if line.startswith(("│", "╭", "╰", "\x1b")) else textwrap.fill(line, width) for line in _lines(out))
    return "\n".join(lines)


def examples(program: str, command: str) -> str:
    """Lines that show a command at work.

    Args:
        program: its name.
        command: as in `EXAMPLES`.

    Returns:
        The lines, with a heading; nothing for what is no command.
    """
    if command not in EXAMPLES:
        return ""
    # The shell reads on after a backslash.
    fill = textwrap.TextWrapper(shutil.get_terminal_size().columns - 8, break_long_words=False, break_on_hyphens=False)
    lines = (" \\\n      ".join(fill.wrap(f"{program} {line}")) for line in EXAMPLES[command])
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def nearest(word: str, known: Collection[str]) -> str:
    """Words for an error that suggest what was meant.

    Args:
        word: that is not known.
        known: what there is.

    Returns:
        `` Did you mean X?``, or nothing where no known word is like it.
    """
    found = difflib.get_close_matches(word, known, n=1, cutoff=LIKENESS)
    return f" Did you mean {found[0]}?" if found else ""


def command_of(arguments: Sequence[str]) -> str:
    """The command that arguments begin with: the longest that has examples; empty where there is none."""
    words = [word for word in arguments[:2] if not word.startswith("-")]
    return next((name for k in (2, 1) if (name := " ".join(words[:k])) in EXAMPLES), "")


def options(text: str) -> list[str]:
    """The options that a help tells of."""
    return re.findall(r"^[│\s]*(--[a-z0-9-]+)", text, re.MULTILINE)


def _lines(out: io.StringIO) -> list[str]:
    return out.getvalue().rstrip().splitlines()
