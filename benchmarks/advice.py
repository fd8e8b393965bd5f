"""Is the advice any good: each rule of `speedlimits.advice` tried on small networks, over seeds, losses included.

Run: OMP_NUM_THREADS=1 python benchmarks/advice.py [--quick] [--out FILE]

Headroom: a cautious rate is raised by the headroom that was measured, the least on the way or the mean, and by twice
the least; the steps to the same loss are counted. Inputs: steps at tuned rates, for inputs that curve the loss more or
less. What the number means: at the edge of stability, when little was learned, and when weights turn on the spot.
"""

import math
import statistics
from pathlib import Path
from typing import Any

import torch
from environment import command_line, write
from small.problems import BATCH, INPUTS, TUNING, Setting, Training, steps_to, told, tuned
from torch import nn

from speedlimits.recorder import Recorder, Spheres

RESULTS = Path(__file__).parent / "results" / "advice.json"
# A setting, a cautious rate, and its steps.
CAUTIOUS: list[tuple[Setting, float, int]] = [
    (Setting("perceptron"), 0.1, 400),
    (Setting("perceptron", "momentum"), 0.02, 300),
    (Setting("perceptron", "Adam"), 5e-4, 300),
    (Setting("perceptron", batch=BATCH), 0.1, 400),
    (Setting("CNN"), 0.05, 200),
    (Setting("CNN", "momentum"), 0.01, 200),
]
# Steps to which loss are counted for inputs of each kind, and how many are tried.
TARGETS = (("perceptron", 0.05, 2000), ("CNN", 0.3, 300))
RATES = {"flow": 0.05, "below the edge": 0.4, "at the edge": 1.6}


def cautious_run(setting: Setting, rate: float, steps: int, seed: int) -> tuple[float, float, float]:
    """The loss of all images after so many steps, N/N_edge, and the least of it on the way."""
    run = Training(setting, rate, seed)
    recorder = run.recorder()
    for step, loss in enumerate(run.steps(steps)):
        if step % 10 == 0:
            recorder.record(loss=loss)
    path = recorder.finish().trajectory()
    return run.whole_loss(), float(path.headroom[-1]), float(path.least_headroom)


def headroom(setting: Setting, rate: float, steps: int, seeds: int) -> dict[str, Any]:
    """Steps to the loss of the cautious run, with the rate raised by the least headroom, by twice that, by the mean."""
    factors: dict[str, list[float]] = {"least": [], "twice the least": [], "mean": []}
    taken: dict[str, list[float]] = {name: [] for name in factors}
    for seed in range(seeds):
        target, mean, least = cautious_run(setting, rate, steps, seed)
        for name, factor in zip(factors, (least, 2 * least, mean), strict=True):
            factors[name].append(factor)
            taken[name].append(steps_to(setting, rate * factor, seed, target, 3 * steps))
    found = {name: {"factor": told(factors[name]), "steps": told(taken[name])} for name in factors}
    return {"setting": str(setting), "rate": rate, "steps": steps} | found


def inputs(kind: str, model: str, target: float, most: int, seeds: int) -> dict[str, Any]:
    """Steps to a loss at the best rate for these inputs, and N/N_edge there."""
    setting = Setting(model, inputs=kind)

    def cost(rate: float) -> float:
        return statistics.fmean(steps_to(setting, rate, TUNING + each, target, most) for each in range(2))

    rate, inside = tuned(cost, 0.5, math.sqrt(2.0))
    steps = [steps_to(setting, rate, seed, target, most) for seed in range(seeds)]
    rooms = [cautious_run(setting, rate, int(each), seed)[1] for seed, each in enumerate(steps) if math.isfinite(each)]
    found = {"inputs": kind, "model": model, "rate": rate, "inside": inside}
    return found | {"steps": told(steps), "headroom": told(rooms)}


