"""The charts of a page about a run or a recording: what each of them shows."""

from collections.abc import Sequence
from html import escape

import numpy as np

from speedlimits.noise import Noise
from speedlimits.report.curves import (
    accuracy_band,
    band,
    has_accuracy,
    inefficiency_map,
    limit_band,
    seen_in_part,
)
from speedlimits.report.pages.chart import POINTS, Axis, Chart, Curve, Paths, from_band, line
from speedlimits.trajectory import Trajectory

# Of flow time, which is a learning rate times steps.
TIME = "flow time"
SINCE = Axis("flow time since the start T", TIME)
LIMIT, RATIO = "T<sub>SL</sub>", "T/T<sub>SL</sub>"


def loss_and_accuracy(cold: Sequence[Trajectory], loss: str) -> Chart:
    """Loss on the left scale; held-out accuracy, where it was measured, on the right; over flow time."""
    curves, right = [from_band("training loss", band(cold, lambda run: run.losses), "cold")], None
    if has_accuracy(cold):
        curves.append(from_band("held-out accuracy", accuracy_band(cold), "accuracy", right=True))
        right = Axis("accuracy", logarithmic=False, percent=True)
    about = f"Loss{' and held-out accuracy' if right else ''} while training went on."
    return Chart(about, Axis("flow time t", TIME), Axis(escape(loss)), curves, right)


def speed_limits(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> Chart:
    """T_SL against T, from initialisation and from the warm start."""
    curve = limit_band(cold, "speed_limit")
    span = curve.times[[0, -1]]
    curves = [line(f"{LIMIT} = T", span, span, "grey", "dash"), from_band("from the start", curve, "cold")]
    if warm:
        curves.append(from_band(f"from t₀ = {warm[0].start_time:.3g}", limit_band(warm, "speed_limit"), "warm"))
    label = f"speed limit {LIMIT}" + (", at most" if seen_in_part(cold) else "")
    return Chart("The least time for the move made so far, over the time it took.", SINCE, Axis(label, TIME), curves)


def inefficiencies(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> Chart:
    """T/T_SL over time and its two exact factors; between a few points no pace is seen."""
    part = seen_in_part(cold)
    curves = [
        from_band(RATIO, limit_band(cold, "inefficiency"), "cold"),
        from_band("geometric: the path bends", limit_band(cold, "geometric"), "cold", "dot"),
    ]
    if not part:
        curves.append(from_band("pace: the speed varies", limit_band(cold, "pace"), "cold", "dash"))
    if warm:
        name = f"{RATIO} from t₀ = {warm[0].start_time:.3g}"
        curves.append(from_band(name, limit_band(warm, "inefficiency"), "warm"))
    label = "times slower than the limit" + (", at least" if part else "")
    return Chart("How many times slower than the limit training was, and why.", SINCE, Axis(label, "×"), curves)


def strides(noise: Noise) -> Chart:
    """T/T_SL of the path seen at strides, what the sketch leaves open of it, and the drift behind the noise."""
    seen, curves = noise.curve, []
    ends = seen.strides[[0, -1]].astype(float)
    if noise.identifiable != "no":
        low, high = noise.interval
        drift = np.full(2, noise.inefficiency)
        curves.append(
            Curve("drift, with its interval", ends, drift, "warm", low=np.full(2, low), high=np.full(2, high))
        )
    error = 2 * seen.standard_error
    curves.append(
        Curve(
            "noise included",
            seen.strides.astype(float),
            seen.inefficiency,
            "cold",
            low=seen.inefficiency - error,
            high=seen.inefficiency + error,
            mark="bars",
        )
    )
    across = Axis("stride m", "steps", values=seen.strides[:: -(-seen.strides.size // 8)].tolist())
    about = "T/T_SL of the path seen every m steps: longer strides see less of the noise."
    return Chart(about, across, Axis(RATIO, "×"), curves)


def later_starts(run: Trajectory) -> Chart:
    """T/T_SL of what follows each kept start, to the end."""
    found = inefficiency_map(run)[:-1, -1]
    starts = run.start_time + run.snapshot_times[:-1]
    # A logarithmic axis has no zero.
    shown = starts > 0
    curve = line(f"{RATIO} from t₀ to the end", starts[shown], found[shown], "warm", mark="dots")
    return Chart("T/T_SL of what followed each start, to the end.", Axis("start t₀", TIME), Axis(RATIO, "×"), [curve])


def weight_triples(run: Trajectory) -> Paths:
    """How a few random weight triples move in three dimensions, each from the origin."""
    rows = np.unique(np.linspace(0, len(run) - 1, min(len(run), POINTS)).round().astype(int))
    paths = {f"triple {k + 1}": path - path[0] for k, path in enumerate(np.moveaxis(run.weight_traces[rows], 1, 0))}
    return Paths("Paths of random weight triples, each from the origin.", ("Δw₁", "Δw₂", "Δw₃"), paths)
