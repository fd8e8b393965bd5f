"""Problems of one's own: trained like the built-in ones by every engine, run only when named, refused when not fit."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from speedlimits import Problem, RunConfig, gradient_flow, load_run, train_run
from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RecordedProblem
from speedlimits.runs.noisy import NoisyConfig, NoisyRun
from speedlimits.training.built_in import BuiltIn
from speedlimits.training.kernel import analyse_kernel
from speedlimits.training.noisy import train_noisy
from speedlimits.training.presets import own_study
from speedlimits.training.sources import Source
from speedlimits.training.train import train_study
from tests import own_problems
from tests.training.studies import series

FILE = str(Path(own_problems.__file__))
SHORT = {"seeds": (0, 1), "time": 0.05, "records": 12, "snapshots": 5, "triples": 2}


@pytest.mark.parametrize("name", own_problems.ALL)
def test_path_dissipates_what_the_loss_loses(name, tmp_path):
    """Four unlike networks and losses: each is followed as a gradient flow, by two routes to its dissipation."""
    run = train_run(RunConfig(problem=own_problems.ALL[name], **SHORT), tmp_path / "run", workers=1)
    assert run.summary["certified"], run.summary["reasons"]
    assert run.summary["name"] == (own_problems.ALL[name](0).name or f"tests.own_problems:{name}")
    for member in run.summary["members"]:
        assert member["dissipation"] > 0
        assert member["path_dissipation"] == pytest.approx(member["dissipation"], rel=1e-3)
    has_accuracy = name == "tabular"
    assert (run.summary["mean"]["test_accuracy"] is not None) == has_accuracy


def test_numbers_are_those_of_the_library(tmp_path):
    """The run's path is that of `gradient_flow` on a loss written by hand."""
    config = RunConfig(problem=own_problems.signal, **SHORT | {"seeds": (3,)})
    run = train_run(config, tmp_path / "run", engine="inline")
    problem = own_problems.signal(3)
    model = problem.model.double()

    def loss(theta: torch.Tensor) -> torch.Tensor:
        names = [name for name, _ in model.named_parameters()]
        pieces = theta.split([weight.numel() for weight in model.parameters()])
        weights = {n: p.view(w.shape) for n, p, w in zip(names, pieces, model.parameters(), strict=True)}
        outputs = torch.func.functional_call(model, weights, (problem.inputs,))
        return 0.5 * (outputs - problem.targets).square().sum()

    theta0 = torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])
    expected = gradient_flow(loss, theta0, run.trajectories[3].times, rtol=1e-4)
    assert run.trajectories[3].w2_squared[-1] == pytest.approx(expected.w2_squared[-1], rel=1e-6)
    assert run.trajectories[3].losses[-1] == pytest.approx(expected.losses[-1], rel=1e-9)


@pytest.mark.slow
def test_engines_and_ways_of_naming_agree(tmp_path):
    """A function, its name in a file, its name in a module, a closure in this process: the same bits."""

    def closure(seed: int) -> Problem:
        return own_problems.tabular(seed)

    ways = {
        "function": (own_problems.tabular, "local"),
        "file": (f"{FILE}:tabular", "local"),
        "module": ("tests.own_problems:tabular", "local"),
        "closure": (closure, "inline"),
    }
    for name, (problem, engine) in ways.items():
        train_run(RunConfig(problem=problem, **SHORT), tmp_path / name, engine=engine)
    first, *others = [series(tmp_path / name) for name in ways]
    assert all(other == first for other in others)


def test_held_out_samples_are_classified_in_chunks():
    """Twenty held-out rows, seven at a time: no pass sees more, and the accuracy is the same."""
    whole, sizes = own_problems.tabular(0), []
    problem = dataclasses.replace(whole, chunk=7)
    problem.model.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    assert problem.accuracy(problem.theta0) == whole.accuracy(whole.theta0)
    assert sizes == [7, 7, 6, 20]


