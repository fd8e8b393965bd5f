"""Write what docs/kernel.md shows: its picture from a small run, its tables from benchmarks/results/kernel.json.

Run: python docs/make_kernel_page.py [--out docs/kernel]

Draws: docs/kernel/digits.png
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from speedlimits import RunConfig, train_run
from speedlimits.report.figures.kernel import kernel_figure
from speedlimits.report.figures.sheet import save
from speedlimits.training.kernel import analyse_kernel

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results" / "kernel.json"
STUDY = RunConfig(samples=200, seeds=(0,))
NAMES = {"fcn": "FCN, 3,072–64–64–10", "cnn": "CNN, 16 and 32 channels", "myrtle": "Myrtle-5, 16 channels"}


def dense(rows: dict[str, Any]) -> list[str]:
    """Contestants at every size: processor seconds and gigabytes beside the inputs.

    Args:
        rows: of all networks.

    Returns:
        Lines of Markdown.
    """
    names = [name for name, row in next(iter(next(iter(rows.values())).values())).items() if isinstance(row, dict)]
    names.sort(key=lambda name: name != "speedlimits")
    lines = [f"| network, n | {' | '.join(names)} | faster | memory |", "|---" * (len(names) + 3) + "|"]
    for model, sizes in rows.items():
        for size, row in sorted(sizes.items(), key=lambda item: int(item[0])):
            cells = " | ".join(cell(row[name]) for name in names)
            ratios = f"{row['faster_than_best']:.2g}×", f"{row['memory_of_best']:.2g}×"
            lines.append(f"| {NAMES[model]}, {int(size):,} | {cells} | {ratios[0]} | {ratios[1]} |")
    return lines


def cell(row: dict[str, Any]) -> str:
    """Seconds and gigabytes of one measurement, or why there is none."""
    if "skipped" in row:
        return f"– ({row['skipped']})"
    return f"{row['cpu_seconds']:.3g} s, {row['bytes'] / 1e9:.2g} GB"


def precisions(models: dict[str, Any]) -> list[str]:
    """Kernels in float64 and by float32 passes, of one processor.

    Args:
        models: results by network.

    Returns:
        Lines of Markdown.
    """
    lines = ["| network, n | float64 | float32 | faster | differs in norm by |", "|---" * 5 + "|"]
    for model, sizes in models.items():
        for size, row in sorted(sizes.items(), key=lambda item: int(item[0])):
            exact, single = (row[f"{name}_cpu_seconds"] for name in ("float64", "float32"))
            cells = f"{exact:.3g} s | {single:.3g} s | {exact / single:.2g}× | {row['error']:.0e}"
            lines.append(f"| {NAMES[model]}, {int(size):,} | {cells} |")
    return lines


def matrix_free(models: dict[str, Any]) -> list[str]:
    """One product at each size, the slope, and the whole curve.

    Args:
        models: results by network.

    Returns:
        Lines of Markdown.
    """
    lines = [
        "| network | one product | slope in n | curve | products | error | peak memory | dense kernel | in float32 |"
    ]
    lines.append("|---" * 9 + "|")
    for model, found in models.items():
        products = ", ".join(f"{float(s):.2g} s at {int(n):,}" for n, s in found.get("product_cpu_seconds", {}).items())
        slope = f"{found['slope']:.2f}" if "slope" in found else "not measured"
        cells = ["not measured", "–", "–", "–", "–"]
        if curve := found.get("curve"):
            cells = [
                f"{curve['seconds']:.0f} s to λ_max·t = {curve['longest']:.0e} at n = {curve['samples']:,}",
                f"{curve['products']}",
                f"{curve['error']:.0e}",
                f"{curve['peak_bytes'] / 1e9:.2g} GB",
                f"{curve['dense_kernel_bytes'] / 1e9:.0f} GB",
            ]
        single = "not measured"
        if curve := found.get("curve_float32"):
            single = (
                f"{curve['cpu_seconds']:.0f} s of a core to λ_max·t = {curve['longest']:.0e}, {curve['products']} "
                f"products, error {curve['error']:.0e}, rounding {curve['rounding']:.0e}, "
                f"{curve['peak_bytes'] / 1e9:.2g} GB"
            )
        lines.append(f"| {NAMES[model]} | {products or 'not measured'} | {slope} | {' | '.join(cells)} | {single} |")
    return lines


def table_of(part: str) -> str:
    """Which table a part of the benchmark, such as "fcn:256 float32", is in."""
    if ":" not in part:
        return "matrix_free"
    return "precisions" if part.endswith("float32") else "dense"


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "kernel", help="folder")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text())
    lines = [f"Inputs: {results['inputs']}."]
    for name, table in (("dense", dense), ("precisions", precisions), ("matrix_free", matrix_free)):
        processors = {part["processor"] for key, part in results["measured_in"].items() if table_of(key) == name}
        lines += ["", f"On {' and '.join(sorted(processors))}:", "", *table(results[name])]
    (out / "benchmark.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        run = train_run(STUDY, Path(folder) / "run", workers=1)
        record = analyse_kernel(Path(folder) / "run")
    title = f"{STUDY.model} on {STUDY.dataset}, n = {STUDY.samples}, seed {record.seed}"
    save(kernel_figure(record, run.trajectories[record.seed], title), out / "digits.png")


if __name__ == "__main__":
    main()
