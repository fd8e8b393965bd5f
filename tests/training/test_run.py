"""Whole runs: against closed forms, interrupted, in parallel, and refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from speedlimits import RunConfig, load_run, report, train_run
from speedlimits.data.digits import digits
from speedlimits.errors import DivergenceError, RunFolderError, SpeedLimitsError
from speedlimits.models.fcn import FCN
from speedlimits.report.words import verdict
from speedlimits.runs.run import RunFolder
from speedlimits.theory import HeavyBall
from speedlimits.training.built_in import BuiltIn
from tests.training.studies import series

SMALL = RunConfig(samples=40, width=6, seeds=(0, 3), time=0.02, records=30, snapshots=8)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The folder of a finished small run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    train_run(SMALL, folder)
    return folder


def test_linear_network_follows_its_closed_form(tmp_path):
    """End to end: a linear network on real digits is Eq. (13) with finite steps, from its own spectrum."""
    config = RunConfig(samples=30, depth=0, seeds=(5,), time=1.0, method="gd", records=40, snapshots=5)
    run = train_run(config, tmp_path / "linear").trajectories[5]
    member = json.loads((tmp_path / "linear" / "members" / "seed-00005" / "member.json").read_text())
    data = digits(30)
    inputs = data.inputs.reshape(30, 64)
    weights = FCN(64, 10, width=1, depth=0, generator=torch.Generator().manual_seed(5)).layers[0].weight
    left, values, _ = np.linalg.svd(inputs / 8.0, full_matrices=False)
    residual = left.T @ (inputs @ weights.detach().numpy().T / 8.0 - data.targets)
    eigenvalues = np.repeat(values**2, 10)
    assert member["sharpness_initial"] == pytest.approx(eigenvalues.max(), rel=1e-2)
    steps = np.rint(run.times / member["learning_rate"])
    exact = HeavyBall(eigenvalues=eigenvalues, residual=residual.ravel(), learning_rate=member["learning_rate"])
    np.testing.assert_allclose(run.w2_squared[1:], exact.w2_squared(steps)[1:], rtol=1e-10)
    np.testing.assert_allclose(run.path_dissipation[1:], exact.dissipation(steps)[1:], rtol=1e-10)


def test_summary_is_that_of_the_series(small):
    """`summary.json` holds the last record's numbers, T_SL = 𝒲₂/ΔL, and mean and deviation over the members."""
    run = load_run(small)
    members = run.summary["members"]
    assert [member["seed"] for member in members] == [0, 3]
    for member in members:
        last = run.trajectories[member["seed"]]
        assert member["dissipation"] == last.losses[0] - last.losses[-1]
        assert member["w2_squared"] == last.w2_squared[-1]
        assert member["speed_limit"] == pytest.approx(member["w2_squared"] / member["dissipation"], rel=1e-14)
        assert member["inefficiency"] == pytest.approx(0.02 / member["speed_limit"], rel=1e-12)
        assert member["inefficiency"] == pytest.approx(member["geometric"] * member["pace"], rel=1e-12)
        assert member["path_speed_limit"] <= 0.02
    for key in ("inefficiency", "test_accuracy", "sharpness_initial"):
        values = [member[key] for member in members]
        assert run.summary["mean"][key] == pytest.approx(np.mean(values), rel=1e-12)
        assert run.summary["std"][key] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert run.summary["time"] == pytest.approx(0.02)
    assert run.summary["certified"] is True
    assert run.summary["reasons"] == []


def test_accuracies_have_a_schedule_of_their_own(tmp_path):
    """So many records, log-spaced, the first and the last among them, have an accuracy; the path is the same."""
    few = train_run(dataclasses.replace(SMALL, accuracies=5), tmp_path / "few", engine="inline")
    many = train_run(dataclasses.replace(SMALL, accuracies=100), tmp_path / "many", engine="inline")
    for seed, run in few.trajectories.items():
        measured = np.flatnonzero(np.isfinite(run.test_accuracy))
        shares = run.times[measured] / run.time
        np.testing.assert_allclose(shares, [0, 1e-4, 10 ** (-8 / 3), 10 ** (-4 / 3), 1], rtol=0.3)
        other = many.trajectories[seed]
        np.testing.assert_array_equal(run.test_accuracy[measured], other.test_accuracy[measured])
        np.testing.assert_array_equal(run.losses, other.losses)


def test_provenance_tells_how_to_run_again(small):
    """Versions, command, machine and times are kept beside the numbers."""
    found = load_run(small).provenance
    assert {"speedlimits", "git", "argv", "python", "packages", "threads_per_worker", "device"} <= found.keys()
    assert found["packages"]["torch"].startswith("2.")
    assert found["finished"] >= found["started"]


def test_numbers_do_not_depend_on_the_workers(small, tmp_path):
    """One process or two: the same bits."""
    train_run(SMALL, tmp_path / "one", workers=1)
    assert series(tmp_path / "one") == series(small)


