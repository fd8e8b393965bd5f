"""What the tangent kernel tells of a run, as charts of its page."""

import numpy as np

from speedlimits.measured import speed_limit
from speedlimits.report.pages.chart import Axis, Chart, Colour, line, triple
from speedlimits.report.pages.panels import RATIO, SINCE
from speedlimits.report.spectrum import drawn, interval_label, label, ranked, shares, spent
from speedlimits.runs.kernel import KernelRecord
from speedlimits.theory.adapted_kernel import AdaptedKernel
from speedlimits.trajectory import Trajectory

COLOURS: tuple[Colour, Colour] = ("cold", "warm")


def overlaps(record: KernelRecord) -> Chart:
    """The residual's overlaps with the kernel's eigenvectors."""
    curves = [
        line(label(view), *shares(view), colour, mark="dots")
        for view, colour in zip(record.views, COLOURS, strict=False)
    ]
    about = "Share of the loss at each eigenvalue of the tangent kernel."
    return Chart(about, Axis("eigenvalue λ", "1/flow time"), Axis("share of ΣΔ<sub>k</sub>²"), curves)


def eigenvalues(record: KernelRecord) -> Chart:
    """The kernel's eigenvalues at the start, the largest first."""
    curve = line("eigenvalue λ<sub>k</sub>", *ranked(record), "cold")
    about = "Eigenvalues of the tangent kernel at the start, by rank."
    return Chart(about, Axis("rank k"), Axis("eigenvalue λ<sub>k</sub>", "1/flow time"), [curve])


def prediction(record: KernelRecord, run: Trajectory) -> Chart:
    """T/T_SL as it was measured, and as a kernel that stays the same would have it."""
    curves = []
    for view, colour in zip(record.views, COLOURS, strict=False):
        seen = view.seen(run)
        times = seen.times[1:]
        measured = np.asarray(speed_limit(seen).inefficiency)[1:]
        curves += [
            line(f"measured {label(view)}", times, measured, colour),
            line(f"predicted {label(view)}", times, np.asarray(view.predicted(times).inefficiency), colour, "dash"),
        ]
    for path in record.adapted[:1]:
        times = np.geomspace(1e-3 * path.end_time, path.end_time, 100)
        values = np.asarray(path.speed_limit(times).inefficiency)
        curves.append(line(f"with {len(path.intervals)} intervals of its own kernel", times, values, "accuracy", "dot"))
    about = "T/T_SL as it was measured, and as a kernel that stays the same would have it."
    return Chart(about, SINCE, Axis(RATIO, "×"), curves)


def intervals(path: AdaptedKernel) -> Chart:
    """Where in the spectrum the loss goes, interval by interval."""
    curves = [
        line(interval_label(path, j), *spent(path, j), triple(place), "solid" if place < 6 else "dash")
        for place, j in enumerate(drawn(path))
    ]
    about = "Share of the loss that each part of the kernel's spectrum spends in each interval of time."
    up = Axis("share of the loss that is spent", logarithmic=False, zero=True)
    return Chart(about, Axis("eigenvalue λ", "1/flow time"), up, curves)
