"""What a reader should take home from a summary, in a few sentences."""

from collections.abc import Mapping
from typing import Any

from speedlimits._numbers import number


def verdict(summary: Mapping[str, Any]) -> list[str]:
    """The sentences, the most important first.

    Args:
        summary: contents of ``summary.json``.

    Returns:
        How far from the limit the run was, whether that is certified, what holds if it is not, and how close discrete
        steps were to instability.
    """
    mean, warm = summary["mean"], summary["warm_start"]
    # Without a certificate only the limit by the path's own dissipation is sure.
    sure = "" if summary["certified"] else "path_"
    lines = [
        f"{_spread(summary, f'{sure}inefficiency')} times slower than thermodynamics allows: "
        f"T = {summary['time']:.4g}, T_SL = {number(mean[f'{sure}speed_limit'], '.3g')}."
    ]
    if warm["mean"]["start_time"]:
        lines.append(f"From t0 = {warm['mean']['start_time']:.3g} on: {_spread(warm, f'{sure}inefficiency')} times.")
    if summary["certified"]:
        lines.append(f"Certified: {_agreement(summary)}.")
    else:
        lines.append(
            f"That is by the dissipation of the path, steps and all (through the midpoints of the steps "
            f"{_spread(summary, 'averaged_inefficiency')} times). By the loss drop it would be "
            f"{_spread(summary, 'inefficiency')}, which is not certified: {'; '.join(summary['reasons'])}."
        )
    if mean["stability"] is not None:
        lines.append(_stability(summary))
    return lines


def _spread(table: Mapping[str, Any], key: str) -> str:
    return f"{number(table['mean'][key], '.3g')} ± {number(table['std'][key], '.2g')}"


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
