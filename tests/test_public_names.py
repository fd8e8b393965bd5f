"""What `import speedlimits` offers: few names, all documented, torch only when needed."""

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import speedlimits
from speedlimits._lazy import lazy

ROOT = Path(speedlimits.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


# The public names of each subpackage.
NAMES = {
    "data": "Dataset cifar10 classification digits",
    "dynamics": """
        Annealing ExactSteps FlatLoss Langevin LangevinState Point Sharpness anneal check_deterministic check_pure
        cross_entropy gradient_descent gradient_flow half_squared_error laplacians losses_and_gradients sharpness
        smooth_relu smoothing_error twice_differentiable value_and_gradient
    """,
    "integrations": "MLflow TensorBoard WandB",
    "kernel": """
        KernelOperator Lanczos ResidualMeasure adapted_kernel eigenmodes empirical_kernel estimated_drift kernel_drift
        residual_measure spectral_density top_eigenpairs
    """,
    "models": "FCN Myrtle5 NTKConv3x3 NTKLinear",
    "runs": """
        KernelRecord KernelView MemberStore NoisyConfig NoisyRun Plan RecordedProblem Recording RecordingConfig Run
        RunConfig RunFolder Verified load load_recording load_run load_study verify
    """,
    "training": """
        Forecast InlineEngine LocalEngine Problem Progress RayEngine Source analyse_kernel forecast_member own_study
        preset train_noisy train_run train_study
    """,
    "dissipation": """
        FluctuationTheorem RateTerms annealed_importance bath_entropy_production boundary_entropy_production
        distance_over_time divergence_dissipation energy_entropy equilibrium_dissipation euler_maruyama_step
        fluctuation_theorem gaussian_divergence gaussian_entropy gaussian_rate_terms gaussian_velocity_squared
        initial_loss log_partition log_path_density log_path_ratio loss_drop maximum_entropy
        nonequilibrium_free_energy probability_current rate_integral score_squared_bound thermodynamic_integration
        time_integral velocity
    """,
    "misprints": "entropy power_law regression",
    "recorder": "Edge EdgeReading Recorder SeedsDrift Spheres drift_over_seeds scale_invariant",
    "report": "write write_trajectories",
    "spectra": "PowerLawFit Quadrature fit_power_law quadrature",
    "theory": """
        AdaptedKernel BestSchedule ConstantKernel ExpectedStrides FokkerPlanck FokkerPlanckSolution HeavyBall
        KernelInterval LeadingTerms LinearRegression MiniBatchLimit MiniBatchPath MiniBatches NoisyPowerLaw
        OrnsteinUhlenbeck PhaseDiagram PowerLaw PowerLawSums RegressionLimit Sampler ScheduleExponents
        ScheduledLoss Surrogate SurrogateTimes TwoCycle Uncertainty asymptotic_geometric
        asymptotic_inefficiency asymptotic_pace first_order of_linear of_solution phase_diagram
        polynomial_decay schedule_exponents second_order stable_decay
    """,
    "transport": """
        LinearMap MonotoneMap OptimalProtocol action assignment_cost changed_directions displacement fastest_map
        gelbrich max_sliced mean_shift member_cost pair_costs projections sinkhorn_cost sliced speed_squared trace_bound
        w2_squared w2_squared_deltas w2_squared_densities w2_squared_diagonal w2_squared_factors w2_squared_histograms
        w2_squared_samples
    """,
}


def test_root_names_are_few_and_exist():
    """Twelve names or fewer, all documented; and the subpackages and `plot`, without an import of their own."""
    assert len(speedlimits.__all__) <= 12
    for name in speedlimits.__all__:
        assert inspect.getdoc(getattr(speedlimits, name)), name
    packages = {name for name in dir(speedlimits) if inspect.ismodule(getattr(speedlimits, name))}
    inside = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} - {"cli"}
    # One is a module: `speedlimits.plot.loss` reads as what it does.
    assert packages == inside | {"plot"}
    assert set(dir(speedlimits)) == packages | set(speedlimits.__all__)
    with pytest.raises(AttributeError, match="module 'speedlimits' has no attribute 'warp_drive'"):
        speedlimits.warp_drive  # noqa: B018


@pytest.mark.parametrize("package", NAMES)
def test_subpackages_export_their_names(package):
    """Each subpackage offers the names of its list, each from one of its own modules, and documented."""
    found = getattr(speedlimits, package)
    assert dir(found) == NAMES[package].split()
    for name in dir(found):
        value = getattr(found, name)
        assert inspect.getdoc(value), name
        assert (value.__name__ if inspect.ismodule(value) else value.__module__).startswith(f"speedlimits.{package}.")


@pytest.mark.parametrize("package", ["", *NAMES])
def test_editors_see_what_programs_see(package):
    """The imports for type checkers and the names at run time are the same, from the same modules."""
    exporting = importlib.import_module(f"speedlimits.{package}".rstrip("."))
    seen = {}
    for node in ast.walk(ast.parse((ROOT / package / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module != "typing" and node.module != "speedlimits._lazy":
            seen |= {alias.asname: f"{node.module}.{alias.name}" for alias in node.names}
    for attribute, origin in seen.items():
        value = getattr(exporting, attribute)
        assert origin == (value.__name__ if inspect.ismodule(value) else f"{value.__module__}.{value.__name__}")
    assert sorted(seen) == dir(exporting)


def test_a_name_differs_from_every_module():
    """A function with its own module's name would be replaced by the module, as soon as that is imported."""
    with pytest.raises(ValueError, match=r"`names` must differ from the modules of speedlimits.theory; found 'flow'"):
        lazy("speedlimits.theory", {"flow.euler": "step flow"})


def test_version_is_stated_once_more_correctly():
    """`__version__` is that of the installed package."""
    assert speedlimits.__version__ == version("speedlimits")


def test_importing_the_package_does_not_import_torch():
    """The analysis arm starts in a fraction of a second and runs without torch."""
    use = "import speedlimits.report.pages.page; speedlimits.theory.ConstantKernel; speedlimits.load_run"
    code = f"import sys; {use}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_says_what_it_takes_and_gives(path):
    """Public functions document their arguments and results; modules are one sentence and at most 300 lines."""
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says its one sentence"
    assert text.count("\n") <= 330, "a module of more than 300 lines is split by quantity"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            doc = ast.get_docstring(node) or ""
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            one_line = "\n" not in doc
            assert doc, f"{node.name} has no docstring"
            assert one_line or all(f"{a}:" in doc for a in arguments) or "Args:" not in doc, node.name
