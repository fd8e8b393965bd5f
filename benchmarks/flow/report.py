"""The tables and figures of docs/flow-cost.md, from the results alone."""

from pathlib import Path
from typing import Any

from flow.gains import OURS, QUANTITIES, converges
from speedlimits._files import write_text_atomically

BEGIN, END = "<!-- from here on written by benchmarks/gradient_flow.py -->", "<!-- to here -->"
NAMES = {
    "w2_squared": "\\|Δθ\\|²",
    "inefficiency": "T/T_SL",
    "warm_inefficiency": "warm T/T_SL",
    "arc_length": "arc length",
    "loss_drop": "ΔL",
}
# Network, λ_max·T, η·λ_max of descent, how many times the gradients of `rkc2` it should take at its error of |Δθ|².
# Descent at 0.0025/λ_max is there for an error of 1e-5.
AIMS = [
    ("tanh FCN", 1e3, 0.1, 15),
    ("tanh FCN", 1e4, 0.1, 60),
    ("tanh FCN", 1e4, 0.0025, 500),
    ("tanh FCN", 1e5, 0.1, 250),
    ("GELU CNN", 1e4, 0.1, 30),
    ("ReLU CNN", 1e4, 0.1, 30),
    ("Myrtle5 w8 n50", 500.0, 0.1, 25),
    ("Myrtle5 w8 n50", 1e3, 0.1, 25),
    ("Myrtle5 w16 n125", 500.0, 0.1, 25),
]
STYLES = {"rkc2": "o-", "rock4": "s-", "smooth": "P", "gd": "^", "gd_steepest": "v", "rk4": "D", "dopri5": "x"}


def report(results: dict[str, Any], folder: Path) -> None:
    """Write tables between the marks of flow-cost.md, and a figure for each network.

    Args:
        results: of the benchmark.
        folder: of the documentation.
    """
    page = folder / "flow-cost.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text_atomically(page, before + BEGIN + "\n\n" + tables(results) + "\n" + END + after)
    draw(results, folder / "gradient_flow")


