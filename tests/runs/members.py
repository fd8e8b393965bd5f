"""A member whose every number is known: a random walk of five weights."""

import numpy as np

from speedlimits.runs.member import MemberStore

POINTS = np.cumsum(np.random.default_rng(1).standard_normal((1000, 5)), axis=0)


def row(k: int) -> dict[str, object]:
    """The record of the k-th point."""
    steps = np.linalg.norm(np.diff(POINTS[: k + 1], axis=0), axis=1)
    return {
        "time": 0.1 * k,
        "loss": 1.0 / (k + 1),
        "w2_squared": float(np.sum((POINTS[k] - POINTS[0]) ** 2)),
        "arc_length": float(steps.sum()),
        "path_dissipation": float((steps**2).sum() / 0.1),
        "averaged_dissipation": float((steps**2).sum() / 0.2),
        "gradient_norm_squared": float(np.nextafter(k, 99)),
        "gradient_evaluations": k + 1,
        "test_accuracy": 0.1,
        "weight_trace": POINTS[k][[0, 1, 2, 2, 3, 4]],
    }


def write(store: MemberStore, records: range, checkpoints: set[int]) -> None:
    """Records, weights kept at every tenth, and checkpoints after some of them."""
    for k in records:
        store.add(row(k))
        if k % 10 == 0:
            store.keep_weights({"b": POINTS[k][3:], "a": POINTS[k][:3].reshape(3, 1)}, 0.1 * k)
        if k in checkpoints:
            store.checkpoint({"step": np.array([k])})
