"""Pages that scripts write: tables between their marks, and no file touched that is as it should be."""

import argparse
from collections.abc import Callable
from pathlib import Path


def renewed(page: str, name: str, lines: list[str]) -> str:
    """The page with one of its tables as it should be.

    Args:
        page: its text, with a pair of comments around the table.
        name: of the table.
        lines: of it.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    return "\n".join([f"{before}{begin}", "", *lines, "", end]) + rest.partition(end)[2]


def write(path: Path, text: str) -> None:
    """Write a file, unless it is as it should be: Sphinx then has nothing to do for it."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(sentence: str | None, path: Path, written: Callable[[str], str]) -> int:
    """The command line of a script that writes one page.

    Args:
        sentence: what the script says of itself.
        path: of the page.
        written: makes of its text what it should be.

    Returns:
        1 if the page is old and was only checked.
    """
    parser = argparse.ArgumentParser(description=sentence)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is old")
    checked = parser.parse_args().check
    old = path.read_text(encoding="utf-8")
    new = written(old)
    if checked:
        return int(new != old)
    write(path, new)
    return 0