def tables(results: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    cases = results["measured"]
    parts = ["### Aims", aims(cases), "### Time per gradient", overheads(results["overhead_per_gradient"])]
    parts += ["### Gain at equal error", gains(cases), "### Errors", errors(cases)]
    return "\n\n".join(parts) + "\n"


def aims(cases: list[dict[str, Any]]) -> str:
    """What was aimed at beside what came out, each with both baselines."""
    found = {(case["problem"], case["sharpness_time"]): case for case in cases}
    rows = []
    for name, product, share, aim in AIMS:
        place = [name, short(product), label({"method": "gd", "setting": share}), f"{aim}×"]
        case = found.get((name, product))
        if case is None:
            rows.append([*place, "–", "–", "–", "–", "not run"])
            continue
        paper, edge = gain(case, "gd", share), gain(case, "gd", 1.96)
        calm = gain(case, "gd_steepest", 0.1) or gain(case, "gd_steepest", 1.0)
        first = paper.get("w2_squared")
        verdict = "no claim" if first is None else "met" if first >= aim else "missed"
        others = (" / ".join(times(each.get(which)) for which in ("w2_squared", "worst")) for each in (edge, calm))
        rows.append([*place, times(first), times(paper.get("worst")), *others, verdict])
    heads = ["network", "λ_max·T", "baseline", "aim", "\\|Δθ\\|²", "worst"]
    return table([*heads, "η = 1.96/λ_max", "η = 0.1/λ_max (steepest), or 1.0/λ_max", "outcome"], rows)


def overheads(found: dict[str, Any]) -> str:
    """Time per gradient inside `gradient_flow` over that of a bare gradient."""
    rows = []
    for each in found.values():
        for name, row in each.items():
            bare, share = row["bare_gradient"], row["overhead"]
            figures = (
                f"{row['gradients']:,}",
                f"{1e3 * bare:.3g} ms",
                f"{1e6 * bare * share:.0f} µs",
                f"{100 * share:.0f} %",
            )
            rows.append([name, short(row["sharpness_time"]), *figures])
    return table(["network", "λ_max·T", "gradients", "a bare gradient", "more in a run", "overhead"], rows)


def gains(cases: list[dict[str, Any]]) -> str:
    """Gradients of each baseline over those of `rkc2` at its error."""
    rows = []
    for case in cases:
        place = [case["problem"], short(case["sharpness_time"]), f"{case['sharpness_growth']:.1f}"]
        for row in baselines(case):
            if row["errors"] is None:
                rows.append([*place, label(row), row["reason"].split(", beyond")[0], *["–"] * 5])
                continue
            found = gain(case, row["method"], row["setting"])
            each = [times(found.get(quantity)) for quantity in (*QUANTITIES, "worst")]
            rows.append([*place, label(row), f"{row['gradients']:,}", *each])
    heads = ["network", "λ_max·T", "λ_max grows by", "baseline", "its gradients", *NAMES.values(), "worst"]
    return table(heads, rows)


def errors(cases: list[dict[str, Any]]) -> str:
    """Every run's errors, and how far the references agree."""
    rows = []
    for case in cases:
        place = [case["problem"], short(case["sharpness_time"])]
        for row in case["runs"]:
            if row["errors"]:
                each = [scientific(row["errors"].get(quantity)) for quantity in QUANTITIES]
                rows.append([*place, label(row), f"{row['gradients']:,}", *each])
        each = [scientific(case["disagreement"].get(quantity)) for quantity in QUANTITIES]
        names = " and ".join(label(reference) for reference in case["references"])
        chords = ", length by chords," if "arc_length_by_chords" in case["reference"] else ""
        rows.append([*place, f"references {names}{chords} differ by", "", *each])
    return table(["network", "λ_max·T", "method", "gradients", *NAMES.values()], rows)


def baselines(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that are not ours."""
    return [row for row in case["runs"] if row["method"] not in OURS]


def gain(case: dict[str, Any], method: str, setting: float) -> dict[str, float | None]:
    """Of `rkc2` over one baseline, by quantity; empty where that was not run, or its own errors do not fall."""
    if not converges(case["runs"]):
        return {}
    for found in case["ratios"]:
        if (found["baseline"], found["setting"], found["method"]) == (method, setting, "rkc2"):
            return found["gain"]
    return {}


def label(row: dict[str, Any]) -> str:
    """A run in words."""
    method, setting = row["method"], row["setting"]
    words = {
        "smooth": "rkc2 0.001, ε = {:g}",
        "rkc2_float64": "rkc2 {:g} in float64",
        "gd": "descent, η = {:g}/λ_max",
        "gd_steepest": "descent, η = {:g}/λ_max (steepest)",
    }
    return words.get(method, "RK4, h = {:g}/λ_max" if method == "rk4" else method + " {:g}").format(setting)


def times(value: float | None) -> str:
    """A gain to two digits."""
    return "–" if value is None else f"{value:.0f}×" if value >= 9.5 else f"{value:.1f}×"


def scientific(value: float | None) -> str:
    """An error to two digits."""
    return "–" if value is None else f"{value:.1e}"


def short(value: float) -> str:
    """1e3 for a thousand."""
    return f"{value:.0e}".replace("e+0", "e") if value >= 999.5 else f"{value:g}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Cells as Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(results: dict[str, Any], folder: Path) -> None:
    """Work–precision diagrams, one figure a network: error of |Δθ|² and of the worst quantity against gradients."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted({case["problem"] for case in results["measured"]}):
        found = [case for case in results["measured"] if case["problem"] == name]
        figure, axes = plt.subplots(2, len(found), figsize=(4 * len(found), 6.4), sharey="row", squeeze=False)
        handles: dict[str, Any] = {}
        for column, case in enumerate(found):
            for axis, quantity in zip(axes[:, column], ("w2_squared", "worst"), strict=True):
                for method, style in STYLES.items():
                    rows = [row for row in case["runs"] if row["method"] == method and row["errors"]]
                    points = sorted((row["gradients"], row["errors"][quantity]) for row in rows)
                    # A run that serves as the reference has no error of its own.
                    points = [(gradients, error) for gradients, error in points if error > 0]
                    if points:
                        words = {"gd_steepest": "gd, steepest λ_max"}.get(method, method)
                        (handles[words],) = axis.loglog(
                            *zip(*points, strict=True), style, color=f"C{list(STYLES).index(method)}"
                        )
                handles["references differ by"] = axis.axhline(
                    case["disagreement"][quantity], color="grey", linestyle=":"
                )
                axis.set_xlabel("gradients")
                # Over less than two decades these would be written, over one another.
                axis.xaxis.set_minor_formatter(NullFormatter())
            axes[0, column].set_title(f"λ_max·T = {short(case['sharpness_time'])}", fontsize=10)
        axes[0, 0].set_ylabel("error of |Δθ|²")
        axes[1, 0].set_ylabel("worst of all errors")
        figure.suptitle(name)
        figure.tight_layout(rect=(0, 0.1 if len(found) > 1 else 0.16, 1, 1))
        figure.legend(handles.values(), handles.keys(), fontsize=8, ncols=min(4, 2 * len(found)), loc="lower center")
        figure.savefig(folder / f"{name.lower().replace(' ', '-')}.png", dpi=110)
        plt.close(figure)
