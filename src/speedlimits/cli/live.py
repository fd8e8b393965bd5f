"""Progress of long work on stderr: a live table of the networks being trained, and a log file of what happened."""

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from speedlimits._files import open_log
from speedlimits._numbers import number
from speedlimits.cli.text import one_line
from speedlimits.runs.config import RunConfig

if TYPE_CHECKING:
    from speedlimits.training.train import Progress as Event

# Shares of T at which a line goes to the log.
MARKS = 10
# Wall seconds over which a network's speed is taken, for the time it still needs.
WINDOW = 60.0


class LiveTable:
    """On a terminal a row for each network that is being trained; elsewhere a line for each that has ended.

    Args:
        runs: configurations by the names of their runs, which are shown before the seeds; one may be empty.
        log: file for what happens, appended to; its folder need not exist before the first `update`.
        console: where to; stderr by default.
    """

    def __init__(self, runs: Mapping[str, RunConfig], log: Path, console: Console | None = None) -> None:
        self._path = log
        self._log: TextIO | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console or Console(stderr=True),
            expand=True,
            speed_estimate_period=WINDOW,
        )
        # n images: a gradient costs n, and √(λ_max T) ~ √n of them are taken.
        self._weights = {(name, seed): config.size**1.5 for name, config in runs.items() for seed in config.seeds}
        self._whole = self._progress.add_task("", total=sum(self._weights.values()), start=False, detail="")
        self._tasks: dict[tuple[str, int], TaskID] = {
            key: self._progress.add_task(_title(*key), total=1.0, start=False, visible=False, detail="")
            for key in self._weights
        }
        self._shares = dict.fromkeys(self._weights, 0.0)
        self._begun: dict[tuple[str, int], float] = {}

    def __enter__(self) -> "LiveTable":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        # Stopping what never started would print an empty line.
        if self._progress.live.is_started:
            self._progress.stop()
        if self._log is not None:
            self._write("all done" if kind is None else f"stopped: {kind.__name__} {error}".rstrip())
            self._log.close()

    def update(self, name: str, event: "Event") -> None:
        """Take in that a network has moved on.

        Args:
            name: of its run.
            event: how far it is.
        """
        if self._log is None:
            self._log = open_log(self._path)
            self._write(f"{len(self._weights)} networks")
            # Not before there is something to show: an error on the way here shall stand alone.
            if self._progress.console.is_terminal:
                self._progress.start()
            self._progress.start_task(self._whole)
        key, title = (name, event.seed), _title(name, event.seed)
        before, self._shares[key] = self._shares[key], event.share
        if key not in self._begun:
            self._begun[key] = time.monotonic()
            self._progress.start_task(self._tasks[key])
        done = sum(share >= 1 for share in self._shares.values())
        self._progress.update(self._tasks[key], completed=event.share, visible=event.share < 1, detail=_detail(event))
        self._progress.update(
            self._whole,
            completed=sum(weight * self._shares[key] for key, weight in self._weights.items()),
            description=f"{done} of {len(self._shares)} networks",
        )
        if event.share >= 1 > before:
            # Of one that had ended before there is nothing to tell.
            how = f"after {time.monotonic() - self._begun[key]:.0f} s, {_detail(event)}" if event.loss else "before"
            line = f"{title} has ended {how} ({done} of {len(self._shares)})"
            self._write(line)
            if not self._progress.console.is_terminal:
                self._progress.console.print(line, soft_wrap=True, highlight=False, markup=False)
        elif int(MARKS * event.share) > int(MARKS * before):
            self._write(f"{title}: t/T {event.share:.2f}, {_detail(event)}")

    def _write(self, line: str) -> None:
        if self._log is not None:
            stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            print(f"{stamp} {one_line(line)}", file=self._log, flush=True)


def _title(name: str, seed: int) -> str:
    return one_line(f"{name} seed {seed}")


def _detail(event: "Event") -> str:
    return "" if event.loss is None else f"loss {event.loss:.4g}, T/T_SL {number(event.inefficiency, '.3g')}"
