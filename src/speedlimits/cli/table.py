"""Tables in the terminal: one console for all commands, and one way to print a table."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from speedlimits.cli.text import printable

if TYPE_CHECKING:
    from rich.text import Text


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    words: Collection[str] = (),
    footer: Sequence[Sequence[str]] = (),
) -> None:
    """Print a table on stdout.

    Args:
        headings: of the columns.
        rows: their cells.
        title: above the table.
        words: headings of the columns of words, which stand left and may be wrapped; numbers stand right.
        footer: rows below a line, the first in bold.
    """
    # Late: help and JSON do without.
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_cell(title), title_justify="left")
    for heading in headings:
        wordy = heading in words
        table.add_column(_cell(heading), justify="left" if wordy else "right", no_wrap=not wordy)
    for row in rows:
        table.add_row(*map(_cell, row))
    table.add_section()
    for k, row in enumerate(footer):
        table.add_row(*map(_cell, row), style=None if k else "bold")
    console = Console()
    # Piped, a table must not be folded to 80 columns.
    (console if console.is_terminal else Console(width=200)).print(table)


def _cell(text: str) -> "Text":
    """What is printed as it is: brackets are no markup."""
    from rich.text import Text

    return Text(printable(text))
