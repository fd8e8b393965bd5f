"""The page about a run or a study that trains: how far it is, and its speed limit so far."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from speedlimits.measured import speed_limit
from speedlimits.report.curves import band as over
from speedlimits.report.curves import limit_band
from speedlimits.report.glossary import terms
from speedlimits.report.pages import noisy, panels
from speedlimits.report.pages.chart import Axis, Chart, Curve, from_band, line, triple
from speedlimits.report.pages.render import page
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.runs.so_far import MemberSoFar, RunSoFar

# Networks in training that have a line of their own: those of more workers are not told apart.
LINES = 6


def run_page(run: RunSoFar, *, fragment: bool, report: bool, above: str = "") -> str:
    """The page about one run.

    Args:
        run: as it is now.
        fragment: only what changes, without style and scripts.
        report: whether its finished report can be asked for.
        above: address of the study it is part of.

    Returns:
        The HTML.
    """
    if isinstance(run.config, NoisyConfig):
        charts = noisy.so_far(run.rows, 1 / run.config.inverse_temperature) if len(run.rows) > 1 else {}
    else:
        charts = _charts(run.members)
    rows = [_row(member) for member in run.members]
    return _page(charts, run, _verdict(run), fragment=fragment, rows=rows, report=report, above=above)


def study_page(name: str, runs: Sequence[RunSoFar], *, fragment: bool) -> str:
    """The page about a study: its runs, each with a link.

    Args:
        name: of the study.
        runs: as they are now.
        fragment: only what changes, without style and scripts.

    Returns:
        The HTML.
    """
    ended = sum(run.ended for run in runs)
    listed = [(each.name, each.share, each.ended, _verdict(each)) for each in runs]
    whole = RunSoFar(name, None, ended=ended == len(runs))
    return _page({}, whole, f"{ended} of {len(runs)} runs have ended", fragment=fragment, runs=listed)


def _page(charts: dict[str, Chart], run: RunSoFar, verdict: str, *, fragment: bool, **shown: Any) -> str:
    layout = "fragment.html.j2" if fragment else "base.html.j2"
    shown = {"rows": [], "runs": [], "report": False, "above": ""} | shown
    return page("live.html.j2", charts, layout=layout, run=run, verdict=verdict, terms=terms("live"), **shown)


def _verdict(run: RunSoFar) -> str:
    """One sentence: T/T_SL so far, and of how many networks."""
    if run.config is None:
        return "not begun"
    if isinstance(run.config, NoisyConfig):
        last = run.rows[-1] if run.rows else {"time": 0.0, "speed_limit": None}
        limit = "no certified speed limit" if last["speed_limit"] is None else f"T_SL ≥ {last['speed_limit']:.3g}"
        return f"{limit} at T = {last['time']:.3g}"
    # Who is on the way has a smaller ratio yet: a mean over both would be that of nothing.
    done = [member for member in run.members if member.ended]
    found = [ratio for member in done or run.members if (ratio := _ratio(member)) is not None]
    who = f"{len(done)} of {len(run.members)} networks have ended"
    if not found:
        return f"no path yet; {who}"
    spread = f" ± {np.std(found, ddof=1):.2g}" if len(found) > 1 else ""
    where = "" if run.ended else " in those that ended" if done else " so far"
    return f"{np.mean(found):.3g}{spread} times slower than the limit{where}; {who}"


def _ratio(member: MemberSoFar) -> float | None:
    return None if member.trajectory is None else float(speed_limit(member.trajectory).final.inefficiency)


def _row(member: MemberSoFar) -> dict[str, Any]:
    path = member.trajectory
    return {
        "seed": member.seed,
        "share": member.share,
        "ended": member.ended,
        "time": None if path is None else path.time,
        "loss": None if path is None else float(path.losses[-1]),
        "inefficiency": _ratio(member),
    }


def _charts(members: Sequence[MemberSoFar]) -> dict[str, Chart]:
    times = [member.trajectory.times for member in members if member.trajectory is not None]
    if not times:
        return {}
    diagonal = max(times, key=lambda each: each[-1])[[1, -1]]
    limits = _curves(members, "speed_limit")
    return {
        "inefficiency": Chart(
            "T/T_SL so far.", panels.SINCE, Axis(panels.RATIO, "×"), _curves(members, "inefficiency")
        ),
        "speed_limit": Chart(
            "The least time for the move made so far.",
            panels.SINCE,
            Axis(f"speed limit {panels.LIMIT}", panels.TIME),
            [line(f"{panels.LIMIT} = T", diagonal, diagonal, "grey", "dash"), *limits],
        ),
        "loss": Chart("The loss so far.", Axis("flow time t", panels.TIME), Axis("loss"), _curves(members, "losses")),
    }


def _curves(members: Sequence[MemberSoFar], name: str) -> list[Curve]:
    """Networks that have ended as one band, the others each by itself."""
    ended = [member.trajectory for member in members if member.ended and member.trajectory is not None]
    running = [member for member in members if not member.ended and member.trajectory is not None][-LINES:]

    def values(paths: Sequence[Any]) -> Any:
        return over(paths, lambda path: path.losses) if name == "losses" else limit_band(paths, name)

    curves = [from_band(f"{len(ended)} that ended", values(ended), "cold")] if ended else []
    return curves + [
        from_band(f"seed {member.seed}", values([member.trajectory]), triple(k + 1)) for k, member in enumerate(running)
    ]
