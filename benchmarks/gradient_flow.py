"""Gradients that a gradient flow costs, by method, at equal error: three networks on digits, the paper's on CIFAR-10.

Run: OMP_NUM_THREADS=1 python benchmarks/gradient_flow.py [--quick] [--out FILE] [--workers N] [--report docs]
     [--only overhead "tanh FCN:1e5" …], which measures these, if any, and keeps the other results of FILE
     [--extend], which keeps the runs that FILE has of these, too
     [--kept FOLDER], where descents are kept and looked for, so that what was interrupted does not make them twice

Draws: docs/gradient_flow/tanh-fcn.png, gelu-cnn.png, relu-cnn.png, myrtle5-w8-n50.png and myrtle5-w16-n125.png,
       with --report docs

Errors are relative, at the end T, against a reference solution; a second one, by another method where that is
affordable, tells how far it can be trusted. With ReLU the references are descents, their length that by chords: step by
step they zigzag across kinks. Gradients are counted, those of curvature estimates included; they do not
depend on the machine. `torchdiffeq` is measured when it is installed.
"""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from environment import command_line, environment, medians, write
from flow.descents import WARM, descend
from flow.gains import QUANTITIES, errors, ratios
from flow.problems import MYRTLE, PROBLEMS, SAMPLES, Problem, build, in_double, realistic
from flow.report import report
from torch import Tensor

from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss, value_and_gradient
from speedlimits.errors import DivergenceError
from speedlimits.trajectory import Trajectory

HERE = Path(__file__).parent
Setting = tuple[str, float]

# λ_max·T, with λ_max at the start.
JOBS = [
    ("tanh FCN", 1e3),
    ("GELU CNN", 1e3),
    ("GELU CNN", 1e4),
    ("tanh FCN", 1e5),
    ("tanh FCN", 1e4),
    ("ReLU CNN", 1e3),
    ("ReLU CNN", 1e4),
    ("GELU CNN", 1e5),
    ("Myrtle5 w8 n50", 500.0),
    ("Myrtle5 w8 n50", 1e3),
    ("Myrtle5 w16 n125", 500.0),
    ("Myrtle5 w16 n125", 1e3),
    ("Myrtle5 w8 n50", 1e4),
]
# Gradients that one run may take: a quarter of an hour or so for descent, a minute for the other peers. What would take
# more is written down as not run.
BUDGET = {"tanh FCN": 4_000_000, "GELU CNN": 1_000_000, "ReLU CNN": 1_000_000}
PEER_BUDGET = {"tanh FCN": 100_000, "GELU CNN": 110_000, "ReLU CNN": 110_000}


class OverBudgetError(Exception):
    """A run would take, or took, more gradients than this benchmark spends on it."""


def budget(name: str, method: str) -> int:
    """Gradients that one run may take."""
    if name in MYRTLE:
        return 300_000
    return (BUDGET if method.startswith("gd") else PEER_BUDGET)[name]


