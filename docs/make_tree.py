"""Write docs/tree.md: one sentence for every file or folder of data; a Python file's is in its docstring.

Run: python docs/make_tree.py (`make docs` does)
"""

import ast
import subprocess
from pathlib import Path

import pages

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / "docs" / "tree.md"

# What cannot say it itself; a folder stands for all that is in it.
SENTENCES = {
    ".ci/run": "Continuous integration: a browser if there is one, the tests, the lowest versions, the documentation.",
    ".gitignore": "What git leaves alone.",
    ".pre-commit-config.yaml": "The checks before each commit, from the project's own environment.",
    "CHANGELOG.md": "What changed for users.",
    "CITATION.cff": "How to cite the paper and this software.",
    "CONTRIBUTING.md": "How to work on it.",
    "EQUATIONS.md": "A row per equation, the paper's and ours: where it is, what proves it, whether it is misprinted.",
    "LICENSE": "Apache-2.0.",
    "Makefile": "Every command a developer needs; `make` lists them.",
    "README.md": "What it is, how to try it, how to use it.",
    "benchmarks/results/": "What the benchmarks measured last, each with its environment.",
    "constraints.txt": "The versions it is tested with, torch first.",
    "docs/advice.md": "What the numbers mean and what to do: each rule with its evidence, losses included.",
    "docs/bounds.md": "What is bounded by what, with noise and without, and what certified means.",
    "docs/changelog.md": "CHANGELOG.md as a page.",
    "docs/cluster.md": "Where people compute: Slurm, a GPU, a Ray cluster; what happens when something dies.",
    "docs/contributing.md": "CONTRIBUTING.md as a page.",
    "docs/design.md": "How the code is built: one loss followed from the command to the page.",
    "docs/own-problem.md": "A network and data of your own: the function, the checks, whose code runs, where.",
    "docs/demo.png": "The picture in README, drawn by `make demo`.",
    "docs/equations.md": "The paper's rows of EQUATIONS.md as a page.",
    "docs/equations-ours.md": "Our rows of EQUATIONS.md as a page.",
    "docs/errata.md": "The paper's misprints: printed, corrected, why, how large, and a picture of each.",
    "docs/errata/entropy.png": "Misprints on entropy production, by `docs/make_errata_figures.py`.",
    "docs/errata/kernel.png": "Misprints on constant kernels, by the same script.",
    "docs/errata/regression.png": "Misprints on linear regression, by the same script.",
    "docs/flow-cost.md": "What a gradient flow costs by each method, measured.",
    "docs/gradient-flow.md": "How the flow is followed: methods, exponential steps, kinks.",
    "docs/gradient_flow/": "Work–precision diagrams, drawn by `benchmarks/gradient_flow.py`.",
    "docs/index.md": "The front page of the documentation.",
    "docs/install.md": "What to install for what, how large it is, and a torch without CUDA.",
    "docs/integrations.md": "Callbacks for Lightning and Hugging Face, and trackers: use, promises, limits.",
    "docs/kernel.md": "What the tangent kernel tells of a run, how far to trust it, and what it costs.",
    "docs/kernel/": "Its picture and its tables, by `docs/make_kernel_page.py`.",
    "docs/quickstart.md": "From nothing to a verdict in five minutes.",
    "docs/reading.md": "What each number and panel of a report says, and what it does not.",
    "docs/run-folder.md": "What lies in a run folder and what each number means.",
    "docs/recorder.md": "The recorder in your own loop: what counts, what noise does, which loops work, what it costs.",
    "docs/theory.md": "Closed forms beyond the paper: what each answers, and what it does not.",
    "docs/watching.md": "`speedlimits serve`: a training in the browser while it runs.",
    "docs/trust.md": "What is promised, how it is tested, and what the tests counted.",
    "docs/static/": "Style of the documentation's pages.",
    "docs/study.md": "The paper's experiment: how to repeat it, what was chosen, what came out, what it costs.",
    "examples/slurm.sh": "A job array over seeds that goes on after it was stopped.",
    "examples/README.txt": "What the gallery of examples begins with.",
    "pyproject.toml": "Packaging, dependencies with their reasons, and the settings of all tools.",
    "src/speedlimits/py.typed": "Marks the package as typed.",
    "src/speedlimits/report/pages/static/live.js": "Renews the page of a training that runs.",
    "src/speedlimits/report/pages/static/page.css": "The style of every page: light, dark, on paper and on telephones.",
    "src/speedlimits/report/pages/static/page.js": "Draws the charts, follows the page's colours, saves CSV and PNG.",
    "src/speedlimits/report/pages/static/plotly-LICENSE": "MIT, of plotly.js.",
    "src/speedlimits/report/pages/static/plotly-gl3d-4.1.1.min.js": "plotly.js for lines in two and three dimensions.",
    "src/speedlimits/report/pages/templates/advice.html.j2": "The box of advice on the page of a recording.",
    "src/speedlimits/report/pages/templates/base.html.j2": "The frame of every page: style and script.",
    "src/speedlimits/report/pages/templates/parts.html.j2": "What pages share: a chart with its data, words, glossary.",
    "src/speedlimits/report/pages/templates/fragment.html.j2": "The frame of what a live page asks for anew.",
    "src/speedlimits/report/pages/templates/live.html.j2": "The page that `report/pages/live.py` fills.",
    "src/speedlimits/report/pages/templates/noisy.html.j2": "The page that `report/pages/noisy.py` fills.",
    "src/speedlimits/report/pages/templates/recording.html.j2": "The page that `report/pages/recording.py` fills.",
    "src/speedlimits/report/pages/templates/run.html.j2": "The page that `report/pages/page.py` fills.",
    "studies/.gitignore": "What of a study is kept in the repository.",
    "studies/README.md": "What is kept of which study, how it was made, and how to make it and its figure again.",
    "tests/runs/written_by_0.1/": "A run and a study as version 0.1 left them; they must still be read.",
    "tests/mutation/results.json": "What `make mutation` counted last, a row of EQUATIONS.md each, and where.",
    "tests/torture/results/": "What the campaigns of `make torture` counted last, each with its environment.",
    "studies/small/": "The paper's experiment at small size: configuration, series, figure and claims; no weights.",
    "studies/width128/": "Three networks of the paper's width on 125 and on 500 images, in the same form.",
}


