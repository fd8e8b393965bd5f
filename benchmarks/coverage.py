"""How often certified limits of noisy ensembles exceed the truth, and how close they come.

Run: OMP_NUM_THREADS=1 python benchmarks/coverage.py [--quick] [--out FILE]

A limit at 95 % may be wrong in 5 % of the repetitions, and three standard errors of that share more. A refusal is not
wrong; its share stands beside.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, write
from scipy import stats
from torch.func import vmap

sys.path.insert(0, str(Path(__file__).parents[1]))
from speedlimits.certified import CertifiedLimit, certified_speed_limit
from speedlimits.data.digits import digits
from speedlimits.dissipation import bounds as dissipation_bounds
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.dynamics.noise import doubled, langevin
from speedlimits.gaussian_start import Change, Passage, fitting, steepest_directions
from speedlimits.models.fcn import FCN
from speedlimits.training.fresh_starts import DRAWS, Fresh
from speedlimits.training.noisy_estimates import bracket
from speedlimits.transport import bounds
from speedlimits.transport.points import w2_squared_samples
from tests.ensembles import Quadratic

RESULTS = Path(__file__).parent / "results" / "coverage.json"
CONFIDENCE = 0.95
MEMBERS = 400


def main() -> None:
    """Run all cases and write what they found."""
    options = command_line(__doc__, RESULTS, quick="few repetitions: does it run?").parse_args()
    torch.set_num_threads(1)
    repetitions = 5 if options.quick else 400
    results: dict[str, list[dict[str, Any]]] = {"wells": [], "initial_losses": [], "springs": [], "steps": []}
    for name, case in cases(options.quick):
        row = case(repetitions)
        results[name].append(row)
        print(json.dumps(row), flush=True)
    results["tightness"] = tightness(options.quick)
    worst = max(row["missed"] for rows in results.values() for row in rows if "missed" in row)
    allowed = (1 - CONFIDENCE) + 3 * math.sqrt((1 - CONFIDENCE) * CONFIDENCE / repetitions)
    write(
        options.out,
        {"confidence": CONFIDENCE, "repetitions": repetitions, "worst": worst, "allowed": allowed, **results},
    )


def cases(quick: bool) -> Iterator[tuple[str, Callable[[int], dict[str, Any]]]]:
    """Every case.

    Yields:
        The list of results it belongs to, and the case as a function of the number of repetitions.
    """
    for power in (4, 8, 12):
        for fresh in (False, True):
            yield "wells", lambda count, power=power, fresh=fresh: well(power, fresh, count)
    for width, depth, activation in ((1, 4, "identity"), (1, 8, "identity"), (8, 3, "relu"), (8, 1, "tanh")):
        for draws in (MEMBERS,) if quick else (MEMBERS, DRAWS * MEMBERS):
            yield (
                "initial_losses",
                lambda count, shape=(width, depth, activation), draws=draws: initial_loss(*shape, draws, count),
            )
    for weights, modes in ((10, 5), (200, 50)) if quick else ((10, 5), (200, 50), (640, 50)):
        for time in (0.02, 0.3, 3.0):
            yield "springs", lambda count, size=(weights, modes), time=time: springs(*size, time, count)
    for scheme in langevin.SCHEMES:
        for share in (0.1, doubled.LARGEST_SHARE):
            yield "steps", lambda count, scheme=scheme, share=share: steps(scheme, share, count)


def tally(case: dict[str, Any], limits: list[CertifiedLimit], truth: float) -> dict[str, Any]:
    """How often they were certified and wrong, and their ratio to the truth."""
    ratios = np.array([limit.speed_limit / truth for limit in limits if limit.certified])
    return {
        **case,
        "truth": truth,
        "refused": 1 - ratios.size / len(limits),
        "missed": float(np.sum(ratios > 1)) / len(limits),
        "ratio_median": float(np.median(ratios)) if ratios.size else None,
        "ratio_largest": float(ratios.max()) if ratios.size else None,
    }


def well(power: int, fresh: bool, repetitions: int) -> dict[str, Any]:
    """V = x²/2 + x^power at β = 1 and T = ∞, 400 exact draws; T_SL by quadrature.

    Args:
        power: of the loss.
        fresh: with other draws of the start and the bounds for Gaussian starts; otherwise with the members alone.
        repetitions: ensembles.

    Returns:
        The tally.
    """
    points = np.linspace(-14, 14, 400_001)
    start = stats.norm.pdf(points)
    gibbs = np.exp(-0.5 * points**2 - points**power)
    step = points[1] - points[0]
    partition = gibbs.sum() * step
    spent = float((start * points**power).sum() * step + math.log(partition / math.sqrt(2 * math.pi)))
    levels = np.cumsum(gibbs) * step / partition
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    moved = w2_squared_samples(stats.norm.ppf(quantiles), np.interp(quantiles, levels, points))
    rng = np.random.default_rng(power)
    limits = []
    for _ in range(repetitions):
        first, last = rng.standard_normal(MEMBERS), np.interp(rng.random(MEMBERS), levels, points)
        losses = first**power, last**power
        if fresh:
            passage = Passage(start=first[:, None], end=last[:, None], losses_start=losses[0], losses_end=losses[1])
            others = rng.standard_normal(DRAWS * MEMBERS) ** power
            fit, held = fitting(MEMBERS)
            change = Change.fitted(passage[fit], np.eye(1), start_variance=1.0, inverse_temperature=1.0)
            pair = [change.w2_squared(passage[held])], [change.dissipation(passage[held], others)]
        else:
            energies = 0.5 * first**2 + losses[0], 0.5 * last**2 + losses[1]
            entropy = dissipation_bounds.cross_entropy(
                *energies, last[:, None], entropy_start=0.5 * math.log(2 * math.pi * math.e), inverse_temperature=1.0
            )
            distances = [
                bounds.gelbrich(first[:, None], last[:, None]),
                bounds.max_sliced(first[:, None], last[:, None]),
            ]
            pair = distances, [dissipation_bounds.initial_loss(losses[0]), entropy]
        limits.append(certified_speed_limit(*pair, time=1e6, confidence=CONFIDENCE))
    return tally({"loss": f"x^{power}", "members": MEMBERS, "fresh_starts": fresh}, limits, moved / spent)


def initial_loss(width: int, depth: int, activation: str, draws: int, repetitions: int) -> dict[str, Any]:
    """The upper limit of ⟨L⟩₀ of networks on 20 digits.

    Its mean is exact for the identity and ReLU: each hidden layer multiplies ⟨f²⟩ by 1 and ½. For tanh it is that of a
    million draws.
    """
    data = digits(20)
    generator = torch.Generator().manual_seed(0)
    model = FCN(64, 10, width=width, depth=depth, activation=activation, generator=generator)
    loss = vmap(FlatLoss(model, torch.as_tensor(data.inputs), torch.as_tensor(data.targets)), chunk_size=2000)
    weights = sum(parameter.numel() for parameter in model.parameters())
    pool = np.concatenate(
        [
            loss(torch.randn(4000, weights, generator=generator, dtype=torch.float64)).numpy()
            for _ in range(max(1, min(250, repetitions * draws // 4000)))
        ]
    )
    gain = {"identity": 1.0, "relu": 0.5}.get(activation)
    inputs, targets = data.inputs.reshape(20, -1), data.targets
    if gain is None:
        mean = float(pool.mean())
    else:
        mean = 0.5 * float(np.sum(targets**2) + 10 * gain**depth * np.sum(inputs**2) / 64)
    rng = np.random.default_rng(0)
    limits = np.array(
        [
            dissipation_bounds.initial_loss(rng.choice(pool, draws)).limit("upper", CONFIDENCE)
            for _ in range(repetitions)
        ]
    )
    return {
        "width": width,
        "depth": depth,
        "activation": activation,
        "draws": draws,
        "mean": mean,
        "refused": float(np.mean(np.isinf(limits))),
        "missed": float(np.mean(limits < mean)),
        "ratio_median": float(np.median(limits) / mean) if np.isfinite(np.median(limits)) else None,
    }


def spring_limit(process: Quadratic, time: float, members: int, rng: np.random.Generator) -> CertifiedLimit:
    """What one exactly drawn ensemble certifies."""
    start, end = process.draw(time, members, rng)
    fresh = process.draw_start(members, rng)
    # The loss feels few modes; many draws of those are cheap.
    felt = replace(process, curvatures=_felt(process), target=process.target[process.curvatures > 0])
    losses = felt.loss(felt.draw_start(DRAWS * members, rng))
    fit, held = fitting(members)
    passage = Passage(start=start, end=end, losses_start=process.loss(start), losses_end=process.loss(end))
    change = Change.fitted(
        passage[fit],
        steepest_directions(np.concatenate([process.gradient(fresh), process.gradient(end[fit])])),
        start_variance=process.start_variance,
        inverse_temperature=process.beta,
    )
    pair = [change.w2_squared(passage[held])], [change.dissipation(passage[held], losses)]
    return certified_speed_limit(*pair, time, confidence=CONFIDENCE)


def _felt(process: Quadratic) -> np.ndarray:
    return process.curvatures[process.curvatures > 0]


def springs(weights: int, modes: int, time: float, repetitions: int) -> dict[str, Any]:
    """Exactly drawn Ornstein–Uhlenbeck ensembles of 400 members; curvatures 0.5 to 10 of some modes, 1 of all."""
    process = Quadratic.example(weights, modes)
    moved, spent = process.truth(time)
    rng = np.random.default_rng(weights)
    limits = [spring_limit(process, time, MEMBERS, rng) for _ in range(repetitions)]
    return tally({"weights": weights, "modes": modes, "time": time, "members": MEMBERS}, limits, moved / spent)


def steps(scheme: str, share: float, repetitions: int) -> dict[str, Any]:
    """Ensembles moved in finite steps, at a share of the limit of stability, against continuous time."""
    process = Quadratic.example(12, 6)
    moved, spent = process.truth(1.0)
    curvatures, target = torch.from_numpy(process.curvatures), torch.from_numpy(process.target)
    size = share * 2 / (2 * process.kappa + float(curvatures.max()))
    count = 2 * math.ceil(0.5 / size)
    dynamics = langevin.Langevin(
        loss=lambda theta: 0.5 * ((theta - target).square() * curvatures).sum(),
        inverse_temperature=process.beta,
        time_step=1.0 / count,
        prior_precision=process.kappa,
        scheme=scheme,
    )
    limits = []
    for seed in range(repetitions):
        start = langevin.init(dynamics, langevin.prior(dynamics, MEMBERS, 12, seed=3 * seed), seed=3 * seed + 1)
        *_, state = doubled.integrate(dynamics, doubled.init(dynamics, start), [count])
        fresh = Fresh.drawn(dynamics, MEMBERS, 12, seed=3 * seed + 2)
        distance, dissipation = bracket(dynamics, start, state, fresh, share)
        limits.append(certified_speed_limit([distance], [dissipation], 1.0, confidence=CONFIDENCE))
    return tally({"scheme": scheme, "share_of_stability": share, "members": MEMBERS}, limits, moved / spent)


def tightness(quick: bool) -> list[dict[str, Any]]:
    """The certified share of the true T_SL with 1,000 members: the median of five ensembles."""
    sizes = ((200, 50), (640, 50)) if quick else ((200, 50), (640, 50), (640, 640), (10_000, 50), (10_000, 1000))
    rows = []
    for weights, modes in sizes:
        process = Quadratic.example(weights, modes)
        for time in (0.001, 0.01, 0.1, 1.0, 4.0):
            moved, spent = process.truth(time)
            rng = np.random.default_rng(1)
            count = 1 if quick else 5
            limits = [spring_limit(process, time, 1000, rng) for _ in range(count)]
            case = {"weights": weights, "modes": modes, "time": time, "members": 1000, "ensembles": count}
            rows.append(tally(case, limits, moved / spent))
            print(json.dumps(rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main()