def meaning(seed: int, rates: dict[str, float], time: float) -> list[dict[str, Any]]:
    """One flow time at several rates: the raw ratio, that of the midpoints, and how much steps turn back."""
    rows = []
    for name, rate in rates.items():
        run = Training(Setting("perceptron"), rate, seed)
        recorder = run.recorder(0.1)
        for loss in run.steps(round(time / rate)):
            recorder.record(loss=loss)
        recorder.finish()
        raw = float(recorder.speed_limit().final.inefficiency)
        turning = float(recorder.noise().curve.noise_share[0])
        room = float(recorder.trajectory().headroom[-1])
        rows.append({"name": name, "rate": rate, "headroom": room, "raw": raw, "turning": turning})
        rows[-1]["midpoints"] = raw * (1 - 0.5 * turning)
    return rows


def progress(seed: int, shares: tuple[float, ...], rate: float, most: int) -> list[dict[str, float]]:
    """T/T_SL when so much of the loss is gone."""
    run = Training(Setting("perceptron"), rate, seed)
    recorder = run.recorder(0.1)
    found, left = [], list(shares)
    first = run.whole_loss()
    for loss in run.steps(most):
        recorder.record(loss=loss)
        while left and len(recorder.trajectory()) > 1 and loss <= (1 - left[0]) * first:
            found.append({"gone": left.pop(0), "inefficiency": float(recorder.speed_limit().final.inefficiency)})
        if not left:
            break
    return found


def balance(seed: int, counts: tuple[int, ...], rate: float = 0.2, decay: float = 0.02) -> list[dict[str, float]]:
    """T/T_SL with a normalisation and weight decay: weights turn for ever, and the number grows with the steps."""
    torch.manual_seed(seed)
    run = Training(Setting("perceptron", batch=BATCH), rate, seed)
    first = nn.Linear(64, 48, bias=False)
    run.model = nn.Sequential(first, nn.BatchNorm1d(48), nn.Tanh(), nn.Linear(48, 10))
    run.optimizer = torch.optim.SGD(run.model.parameters(), lr=rate, weight_decay=decay)
    spheres = Spheres(run.optimizer, {"first": [first.weight]})
    recorder = Recorder(triples=0, snapshot_growth=None).attach(run.optimizer)
    found = []
    for step, loss in enumerate(run.steps(max(counts) + 1)):
        recorder.record(loss=loss)
        if step in counts:
            raw, radial = float(recorder.speed_limit().final.inefficiency), spheres.radial_share["first"]
            found.append({"steps": step, "decayed": step * rate * decay, "raw": raw, "radial": radial})
    return found


def main() -> None:
    """Try each rule, and write the JSON."""
    given = command_line(__doc__, RESULTS, quick="one setting of each and two seeds, to see that it runs").parse_args()
    torch.set_num_threads(1)
    seeds = 2 if given.quick else 5
    results: dict[str, Any] = {"seeds": seeds, "headroom": [], "inputs": []}
    for setting, rate, steps in CAUTIOUS[:1] if given.quick else CAUTIOUS:
        results["headroom"].append(headroom(setting, rate, steps // 4 if given.quick else steps, seeds))
        print(results["headroom"][-1], flush=True)
    for model, target, most in (("perceptron", 1.0, 200),) if given.quick else TARGETS:
        for kind in ("raw", "centred") if given.quick else INPUTS:
            results["inputs"].append(inputs(kind, model, target, most, seeds))
            print(results["inputs"][-1], flush=True)
    time, shares = (20.0, (0.05, 0.5)) if given.quick else (60.0, (0.01, 0.05, 0.5, 0.9, 0.99))
    results["meaning"] = [meaning(seed, RATES, time) for seed in range(seeds)]
    results["progress"] = [progress(seed, shares, 0.5, 4000) for seed in range(seeds)]
    counts = (20, 80) if given.quick else (25, 100, 400, 1600)
    results["balance"] = [balance(seed, counts) for seed in range(seeds)]
    print(results["meaning"], results["progress"], results["balance"], flush=True)
    write(given.out, results)


if __name__ == "__main__":
    main()
