"""What is kept of a kernel: the same numbers after saving, prediction by the closed forms, a summary that is JSON."""

import json

import numpy as np
import pytest

from speedlimits import Trajectory
from speedlimits.errors import RunFolderError
from speedlimits.runs.kernel import KernelRecord, KernelView
from speedlimits.theory.adapted_kernel import AdaptedKernel, KernelInterval
from speedlimits.theory.constant_kernel import ConstantKernel

EIGENVALUES = 5.0 * np.arange(1.0, 201) ** -1.2
RESIDUAL = np.arange(1.0, 201) ** -0.3


def view(start_time: float = 0.0, **changes) -> KernelView:
    fields = {"eigenvalues": EIGENVALUES, "residual": RESIDUAL, "top": EIGENVALUES[:20]}
    return KernelView(start_time=start_time, **fields | changes)


def record(**changes) -> KernelRecord:
    fields = {
        "seed": 3,
        "pairs": 200,
        "matrix_free": False,
        "chosen": 0,
        "views": (view(), view(0.5)),
        "drift_times": np.array([0.5, 1.0]),
        "drift": np.array([0.01, 0.03]),
    }
    return KernelRecord(**fields | changes)


def adapted(intervals: int) -> AdaptedKernel:
    """The same kernel seen again in each of some intervals; nothing has turned."""
    edges = np.linspace(0.0, 1.0, intervals + 1)
    left = [np.exp(-EIGENVALUES * edge) * RESIDUAL for edge in edges]
    kernel = ConstantKernel(eigenvalues=EIGENVALUES, residual=RESIDUAL)
    found = tuple(
        KernelInterval(
            eigenvalues=EIGENVALUES,
            residual=residual,
            moved=residual - RESIDUAL,
            start_time=edge,
            moved_squared=float(kernel.w2_squared(np.array([edge]))[0]),
            loss=0.5 * residual @ residual,
            drift=0.0,
        )
        for edge, residual in zip(edges[:-1], left[:-1], strict=True)
    )
    return AdaptedKernel(intervals=found, end_time=1.0, end_loss=0.5 * left[-1] @ left[-1], gradients=10 * intervals)


def run() -> Trajectory:
    """The gradient flow under this kernel, held constant."""
    times = np.concatenate([[0.0], np.geomspace(1e-2, 1.0, 20)])
    limit = ConstantKernel(eigenvalues=EIGENVALUES, residual=RESIDUAL).speed_limit(times)
    distances = np.zeros((3, 3))
    return Trajectory(
        times=times,
        losses=0.5 * RESIDUAL @ RESIDUAL - limit.dissipation,
        w2_squared=limit.w2_squared,
        arc_lengths=limit.arc_length,
        path_dissipation=limit.dissipation,
        snapshot_records=np.array([0, 17, 20]),
        snapshot_distances_squared=distances,
    )


def test_saved_record_is_the_record(tmp_path):
    """Every field of the record and of both views comes back as it was."""
    before = record()
    before.save(tmp_path / "kernel.npz")
    after = KernelRecord.load(tmp_path / "kernel.npz")
    for name in ("seed", "pairs", "matrix_free", "chosen"):
        assert getattr(after, name) == getattr(before, name)
    np.testing.assert_array_equal(after.drift, before.drift)
    for old, new in zip(before.views, after.views, strict=True):
        assert new.start_time == old.start_time
        np.testing.assert_array_equal(new.residual, old.residual)
        np.testing.assert_array_equal(new.eigenvalues, old.eigenvalues)


def test_summary_sets_prediction_beside_measurement():
    """On the flow of this very kernel both are the same at every time; all of it is JSON."""
    summary = record().summary(run())
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for name in ("time", "w2_squared", "dissipation", "inefficiency", "geometric", "pace"):
        assert summary["predicted"][name][0] == summary["measured"][name][0]
        np.testing.assert_allclose(summary["predicted"][name][1:], summary["measured"][name][1:], rtol=1e-12)
    assert summary["eigenvalues_top"] == EIGENVALUES[:20].tolist()
    assert summary["drift"] == {"time": [0.5, 1.0], "drift": [0.01, 0.03]}