def test_myrtle_is_trained_to_the_same_bits(tmp_path):
    """The convolutional network in float32, its kinks and all: a gradient flow, and the same for any workers."""
    config = RunConfig(
        samples=30,
        model="myrtle",
        width=4,
        seeds=(0, 1),
        time=0.05,
        rtol=1e-2,
        dtype="float32",
        records=20,
        snapshots=5,
    )
    run = train_run(config, tmp_path / "one", workers=1)
    assert run.summary["parameters"] == 9 * 4 + 3 * 9 * 16 + 40
    assert run.summary["certified"]
    train_run(config, tmp_path / "two", workers=2)
    assert series(tmp_path / "one") == series(tmp_path / "two")


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_bits(tmp_path):
    """`kill -9` of the command in full flight, then --resume: series and weights of an undisturbed run."""
    config = RunConfig(samples=250, width=32, seeds=(0, 1), time=0.3, records=200, snapshots=10)
    train_run(config, tmp_path / "whole")
    (tmp_path / "config.toml").write_text(config.to_toml())
    # A checkpoint at every record: the kill falls well after the first and well before the end.
    environment = os.environ | {"SPEEDLIMITS_CHECKPOINT_SECONDS": "0"}
    command = [sys.executable, "-m", "speedlimits.cli.main", "run", "--out", str(tmp_path / "cut")]
    process = subprocess.Popen(
        [*command, "--config", str(tmp_path / "config.toml")], stderr=subprocess.DEVNULL, env=environment
    )
    checkpoint = tmp_path / "cut" / "members" / "seed-00000" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "summary.json").exists()
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    assert series(tmp_path / "cut") == series(tmp_path / "whole")
    assert len(load_run(tmp_path / "cut").provenance["resumed"]) == 1


def test_killed_worker_is_named_and_its_work_goes_on(tmp_path):
    """A worker that dies stops the study with one line; --resume ends it."""
    config = RunConfig(samples=200, width=32, seeds=(0,), time=0.1, records=100, snapshots=5)

    def kill(event):
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        if event.share > 0.05:
            for child in children:
                if "speedlimits.training.engines.local_worker" in Path(f"/proc/{child}/cmdline").read_text():
                    os.kill(int(child), signal.SIGKILL)

    with pytest.raises(SpeedLimitsError, match="the process of seed 0 was killed by signal 9"):
        train_run(config, tmp_path / "run", progress=kill)
    with pytest.raises(RunFolderError, match=r"holds an unfinished run: summary\.json is missing"):
        load_run(tmp_path / "run")
    train_run(config, tmp_path / "run", resume=True)
    train_run(config, tmp_path / "undisturbed")
    assert series(tmp_path / "run") == series(tmp_path / "undisturbed")


def test_divergence_names_the_seed(tmp_path):
    """A learning rate far above 2/λ_max: the error names it, and no summary is written."""
    config = RunConfig(samples=20, depth=0, seeds=(4,), time=10.0, method="gd", learning_rate=1.0, records=10)
    with pytest.raises(DivergenceError, match=r"seed 4: training diverged: .*`learning_rate` must be smaller"):
        train_run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "summary.json").exists()


def test_large_steps_are_told_from_the_flow(tmp_path):
    """η close to 2/λ_max: not certified, flagged as at the edge of stability, and the limits that hold are given."""
    config = RunConfig(samples=30, depth=0, seeds=(5,), time=1.0, records=40, snapshots=5, method="gd")
    steepest = train_run(config, tmp_path / "small").summary["members"][0]["sharpness_initial"]
    config = dataclasses.replace(config, learning_rate=1.96 / steepest, momentum=0.0)
    summary = train_run(config, tmp_path / "large").summary
    (member,) = summary["members"]
    assert summary["edge_of_stability"] == [5]
    # The learning rate is shortened to divide T; the curvature of a linear network is constant.
    assert member["stability"] == pytest.approx(member["learning_rate"] * steepest / 2, rel=0.02)
    assert not summary["certified"]
    assert 1 <= member["averaged_inefficiency"] < member["path_inefficiency"]
    text = " ".join(verdict(summary))
    assert text.startswith(f"{member['path_inefficiency']:.3g} times slower")
    assert "which is not certified: seed 5: the loss drop misses" in text
    assert "at the edge of stability: seeds 5" in text


def test_rate_of_the_steps_is_told(tmp_path):
    """T is a whole number of steps: a rate of 0.9 T becomes 0.5 T, and the verdict says so. One seed has no ±."""
    config = RunConfig(
        samples=10, width=4, seeds=(0,), time=0.01, records=5, snapshots=3, method="gd", learning_rate=0.009
    )
    summary = train_run(config, tmp_path / "run").summary
    assert summary["members"][0]["learning_rate"] == 0.005
    text = " ".join(verdict(summary))
    assert text.endswith("Learning rate 0.005 (0.009 was asked for; T is a whole number of steps).")
    assert set(summary["std"].values()) == set(summary["warm_start"]["std"].values()) == {None}
    assert "±" not in text
    report.write(load_run(tmp_path / "run"))
    assert "±" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8").split("<script")[0]