def tracked() -> list[str]:
    """All files under version control."""
    command = ["git", "-C", str(ROOT), "ls-files"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in set(listed) if (ROOT / name).exists())


def entry(name: str) -> str:
    """What a file is listed under: itself, or the folder that stands for it."""
    return next((whole for whole in SENTENCES if whole.endswith("/") and name.startswith(whole)), name)


def sentence(name: str) -> str:
    """What a file or folder is."""
    if name in SENTENCES:
        return SENTENCES[name]
    if name.endswith(".py"):
        doc = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8")))
        if doc:
            # In the gallery a script has a title first, which is underlined.
            first, *others = doc.split("\n\n")
            return " ".join((others[0] if first.endswith("===") else first).split())
    raise LookupError(f"{name} has no sentence: give it a docstring, or a line in docs/make_tree.py")


def render() -> str:
    """The text of docs/tree.md."""
    lines = [
        "# Every file and what it is",
        "",
        "Written by `docs/make_tree.py` whenever the documentation is built. Each folder opens with a click.",
    ]
    folder = None
    for name in sorted({entry(name) for name in tracked()}, key=lambda name: (str(Path(name).parent), name)):
        if str(Path(name).parent) != folder:
            lines += [":::"] if folder is not None else []
            folder = str(Path(name).parent)
            lines += ["", f":::{{dropdown}} {'the root' if folder == '.' else folder + '/'}", ""]
        lines.append(f"- `{Path(name).name}{'/' if name.endswith('/') else ''}`: {sentence(name)}")
    return "\n".join([*lines, ":::"]) + "\n"


def write() -> None:
    """Write the list, unless it is as it should be."""
    pages.write(TREE, render())


if __name__ == "__main__":
    write()
