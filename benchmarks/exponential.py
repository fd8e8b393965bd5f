"""Gradients and time of exponential steps against stabilised ones, at equal error: two smooth networks on digits.

Run: OMP_NUM_THREADS=1 python benchmarks/exponential.py [--quick] [--out FILE] [--report docs]

The networks, their times and the reference solutions are those of `gradient_flow.py`, from its results. Gradients are
gradient-equivalents: a Jacobian of ten outputs counts as ten. Seconds are those of the processor, medians of rounds in
turn, each method at its own tolerance of equal error.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from environment import command_line, medians, write
from flow.gains import errors
from flow.problems import build

from speedlimits._files import write_text_atomically
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss

HERE = Path(__file__).parent
REFERENCES = HERE / "results" / "gradient_flow.json"
BEGIN, END = "<!-- written by benchmarks/exponential.py -->", "<!-- to here, exponential -->"

# Network, λ_max·T, and the tolerance of `rkc2` whose error the others shall not exceed.
CASES = [
    ("tanh FCN", 1e3, 3e-4),
    ("tanh FCN", 1e4, 3e-4),
    ("tanh FCN", 1e5, 3e-4),
    ("GELU CNN", 1e3, 1e-2),
    ("GELU CNN", 1e4, 1e-2),
]
TOLERANCES = [1e-2, 3e-3, 1e-3, 3e-4]
METHODS = ["etd", "auto"]
ROUNDS = 3


def main() -> None:
    """Measure all cases, write them down, and the table where asked."""
    parser = command_line(__doc__, HERE / "results" / "exponential.json")
    parser.add_argument("--report", type=Path, help="the folder of gradient-flow.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = {(case["problem"], case["sharpness_time"]): case for case in json.loads(REFERENCES.read_text())["measured"]}
    tolerances = [1e-2, 1e-3] if arguments.quick else TOLERANCES
    measured = []
    for name, product, rtol in CASES[:1] if arguments.quick else CASES:
        found = measure(build(name), known[name, product], rtol, tolerances, 1 if arguments.quick else ROUNDS)
        measured.append({"problem": name, "sharpness_time": product, **found})
        print(
            name,
            f"{product:g}",
            {method: found["at_equal_error"][method]["gradients"] for method in METHODS},
            flush=True,
        )
    results = {"measured": measured}
    write(arguments.out, results)
    if arguments.report:
        page = arguments.report / "gradient-flow.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        write_text_atomically(page, f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}")


def measure(loss: FlatLoss, known: dict[str, Any], rtol: float, tolerances: list[float], rounds: int) -> dict[str, Any]:
    """Errors and gradients of every method and tolerance, and what an error of |Δθ|² no larger than `rkc2`'s costs."""
    end, reference = known["time"], known["reference"]
    base = run(loss, end, "rkc2", rtol, reference)
    runs = [run(loss, end, method, tolerance, reference) for method in METHODS for tolerance in tolerances]
    chosen = {"rkc2": base}
    for method in METHODS:
        curve = [row for row in runs if row["method"] == method]
        good = [row for row in curve if row["errors"]["w2_squared"] <= base["errors"]["w2_squared"]]
        chosen[method] = min(good or curve[-1:], key=lambda row: row["gradients"])
    contestants: dict[str, Callable[[], object]] = {
        method: partial(gradient_flow, loss, loss.initial, [0.0, end], rtol=row["rtol"], method=method)
        for method, row in chosen.items()
    }
    seconds = medians(contestants, rounds, time.process_time)
    return {
        "runs": [base, *runs],
        "at_equal_error": {method: {**row, "seconds": seconds[method]} for method, row in chosen.items()},
    }


def run(loss: FlatLoss, end: float, method: str, rtol: float, reference: dict[str, float]) -> dict[str, Any]:
    """One run to the end: its gradients, and its errors against the reference."""
    found = gradient_flow(loss, loss.initial, [0.0, end], rtol=rtol, method=method)
    drop, moved = float(found.loss_drop[-1]), float(found.w2_squared[-1])
    values = {
        "w2_squared": moved,
        "inefficiency": end * drop / moved,
        "arc_length": float(found.arc_lengths[-1]),
        "loss_drop": drop,
    }
    gradients = int(found.gradient_evaluations[-1])
    return {"method": method, "rtol": rtol, "gradients": gradients, "errors": errors(values, reference)}


def table(results: dict[str, Any]) -> str:
    """All cases, as Markdown."""
    heads = [
        "network",
        "λ_max·T",
        "method",
        "`rtol`",
        "gradients",
        "fewer",
        "CPU time",
        "less",
        "\\|Δθ\\|²",
        "arc length",
    ]
    lines = [heads, ["---"] * len(heads)]
    for case in results["measured"]:
        found = case["at_equal_error"]
        base = found["rkc2"]
        for method, row in found.items():
            lines.append(
                [
                    case["problem"],
                    f"{case['sharpness_time']:.0e}".replace("e+0", "e"),
                    method,
                    f"{row['rtol']:g}",
                    f"{row['gradients']:,}",
                    f"{base['gradients'] / row['gradients']:.1f}×",
                    f"{row['seconds']:.2f} s",
                    f"{base['seconds'] / row['seconds']:.1f}×",
                    f"{row['errors']['w2_squared']:.1e}",
                    f"{row['errors']['arc_length']:.1e}",
                ]
            )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