def settings(name: str, product: float, quick: bool) -> tuple[list[Setting], list[Setting]]:
    """What is measured, and the two references, the better first: each a method and its tolerance or η·λ_max.

    `gd` is descent with the λ_max of the start, as in the paper; `gd_steepest` with the largest on the way, which is a
    gradient flow for networks that sharpen too; `smooth` is rkc2 at 1e-3 with ReLU smoothed over ±ε; `rkc2_float64` is
    rkc2 on a float32 network in float64.
    """
    if name in MYRTLE:
        # Float32 allows no tolerance below 1e-3, and a fiftieth of 1/λ_max makes descent ten times as good as the
        # paper's. Float64 allows 1e-5: a second way to the reference, as long as few kinks are met. With 16 channels on
        # 125 images the steps along kinks made it dearer than the descents.
        fine = 0.05 if product > 1e3 else 0.02
        runs: list[Setting] = [("rkc2", rtol) for rtol in (3e-2, 1e-2, 3e-3, 1e-3)]
        if name != "Myrtle5 w16 n125" and product <= 1e3:
            runs += [("rkc2_float64", rtol) for rtol in (1e-4, 1e-5)]
        runs += [("gd", 0.1), ("gd", 1.96), ("gd_steepest", fine)]
        return runs, [("gd_steepest", fine), ("gd_steepest", 2 * fine)]
    if quick:
        return [("rkc2", 1e-2), ("rkc2", 1e-3), ("rock4", 1e-3), ("gd", 0.5)], [("rkc2", 1e-4), ("rk4", 1.0)]
    peers: list[Setting] = [("gd", 0.1), ("gd", 1.96), ("rk4", 1.0), ("dopri5", 1e-3), ("dopri5", 1e-5)]
    if name == "tanh FCN":
        # As accurate as 1e-5, measured rather than extrapolated.
        peers += [("gd", 0.0025)] if product == 1e4 else []
    else:
        peers += [("gd_steepest", 1.0)] if name == "ReLU CNN" else [("gd_steepest", 1.0), ("gd_steepest", 0.1)]
    if name == "ReLU CNN":
        # No adaptive method is sure of itself at kinks: two step sizes of descent that never nears the edge are.
        ours = [("rkc2", rtol) for rtol in (1e-1, 3e-2, 1e-2, *(() if product > 1e3 else (3e-3, 1e-3)))]
        ours += [("smooth", width) for width in (1e-2, 3e-3, 1e-3, 5e-4)]
        return ours + peers, [("gd_steepest", 0.5), ("gd_steepest", 1.0)]
    ours = [("rkc2", rtol) for rtol in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6, 3e-7)]
    if name == "GELU CNN" and product > 1e4:
        return ours[:-3] + peers, [("rkc2", 1e-6), ("rkc2", 1e-5)]
    ours += [("rock4", rtol) for rtol in (1e-2, 1e-3, 1e-4)]
    return ours + peers, [("rock4", 1e-6), ("rkc2", 1e-7)]


def check_budget(name: str, method: str, least: float) -> None:
    """Raise if a run takes too many gradients for its stability alone."""
    allowed = budget(name, method)
    if least > allowed * (1 + 1e-9):
        raise OverBudgetError(f"not run: at least {least:,.0f} gradients, beyond the {allowed:,} spent on a run here")


def attempt(name: str, problem: Problem, method: str, setting: float, kept: Path | None) -> dict[str, Any]:
    """One run: what was found and what it cost, or the reason why not."""
    row, begin = {"method": method, "setting": setting}, time.perf_counter()
    try:
        check_budget(name, method, problem.least(method, setting))
        found, gradients = run(problem, method, setting, budget(name, method), kept)
    except (DivergenceError, ImportError, OverBudgetError) as failure:
        return {**row, "errors": None, "reason": str(failure)}
    print(f"{name}: {method} {setting:g}, {gradients:,} gradients", file=sys.stderr)
    return {**row, "gradients": gradients, "seconds": time.perf_counter() - begin, "found": found}


def measure(
    name: str, product: float, quick: bool, before: dict[str, Any] | None = None, kept: Path | None = None
) -> dict[str, Any]:
    """All runs on one problem to λ_max·T = ``product``, but those that ``before`` has by the same references.

    Returns:
        The problem, its references, and a row for each run.
    """
    torch.set_num_threads(1)
    problem = Problem.of(name, product)
    runs, references = settings(name, product, quick)
    judges = [{"method": method, "setting": setting} for method, setting in references]
    if before and before["references"] == judges:
        rows = {(row["method"], row["setting"]): row for row in before["runs"] if row["errors"]}
        facts = {fact: before[fact] for fact in ("reference_gradients", "reference", "disagreement")}
    else:
        rows = {reference: attempt(name, problem, *reference, kept) for reference in references}
        exact, check = (by_chords(rows[reference]["found"]) for reference in references)
        spent = rows[references[0]]["gradients"]
        facts = {"reference_gradients": spent, "reference": exact, "disagreement": errors(check, exact)}
    for setting in runs:
        row = rows[setting] if setting in rows else attempt(name, problem, *setting, kept)
        if "found" in row:
            row["errors"] = errors(row.pop("found"), facts["reference"])
        rows[setting] = row
    ordered = [rows[setting] for setting in runs]
    return {
        "problem": name,
        "sharpness_time": product,
        "git": environment()["git"],
        "time": problem.end,
        "parameters": problem.loss.initial.numel(),
        "seed": PROBLEMS.get(name, 0),
        "sharpness": problem.start,
        "sharpness_growth": problem.steepest / problem.start,
        "stiffness": problem.stiffness,
        "references": judges,
        **facts,
        "runs": ordered,
        "ratios": ratios(ordered, facts["disagreement"]),
    }


