"""Write the table of docs/recorder.md: every kind of loop trained for real, and how far the recorder's numbers are off.

Run: python docs/make_loops_table.py [--loops]

Without `--loops` only noise and costs are written anew, from what the benchmarks left; with it every loop of
`tests/recorder/loops.py` and both processes of `tests/recorder/sharded.py` are trained first, which takes minutes.
"""

import argparse
import json
import math
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pages

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "recorder.md"
NOISE = ROOT / "benchmarks" / "results" / "noise.json"
COSTS = ROOT / "benchmarks" / "results" / "recorder.json"
WAYS = {"ddp": "DDP", "zero": "ZeRO-1", "fsdp1": "FSDP", "fsdp2": "FSDP2"}


def loops() -> list[str]:
    """A line for each loop: its error against sums in float64, or the words with which the recorder refuses."""
    sys.path.insert(0, str(ROOT))
    from tests.recorder.loops import LOOPS

    lines = ["| loop | | largest relative error |", "|---|---|---|"]
    for loop in LOOPS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                recorder, reference = loop.run()
            error = reference.error(recorder)
            said = "a lower bound" if math.isinf(loop.tolerance) else f"{error:.0e}" if error else "0"
        except ModuleNotFoundError as missing:
            said = f"not tried: {missing.name} is not installed"
        except ValueError as refused:
            said = f"refused: {refused}".replace("|", "\\|")
        lines.append(f"| {loop.kind} | {loop.name} | {said} |")
        print(lines[-1], flush=True)
    return lines + shards()


def shards() -> list[str]:
    """A line for each way to share a model between two processes."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-W", "ignore", "-m", "tests.recorder.sharded", str(port), folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        ranks = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in (0, 1)]
    return [
        f"| two processes | {name} | {max(rank[way]['error'] for rank in ranks):.0e} |" for way, name in WAYS.items()
    ]


def costs() -> list[str]:
    """Seconds of a step with a recorder over those without, and a sketch beside a plain read."""
    results = json.loads(COSTS.read_text(encoding="utf-8"))
    variants = list(dict.fromkeys(name for case in results["steps"].values() for name in case["ratios"]))
    lines = [
        f"| network | weights | a step | {' | '.join(variants)} |",
        f"|---|---|---|{'---|' * len(variants)}",
    ]
    for name, case in results["steps"].items():
        ratios = [f"{case['ratios'][variant]:.2f}" if variant in case["ratios"] else "–" for variant in variants]
        lines.append(f"| {name} | {case['weights']:,} | {1e3 * case['seconds']:.1f} ms | {' | '.join(ratios)} |")
    lines += ["", "| weights | plain read | sketch | difference from a copy |", "|---|---|---|---|"]
    for count, row in results["reading"].items():
        read = f"{1e3 * row['seconds of a plain read']:.1f} ms"
        lines.append(f"| {int(count):,} | {read} | {row['sketch']:.1f} × | {row['difference from a copy']:.1f} × |")
    errors = ", ".join(f"{error:.1%} with {size}" for size, error in results["errors"].items())
    return [*lines, "", f"Error of |δ|² by the number of buckets: {errors}; slope {results['slope']:.2f}."]


def noise() -> list[str]:
    """Raw ratio and that of the drift for each batch, beside the truth."""
    results = json.loads(NOISE.read_text(encoding="utf-8"))
    lines = [
        "| network | batch | raw T/T_SL | noise in it | drift | full batch | interval holds it |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, case in results.items():
        if name == "environment":
            continue
        for row in case["batches"]:
            known = row["drift"] is not None
            drift = f"{row['drift']:.2f} ± {row['standard_error']:.2f}" if known else "not known"
            held = f"{row['holds']} of {sum(kind != 'no' for kind in row['kinds'])}" if known else "–"
            lines.append(
                f"| {name} | {row['batch']} | {row['raw']:.1f} | {row['share']:.0%} | {drift} | "
                f"{case['full_batch']:.2f} | {held} |"
            )
    return lines


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", action="store_true", help="train every loop, and write how it came out")
    page = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().loops:
        page = pages.renewed(page, "loops", loops())
    page = pages.renewed(page, "noise", noise())
    pages.write(PAGE, pages.renewed(page, "costs", costs()))


if __name__ == "__main__":
    main()
