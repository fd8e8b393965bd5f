"""The paper's claims about its experiment (§4, Fig. 1) beside what a study found, with a verdict each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speedlimits._numbers import deviation
from speedlimits.measured import speed_limit
from speedlimits.report.curves import has_accuracy
from speedlimits.report.figure1_tables import COLD, WARM, Group, Table
from speedlimits.runs.kernel import KernelRecord
from speedlimits.theory.constant_kernel import ConstantKernel

AGREES, DISAGREES, OPEN = "agrees", "disagrees", "not tested"

# What "O(1)" is taken to mean: within one order of magnitude.
ORDER_ONE = 10.0
# And "roughly constant" over the sizes: within this factor.
CONSTANT = 2.0
# An exponent below this is none.
ROUNDING = 1e-9
# "The first few" eigenvalues: as many as there are classes.
FEW = 10
# (n, accuracy, its error) at width 128, on the test set.
ACCURACIES = ((500, 0.30, 0.01), (5000, 0.47, 0.01))
PAPER_WIDTH = 128
TEST_SET, TEST_IMAGES = "the test set, 10,000 images", 10_000
# The first of them judge the paper's accuracy as well, less sharply.
PART = re.compile(r"the first ([\d,]+) of 10,000 test images")


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, and what the study says to it.

    Args:
        paper: the claim.
        ours: the numbers found.
        verdict: agrees, disagrees or not tested.
    """

    paper: str
    ours: str
    verdict: str


def claims(
    found: Sequence[Group],
    tables: Mapping[str, Table],
    *,
    width: int | None,
    held_out: str | None,
    kernel: KernelRecord | None = None,
) -> list[Claim]:
    """All claims, in the paper's order.

    Args:
        found: from `figure1_tables.groups`.
        tables: from `figure1_tables.tables`.
        width: of the network; the paper's accuracies hold for 128. None for a network that has no such number.
        held_out: what the accuracy was measured on, in words; None where nothing was held out.
        kernel: of one member, at initialisation and at its warm start; None leaves its claim untested.

    Returns:
        The claims with their verdicts. Ratios are those at the end of training.
    """
    return [
        _initial_drop(found),
        _warm_is_order_one(found, tables["d"]),
        _cold_grows(found),
        _mostly_initial(found, tables["d"]),
        _length_is_order_one(tables["e"]),
        _first_eigenvalues_burn(kernel),
        *(_accuracy(found, n, value, error, width, held_out) for n, value, error in ACCURACIES),
    ]


def markdown(found: Sequence[Claim]) -> str:
    """The claims as a table.

    Args:
        found: from `claims`.

    Returns:
        Markdown.
    """
    rows = [f"| {claim.paper} | {claim.ours} | {claim.verdict} |" for claim in found]
    return "\n".join(["| the paper | this study | verdict |", "|---|---|---|", *rows]) + "\n"


def _initial_drop(found: Sequence[Group]) -> Claim:
    shares = [
        float(np.mean([1 - view.losses[0] / run.losses[0] for run, view in zip(group.cold, group.warm, strict=True)]))
        for group in found
        if group.warm
    ]
    paper = "most of the loss is lost at first, without similar gain in accuracy (a)"
    if not shares:
        return Claim(paper, _no_start(found), OPEN)
    return Claim(
        paper, f"{_range(shares, '.0%')} of the initial loss is gone at the warm start", _verdict(min(shares) > 0.5)
    )


def _warm_is_order_one(found: Sequence[Group], table: Table) -> Claim:
    samples, mean, _ = _at_end(table, "inefficiency", WARM)
    paper = "after the warm start the inefficiency is O(1) and roughly constant in n (d)"
    if not mean.size:
        return Claim(paper, _no_start(found), OPEN)
    if mean.size == 1:
        ours = f"{mean[0]:.3g} at n = {samples[0]}, to agree below {ORDER_ONE:g}; no other n to compare with"
        return Claim(paper, ours, OPEN if mean[0] < ORDER_ONE else DISAGREES)
    factor = mean.max() / mean.min()
    ours = f"{_range(mean)}, a factor of {factor:.3g}"
    ours += f"; to agree: below {ORDER_ONE:g}, within a factor of {CONSTANT:g}"
    return Claim(paper, ours, _verdict(mean.max() < ORDER_ONE and factor < CONSTANT))


