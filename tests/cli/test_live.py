"""Progress on a terminal, without one, and in the log file."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from speedlimits import RunConfig
from speedlimits.cli.live import LiveTable
from speedlimits.training.train import Progress

STUDIES = {"small": RunConfig(samples=10, seeds=(0, 1)), "large": RunConfig(samples=40, seeds=(0, 1))}


def told(tmp_path: Path, *events: tuple[str, Progress], terminal: bool) -> tuple[str, list[str]]:
    """The screen, and the log without its times, after these events."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    with LiveTable(STUDIES, tmp_path / "progress.log", console) as table:
        for name, event in events:
            table.update(name, event)
    lines = (tmp_path / "progress.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line) for line in lines)
    return screen.getvalue(), [line.split(" ", 1)[1] for line in lines]


EVENTS = (
    ("large", Progress(0, 1.0)),
    ("large", Progress(1, 0.25, 3.0, None)),
    ("large", Progress(1, 0.26, 2.9, 4.0)),
    ("small", Progress(0, 0.5, 2.0, 1.5)),
    ("large", Progress(1, 1.0, 1.0, 2.5)),
)


def test_without_a_terminal_a_line_tells_of_each_end(tmp_path):
    """One line for each network that ends, and no more; the log has every tenth of T too."""
    screen, log = told(tmp_path, *EVENTS, terminal=False)
    assert screen.splitlines() == [
        "large seed 0 has ended before (1 of 4)",
        "large seed 1 has ended after 0 s, loss 1, T/T_SL 2.5 (2 of 4)",
    ]
    assert log == [
        "4 networks",
        "large seed 0 has ended before (1 of 4)",
        "large seed 1: t/T 0.25, loss 3, T/T_SL –",
        "small seed 0: t/T 0.50, loss 2, T/T_SL 1.5",
        "large seed 1 has ended after 0 s, loss 1, T/T_SL 2.5 (2 of 4)",
        "all done",
    ]


def test_on_a_terminal_only_networks_in_training_are_shown(tmp_path):
    """The last picture shows the share of all work, ∝ images^(3/2), and the network still in training."""
    screen, _ = told(tmp_path, *EVENTS, terminal=True)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen).rstrip().splitlines()[-2:]
    assert last[0].startswith("2 of 4 networks")
    share = (2 * 40**1.5 + 0.5 * 10**1.5) / (2 * 40**1.5 + 2 * 10**1.5)
    assert f"{100 * share:3.0f} %" in last[0]
    assert re.fullmatch(r"small seed 0 .* 50 % .* loss 2, T/T_SL 1.5", last[1].rstrip())


def stop(log: Path, *events: Progress) -> None:
    """Work that fails after these events."""
    with LiveTable(STUDIES, log) as table:
        for event in events:
            table.update("small", event)
        raise RuntimeError("no more")


def test_log_says_why_it_stopped(tmp_path):
    """An error ends the log; one before the first event leaves no file."""
    with pytest.raises(RuntimeError):
        stop(tmp_path / "progress.log", Progress(0, 0.1, 1.0, 1.0))
    assert (tmp_path / "progress.log").read_text().splitlines()[-1].endswith("stopped: RuntimeError no more")
    with pytest.raises(RuntimeError):
        stop(tmp_path / "none.log")
    assert not (tmp_path / "none.log").exists()
