"""Write docs/cli.md: the help of every command, from its parser.

Run: python docs/make_cli_page.py (`make docs` does)
"""

import os
from pathlib import Path

import pages

from speedlimits.cli.commands import help_text
from speedlimits.cli.help import EXAMPLES

PAGE = Path(__file__).parent / "cli.md"
INTRODUCTION = """# The command line

`speedlimits COMMAND --help` prints what stands here. Exit codes: 0, done; 1, failed; 2, wrong usage; 130, interrupted.
Errors are one line with argument, rule and value; `--debug` shows more. `--json` prints one object with all digits.
`NO_COLOR` and `TERM=dumb` leave colours out; tables and help fit the width of the terminal.

Completion in your shell, here in Bash (`zsh` and `tcsh` as well):

    speedlimits --tyro-print-completion bash > ~/.local/share/bash-completion/completions/speedlimits
"""


def render() -> str:
    """The text of the page."""
    os.environ["COLUMNS"] = "96"
    sections = [INTRODUCTION]
    for command in sorted(name for name in EXAMPLES if name):
        sections.append(f"## `{command}`\n\n```text\n{help_text('speedlimits', command.split())}\n```\n")
    return "\n".join(sections)


def write() -> None:
    """Write the page, unless it is as it should be."""
    pages.write(PAGE, render())


if __name__ == "__main__":
    write()
