"""The paper's Fig. 1 from a study's tables: each panel as PNG, PDF and CSV, and all of them on one sheet."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from speedlimits._files import write_text_atomically
from speedlimits.report.curves import Band
from speedlimits.report.figure1_tables import COLD, WARM, Table
from speedlimits.report.figures import sheet
from speedlimits.report.words import LOSSES

COLOURS = {COLD: sheet.COLD_COLOUR, WARM: sheet.WARM_COLOUR}
STARTS = {COLD: "cold: from initialisation", WARM: "warm start"}
TIME = "flow time $t$"


def write(folder: Path, tables: Mapping[str, Table], title: str, loss: str = f"loss {LOSSES['squared']}") -> list[Path]:
    """Write every panel.

    Args:
        folder: where to; made if missing.
        tables: from `figure1_tables.tables`, with those of `figure1_tables.kernel_tables` where there is a kernel.
        title: of the sheet: network, data and the focus of panels (a) to (c).
        loss: what the axis of the loss says.

    Returns:
        The files written, the sheet first.

    Raises:
        OSError: what the disk reports.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    names = [name for name in PANELS if name in tables and name not in INSETS.values()]
    with mpl.rc_context(sheet.STYLE):
        sheets = {"figure1": (title, names)} | {f"panel_{name}": ("", [name]) for name in names}
        for file, (heading, shown) in sheets.items():
            figure, places = sheet.sheet(heading, len(shown))
            for axes, name in zip(places, shown, strict=True):
                _draw(axes, name, tables, loss)
            written += _save(figure, folder / file)
    for name, table in tables.items():
        path = folder / f"panel_{name}.csv"
        write_text_atomically(path, to_csv(table))
        written.append(path)
    return written