def test_adapted_path_is_kept_and_told(tmp_path):
    """After saving, a path in intervals has the same series; one of a still kernel is the prediction."""
    record(adapted=(adapted(4), adapted(2))).save(tmp_path / "kernel.npz")
    summary = KernelRecord.load(tmp_path / "kernel.npz").summary(run())
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for name, series in summary["predicted"].items():
        np.testing.assert_allclose(summary["adapted"][name][1:], series[1:], rtol=1e-12)
    found = summary["adaptation"]
    assert [row["start"] for row in found["intervals"]] == [0.0, 0.25, 0.5, 0.75]
    assert found["intervals"][-1]["end"] == 1.0
    spent = sum(row["spent"] for row in found["intervals"])
    assert spent == pytest.approx(found["intervals"][0]["loss"] - found["end_loss"], rel=1e-12)
    assert max(found["error"].values()) < 1e-12
    assert found["gradients"] == 60


def test_record_without_adaptation_says_so():
    """Where nobody asked for it, both keys are null."""
    summary = record().summary(run())
    assert summary["adapted"] is summary["adaptation"] is None


def test_summary_has_the_exponents_and_what_they_mean():
    """α = 1.2 and δ = 0.6 are found, and the law that has them predicts the inefficiency of its own flow."""
    found = record().summary(run())["exponents"]
    assert found["spectrum_exponent"] == pytest.approx(1.2, rel=1e-6)
    assert found["residual_exponent"] == pytest.approx(0.6, abs=0.01)
    assert found["regimes"] == ["optimal"]
    kernel = ConstantKernel(eigenvalues=EIGENVALUES, residual=RESIDUAL)
    exact = kernel.speed_limit(np.array([1.0])).inefficiency[0]
    # The law's integrals against the sums over 200 modes.
    assert found["inefficiency"] == pytest.approx(exact, rel=0.05)


def test_exponents_without_the_kernel_are_those_of_the_modes_found():
    """The fit uses the eigenvalues that were found; nodes of the measure below them have no ranks and do not enter."""
    nodes = np.concatenate([EIGENVALUES[:80], EIGENVALUES[80::10] * 0.7])
    residual = np.concatenate([RESIDUAL[:80], RESIDUAL[80::10] * 3])
    free = record(matrix_free=True, views=(view(eigenvalues=nodes, residual=residual, top=EIGENVALUES[:80]),))
    found = free.summary(run())
    assert found["exponents"]["window"] == [20, 80]
    assert found["exponents"]["spectrum_exponent"] == pytest.approx(1.2, rel=1e-6)
    assert found["exponents"]["residual_exponent"] == pytest.approx(0.6, abs=0.01)
    assert found["eigenvalues_top"] == EIGENVALUES[:20].tolist()


@pytest.mark.parametrize(
    "changes", [{"matrix_free": True}, {"views": (view(eigenvalues=EIGENVALUES[:30], residual=RESIDUAL[:30]),)}]
)
def test_no_exponents_from_few_modes(changes):
    """Twenty eigenvalues known, or thirty in all, leave no window: null instead of a guess."""
    assert record(**changes).summary(run())["exponents"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "kernel.npz does not exist"),
        (b"junk", "kernel.npz is damaged"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    """A missing or damaged file is named in one line."""
    if content is not None:
        (tmp_path / "kernel.npz").write_bytes(content)
    with pytest.raises(RunFolderError, match=message):
        KernelRecord.load(tmp_path / "kernel.npz")


def test_truncated_file_is_named(tmp_path):
    """An archive without one of its arrays says which."""
    record().save(tmp_path / "kernel.npz")
    with np.load(tmp_path / "kernel.npz") as archive:
        np.savez(tmp_path / "kernel.npz", **{name: archive[name] for name in archive.files if name != "residual_1"})
    with pytest.raises(RunFolderError, match=r"damaged .*residual_1"):
        KernelRecord.load(tmp_path / "kernel.npz")