def by_chords(found: dict[str, float]) -> dict[str, float]:
    """What a reference found, the length of a descent by chords."""
    return found | {"arc_length": found.get("arc_length_by_chords", found["arc_length"])}


def run(problem: Problem, method: str, setting: float, cap: int, kept: Path | None) -> tuple[dict, int]:
    """One run: the quantities at T, and gradients; an adaptive peer is stopped at the cap."""
    loss, times = problem.loss, [0.0, WARM * problem.end, problem.end]
    if method == "dopri5":
        return dormand_prince(loss, setting, problem.end, cap)
    if method.startswith("gd"):
        found = descend(loss, loss.initial, problem.end, problem.learning_rate(method, setting), kept)
        return found, int(found["gradients"])
    rtol, scheme = (1e-3, "rkc2") if method == "smooth" else (1e-3 if method == "rk4" else setting, method)
    if method == "smooth":
        loss = loss.smoothed(setting)
    if method == "rkc2_float64":
        loss, scheme = in_double(loss), "rkc2"
    path = gradient_flow(loss, loss.initial, times, rtol=rtol, method=scheme)
    return at_end(path), int(path.gradient_evaluations[-1])


def at_end(path: Trajectory) -> dict[str, float]:
    """The quantities at T; T/T_SL with the loss drop as dissipation, as in the paper."""
    warm = path.from_start(path.times[1])
    later = warm.times[-1] * warm.loss_drop[-1] / warm.w2_squared[-1]
    return quantities(path.times[-1], path.w2_squared[-1], later, path.arc_lengths[-1], path.loss_drop[-1])


def quantities(end: float, w2_squared: float, warm: float, arc_length: float, loss_drop: float) -> dict[str, float]:
    """The same for every method."""
    values = (w2_squared, end * loss_drop / w2_squared, warm, arc_length, loss_drop)
    return dict(zip(QUANTITIES, map(float, values), strict=True))


def dormand_prince(loss: FlatLoss, rtol: float, end: float, cap: int) -> tuple[dict[str, float], int]:
    """The flow by `torchdiffeq`, with the arc length as one more component."""
    from torchdiffeq import odeint  # type: ignore[import-not-found]  (measured where it is installed)

    count = 0

    def velocity(_: Tensor, state: Tensor) -> Tensor:
        nonlocal count
        count += 1
        if count > cap:
            raise OverBudgetError(f"stopped after {cap:,} gradients")
        _, gradient = value_and_gradient(loss, loss.initial + state[:-1])
        return torch.cat([-gradient, gradient.norm()[None]])

    start = torch.zeros(loss.initial.numel() + 1, dtype=torch.float64)
    times = torch.tensor([0.0, WARM * end, end], dtype=torch.float64)
    path = odeint(velocity, start, times, rtol=rtol, atol=0.1 * rtol, method="dopri5")
    assert isinstance(path, Tensor)
    moved = path[:, :-1]
    losses = [float(loss(loss.initial + each)) for each in moved]
    warm = (1 - WARM) * end * (losses[1] - losses[2]) / float((moved[2] - moved[1]).square().sum())
    final = float(path[-1, -1])
    return quantities(end, float(moved[2].square().sum()), warm, final, losses[0] - losses[2]), count


