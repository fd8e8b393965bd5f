"""Gradients that a gradient flow costs, by method, at equal error: three networks on digits, three lengths of training.

Run: OMP_NUM_THREADS=1 python benchmarks/gradient_flow.py [--quick] [--out FILE] [--figures FOLDER] [--workers N]
     [--only "tanh FCN:1e5" …], which measures these and keeps the other results of FILE

Errors are relative, at the end T, against a reference solution; a second one, by another method where that is
affordable, tells how far it can be trusted. Gradients are counted, those of curvature estimates included; they do not
depend on the machine. `torchdiffeq` is measured when it is installed.
"""

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from environment import medians, write
from torch import Tensor, nn

from speedlimits.data.digits import digits
from speedlimits.dynamics.flat import FlatLoss, value_and_gradient
from speedlimits.dynamics.gradient_descent import gradient_descent
from speedlimits.dynamics.gradient_flow import gradient_flow, init, integrate
from speedlimits.dynamics.sharpness import sharpness
from speedlimits.errors import DivergenceError
from speedlimits.models.fcn import FCN
from speedlimits.trajectory import Trajectory

HERE = Path(__file__).parent
QUANTITIES = ("w2_squared", "inefficiency", "arc_length", "loss_drop")
SAMPLES = 16
# Seeds of the initial weights.
PROBLEMS = {"tanh FCN": 1, "GELU CNN": 2, "ReLU CNN": 3}
# λ_max·T, with λ_max at the start. ReLU trained to 1e5 has no reference to be measured by.
JOBS = [
    ("tanh FCN", 1e3),
    ("tanh FCN", 1e4),
    ("GELU CNN", 1e3),
    ("ReLU CNN", 1e3),
    ("GELU CNN", 1e4),
    ("ReLU CNN", 1e4),
    ("GELU CNN", 1e5),
    ("tanh FCN", 1e5),
]
# Gradients that one run may take, beside those of the curvature; more is written down as not run.
BUDGET = {"tanh FCN": 1_000_000, "GELU CNN": 100_000, "ReLU CNN": 100_000}
# Peers take more than their least, where the loss sharpens on the way.
PEER_BUDGET = {"tanh FCN": 40_000, "GELU CNN": 10_000, "ReLU CNN": 10_000}

# Where an adaptive peer is stopped: at kinks it may not come through.
DOPRI_CAP = 40_000

Setting = tuple[str, float]


