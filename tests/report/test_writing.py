"""`report.write` and `report.write_trajectories`: what lies where, from runs and from loops of one's own."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from speedlimits import Recorder, RunConfig, Trajectory, report
from speedlimits.report.curves import band
from speedlimits.report.figures.overview import overview
from speedlimits.runs.kernel import KernelRecord, KernelView
from speedlimits.runs.run import Run
from speedlimits.runs.summary import summarise
from tests.report.members import CONFIG, FACTS, RUNS, SUMMARY, member


def run(path: Path, config: RunConfig = CONFIG, summary=SUMMARY, members=RUNS) -> Run:
    return Run(path, config, summary, {"python": "3"}, dict(enumerate(members)))


def loop(seed: int, steps: int = 40) -> Trajectory:
    """Minibatches and Adam, watched by a recorder: no accuracy, a loss that is noisy."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    inputs = torch.randn(32, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    recorder = Recorder().attach(optimizer)
    for step in range(steps):
        batch = inputs[8 * (step % 4) :][:8]
        loss = (model(batch) - batch.sum(dim=1, keepdim=True)).square().mean()
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.trajectory()


def text(page: str) -> str:
    """What a reader sees: the page without its programs and its style."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def without_accuracy(runs: list[Trajectory]) -> list[Trajectory]:
    return [dataclasses.replace(each, test_accuracy=np.full(len(each), np.nan)) for each in runs]


def test_report_lies_in_the_runs_folder_or_elsewhere(tmp_path):
    """Page and figure, by default beside the run; elsewhere in a folder that is made for them."""
    (tmp_path / "run").mkdir()
    assert report.write(run(tmp_path / "run")) == tmp_path / "run" / "report.html"
    assert report.write(run(tmp_path / "run"), tmp_path / "new" / "one") == tmp_path / "new" / "one" / "report.html"
    for folder in (tmp_path / "run", tmp_path / "new" / "one"):
        assert {path.name for path in folder.iterdir()} == {"report.html", "overview.png"}


def test_kernel_of_the_run_is_drawn(tmp_path):
    """Where kernel.npz lies, its picture is made and the page has three more panels."""
    modes, residual = np.array([3.0, 1.0]), np.array([4.0, 2.0])  # ½|Δ|² is the loss at the start
    views = (KernelView(start_time=0.0, eigenvalues=modes, residual=residual, top=modes),)
    KernelRecord(
        seed=1, pairs=2, matrix_free=False, chosen=0, views=views, drift_times=np.ones(1), drift=np.ones(1)
    ).save(tmp_path / "kernel.npz")
    page = report.write(run(tmp_path), tmp_path / "out").read_text()
    assert (tmp_path / "out" / "kernel.png").exists()
    assert page.count('class="plot"') == 7


def test_configuration_of_ones_own_problem_is_its_own(tmp_path):
    """The page of a problem of one's own has its name, and no width or data set that it never had."""
    config = dataclasses.replace(CONFIG, problem="wine.py:wine", samples="auto")
    facts = {"name": "wine, LayerNorm MLP", "loss_name": "cross_entropy", "samples": 100}
    runs = without_accuracy(RUNS)
    summary = summarise(config, [FACTS | facts | {"seed": seed} for seed in range(3)], runs)
    page = report.write(run(tmp_path, config, summary, runs)).read_text()
    assert "<title>Speed limit of wine, LayerNorm MLP, n = 100</title>" in page
    assert "<dt>problem</dt><dd>wine.py:wine</dd>" in page
    assert "loss cross-entropy" in page
    assert "½Σ(f−y)²" not in page
    for word in ("<dt>width</dt>", "<dt>dataset</dt>", "accuracy"):
        assert word not in text(page), word


def test_runs_from_before_problems_had_names(tmp_path):
    """A summary without name and loss has those of the built-in networks."""
    old = {key: value for key, value in SUMMARY.items() if key not in {"name", "loss_name"}}
    page = report.write(run(tmp_path, summary=old)).read_text()
    assert f"Speed limit of {SUMMARY['model']} on {SUMMARY['dataset']}, n = " in page
    assert "loss ½Σ(f−y)²" in page


def test_loops_of_ones_own_are_reported(tmp_path):
    """What a recorder saw becomes a page: its own speed limit, a row for each loop, nothing about accuracy."""
    loops = [loop(0), loop(1)]
    page = report.write_trajectories(loops, tmp_path / "new", title="Adam on sums").read_text()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"report.html", "overview.png"}
    mean = band(loops, lambda each: each.path_dissipation * each.times / np.maximum(each.w2_squared, 1e-300)).mean[-1]
    assert f"<h1>{mean:.3g} times slower than thermodynamics allows</h1>" in page
    assert "<title>Speed limit of Adam on sums</title>" in page
    assert page.split("<h2>Every network")[1].count("<tr>") == 1 + 2 + 2
    assert page.count('class="plot"') == 4
    for word in ("accuracy", "Configuration", "Provenance", "½Σ", "None", "nan"):
        assert word not in text(page), word


