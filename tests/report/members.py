"""Members that nobody trained: smooth paths whose every number is known."""

import numpy as np

from speedlimits import RunConfig, Trajectory
from speedlimits._distances import distances_squared
from speedlimits.runs.summary import summarise


def member(seed: int, records: int = 60) -> Trajectory:
    """A smooth path in three dimensions with a loss that falls as its energy is spent."""
    times = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, records - 1)])
    rates = np.array([3.0, 1.0, 0.2]) * (1 + 0.1 * seed)
    points = 1 - np.exp(-np.outer(times, rates))
    steps = np.diff(points, axis=0)
    spent = np.concatenate([[0.0], np.cumsum((steps**2).sum(axis=1) / np.diff(times))])
    kept = sorted({*range(0, records, 5), records - 1})
    return Trajectory(
        times=times,
        losses=10.0 - spent,
        w2_squared=(points**2).sum(axis=1),
        arc_lengths=np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=1))]),
        path_dissipation=spent,
        test_accuracy=0.9 * times,
        weight_traces=np.stack([points, -points], axis=1),
        snapshot_records=np.array(kept),
        snapshot_distances_squared=distances_squared(list(points[kept])),
    )


RUNS = [member(0), member(1), member(2)]
CONFIG = RunConfig(seeds=(0, 1, 2), warm_start=0.05)
FACTS = {"parameters": 3, "sharpness_initial": 3.0, "sharpness_final": 3.0, "sharpness_gradient_evaluations": 8}
SUMMARY = summarise(CONFIG, [FACTS | {"seed": seed} for seed in range(3)], RUNS)