def to_csv(table: Table) -> str:
    """A table as text, numbers with every digit.

    Args:
        table: columns of one length.

    Returns:
        The CSV, with a header.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    return out.getvalue()


def _loss_and_accuracy(axes: Axes, table: Table) -> None:
    sheet.draw_band(axes, _curve(table, "loss"), sheet.COLD_COLOUR, "training loss")
    axes.set(xscale="log", yscale="log", xlabel=TIME)
    axes.yaxis.label.set_color(sheet.COLD_COLOUR)
    sheet.log_numbers(axes)
    if "accuracy_mean" not in table:
        axes.set_title("(a) Loss")
        return
    axes.set_title("(a) Loss and held-out accuracy")
    right = axes.twinx()
    sheet.draw_band(right, _curve(table, "accuracy").known, sheet.ACCURACY, "accuracy")
    right.set_ylim(bottom=0)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    right.set_ylabel("held-out accuracy", color=sheet.ACCURACY)
    right.spines["right"].set_visible(True)


def _speed_limits(axes: Axes, table: Table) -> None:
    span = np.array([table["time"].min(), table["time"].max()])
    axes.plot(span, span, color=sheet.GREY, linewidth=1, linestyle="--", label="$T_{SL}=T$")
    for start, rows in _by(table, "start"):
        at = rows["start_time"][0]
        label = STARTS[start] + (f", $t_0$ = {at:.3g}" if at else "")
        sheet.draw_band(axes, _curve(rows, "speed_limit"), COLOURS[start], label)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="speed limit $T_{SL}$")
    axes.set_title("(b) Speed limit")
    sheet.log_numbers(axes)
    sheet.legend(axes, columns=1)


def _triples(axes: Axes, table: Table) -> None:
    space = sheet.in_space(axes)
    for triple, rows in _by(table, "triple"):
        sheet.draw_triple(space, np.stack([rows["w1"], rows["w2"], rows["w3"]]), triple - 1)
    space.set_title("(c) Paths of random weight triples")


def _inefficiencies(axes: Axes, table: Table) -> None:
    _over_samples(axes, table, "inefficiency")
    axes.set(yscale="log", ylabel="inefficiency $T/T_{SL}$")
    axes.set_title("(d) Inefficiency")
    sheet.log_numbers(axes)
    _name_samples(axes, table)


def _length_ratios(axes: Axes, table: Table) -> None:
    _over_samples(axes, table, "length_ratio")
    axes.set(ylabel=r"length ratio $l_\gamma/l_{geo}$")
    axes.set_title("(e) Path length over straight line")
    _name_samples(axes, table)


def _overlaps(axes: Axes, table: Table) -> None:
    for start, rows in _by(table, "start"):
        label = f"residual at $t$ = {rows['start_time'][0]:.3g}"
        axes.plot(rows["eigenvalue"], rows["share"], "o-", color=COLOURS[start], markersize=3, linewidth=1, label=label)
    axes.set(xscale="log", yscale="log", xlabel=r"kernel eigenvalue $\lambda$", ylabel=r"share of $\sum_k\Delta_k^2$")
    axes.set_title("(f) Residual over the kernel's spectrum")
    # Room below the curves for the inset.
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** 1.1, high)
    sheet.log_numbers(axes)
    sheet.legend(axes, columns=1)


def _spectrum(axes: Axes, table: Table) -> None:
    axes.plot(table["rank"], table["eigenvalue"], color=sheet.COLD_COLOUR, linewidth=1)
    axes.set(xscale="log", yscale="log")
    axes.set_title(r"$\lambda_k$ over $k$ at $t$ = 0", fontsize=7)
    sheet.log_numbers(axes, 3, 3)
    axes.patch.set_alpha(0.0)


def _predictions(axes: Axes, table: Table) -> None:
    for start, rows in _by(table, "start"):
        axes.plot(rows["time"], rows["measured"], color=COLOURS[start], label=STARTS[start])
        axes.plot(rows["time"], rows["predicted"], color=COLOURS[start], linestyle="--")
    axes.plot([], [], color=sheet.GREY, linestyle="--", label="predicted by the kernel there")
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="inefficiency $T/T_{SL}$")
    sheet.log_numbers(axes)
    axes.set_title("Measured, and by a constant kernel")
    sheet.legend(axes, columns=1)


def _map(axes: Axes, table: Table) -> None:
    starts, ends = np.unique(table["start_time"]), np.unique(table["end_time"])
    grid = np.full((starts.size, ends.size), np.nan)
    rows, columns = np.searchsorted(starts, table["start_time"]), np.searchsorted(ends, table["end_time"])
    grid[rows, columns] = table["inefficiency_mean"]
    mesh = sheet.draw_map(axes, grid, starts, ends)
    # No run ends before it starts: that corner is free.
    place = axes.inset_axes((0.06, 0.86, 0.4, 0.06))
    bar = axes.figure.colorbar(mesh, cax=place, orientation="horizontal", label="$T/T_{SL}$ from $t_0$ to $t$")
    sheet.log_numbers(bar.ax, 4)
    axes.set_title("From any start to any end")


PANELS: dict[str, Callable[[Axes, Table], None]] = {
    "a": _loss_and_accuracy,
    "b": _speed_limits,
    "c": _triples,
    "d": _inefficiencies,
    "e": _length_ratios,
    "f": _overlaps,
    "f_inset": _spectrum,
    "map": _map,
    "kernel": _predictions,
}
INSETS = {"f": "f_inset"}


def _draw(axes: Axes, name: str, tables: Mapping[str, Table], loss: str) -> None:
    PANELS[name](axes, tables[name])
    if name == "a":
        axes.set_ylabel(loss, parse_math=False)
    if name in INSETS:
        PANELS[INSETS[name]](axes.inset_axes((0.2, 0.2, 0.36, 0.24)), tables[INSETS[name]])


def _over_samples(axes: Axes, table: Table, name: str) -> None:
    last = table["end_time"].max()
    for start, rows in _by(table, "start"):
        for end, line in _by(rows, "end_time"):
            whole = end == last
            axes.errorbar(
                line["samples"],
                line[f"{name}_mean"],
                line[f"{name}_std"],
                color=COLOURS[start],
                linestyle="-" if whole else ":",
                marker="o",
                markersize=4 if whole else 2.5,
                linewidth=1.2,
                capsize=2,
                label=f"{start}, $T$ = {end:.3g}",
            )
    axes.axhline(1, color=sheet.GREY, linewidth=1)
    axes.set(xscale="log", xlabel="training samples $n$")


def _name_samples(axes: Axes, table: Table) -> None:
    samples = np.unique(table["samples"])
    # Where they crowd, every second has its number.
    shown = samples[:: -(-samples.size // 6)]
    axes.set_xticks(shown, [str(n) for n in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    sheet.legend(axes, columns=2)


def _by(table: Table, column: str) -> list[tuple[Any, Table]]:
    """The table's rows for each value of a column, in order of appearance."""
    values = list(dict.fromkeys(table[column].tolist()))
    return [(value, {name: cells[table[column] == value] for name, cells in table.items()}) for value in values]


def _curve(table: Table, name: str) -> Band:
    return Band(table["time"], table[f"{name}_mean"], table[f"{name}_std"])


def _save(figure: Figure, path: Path) -> list[Path]:
    written = [path.with_suffix(suffix) for suffix in (".png", ".pdf")]
    for target in written:
        sheet.save(figure, target)
        # Laid out once: that costs as much as drawing.
        figure.set_layout_engine("none")
    return written
