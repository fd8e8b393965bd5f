"""List the scripts that draw the figures of this repository, or its benchmarks, from their docstrings.

Run: python docs/list_scripts.py figures|benchmarks (`make figures`, `make bench`)
"""

import argparse
import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Script(NamedTuple):
    """What is known of a script.

    Args:
        name: its path in the repository, or the name of a command.
        sentence: what it does.
        run: how to run it.
        draws: the figures it draws, if it draws any.
    """

    name: str
    sentence: str
    run: str
    draws: str = ""

    def __str__(self) -> str:
        lines = [self.name, f"  {self.sentence}", f"  Run: {self.run}"]
        return "\n".join(lines + ([f"  Draws: {self.draws}"] if self.draws else []))


# Figures drawn by commands, not by scripts.
COMMANDS = (
    Script(
        "make demo",
        "Measure six small networks on digits; the picture in README.",
        "make demo && cp runs/demo/overview.png docs/demo.png",
        "docs/demo.png",
    ),
    Script(
        "speedlimits figure1",
        "Draw Fig. 1 of the paper from the study in the repository; see studies/README.md.",
        "speedlimits figure1 studies/small",
        "studies/small/figure1/figure1.png and .pdf",
    ),
)


def read(path: Path) -> Script:
    """A script as its docstring describes it: a sentence first, then a paragraph each for `Run:` and `Draws:`.

    Args:
        path: of the script.

    Returns:
        What it says; empty where it says nothing.
    """
    paragraphs = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")
    said = {name: " ".join(rest.split()) for name, _, rest in (text.partition(":") for text in paragraphs)}
    sentence = " ".join(paragraphs[0].split())
    return Script(str(path.relative_to(ROOT)), sentence, said.get("Run", ""), said.get("Draws", ""))


def figures() -> list[Script]:
    """Scripts and commands that draw what the documentation shows."""
    scripts = [read(path) for folder in ("docs", "benchmarks") for path in sorted((ROOT / folder).glob("*.py"))]
    return [*COMMANDS, *(script for script in scripts if script.draws)]


def benchmarks() -> list[Script]:
    """Scripts that measure; a module that they share says no `Run:`."""
    return [script for script in map(read, sorted((ROOT / "benchmarks").glob("*.py"))) if script.run]


def main() -> None:
    """Print one of the lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("figures", "benchmarks"))
    scripts = figures() if parser.parse_args().which == "figures" else benchmarks()
    print("\n\n".join(map(str, scripts)))


if __name__ == "__main__":
    main()
