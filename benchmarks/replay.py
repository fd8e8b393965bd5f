"""A schedule from what was measured, replayed, and why none is sold: a constant rate of the same Ση does as well.

Run: OMP_NUM_THREADS=1 python benchmarks/replay.py [--quick] [--out FILE]

A cautious training is recorded with its largest curvature λ over flow time. The same flow is then walked again in fewer
steps, with rates of a share of the largest stable one, 2/λ, wherever it is; and once more in as many steps of one rate.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, write
from small.problems import Setting, Training, told

from speedlimits.recorder.edge import EdgeReading

RESULTS = Path(__file__).parent / "results" / "replay.json"
# A setting, a cautious rate, and its steps.
CAUTIOUS: list[tuple[Setting, float, int]] = [
    (Setting("perceptron"), 0.1, 400),
    (Setting("perceptron", squared=True), 0.5, 400),
    (Setting("CNN"), 0.05, 200),
]
# Of the largest stable rate.
SHARES = (0.5, 0.8)


def recorded(setting: Setting, rate: float, steps: int, seed: int) -> tuple[EdgeReading, float]:
    """The curvature on the way of a cautious training, and the loss at its end."""
    run = Training(setting, rate, seed)
    recorder = run.recorder()
    for loss in run.steps(steps):
        recorder.record(loss=loss)
    recorder.finish()
    return recorder.edge(), run.whole_loss()


def schedule(reading: EdgeReading, time: float, share: float) -> list[float]:
    """Rates that walk a flow time in steps of a share of the largest stable rate at that time."""
    rates, walked = [], 0.0
    while walked < time:
        curvature = float(np.interp(walked, reading.times, reading.curvatures))
        rates.append(min(share * 2.0 / curvature, time - walked))
        walked += rates[-1]
    return rates


def trained(setting: Setting, rates: list[float], seed: int) -> float:
    """The loss after a step at each of these rates."""
    run = Training(setting, rates[0], seed)
    for rate, _ in zip(rates, run.steps(len(rates)), strict=True):
        run.optimizer.param_groups[0]["lr"] = rate
    return run.whole_loss()


def row(setting: Setting, rate: float, steps: int, share: float, seeds: int) -> dict[str, Any]:
    """The loss of the recorded training, of the schedule replayed, and of one rate in as many steps."""
    found: dict[str, list[float]] = {"replayed_steps": [], "recorded": [], "replayed": [], "one_rate": []}
    for seed in range(seeds):
        reading, loss = recorded(setting, rate, steps, seed)
        rates = schedule(reading, rate * steps, share)
        found["replayed_steps"].append(len(rates))
        found["recorded"].append(loss)
        found["replayed"].append(trained(setting, rates, seed))
        found["one_rate"].append(trained(setting, [rate * steps / len(rates)] * len(rates), seed))
    told_of = {name: told([float(each) for each in values]) for name, values in found.items()}
    return {"setting": str(setting), "rate": rate, "steps": steps, "share": share} | told_of


def main() -> None:
    """Train, and write the JSON."""
    given = command_line(__doc__, RESULTS, quick="one setting and two seeds, to see that it runs").parse_args()
    torch.set_num_threads(1)
    seeds, rows = 2 if given.quick else 5, []
    for setting, rate, steps in [(CAUTIOUS[0][0], 0.1, 60)] if given.quick else CAUTIOUS:
        for share in SHARES[:1] if given.quick else SHARES:
            rows.append(row(setting, rate, steps, share, seeds))
            print(rows[-1], flush=True)
    write(given.out, {"seeds": seeds, "rows": rows})


if __name__ == "__main__":
    main()