def _cold_grows(found: Sequence[Group]) -> Claim:
    """The exponent of n, seed by seed: each starts from the same weights at every n; seeds differ more than sizes."""
    paper = "counted from initialisation, the inefficiency grows with n (d)"
    if len(found) < 3 or len({len(group.cold) for group in found}) > 1 or len(found[0].cold) < 2:
        return Claim(paper, "fewer than three sizes, or than two networks at each", OPEN)
    values = np.array([[float(speed_limit(run).final.inefficiency) for run in group.cold] for group in found])
    slopes = np.polyfit(np.log([group.samples for group in found]), np.log(values), 1)[0]
    slope, error = slopes.mean(), slopes.std(ddof=1) / np.sqrt(slopes.size)
    verdict = OPEN if abs(slope) <= max(2 * error, ROUNDING) else _verdict(slope > 0)
    means = values.mean(axis=1)
    return Claim(paper, f"{means[0]:.3g} to {means[-1]:.3g}, each network as n^({slope:.2f} ± {error:.2f})", verdict)


def _mostly_initial(found: Sequence[Group], table: Table) -> Claim:
    paper = "most of the inefficiency is that of the first moments (b)"
    (n, cold, _), (m, warm, _) = (_at_end(table, "inefficiency", start) for start in (COLD, WARM))
    if not warm.size:
        return Claim(paper, _no_start(found), OPEN)
    ratios = cold[np.isin(n, m)] / warm
    return Claim(paper, f"the warm start divides it by {_range(ratios)}", _verdict(bool(ratios.min() > 2)))


def _length_is_order_one(table: Table) -> Claim:
    mean = np.concatenate([_at_end(table, "length_ratio", start)[1] for start in (COLD, WARM)])
    return Claim(
        "the path is O(1) times as long as the straight line (e)",
        f"{_range(mean)} times",
        _verdict(mean.max() < ORDER_ONE),
    )


def _first_eigenvalues_burn(kernel: KernelRecord | None) -> Claim:
    r"""How many modes carry half of the loss that the kernel at initialisation spends until the warm start."""
    paper = "the first few kernel eigenvalues burn most of the entropy (f)"
    if kernel is None or len(kernel.views) < 2 or kernel.matrix_free:
        return Claim(paper, "needs the kernel's eigenvectors, and a warm start", OPEN)
    start, warm = kernel.views
    constant = ConstantKernel(eigenvalues=start.eigenvalues, residual=start.residual)
    left = constant.residual_at(np.array([warm.start_time]))[0]
    spent = start.residual**2 - left**2
    shares = np.cumsum(spent) / spent.sum()
    few = 1 + int(np.searchsorted(shares, 0.5))
    first = shares[:FEW]
    ours = f"half of it by the first {few} of {spent.size} modes, {first[-1]:.0%} by the first {first.size}"
    return Claim(paper, ours, _verdict(few <= FEW))


def _accuracy(
    found: Sequence[Group], samples: int, value: float, error: float, width: int | None, held_out: str | None
) -> Claim:
    paper = f"test accuracy {value:.0%} ± {error:.0%} at n = {samples}, width {PAPER_WIDTH}"
    runs = next((group.cold for group in found if group.samples == samples), [])
    if not runs:
        return Claim(paper, f"n = {samples} was not run", OPEN)
    if not has_accuracy(runs):
        return Claim(paper, "the accuracy was not measured", OPEN)
    last = np.array([run.test_accuracy[-1] for run in runs])
    spread = 0.0 if last.size == 1 else deviation(last)
    at_width = "" if width is None else f" at width {width}"
    ours = f"{last.mean():.1%}{'' if last.size == 1 else f' ± {spread:.1%}'}{at_width} on {held_out}"
    part = PART.fullmatch(held_out or "")
    if width != PAPER_WIDTH or not (part or held_out == TEST_SET):
        return Claim(paper, f"{ours}: not comparable", OPEN)
    sampling = 0.0
    if part:
        # Of a test set without replacement, were the paper's accuracy the true one.
        images = int(part[1].replace(",", ""))
        sampling = float(np.sqrt(value * (1 - value) / images * (1 - images / TEST_IMAGES)))
        ours += f", so few that ± {sampling:.1%} is chance"
    allowed = 2 * float(np.linalg.norm([error, spread, sampling]))
    return Claim(paper, ours, _verdict(abs(last.mean() - value) <= allowed))


def _range(values: Sequence[float] | np.ndarray, form: str = ".3g") -> str:
    """From the least to the largest, or the one number that both round to."""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _no_start(found: Sequence[Group]) -> str:
    if any(has_accuracy(group.cold) for group in found):
        return "no warm start was reached"
    return "needs a warm start: the accuracy was not measured, and no time was given"


def _at_end(table: Table, name: str, start: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples, mean and deviation at the latest end."""
    rows = (table["start"] == start) & (table["end_time"] == table["end_time"].max())
    return tuple(table[column][rows] for column in ("samples", f"{name}_mean", f"{name}_std"))  # type: ignore[return-value]


def _verdict(holds: object) -> str:
    return AGREES if holds else DISAGREES