class CNN(nn.Module):
    """Two convolutions with average pooling and a linear readout, in NTK parametrisation.

    Args:
        channels: of both convolutions.
        activation: φ.
        generator: draws the weights.
    """

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor], generator: torch.Generator) -> None:
        super().__init__()
        shapes = ((channels, 1, 3, 3), (channels, channels, 3, 3), (10, 4 * channels))
        self.weights = nn.ParameterList(
            torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
        )
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images of 8×8 pixels."""
        *filters, readout = self.weights
        for weight in filters:
            x = nn.functional.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=1)
            x = nn.functional.avg_pool2d(self.activation(x), 2)
        return x.flatten(1) @ readout.T / math.sqrt(readout.shape[1])


def build(name: str) -> FlatLoss:
    """One of the `PROBLEMS`."""
    generator = torch.Generator().manual_seed(PROBLEMS[name])
    data = digits(SAMPLES)
    if name == "tanh FCN":
        model: nn.Module = FCN(64, 10, width=24, depth=2, activation="tanh", generator=generator)
    else:
        model = CNN(4, nn.functional.gelu if name == "GELU CNN" else torch.relu, generator)
    return FlatLoss(model, torch.from_numpy(data.inputs), torch.from_numpy(data.targets))


class OverBudgetError(Exception):
    """A run would take, or took, more gradients than this benchmark spends on it."""


def settings(name: str, product: float, quick: bool) -> tuple[list[Setting], list[Setting]]:
    """What is measured, and the two references, the better first: each a method and its tolerance or η·λ_max."""
    if quick:
        return [("rkc2", 1e-2), ("rkc2", 1e-3), ("rock4", 1e-3), ("gd", 0.5)], [("rkc2", 1e-4), ("rk4", 1.0)]
    peers: list[Setting] = [("gd", 0.1), ("gd", 1.96), ("rk4", 1.0), ("dopri5", 1e-3), ("dopri5", 1e-5)]
    if name == "ReLU CNN":
        ours: list[Setting] = [("rkc2", rtol) for rtol in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)]
        return ours + peers, [("gd", 0.05) if product <= 1e3 else ("rkc2", 1e-4), ("rkc2", 3e-4)]
    ours = [("rkc2", rtol) for rtol in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6)]
    if name == "GELU CNN" and product > 1e4:
        return ours[:-2] + peers, [("rkc2", 1e-6), ("rkc2", 1e-5)]
    ours += [("rock4", rtol) for rtol in (1e-2, 1e-3, 1e-4)]
    return ours + peers, [("rock4", 1e-6), ("rkc2", 1e-7)]


def check_budget(name: str, method: str, setting: float, product: float) -> None:
    """Raise if a run takes too many gradients for its stability alone."""
    least = {"gd": product / setting, "rk4": 4 * product, "dopri5": 2 * product}.get(method, 0.0)
    allowed = (BUDGET if method == "gd" else PEER_BUDGET)[name]
    if least > allowed * (1 + 1e-9):
        raise OverBudgetError(f"not run: at least {least:,.0f} gradients, beyond the {allowed:,} spent on a run here")


def measure(name: str, product: float, quick: bool) -> dict[str, Any]:
    """All runs on one problem to λ_max·T = ``product``.

    Returns:
        The problem, its references, and a row for each run.
    """
    torch.set_num_threads(1)
    loss = build(name)
    steepest = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0)).value
    end = product / steepest
    runs, references = settings(name, product, quick)
    (exact, spent, _), (check, _, _) = (run(loss, *setting, end, steepest) for setting in references)
    rows = []
    for method, setting in runs:
        row: dict[str, Any] = {"method": method, "setting": setting, "errors": None}
        try:
            check_budget(name, method, setting, product)
            found, gradients, seconds = run(loss, method, setting, end, steepest)
        except (DivergenceError, ImportError, OverBudgetError) as failure:
            rows.append({**row, "reason": str(failure)})
            continue
        rows.append({**row, "gradients": gradients, "seconds": seconds, "errors": errors(found, exact)})
    disagreement = errors(check, exact)
    return {
        "problem": name,
        "sharpness_time": product,
        "time": end,
        "parameters": loss.initial.numel(),
        "seed": PROBLEMS[name],
        "sharpness": steepest,
        "sharpness_growth": growth(loss, end, steepest),
        "references": [{"method": method, "setting": setting} for method, setting in references],
        "reference_gradients": spent,
        "reference": exact,
        "disagreement": disagreement,
        "runs": rows,
        "ratios": ratios(rows, disagreement),
    }


def run(loss: FlatLoss, method: str, setting: float, end: float, steepest: float) -> tuple[dict, int, float]:
    """One run: the quantities at T, gradients, seconds."""
    start = time.perf_counter()
    if method == "dopri5":
        found, gradients = dormand_prince(loss, setting, end)
        return found, gradients, time.perf_counter() - start
    if method == "gd":
        path = gradient_descent(loss, loss.initial, [0.0, end], learning_rate=setting / steepest)
    else:
        rtol = 1e-3 if method == "rk4" else setting
        path = gradient_flow(loss, loss.initial, [0.0, end], rtol=rtol, method=method)
    return at_end(path), int(path.gradient_evaluations[-1]), time.perf_counter() - start


def at_end(path: Trajectory) -> dict[str, float]:
    """The quantities at T; T/T_SL with the loss drop as dissipation, as in the paper."""
    return quantities(path.times[-1], path.w2_squared[-1], path.arc_lengths[-1], path.loss_drop[-1])


def quantities(end: float, w2_squared: float, arc_length: float, loss_drop: float) -> dict[str, float]:
    """The same for every method."""
    values = (w2_squared, end * loss_drop / w2_squared, arc_length, loss_drop)
    return dict(zip(QUANTITIES, map(float, values), strict=True))


def dormand_prince(loss: FlatLoss, rtol: float, end: float) -> tuple[dict[str, float], int]:
    """The flow by `torchdiffeq`, with the arc length as one more component."""
    from torchdiffeq import odeint

    count = 0

    def velocity(_: Tensor, state: Tensor) -> Tensor:
        nonlocal count
        count += 1
        if count > DOPRI_CAP:
            raise OverBudgetError(f"stopped after {DOPRI_CAP:,} gradients")
        _, gradient = value_and_gradient(loss, loss.initial + state[:-1])
        return torch.cat([-gradient, gradient.norm()[None]])

    start = torch.zeros(loss.initial.numel() + 1, dtype=torch.float64)
    times = torch.tensor([0.0, end], dtype=torch.float64)
    final = odeint(velocity, start, times, rtol=rtol, atol=0.1 * rtol, method="dopri5")[-1]
    drop = float(loss(loss.initial) - loss(loss.initial + final[:-1]))
    return quantities(end, float(final[:-1].square().sum()), float(final[-1]), drop), count


def growth(loss: FlatLoss, end: float, steepest: float) -> float:
    """Largest λ_max on the way over that at the start."""
    state = init(loss, loss.initial, rtol=1e-3)
    radii = [state.radius for state, _ in integrate(loss, loss.initial, state, [end], rtol=1e-3)]
    return max(radii) / steepest


def errors(found: dict[str, float], exact: dict[str, float]) -> dict[str, float]:
    """Relative errors, and the worst of them."""
    each = {quantity: abs(found[quantity] / exact[quantity] - 1) for quantity in QUANTITIES}
    return {**each, "worst": max(each.values())}


def ratios(rows: list[dict[str, Any]], disagreement: dict[str, float]) -> list[dict[str, Any]]:
    """Gradients of each baseline over those that our methods need for its error, or what the references agree to."""
    found = []
    for base in rows:
        if base["method"] in {"rkc2", "rock4"} or base["errors"] is None:
            continue
        for method in ("rkc2", "rock4"):
            curve = [row for row in rows if row["method"] == method and row["errors"]]
            if not curve:
                continue
            gains = {}
            for quantity, error in base["errors"].items():
                needed = gradients_for(curve, quantity, max(error, disagreement[quantity]))
                gains[quantity] = base["gradients"] / needed if needed else None
            found.append({"baseline": base["method"], "setting": base["setting"], "method": method, "gain": gains})
    return found


def gradients_for(curve: list[dict[str, Any]], quantity: str, error: float) -> float | None:
    """Gradients at an error on a work-precision curve, interpolated in logarithms, never beyond its ends."""
    points = sorted((row["gradients"], row["errors"][quantity]) for row in curve)
    for i, (gradients, reached) in enumerate(points):
        if reached <= error:
            if i == 0 or reached == 0:
                return gradients
            before, missed = points[i - 1]
            share = math.log(missed / error) / math.log(missed / reached)
            return before * (gradients / before) ** share
    return None


def overhead(product: float, repeats: int) -> dict[str, float]:
    """Wall time of a gradient inside `gradient_flow` over that of a bare one, each network by itself."""
    found = {}
    for name in PROBLEMS:
        loss = build(name)
        steepest = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0)).value
        times = [0.0, product / steepest]
        count = int(gradient_flow(loss, loss.initial, times, rtol=1e-2).gradient_evaluations[-1])

        def bare(loss: FlatLoss = loss, count: int = count) -> None:
            for _ in range(count):
                value_and_gradient(loss, loss.initial)

        def ours(loss: FlatLoss = loss, times: list[float] = times) -> None:
            gradient_flow(loss, loss.initial, times, rtol=1e-2)

        seconds = medians({"bare": bare, "rkc2": ours}, repeats)
        found[name] = seconds["rkc2"] / seconds["bare"] - 1
    return found


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gradient_flow.json", help="where the JSON goes")
    parser.add_argument("--figures", type=Path, help="where the figures go; none without it")
    parser.add_argument("--workers", type=int, default=1, help="processes; seconds are only good with one")
    parser.add_argument("--only", nargs="+", metavar="NETWORK:PRODUCT", help="measure these, keep the rest of FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [(name, 10.0) for name in PROBLEMS] if options.quick else JOBS
    kept: list[dict[str, Any]] = []
    if options.only:
        chosen = {(name, float(product)) for name, product in (entry.split(":") for entry in options.only)}
        before = json.loads(options.out.read_text())
        kept = [case for case in before["measured"] if (case["problem"], case["sharpness_time"]) not in chosen]
        planned, jobs = jobs, [job for job in jobs if job in chosen]
        extra = before["overhead_per_gradient"]
    else:
        planned, extra = jobs, overhead(10.0, 1) if options.quick else overhead(1e2, 9)
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(measure, name, product, options.quick) for name, product in jobs]
        measured = kept
        for future in as_completed(futures):
            measured.append(future.result())
            measured.sort(key=lambda case: (case["problem"], case["sharpness_time"]))
            missing = sorted(set(planned) - {(case["problem"], case["sharpness_time"]) for case in measured})
            results = {"samples": SAMPLES, "overhead_per_gradient": extra, "measured": measured, "not_run": missing}
            # The last job takes as long as the others together: what they found is safe already.
            write(options.out, results)
            if options.figures:
                draw(results, options.figures)


def draw(results: dict[str, Any], folder: Path) -> None:
    """Work-precision diagrams, one figure a problem: error of |Δθ|² and of the worst quantity against gradients."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    styles = {"rkc2": "o-", "rock4": "s-", "gd": "^", "rk4": "D", "dopri5": "x"}
    for name in sorted({case["problem"] for case in results["measured"]}):
        found = [case for case in results["measured"] if case["problem"] == name]
        figure, axes = plt.subplots(2, len(found), figsize=(4 * len(found), 6), sharey="row", squeeze=False)
        for column, case in enumerate(found):
            for axis, quantity in zip(axes[:, column], ("w2_squared", "worst"), strict=True):
                for method, style in styles.items():
                    rows = [row for row in case["runs"] if row["method"] == method and row["errors"]]
                    points = sorted((row["gradients"], row["errors"][quantity]) for row in rows)
                    axis.loglog(*zip(*points, strict=True), style, label=method) if points else None
                axis.axhline(case["disagreement"][quantity], color="grey", linestyle=":", label="references differ by")
                axis.set_title(f"λ_max·T = {case['sharpness_time']:g}", fontsize=10)
                axis.set_xlabel("gradients")
        axes[0, 0].set_ylabel("error of |Δθ|²")
        axes[1, 0].set_ylabel("worst of four errors")
        figure.suptitle(name)
        figure.tight_layout(rect=(0, 0.05, 1, 1))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=8, ncols=len(labels), loc="lower center")
        figure.savefig(folder / f"{name.lower().replace(' ', '-')}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main()