@pytest.mark.parametrize("other", [1, 2**31, 2**32 - 1])
def test_every_seed_is_a_network_of_its_own(other):
    """Different seeds, different weights, up to the largest that the generator tells apart."""
    source = BuiltIn(RunConfig(samples=10, width=4))
    assert not torch.equal(source(0).theta0, source(other).theta0)


def test_warm_start_view_equals_a_run_from_there(small):
    """The distance to a warm start, from kept weights, is that of the weights themselves."""
    run = RunFolder.open(small)
    member = run.member(0)
    trajectory = member.trajectory()
    view = trajectory.from_start(0.005)
    first, last = (
        int(np.searchsorted(trajectory.times, view.start_time)),
        int(trajectory.snapshot_records[-1]),
    )
    moved = sum(np.sum((member.weights(last)[name] - start) ** 2) for name, start in member.weights(first).items())
    assert view.w2_squared[-1] == pytest.approx(moved, rel=1e-12)


def test_folders_are_refused_for_a_reason(small, tmp_path):
    """A folder is not overwritten without force, nor where it holds another run or is no run folder."""
    with pytest.raises(RunFolderError, match=r"holds a run \(--resume goes on with it, --force replaces it\)"):
        train_run(SMALL, small)
    with pytest.raises(RunFolderError, match=r"`width` must be 6 as in .*config\.toml; width = 7\."):
        train_run(RunConfig(**{**vars(SMALL), "width": 7}), small, resume=True)
    with pytest.raises(ValueError, match="`resume` must not be given with `force`"):
        train_run(SMALL, small, resume=True, force=True)
    with pytest.raises(RunFolderError, match="does not exist"):
        train_run(SMALL, tmp_path / "nothing", resume=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    for force in (False, True):
        with pytest.raises(RunFolderError, match="holds something else"):
            train_run(SMALL, tmp_path / "thesis", force=force)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_added_members_share_the_learning_rate(tmp_path):
    """A steeper member added to descent keeps to the rate that is there; fewer members are another run."""
    config = RunConfig(samples=8, width=3, seeds=(0,), time=0.05, records=8, triples=0, method="gd")
    train_run(config, tmp_path, engine="inline")
    before, bits = RunFolder.open(tmp_path).plan(), series(tmp_path)
    more = dataclasses.replace(config, seeds=(1, 0, 2))
    run = train_run(more, tmp_path, engine="inline", resume=True)
    plan = RunFolder.open(tmp_path).plan()
    assert (plan.learning_rate, plan.sharpness[0]) == (before.learning_rate, before.sharpness[0])
    assert plan.sharpness.keys() == {0, 1, 2}
    assert [row["seed"] for row in run.summary["members"]] == [1, 0, 2]
    assert series(tmp_path).items() >= bits.items()
    assert len(run.provenance["resumed"]) == 1
    with pytest.raises(RunFolderError, match=r"`seeds` must be \(1, 0, 2\) as in"):
        train_run(config, tmp_path, engine="inline", resume=True)


def test_nothing_is_added_to_a_damaged_run(tmp_path):
    """What has ended is looked at before its manifest goes; a folder of version 0.1 takes no members."""
    config = RunConfig(samples=8, width=3, seeds=(0,), time=0.02, records=5, triples=0)
    train_run(config, tmp_path, engine="inline")
    mark = (tmp_path / "config.toml").read_text()
    summary = tmp_path / "summary.json"
    summary.write_text(summary.read_text().replace("8", "9"))
    with pytest.raises(RunFolderError, match=r"summary\.json is not what the run wrote"):
        train_run(dataclasses.replace(config, seeds=(0, 1)), tmp_path, engine="inline", resume=True)
    assert (tmp_path / "manifest.json").exists()
    (tmp_path / "config.toml").write_text(mark.split("\n", 1)[1])
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(RunFolderError, match=r"version 0\.2 or later for more members; .* is of version 0\.1"):
        train_run(dataclasses.replace(config, seeds=(0, 1)), tmp_path, engine="inline", resume=True)


def test_one_process_a_folder(small):
    """A folder that another process is writing to is left alone."""
    with FileLock(small / ".lock"), pytest.raises(RunFolderError, match="another process is writing"):
        train_run(SMALL, small, resume=True)


def test_finished_run_is_not_run_again(small):
    """Resuming a finished run trains nothing and changes nothing."""
    before = series(small)
    events = []
    train_run(SMALL, small, resume=True, progress=events.append)
    assert {(event.seed, event.share) for event in events} == {(0, 1.0), (3, 1.0)}
    assert series(small) == before
