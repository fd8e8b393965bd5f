"""Quadrature on a kernel's products, against the closed forms on its eigenvalues."""

import numpy as np
import pytest
import torch

from speedlimits.kernel.empirical import eigenmodes, empirical_kernel, kernel_drift
from speedlimits.kernel.lanczos import Lanczos, residual_measure
from speedlimits.kernel.operator import KernelOperator
from speedlimits.kernel.spectrum import estimated_drift, spectral_density, top_eigenpairs
from speedlimits.models.fcn import FCN
from speedlimits.models.myrtle import Myrtle5
from speedlimits.theory.constant_kernel import ConstantKernel
from tests.kernel.models import CASES, Waves, inputs, kinked, seeded


def power_law(size: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rotated kernel with eigenvalues k^−1.5, and its eigenvalues and eigenvectors."""
    vectors, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    eigenvalues = np.arange(1.0, size + 1) ** -1.5
    return (vectors * eigenvalues) @ vectors.T, eigenvalues, vectors


@pytest.mark.parametrize("case", CASES)
def test_products_are_those_of_the_kernel(case):
    """Θu by one pass backwards and one forwards is the dense kernel's product to 1e-10, in chunks of any size."""
    build, shape = CASES[case]
    model, x = seeded(build()), inputs(*shape)
    operator = KernelOperator(model, x, chunk=3)
    vector = np.random.default_rng(0).standard_normal(operator.size)
    np.testing.assert_allclose(operator(vector), empirical_kernel(model, x) @ vector, rtol=1e-10, atol=1e-11)


def test_products_in_chunks_found_by_itself_are_the_same():
    """By default a chunk is what the caches hold, a few images of Myrtle-5, and the products do not change."""
    model = seeded(Myrtle5(3, 4, width=16, generator=torch.Generator().manual_seed(0)))
    x = inputs(40, 3, 32, 32)
    found, single = KernelOperator(model, x), KernelOperator(model, x, chunk=40)
    vector = np.random.default_rng(0).standard_normal(160)
    np.testing.assert_allclose(found(vector), single(vector), rtol=1e-11)
    assert 2 < len(found._chunks[0][0]) < 40


@pytest.mark.parametrize("case", CASES)
def test_products_in_float32_know_their_rounding(case):
    """Passes in float32, however the model is differentiated: off by 1e-6 at most, as one float64 product tells."""
    build, shape = CASES[case]
    model, x = seeded(build()), inputs(*shape)
    exact, single = KernelOperator(model, x, chunk=3), KernelOperator(model, x, chunk=3, dtype=torch.float32)
    assert exact.rounding == 0.0
    assert 0.0 < single.rounding < 1e-6
    vector = np.random.default_rng(1).standard_normal(exact.size)
    off = np.linalg.norm(single(vector) - exact(vector)) / np.linalg.norm(exact(vector))
    assert single.rounding / 10 < off < 10 * single.rounding
    np.testing.assert_array_equal(single.outputs, exact.outputs)


def test_model_that_single_precision_moves_is_refused():
    """The message says by how much a product is off."""
    model = seeded(torch.nn.Sequential(torch.nn.Linear(6, 2), Waves()))
    with pytest.raises(
        ValueError, match=r"`dtype` must be torch.float64 for this model: a product in float32 is off by"
    ):
        KernelOperator(model, inputs(3, 6), dtype=torch.float32)


def test_curve_by_float32_products_is_the_dense_one():
    """Distance, loss drop and length up to 1,000/λ_max: those of the kernel's eigenvalues to 1e-5."""
    model = FCN(8, 4, width=16, depth=2, generator=torch.Generator().manual_seed(0))
    x, targets = inputs(40, 8), inputs(40, 4, seed=2).numpy()
    operator = KernelOperator(model, x, dtype=torch.float32)
    eigenvalues, vectors = eigenmodes(empirical_kernel(model, x))
    times = np.geomspace(1e-2, 1e3, 30) / eigenvalues[0]
    exact = ConstantKernel(eigenvalues=eigenvalues, residual=vectors.T @ operator.residual(targets))
    measure = residual_measure(operator, operator.residual(targets), times, tolerance=1e-6)
    for name in ("w2_squared", "dissipation", "arc_length", "inefficiency"):
        found, expected = (getattr(each.speed_limit(times), name) for each in (measure, exact))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert measure.error < 1e-6


def test_residual_is_outputs_less_targets():
    """The residual is f − y over (sample, output) pairs, the sample first."""
    model, x = seeded(CASES["dense with bias"][0]()), inputs(7, 6)
    targets = np.random.default_rng(0).standard_normal((7, 3))
    found = KernelOperator(model, x, chunk=2).residual(targets)
    np.testing.assert_allclose(found, (model(x).detach().numpy() - targets).ravel(), rtol=1e-14)


def test_matrix_free_prediction_is_the_dense_one():
    """W, ΔL, length and inefficiency at all times without the kernel, to 1e-9 of those from its eigenvalues."""
    model = FCN(8, 4, width=16, depth=2, generator=torch.Generator().manual_seed(0))
    x, targets = inputs(40, 8), inputs(40, 4, seed=2).numpy()
    operator = KernelOperator(model, x)
    eigenvalues, vectors = eigenmodes(empirical_kernel(model, x))
    times = np.geomspace(1e-2, 1e3, 30) / eigenvalues[0]
    kernel = ConstantKernel(eigenvalues=eigenvalues, residual=vectors.T @ operator.residual(targets))
    expected = kernel.speed_limit(times)
    measure = residual_measure(operator, operator.residual(targets), times, tolerance=1e-10)
    found = measure.speed_limit(times)
    for name in ("w2_squared", "dissipation", "arc_length", "speed_limit", "inefficiency", "geometric", "pace"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)
    assert measure.products < operator.size


SPECTRA = {
    "power law": np.arange(1.0, 301.0) ** -1.5,
    "geometric": np.exp(-np.arange(200) / 4.0),
    "twelve decades": np.logspace(0, -12, 300),
    # No rule of few nodes sees the small eigenvalues: two such rules agree, and both are wrong.
    "gap": np.concatenate([[1.0], np.full(3, 0.5), np.linspace(1e-6, 1e-4, 200)]),
    # Rounding moves a zero eigenvalue by 1e-16, and the length by the root of that.
    "half zero": np.concatenate([np.linspace(0.2, 1.0, 50), np.zeros(50)]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_stated_error_covers_the_error(name):
    """Wherever it stops, distance and dissipation err by at most what is stated, the length by half as much again."""
    eigenvalues = SPECTRA[name]
    residual = np.random.default_rng(0).standard_normal(eigenvalues.size)
    kernel = ConstantKernel(eigenvalues=eigenvalues, residual=residual)
    unknown = 0
    for last in (1e1, 1e4, 1e7):
        times = np.geomspace(last / 1e4, last, 5)
        expected = kernel.speed_limit(times)
        for products in (4, 10, 16, 36):
            measure = residual_measure(lambda v: eigenvalues * v, residual, times, max_products=products)
            found, unknown = measure.speed_limit(times), unknown + (measure.error == np.inf)
            for quantity, share in (("w2_squared", 1.01), ("dissipation", 1.01), ("arc_length", 1.5)):
                error = np.max(np.abs(getattr(found, quantity) / getattr(expected, quantity) - 1))
                # What the rounding of eigenvalues leaves of the smallest at such times.
                assert error <= share * measure.error + 1e-15 * last + 1e-11, (last, products, quantity)
    assert 0 < unknown < 12


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-8])
def test_recurrence_stops_at_its_tolerance(tolerance):
    """The recurrence stops once its bound is below the tolerance, not long after: the error is no less than a 30th."""
    eigenvalues = SPECTRA["power law"]
    times, residual = np.geomspace(1e-2, 1e4, 9), np.arange(1.0, 301.0) ** -0.4
    measure = residual_measure(lambda v: eigenvalues * v, residual, times, tolerance=tolerance)
    found = measure.speed_limit(times)
    expected = ConstantKernel(eigenvalues=eigenvalues, residual=residual).speed_limit(times)
    assert measure.error <= tolerance
    assert np.max(np.abs(found.arc_length / expected.arc_length - 1)) >= measure.error / 30


def test_products_grow_as_the_root_of_time():
    """On a spectrum without gaps the quadrature needs ~√(λ_max t) products; power laws need fewer."""
    eigenvalues = np.linspace(0.0, 1.0, 2000)
    spans = np.array([3e1, 3e2, 3e3])
    products = [
        residual_measure(lambda v: eigenvalues * v, np.ones(2000), np.array([span]), tolerance=1e-6).products
        for span in spans
    ]
    assert np.polyfit(np.log(spans), np.log(products), 1)[0] == pytest.approx(0.5, abs=0.1)


def test_measure_has_the_residuals_moments():
    """Σ Δ_k² λ_k^p of the nodes are those of the kernel for every power that Gauss' rule integrates exactly."""
    kernel, eigenvalues, vectors = power_law(50)
    residual = vectors @ np.arange(1.0, 51.0) ** -0.4
    krylov = Lanczos(lambda v: kernel @ v, residual)
    for _ in range(5):
        krylov.step()
    nodes, modes = krylov.gauss(5)
    for power in range(10):
        assert modes**2 @ nodes**power == pytest.approx((vectors.T @ residual) ** 2 @ eigenvalues**power, rel=1e-11)


def test_radau_has_one_moment_more_and_a_node_at_zero():
    """With n steps the rule of n + 1 nodes, one of them zero, has the kernel's first 2n moments."""
    eigenvalues, residual = np.arange(1.0, 51.0) ** -1.5, np.arange(1.0, 51.0) ** -0.4
    krylov = Lanczos(lambda v: eigenvalues * v, residual)
    for _ in range(5):
        krylov.step()
    nodes, modes = krylov.radau()
    assert nodes[0] == pytest.approx(0.0, abs=1e-12)
    for power in range(11):
        assert modes**2 @ nodes**power == pytest.approx(residual**2 @ eigenvalues**power, rel=1e-10)


def test_found_eigenvalues_are_found_once():
    """Converged nodes are eigenvalues, each once: rounding would bring back copies of the top."""
    eigenvalues = np.concatenate([[100.0, 50.0, 20.0], np.linspace(0.0, 1.0, 200)])
    krylov = Lanczos(lambda v: eigenvalues * v, np.ones(203))
    for _ in range(90):
        krylov.step()
    nodes, modes = krylov.gauss(90)
    np.testing.assert_allclose(nodes[-3:], [20, 50, 100], rtol=1e-13)
    np.testing.assert_allclose(modes[-3:], 1.0, rtol=1e-11)
    assert nodes[-4] <= 1.0 + 1e-12


def test_modes_asked_for_are_those_of_the_kernel():
    """The largest nodes are called eigenvalues once they, and the residual in them, are the dense kernel's."""
    kernel, eigenvalues, vectors = power_law()
    residual = np.random.default_rng(0).standard_normal(300)
    expected = np.abs(vectors.T @ residual)
    for modes in (0, 30, 60):
        found = residual_measure(lambda v: kernel @ v, residual, np.array([1.0]), tolerance=1e-3, modes=modes)
        count = found.converged
        assert modes <= count < found.products
        np.testing.assert_allclose(found.eigenvalues[::-1][:count], eigenvalues[:count], rtol=1e-9)
        np.testing.assert_allclose(found.residual[::-1][:count], expected[:count], rtol=1e-5)


def test_few_modes_end_the_recurrence():
    """A residual in three eigenvectors, one of eigenvalue zero, is exhausted by three products, exactly."""
    kernel = np.diag([4.0, 1.0, 0.0, 2.0, 3.0])
    times = np.array([0.0, 0.1, 10.0])
    measure = residual_measure(lambda v: kernel @ v, np.array([1.0, 2.0, 3.0, 0.0, 0.0]), times)
    np.testing.assert_allclose(measure.eigenvalues, [0, 1, 4], atol=1e-14)
    np.testing.assert_allclose(measure.residual, [3, 2, 1], rtol=1e-13)
    assert (measure.products, measure.error) == (3, 0.0)
    assert measure.converged >= 2


def test_density_counts_eigenvalues():
    """Stochastic quadrature: weights sum to the rows exactly, trace and counts agree with the spectrum."""
    kernel, eigenvalues, _ = power_law()
    nodes, weights = spectral_density(
        lambda v: kernel @ v, 300, probes=32, steps=40, generator=np.random.default_rng(3)
    )
    assert weights.sum() == pytest.approx(300, rel=1e-12)
    # Var zᵀAz = 2(|A|² − Σ A_ii²) for random signs.
    error = np.sqrt(2 * (np.sum(kernel**2) - np.sum(np.diag(kernel) ** 2)) / 32)
    assert abs(weights @ nodes - eigenvalues.sum()) < 4 * error
    assert weights[nodes > 1e-3].sum() == pytest.approx(np.sum(eigenvalues > 1e-3), rel=0.1)


def test_top_of_the_spectrum():
    """The largest eigenvalues to rounding, and eigenvectors that the kernel stretches by just those."""
    kernel, eigenvalues, _ = power_law()
    values, vectors = top_eigenpairs(lambda v: kernel @ v, 300, 5, generator=np.random.default_rng(0))
    np.testing.assert_allclose(values, eigenvalues[:5], rtol=1e-12)
    np.testing.assert_allclose(kernel @ vectors, vectors * values, atol=1e-12)


def test_drift_estimate_is_the_drift():
    """Sixty-four probes give the dense kernels' drift within a third, and proportional kernels have none."""
    rng = np.random.default_rng(1)
    kernel = power_law()[0]
    change = rng.standard_normal((300, 300)) / 300
    later = kernel + 0.1 * (change + change.T)
    found = estimated_drift(lambda v: kernel @ v, lambda v: later @ v, 300, probes=64, generator=rng)
    assert found == pytest.approx(kernel_drift(kernel, later), rel=0.3)
    assert estimated_drift(lambda v: kernel @ v, lambda v: 3 * kernel @ v, 300, generator=rng) < 1e-15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lanczos(lambda v: v, np.zeros(3)), "`start` must not be zero everywhere"),
        (lambda: Lanczos(lambda v: v, np.array([1.0, np.nan])), r"`start` must be finite; start\[1\] = nan"),
        (
            lambda: residual_measure(lambda v: v, np.ones(3), np.array([-1.0])),
            r"`times` must be non-negative and finite; times\[0\] = -1",
        ),
        (
            lambda: residual_measure(lambda v: v, np.ones(3), np.ones(1), tolerance=0.0),
            "`tolerance` must be positive and finite; tolerance = 0",
        ),
        (
            lambda: residual_measure(lambda v: v, np.ones(3), np.ones(1), modes=-1),
            "`modes` must be an integer of at least 0; modes = -1",
        ),
        (
            lambda: KernelOperator(kinked(), torch.zeros(3, 2, dtype=torch.float64))(np.ones(3)),
            "`model` must have finite derivatives; with respect to 0.weight they are not",
        ),
        (
            lambda: top_eigenpairs(lambda v: v, 3, 3, generator=np.random.default_rng(0)),
            "`count` must be below the 3 rows of the operator; count = 3",
        ),
        (
            lambda: KernelOperator(torch.nn.Linear(2, 2), inputs(3, 2))(np.ones(5)),
            r"`vector` must have shape \(6\); vector.shape = \(5,\)",
        ),
        (
            lambda: KernelOperator(torch.nn.Linear(2, 2), inputs(3, 2)).residual(np.ones((2, 3))),
            r"`targets` must have the outputs' shape \(3, 2\); targets.shape = \(2, 3\)",
        ),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()
