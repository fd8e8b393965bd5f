"""Tables in the terminal: one way to print them, as many beside or below each other as fit its width."""

import shutil
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from speedlimits.cli.text import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Columns of output that is no terminal.
PIPED = 200
# What a column takes beside its cells: two spaces and a line. Words are wrapped, but not to fewer letters than these.
BORDER, WORDS = 3, 18


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    words: Collection[str] = (),
    footer: Sequence[Sequence[str]] = (),
) -> None:
    """Print a table on stdout; where the terminal is too narrow, several, one below the other.

    Args:
        headings: of the columns.
        rows: their cells.
        title: above the table.
        words: headings of the columns of words, which stand left and may be wrapped; numbers stand right.
        footer: rows below a line, the first in bold.
    """
    # Late: help and JSON do without.
    from rich.console import Console

    # Piped, a table must not be folded to 80 columns. A dumb terminal has a width, too, but rich takes it only with a
    # height, which tables do not heed.
    console = Console(width=shutil.get_terminal_size().columns if Console().is_terminal else PIPED, height=25)
    for k, columns in enumerate(_parts(headings, rows, footer, words, console.width)):
        console.print(_table(title if not k else "", headings, rows, footer, words, columns))


def _parts(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[Sequence[str]],
    words: Collection[str],
    width: int,
) -> list[list[int]]:
    """The columns of each table that fits the terminal: no number is cut, and the first column is in all of them."""

    def needed(column: int) -> int:
        full = max(_cell_width(row[column]) for row in (headings, *rows, *footer))
        return BORDER + (min(full, WORDS) if headings[column] in words else full)

    widths = [needed(k) for k in range(len(headings))]
    parts, left = [[0]], width - 1 - widths[0]
    for column in range(1, len(headings)):
        if widths[column] > left and len(parts[-1]) > 1:
            parts.append([0])
            left = width - 1 - widths[0]
        parts[-1].append(column)
        left -= widths[column]
    return parts


def _table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[Sequence[str]],
    words: Collection[str],
    columns: Sequence[int],
) -> "Table":
    from rich.table import Table

    table = Table(title=_cell(title), title_justify="left")
    for column in columns:
        wordy = headings[column] in words
        table.add_column(
            _cell(headings[column]), justify="left" if wordy else "right", no_wrap=not wordy, overflow="fold"
        )
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    table.add_section()
    for k, row in enumerate(footer):
        table.add_row(*(_cell(row[column]) for column in columns), style=None if k else "bold")
    return table


def _cell_width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(printable(text))


def _cell(text: str) -> "Text":
    """What is printed as it is: brackets are no markup."""
    from rich.text import Text

    return Text(printable(text))
