"""What every benchmark shares: the machine it ran on, medians of interleaved repeats, and a result written whole."""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speedlimits._files import write_text_atomically
from speedlimits.runs.provenance import provenance

# Thread pools read these once, when NumPy is loaded; run benchmarks with OMP_NUM_THREADS=1.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> dict[str, Any]:
    """Versions, commit, command, processor and threads, as JSON."""
    return {**provenance(device="cpu", workers=1), "threads": {name: os.environ.get(name) for name in THREADS}}


def command_line(
    sentences: str | None, out: Path, *, quick: str = "small sizes: does it run?"
) -> argparse.ArgumentParser:
    """The options that every benchmark has; some add their own.

    Args:
        sentences: what it says of itself.
        out: where its JSON goes by default.
        quick: what `--quick` does.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(description=sentences, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, default=out, help="where the JSON goes")
    return parser


def medians(
    contestants: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each contestant, taking turns so that a slow spell of the machine hits all of them.

    Args:
        contestants: what to time, by name; each runs once beforehand, unmeasured.
        repeats: rounds.
        clock: `time.process_time` for seconds on the processor, which other work on the machine matters less to.

    Returns:
        Median seconds by name.
    """
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def write(path: Path, results: dict[str, Any]) -> None:
    """The results with their environment, as a JSON file that appears complete or not at all.

    Args:
        path: where to; its folder is made when missing.
        results: figures of a benchmark.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps({"environment": environment(), **results}, indent=2) + "\n")