def test_closures_need_this_process(tmp_path):
    """What no other process can import is refused by the local engine, which says what to do."""
    with pytest.raises(ValueError, match="must be a function that other processes can import, or `engine` be 'inline'"):
        train_run(RunConfig(problem=lambda seed: own_problems.tabular(seed), **SHORT), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_study_over_samples(tmp_path):
    """A function of seed and number of samples gives a run for each number, the members of all in one queue."""
    runs = train_study(own_study(own_problems.tabular, samples=(8, 4), **SHORT), tmp_path / "study", workers=1)
    assert list(runs) == ["n00004", "n00008"]
    assert [run.summary["samples"] for run in runs.values()] == [4, 8]


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_noisy_run_is_read_back(tmp_path):
    """Langevin dynamics of a transformer: configuration, ensemble and name are those of the run."""
    config = NoisyConfig(
        problem=own_problems.transformer, members=220, time=0.02, records=2, strengths=2, anneal_steps=1
    )
    train_noisy(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert isinstance(run, NoisyRun)
    assert not run.config.difference(config)
    assert isinstance(run.config.problem, RecordedProblem)
    assert run.ensemble().shape == (220, run.summary["parameters"])
    assert (run.summary["loss_name"], run.summary["model"]) == ("cross_entropy", None)


def test_kernel_needs_the_problem_named(tmp_path):
    """The kernel of an own run is that of its network; a folder's word is not enough to run its code."""
    folder = tmp_path / "run"
    train_run(RunConfig(problem=own_problems.signal, **SHORT), folder, workers=1)
    with pytest.raises(ValueError, match="`problem` must be named by you, because its code will run: --problem tests"):
        analyse_kernel(folder)
    record = analyse_kernel(folder, problem=own_problems.signal)
    problem = own_problems.signal(0)
    jacobian = torch.autograd.functional.jacobian(
        lambda *weights: torch.func.functional_call(
            problem.model, dict(zip(dict(problem.model.named_parameters()), weights, strict=True)), (problem.inputs,)
        ),
        tuple(weight.detach() for weight in problem.model.double().parameters()),
    )
    flat = torch.cat([part.reshape(8, -1) for part in jacobian], dim=1)
    largest = float(torch.linalg.eigvalsh(flat @ flat.T)[-1])
    assert record.views[0].eigenvalues[0] == pytest.approx(largest, rel=1e-9)


def test_kernel_refuses_losses_without_residual(tmp_path):
    """Under cross-entropy the outputs' errors do not decay with the kernel: said, not computed."""
    train_run(RunConfig(problem=own_problems.transformer, **SHORT), tmp_path / "run", workers=1)
    with pytest.raises(ValueError, match="`loss` must be 'squared' for a kernel's prediction"):
        analyse_kernel(tmp_path / "run", problem=own_problems.transformer)


def test_folder_never_runs_code(tmp_path):
    """A configuration read from disk keeps the problem's name and refuses to run it."""
    config = RunConfig.from_toml('problem = "evil.py:build"')
    assert isinstance(config.problem, RecordedProblem)
    with pytest.raises(ValueError, match="must be named by you, because its code will run: --problem evil"):
        train_run(config, tmp_path / "run")


MINE = """
import torch
from speedlimits import Problem

def build(seed):
    torch.manual_seed(seed)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(7))
    return Problem(model=torch.nn.Linear(2, 1), inputs=x, targets=x.sum(1, keepdim=True))
"""


def test_changed_source_is_refused(tmp_path):
    """Resumed after an edit: refused; with ``changed`` it goes on, and provenance has both sources."""
    file, folder = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(MINE)
    config = RunConfig(problem=f"{file}:build", **SHORT)
    first = train_run(config, folder, workers=1).provenance["problem"]
    shutil.rmtree(folder / "members" / "seed-00001")
    (folder / "summary.json").unlink()
    file.write_text(MINE + "# edited\n")
    with pytest.raises(RunFolderError, match=r"of .*mine\.py:build, its source has changed \(--changed goes on\)"):
        train_run(config, folder, resume=True, workers=1)
    run = train_run(config, folder, resume=True, changed=True, workers=1)
    assert run.provenance["problem"] == first
    assert run.provenance["resumed"][-1]["problem"]["sha256"] != first["sha256"]
    assert run.provenance["resumed"][-1]["problem"]["digest"] == first["digest"]


def test_built_in_problems_are_problems():
    """Data set and model are a function of the seed that returns a `Problem`, as a user's are."""
    config = RunConfig(samples=5, width=3)
    problem = Source.of(config).build(config, 0)
    assert isinstance(problem, Problem)
    assert (problem.samples, problem.name, problem.loss_name) == (5, "fcn on digits", "squared")
    with pytest.raises(ValueError, match="`depth` must be 2 unless `model` is 'fcn'; depth = 3, model = 'myrtle'"):
        BuiltIn(dataclasses.replace(config, model="myrtle", depth=3)).check()


def linear(**changes) -> Problem:
    """A linear model on six samples, with something changed."""
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    whole = {"model": nn.Linear(2, 1), "inputs": x, "targets": x.sum(1, keepdim=True)}
    return Problem(**whole | changes)


class Noisy(nn.Linear):
    """Adds noise in forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.randn(1)


class Counting(nn.Linear):
    """Counts its passes in a buffer."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return super().forward(x)


class Wordy(nn.Linear):
    """Returns more than its outputs."""

    def forward(self, x: torch.Tensor) -> dict:  # type: ignore[override]
        return {"logits": super().forward(x)}


def frozen() -> nn.Module:
    """Without trainable weights."""
    return nn.Linear(2, 1).requires_grad_(requires_grad=False)


BAD = [
    (lambda seed: nn.Linear(2, 1), "must return a speedlimits.Problem; it returned a Linear"),
    (lambda seed: 1 / 0, r"failed with seed 0: ZeroDivisionError: division by zero"),
    (lambda: None, "failed with seed 0: TypeError"),
    (lambda seed: linear(model=frozen()), "weights of one dtype on one device; it has no trainable weights"),
    (
        lambda seed: linear(targets=torch.zeros(5, 1)),
        "must have the same number of samples, at least one; they have 6, 5",
    ),
    (
        lambda seed: linear(targets=torch.zeros(6)),
        r"must have the outputs' shape \(6, 1\) for 'squared'",
    ),
    (lambda seed: linear(targets=torch.zeros(6, 1).long()), "must be floating-point numbers for the loss 'squared'"),
    (lambda seed: linear(inputs=torch.full((6, 2), torch.nan)), "`inputs` must be finite"),
    (lambda seed: linear(inputs=torch.zeros(6, 3)), "`model` must take the inputs; it fails: RuntimeError"),
    (lambda seed: linear(inputs=torch.zeros(6, 2).long()), "`model` must take the inputs; it fails: RuntimeError"),
    (lambda seed: linear(loss="hinge"), "`loss` must be one of 'squared', 'cross_entropy'"),
    (lambda seed: linear(loss="cross_entropy", targets=torch.full((6,), 4)), r"must lie in 0…0, the outputs' classes"),
    (
        lambda seed: linear(loss="cross_entropy", targets=torch.zeros(6, 2).long()),
        "must have a class for each",
    ),
    (lambda seed: linear(loss=lambda f: f), "`loss` must take outputs and targets; it fails: TypeError"),
    (lambda seed: linear(loss=lambda f, y: f - y), "`loss` must give one differentiable number"),
    (lambda seed: linear(loss=lambda f, y: (f - y).sum() / 0), "`loss` must be finite at the start"),
    (lambda seed: linear(test_inputs=torch.zeros(2, 2)), "must be given together; one of them is missing"),
    (
        lambda seed: linear(test_inputs=torch.zeros(2, 2), test_labels=torch.zeros(2)),
        "`test_labels` must be classes, integers",
    ),
    (lambda seed: linear(model=Noisy(2, 1)), "two passes differ, so something in forward is random"),
    (lambda seed: linear(model=Counting(2, 1)), "its buffer passes changes"),
    (lambda seed: linear(model=Wordy(2, 1)), "`model` must return one tensor; it returns a dict"),
    (
        lambda seed: linear(model=nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))),
        "1 is a Dropout in training mode",
    ),
    (
        lambda seed: linear(model=nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))),
        "0 is a BatchNorm1d in training mode",
    ),
    (lambda seed, samples: linear(), "`samples` must be given"),
]


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(("build", "message"), BAD)
def test_unfit_problems_are_named(build, message, tmp_path):
    """Each in one line with what is wrong, and nothing on disk."""
    with pytest.raises(ValueError, match=message) as found:
        train_run(RunConfig(problem=build, **SHORT), tmp_path / "run", engine="inline")
    assert "\n" not in str(found.value)
    assert not (tmp_path / "run").exists()


