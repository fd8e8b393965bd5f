"""Step lengths instead of learning rates: the loss after a fixed number of steps, against tuned schedules of the rate.

Run: OMP_NUM_THREADS=1 python benchmarks/step_length.py [--quick] [--out FILE]

Each contestant has one number, tuned on one grid for all until its best point has worse ones on both sides, on other
seeds than those reported. The pace by steps is that of the constant rate.
"""

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import command_line, write
from small.problems import BATCH, TUNING, Setting, Training, told, tuned

from speedlimits import Recorder
from speedlimits.step_length import StepLength

RESULTS = Path(__file__).parent / "results" / "step_length.json"
FACTOR = math.sqrt(2.0)
# Settings, and their steps.
SETTINGS: list[tuple[Setting, int]] = [
    (Setting("perceptron"), 200),
    (Setting("perceptron", squared=True), 200),
    (Setting("perceptron", "momentum"), 200),
    (Setting("perceptron", batch=BATCH), 200),
    (Setting("perceptron", "momentum", batch=BATCH), 200),
    (Setting("perceptron", "Adam", batch=BATCH), 200),
    (Setting("CNN", "momentum", batch=BATCH), 150),
    (Setting("CNN", "Adam", batch=BATCH), 150),
]


def constant(gone: float) -> float:
    """One rate."""
    return 1.0 + 0.0 * gone


def cosine(gone: float) -> float:
    """From the rate to zero by half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * gone))


def warm_up(gone: float) -> float:
    """Up within a tenth of the steps, then down to zero on a straight line."""
    return min((gone + 0.005) / 0.1, (1.0 - gone) / 0.9, 1.0)


# Rates by schedule; None prescribes lengths.
CONTESTANTS: dict[str, Callable[[float], float] | None] = {
    "constant": constant,
    "cosine": cosine,
    "warm-up, linear": warm_up,
    "step length": None,
}
# Where the search begins: a rate, or a length.
START = {"SGD": 0.5, "momentum": 0.1, "Adam": 0.01}


def final_loss(setting: Setting, name: str, scale: float, steps: int, seed: int) -> float:
    """The loss of all images after the last step; infinite where training diverged."""
    run = Training(setting, scale if CONTESTANTS[name] else START[setting.optimizer], seed)
    shape = CONTESTANTS[name]
    if shape is None:
        StepLength(run.optimizer, length=scale, steps=steps)
    for step, _ in enumerate(run.steps(steps)):
        if shape is not None:
            run.optimizer.param_groups[0]["lr"] = scale * shape(step / steps)
    loss = run.whole_loss()
    return loss if math.isfinite(loss) else math.inf


def pace(setting: Setting, rate: float, steps: int, seed: int) -> float:
    """By the clock of steps, of the constant rate."""
    run = Training(setting, rate, seed)
    recorder = Recorder(triples=0, snapshot_growth=None, sketch=None).attach(run.optimizer)
    recorder.record(loss=0.0)
    for _ in run.steps(steps):
        pass
    return float(recorder.finish().speed_limit(clock="step").final.pace)


def row(setting: Setting, steps: int, seeds: int, tuning: int) -> dict[str, Any]:
    """All contestants in one setting."""
    found: dict[str, Any] = {"setting": str(setting), "adaptive": setting.optimizer == "Adam", "steps": steps}
    losses: dict[str, list[float]] = {}
    for name in CONTESTANTS:

        def cost(scale: float, name: str = name) -> float:
            return statistics.fmean(final_loss(setting, name, scale, steps, TUNING + each) for each in range(tuning))

        scale, inside = tuned(cost, START[setting.optimizer] if CONTESTANTS[name] else 0.25, FACTOR)
        losses[name] = [final_loss(setting, name, scale, steps, seed) for seed in range(seeds)]
        found[name] = {"scale": scale, "inside": inside, "loss": told(losses[name])}
    rivals = [name for name in CONTESTANTS if CONTESTANTS[name]]
    best = min(rivals, key=lambda name: statistics.median(losses[name]))
    # Seed by seed: the best schedule's loss over that of prescribed lengths.
    gains = [theirs / ours for theirs, ours in zip(losses[best], losses["step length"], strict=True)]
    paces = [pace(setting, found["constant"]["scale"], steps, seed) for seed in range(seeds)]
    return found | {"best_schedule": best, "gain": told(gains), "pace": told(paces)}


def main() -> None:
    """Train, and write the JSON."""
    given = command_line(__doc__, RESULTS, quick="one setting and two seeds, to see that it runs").parse_args()
    torch.set_num_threads(1)
    seeds, tuning = (2, 1) if given.quick else (5, 2)
    rows = []
    for setting, steps in [(SETTINGS[0][0], 20)] if given.quick else SETTINGS:
        rows.append(row(setting, steps, seeds, tuning))
        print({key: each if isinstance(each, str | int) else each.get("loss", each) for key, each in rows[-1].items()})
    write(given.out, {"seeds": seeds, "tuning_seeds": tuning, "grid_factor": FACTOR, "rows": rows})


if __name__ == "__main__":
    main()