def test_records_by_hand_are_reported_as_bounds(tmp_path):
    """A polygon through few points has no more length and dissipation than the path: the page says "at least"."""
    seen = [dataclasses.replace(each, points=np.arange(1.0, len(each) + 1)) for each in RUNS]
    page = text(report.write_trajectories(seen, tmp_path, title="by hand").read_text())
    mean = np.mean([each.path_dissipation[-1] * each.time / each.w2_squared[-1] for each in RUNS])
    assert f"<h1>At least {mean:.3g} times slower than thermodynamics allows</h1>" in page
    assert f"Only {len(RUNS[0])} points of each path were seen." in page
    assert f"<b>≥ {mean:.3g} ± " in page
    assert "no process could have brought" not in page
    assert "geometric × pace" not in page.split("</h1>")[1].split("badge")[0]


def test_later_start_is_certified_by_itself():
    """Loss lost beside the path before a later start is none of its own, and loss lost after it is."""
    facts, unseen = [FACTS | {"seed": seed} for seed in range(3)], {}
    for when, part in (("early", slice(0, 9)), ("late", slice(20, None))):
        lost = [0.4 * np.cumsum(np.diff(each.path_dissipation, prepend=0.0)[part]) for each in RUNS]
        runs = []
        for each, loss in zip(RUNS, lost, strict=True):
            rise = np.zeros(len(each))
            rise[part] = loss
            rise[9:] += loss[-1] if when == "early" else 0.0
            runs.append(dataclasses.replace(each, losses=each.losses + rise))
        unseen[when] = summarise(CONFIG, facts, runs)
    early, late = unseen["early"], unseen["late"]
    assert not early["certified"]
    assert early["warm_start"]["certified"]
    assert early["warm_start"]["reasons"] == []
    assert not late["warm_start"]["certified"]
    assert {reason[:6] for reason in late["warm_start"]["reasons"]} == {"seed 0", "seed 1", "seed 2"}


def test_bare_trajectories_are_reported(tmp_path):
    """Times, losses and lengths are enough: one network, without accuracy, weight triples or kept weights."""
    full = member(0)
    names = ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation")
    bare = Trajectory(**{name: getattr(full, name) for name in names})
    page = report.write_trajectories([bare], tmp_path, title="bare", loss_name="hinge").read_text()
    assert page.count('class="plot"') == 3
    assert "loss hinge" in page
    assert "gradients per network" not in page


def test_run_that_began_later_has_its_warm_start(tmp_path):
    """A loop whose first record was at time 5 starts again at 5 and a share of what follows."""
    late = dataclasses.replace(member(0), start_time=5.0)
    page = report.write_trajectories([late], tmp_path, title="late", warm_start=0.1).read_text()
    kept = late.snapshot_times
    assert f"from t₀ = {5 + kept[np.abs(kept - 0.1).argmin()]:.3g}" in page


@pytest.mark.parametrize(
    ("trajectories", "message"),
    [
        ([], "`trajectories` must hold at least one; it is empty."),
        ([member(0), member(0, 50)], "`trajectories` must have common times; those of trajectories[1] differ."),
    ],
)
def test_trajectories_are_checked(tmp_path, trajectories, message):
    """Nothing to report, or members that cannot be averaged, is named."""
    with pytest.raises(ValueError, match=re.escape(message)):
        report.write_trajectories(trajectories, tmp_path, title="x")


def test_accuracy_has_an_axis_only_where_it_was_measured():
    """Without accuracy the overview has no axis for it, without triples no panel for them."""
    bare = [dataclasses.replace(each, weight_traces=np.empty((len(each), 0, 3))) for each in without_accuracy(RUNS)]
    labels = [
        [axes.get_ylabel() for axes in overview(runs, [], "x").axes] for runs in (RUNS, without_accuracy(RUNS), bare)
    ]
    assert [len(each) for each in labels] == [5, 4, 3]
    assert ["accuracy" in each for each in labels] == [True, False, False]


def test_curves_through_a_few_points_are_bounds(tmp_path):
    """Axes say "at most" and "at least" where the path was seen at a few points only, and no pace is drawn."""
    for seen in (member(0), dataclasses.replace(member(0), points=np.arange(1.0, len(member(0)) + 1))):
        part = bool(np.isfinite(seen.points).any())
        axes = overview([seen], [], "x").axes
        assert axes[1].get_ylabel() == "speed limit $T_{SL}$" + ", at most" * part
        assert axes[2].get_ylabel() == "times slower than the limit" + ", at least" * part
        assert ("pace" in axes[2].get_title(loc="left")) != part
        assert any("pace" in line.get_label() for line in axes[2].get_lines()) != part
        page = report.write_trajectories([seen], tmp_path, title="x").read_text()
        for words in (", at most", "limit, at least", "path may bend between"):
            assert (words in page) == part
        assert ("pace: the speed varies" in page) != part


def test_one_network_has_no_deviation(tmp_path):
    """The page about a single network has neither mean nor deviation."""
    page = {}
    for count in (1, 2):
        path = report.write_trajectories([member(k) for k in range(count)], tmp_path / str(count), title="toy")
        page[count] = path.read_text().split("<main>")[1].split("<h2>Glossary")[0]
    assert '<th scope="row">mean</th>' in page[2]
    assert "±" in page[2]
    assert '<th scope="row">mean</th>' not in page[1]
    assert "±" not in page[1]