def test_problem_that_differs_between_calls(tmp_path):
    """One seed must mean one problem: what is drawn from elsewhere is found by a second call."""
    calls = []

    def build(seed: int) -> Problem:
        calls.append(seed)
        return linear(inputs=torch.full((6, 2), float(len(calls))))

    with pytest.raises(ValueError, match="must give the same weights and data at each call with one seed"):
        train_run(RunConfig(problem=build, **SHORT), tmp_path / "run", engine="inline")


def test_torch_random_numbers_follow_the_seed(tmp_path):
    """A function that draws its weights from torch's own generator without a seed gets one for each member."""
    before = torch.random.get_rng_state()
    run = train_run(RunConfig(problem=lambda seed: linear(), **SHORT), tmp_path / "run", engine="inline")
    first, second = run.summary["members"]
    assert first["loss_initial"] != second["loss_initial"]
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py", "`problem` must be FILE.py:FUNCTION or MODULE:FUNCTION; problem = 'mine.py'"),
        ("none.py:build", r"none\.py does not exist"),
        ("{tmp}/mine.py:built", r"mine\.py defines no function built \(it has build\)"),
        ("{tmp}/broken.py:build", "must be importable; .*broken.py:build failed: ZeroDivisionError: division by zero"),
        ("{tmp}/script.py:build", "must be importable; .*script.py:build failed: SystemExit: 3"),
        ("no.such.module:build", "failed: ModuleNotFoundError: No module named 'no'"),
    ],
)
def test_names_that_lead_nowhere(name, message, tmp_path):
    """A missing file or function, and a file that does not import, each in one line."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "script.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ValueError, match=message):
        train_run(RunConfig(problem=name.format(tmp=tmp_path), **SHORT), tmp_path / "run")


def test_keys_of_built_in_problems_are_refused(tmp_path):
    """Width and the like say nothing about an own network."""
    with pytest.raises(ValueError, match="`width` must be left out with a problem of your own; width = 3"):
        RunConfig(problem=own_problems.signal, width=3)
    with pytest.raises(ValueError, match=r"`samples` must be left out, or be an argument of tests.own_problems:signal"):
        train_run(RunConfig(problem=own_problems.signal, samples=3, **SHORT), tmp_path / "run")


def test_float32_has_its_own_tolerance(tmp_path):
    """The default tolerance is one that the weights' precision allows."""
    run = train_run(RunConfig(problem=own_problems.tabular, dtype="float32", **SHORT), tmp_path / "run", workers=1)
    assert run.config.tolerance == 1e-3
    assert run.summary["certified"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["tolerance"] == pytest.approx(1e-2)


def test_file_is_run_once_until_it_changes(tmp_path):
    """Every run of a study asks for the same file: its code runs once, and again only after an edit."""
    file, noted = tmp_path / "mine.py", tmp_path / "noted"
    file.write_text(f"with open({str(noted)!r}, 'a') as out:\n    out.write('x')\n" + MINE)
    first, second = (Source.named(f"{file}:build") for _ in range(2))
    assert first.function is second.function
    assert noted.read_text() == "x"
    file.write_text(file.read_text() + "# edited\n")
    assert Source.named(f"{file}:build").function is not first.function
    assert noted.read_text() == "xx"
