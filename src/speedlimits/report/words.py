"""What a reader should take home from a summary: its name, its loss, its columns, and a few sentences."""

from collections.abc import Mapping
from typing import Any

from speedlimits._numbers import number

# (key of summary.json, heading, tooltip, format) of the table's columns.
COLUMNS = (
    ("loss_initial", "L(0)", "training loss at the start", ".4g"),
    ("loss_final", "L(T)", "training loss at the end", ".4g"),
    ("dissipation", "ΔL", "loss drop: dissipation of the flow, Eq. (6)", ".4g"),
    ("spent", "∫|v|²dt", "dissipation of the path, Σ|δ|²/Δt", ".4g"),
    ("w2_squared", "|Δθ|²", "squared distance between first and last weights", ".4g"),
    ("speed_limit", "T<sub>SL</sub>", "least time physics allows, Eq. (7)", ".4g"),
    ("inefficiency", "T/T<sub>SL</sub>", "times slower than the limit, Eq. (12)", ".3g"),
    ("geometric", "geometric", "(path length)²/|Δθ|²: what bends cost", ".3g"),
    ("pace", "pace", "what varying speed costs", ".3g"),
    ("discretisation_share", "share", "part of the path dissipation that the loss drop misses", ".2%"),
    ("test_accuracy", "accuracy", "on the held-out samples", ".1%"),
)
# Of a run with noise: its estimates, as a heading and the key of summary.json; and the columns of their table.
ESTIMATES = {
    "Squared distance 𝒲₂": "w2_squared",
    "Dissipation β⁻¹R up to T": "dissipation",
    "Dissipation β⁻¹R to equilibrium": "dissipation_to_equilibrium",
}
NOISY_COLUMNS = (
    ("value", "value"),
    ("standard_error", "±"),
    ("lower_limit", "95 % from below"),
    ("upper_limit", "from above"),
)

LOSSES = {"squared": "½Σ(f−y)²", "cross_entropy": "cross-entropy"}


def name(summary: Mapping[str, Any]) -> str:
    """What was trained on what: the network's and data's own name, or those of the built-in ones."""
    return summary.get("name") or f"{summary['model']} on {summary['dataset']}"


def title(summary: Mapping[str, Any], *parts: str) -> str:
    """One line above figures and pages: the name, the number of samples where it is known, and what else is given."""
    samples = summary.get("samples")
    return ", ".join([name(summary), *([f"n = {samples}"] if samples else []), *parts])


def loss_label(summary: Mapping[str, Any]) -> str:
    """The loss for an axis: a formula for half the squared error, which runs from before had a name are of."""
    loss = summary.get("loss_name", "squared")
    return f"loss {LOSSES.get(loss, loss)}".strip()


def measured(summary: Mapping[str, Any], key: str) -> bool:
    """Whether any member has a number under this key."""
    return any(member.get(key) is not None for member in summary["members"])


def columns(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Those of `COLUMNS` under which any member has a number."""
    return [column for column in COLUMNS if measured(summary, column[0])]


def sure(summary: Mapping[str, Any]) -> str:
    """Prefix of the keys to trust: without a certificate only the limit by the path's own dissipation is sure."""
    return "" if summary["certified"] or "spent" in summary["mean"] else "path_"


def sure_later(summary: Mapping[str, Any]) -> str:
    """The same from the later start, which is certified by itself."""
    return sure(summary) or ("" if summary["warm_start"].get("certified", True) else "path_")


def at_least(summary: Mapping[str, Any]) -> str:
    """What stands before a ratio that is a lower bound, since only some points of the path were seen."""
    return "At least " if summary["mean"].get("points") is not None else ""


def verdict(summary: Mapping[str, Any]) -> list[str]:
    """The sentences, the most important first.

    Args:
        summary: contents of ``summary.json``.

    Returns:
        How far from the limit the run was, whether that is certified, what holds if it is not, and how close discrete
        steps were to instability.
    """
    mean, warm, by, bound = summary["mean"], summary["warm_start"], sure(summary), at_least(summary)
    lines = [
        f"{bound}{_spread(summary, f'{by}inefficiency')} times slower than thermodynamics allows: T = "
        f"{summary['time']:.4g}, T_SL {'at most' if bound else '='} {number(mean[f'{by}speed_limit'], '.3g')}."
    ]
    if warm["mean"].get("start_time"):
        later = _spread(warm, f"{sure_later(summary)}inefficiency")
        lines.append(f"From t0 = {warm['mean']['start_time']:.3g} on: {bound.lower()}{later} times.")
    if bound:
        lines.append(
            f"Only {mean['points']:.0f} points of the path were seen; these are by the dissipation of the polygon "
            "through them, and the path itself dissipates no less. The limit holds for any optimizer and any steps."
        )
    elif "spent" in mean:
        lines.append("These are by the dissipation of the path, whose limit holds for any optimizer and any steps.")
    elif summary["certified"]:
        lines.append(f"Certified: {_agreement(summary)}.")
    else:
        lines.append(
            f"That is by the dissipation of the path, steps and all (through the midpoints of the steps "
            f"{_spread(summary, 'averaged_inefficiency')} times). By the loss drop it would be "
            f"{_spread(summary, 'inefficiency')}, which is not certified: {'; '.join(summary['reasons'])}."
        )
    if mean.get("stability") is not None:
        lines.append(_stability(summary))
    if summary.get("learning_rate_wanted") is not None:
        lines.append(_rate(summary))
    return lines


def _spread(table: Mapping[str, Any], key: str) -> str:
    mean, std = number(table["mean"][key], ".3g"), table["std"][key]
    # One network has none; in summaries from before that was null it is 0.
    return mean if not std else f"{mean} ± {number(std, '.2g')}"


def _rate(summary: Mapping[str, Any]) -> str:
    """The learning rate of the steps that were made, and why it is not the one that was asked for."""
    used, wanted = summary["mean"]["learning_rate"], summary["learning_rate_wanted"]
    # What does not show in the number is no difference.
    why = "" if f"{used:.4g}" == f"{wanted:.4g}" else f" ({wanted:.4g} was asked for; T is a whole number of steps)"
    return f"Learning rate {used:.4g}{why}."


def _agreement(summary: Mapping[str, Any]) -> str:
    """How closely the members are gradient flows: the worst of them, and what is allowed."""
    worst = max(member["certificate"] or 0.0 for member in summary["members"])
    found, allowed = (f"{100 * share:.2g} %" for share in (worst, summary["tolerance"]))
    return f"loss drop and path dissipation agree within {found} ({allowed} is allowed)"


def _stability(summary: Mapping[str, Any]) -> str:
    members = summary["members"]
    first = max(row["stability"] * row["sharpness_initial"] / row["sharpness_final"] for row in members)
    last = max(row["stability"] for row in members)
    edge = summary["edge_of_stability"]
    where = f"; at the edge of stability: seeds {', '.join(map(str, edge))}" if edge else ""
    return f"Steps of {first:.2g} of the stability limit at the start, {last:.2g} at the end (ηλ_max/2){where}."