def overhead(product: float, repeats: int) -> dict[str, float]:
    """Wall time of a gradient inside `gradient_flow` over that of a bare one, each network by itself."""
    losses = {name: build(name) for name in PROBLEMS}
    if product == 1e2:
        losses["Myrtle5"] = realistic()
    found = {}
    for name, loss in losses.items():
        steepest = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0), tolerance=1e-2).value
        # A gradient of Myrtle5 takes as long as a run of the small ones.
        short = name == "Myrtle5"
        times = [0.0, (0.1 if short else 1.0) * product / steepest]
        count = int(gradient_flow(loss, loss.initial, times, rtol=1e-2).gradient_evaluations[-1])

        def bare(loss: FlatLoss = loss, count: int = count) -> None:
            for _ in range(count):
                value_and_gradient(loss, loss.initial)

        def ours(loss: FlatLoss = loss, times: list[float] = times) -> None:
            gradient_flow(loss, loss.initial, times, rtol=1e-2)

        seconds = medians({"bare": bare, "rkc2": ours}, 3 if short else repeats)
        found[name] = {
            "sharpness_time": times[1] * steepest,
            "gradients": count,
            "bare_gradient": seconds["bare"] / count,
            "overhead": seconds["rkc2"] / seconds["bare"] - 1,
        }
    return found


def main() -> None:
    """Measure and write."""
    parser = command_line(__doc__, HERE / "results" / "gradient_flow.json")
    parser.add_argument("--workers", type=int, default=1, help="processes; seconds are only good with one")
    parser.add_argument("--only", nargs="*", metavar="NETWORK:PRODUCT", help="measure these, keep the rest of FILE")
    parser.add_argument("--extend", action="store_true", help="measure only the runs that FILE lacks")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", help="descents that were made before, and new ones")
    parser.add_argument("--report", type=Path, help="folder whose flow-cost.md gets the tables and figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    jobs = planned = [(name, 10.0) for name in (*PROBLEMS, "Myrtle5 w4 n10")] if options.quick else JOBS
    measured, extra = [], {}
    if options.only is not None or options.extend:
        before = json.loads(options.out.read_text())
        wanted = {
            (name, float(product))
            for name, _, product in (entry.partition(":") for entry in options.only or ())
            if product
        }
        measured, extra = before["measured"], before["overhead_per_gradient"]
        jobs = [job for job in planned if job in wanted or options.only is None]
    if "overhead" in (options.only or ["overhead"]):
        extra = {
            f"{product:g}": overhead(product, repeats)
            for product, repeats in ([(10.0, 1)] if options.quick else [(1e2, 9), (1e3, 5)])
        }
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        known = {(case["problem"], case["sharpness_time"]): case for case in measured if options.extend}
        futures = {pool.submit(measure, *job, options.quick, known.get(job), options.kept): job for job in jobs}
        save(options.out, measured, extra, planned)
        for future in as_completed(futures):
            measured = [case for case in measured if (case["problem"], case["sharpness_time"]) != futures[future]]
            measured.append(future.result())
            # The last job takes as long as the others together: what they found is safe already.
            save(options.out, measured, extra, planned)
    if options.report:
        report(json.loads(options.out.read_text()), options.report)


def save(path: Path, measured: list[dict[str, Any]], overhead: dict, planned: list[tuple[str, float]]) -> None:
    """Write what is known so far."""
    measured = sorted(measured, key=lambda case: (case["problem"], case["sharpness_time"]))
    missing = sorted(set(planned) - {(case["problem"], case["sharpness_time"]) for case in measured})
    write(path, {"samples": SAMPLES, "overhead_per_gradient": overhead, "measured": measured, "not_run": missing})


if __name__ == "__main__":
    main()
