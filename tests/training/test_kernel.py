"""The tangent kernel of finished runs: where it must be exact, with and without forming it, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from speedlimits import RunConfig, load_run, train_run
from speedlimits.runs.kernel import KernelRecord
from speedlimits.training.kernel import analyse_kernel

SMALL = {"samples": 12, "width": 6, "seeds": (4, 5), "time": 0.5, "records": 30, "snapshots": 12, "warm_start": 0.02}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "run"
    train_run(RunConfig(**SMALL), folder, workers=1)
    return folder


def gaps(folder: Path, record: KernelRecord, kind: str = "predicted") -> dict[str, float]:
    """Largest relative distance between prediction and measurement, by quantity."""
    summary = record.summary(load_run(folder).trajectories[record.seed])
    predicted, measured = summary[kind], summary["measured"]
    return {
        name: float(np.max(np.abs(np.divide(predicted[name][1:], measured[name][1:]) - 1)))
        for name in ("w2_squared", "dissipation", "inefficiency", "geometric", "pace")
    }


@pytest.fixture(scope="module")
def linear(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "linear"
    train_run(RunConfig(**SMALL | {"depth": 0, "rtol": 1e-7, "seeds": (4,)}), folder, workers=1)
    return folder


@pytest.mark.parametrize("options", [{}, {"at": 0.02}, {"matrix_free": True}, {"matrix_free": True, "at": 0.02}])
def test_linear_network_is_predicted(linear, options):
    """Without hidden layers the kernel cannot move: measurement as predicted, within the integrator's error."""
    record = analyse_kernel(linear, **options)
    # Local errors of 1e-7 of the distance add up over the steps.
    assert max(gaps(linear, record).values()) < 2e-5
    assert record.drift.max() < 1e-14


@pytest.mark.parametrize("options", [{}, {"at": 0.02}, {"matrix_free": True}])
def test_linear_network_is_predicted_in_intervals(linear, options):
    """The same with kernels measured again on the way, from either start: there is nothing to adapt to."""
    record = analyse_kernel(linear, adapt=2, **options)
    assert max(gaps(linear, record, "adapted").values()) < 2e-5
    assert [len(path.intervals) for path in record.adapted] == [2, 1]


def test_kernels_on_the_way_are_nearer_to_the_run(finished):
    """A narrow network: with four intervals T/T_SL is off by a fifth at most of what a constant kernel is."""
    record = analyse_kernel(finished, adapt=4)
    constant, adapted = (gaps(finished, record, kind)["inefficiency"] for kind in ("predicted", "adapted"))
    assert adapted < constant / 5


def test_matrix_free_record_is_the_dense_one(finished):
    """Predicted series from either start, largest eigenvalues and drift agree without forming the kernel."""
    run = load_run(finished).trajectories[4]
    dense = analyse_kernel(finished, at=0.02).summary(run)
    free = analyse_kernel(finished, at=0.02, matrix_free=True).summary(run)
    for name, series in dense["predicted"].items():
        np.testing.assert_allclose(free["predicted"][name][1:], series[1:], rtol=1e-7)
    np.testing.assert_allclose(free["eigenvalues_top"], dense["eigenvalues_top"], rtol=1e-9)
    np.testing.assert_allclose(free["drift"]["drift"], dense["drift"]["drift"], rtol=0.5)
    assert free["start_time"] == dense["start_time"] > 0


def test_single_precision_study_has_a_double_precision_kernel(tmp_path):
    """Myrtle-5 trained in float32: kernel in float64, the same with and without forming it, exponents included."""
    # Fewer channels than outputs would leave outputs that share their eigenvalues.
    study = SMALL | {"model": "myrtle", "width": 12, "dtype": "float32", "rtol": 1e-2, "seeds": (0,), "time": 0.1}
    train_run(RunConfig(**study), tmp_path / "run", workers=1)
    dense, free = (analyse_kernel(tmp_path / "run", matrix_free=option, modes=50) for option in (False, True))
    run = load_run(tmp_path / "run").trajectories[0]
    assert dense.view.eigenvalues.dtype == np.float64
    # Single precision would leave the lower half of the spectrum to chance.
    known = free.view.top.size
    assert known >= 50
    np.testing.assert_allclose(free.view.top[:50], dense.view.eigenvalues[:50], rtol=1e-9)
    np.testing.assert_allclose(free.view.residual[:50], np.abs(dense.view.residual[:50]), rtol=1e-5)
    summaries = dense.summary(run), free.summary(run)
    np.testing.assert_allclose(
        summaries[1]["predicted"]["inefficiency"][1:], summaries[0]["predicted"]["inefficiency"][1:], rtol=1e-7
    )
    assert summaries[1]["exponents"]["window"] == [20, known]


def test_residual_and_loss_are_those_of_the_run(finished):
    """½ΣΔ_k² is the run's loss at each view's start, and kernel.npz holds the record of the seed asked for."""
    record = analyse_kernel(finished, seed=5)
    run = load_run(finished).trajectories[5]
    for view in record.views:
        loss = run.losses[np.abs(run.times - view.start_time).argmin()]
        # Records lie between steps, where the loss is interpolated as the weights are.
        assert 0.5 * view.residual @ view.residual == pytest.approx(loss, rel=1e-6)
    assert KernelRecord.load(finished / "kernel.npz").seed == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 7}, "`seed` must be one of 4, 5; seed = 7"),
        ({"at": 0.7}, r"`at` must lie in \[0, 0.5\), before the run's end; at = 0.7"),
        ({"at": -0.1}, "`at` must be non-negative and finite; at = -0.1"),
        ({"matrix_free": True, "modes": -1}, "`modes` must be an integer of at least 0; modes = -1"),
        ({"adapt": 3}, "`adapt` must be even, because half as many intervals tell the error; adapt = 3"),
        ({"adapt": -2}, "`adapt` must be an integer of at least 0; adapt = -2"),
        ({"memory": 1e4}, "`memory` must be at least 0.000461 GB for a kernel of 120 pairs"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_requests_are_named(finished, options, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        analyse_kernel(finished, **options)
