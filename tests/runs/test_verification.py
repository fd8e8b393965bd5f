"""What a finished run wrote is what is read: every swap, edit and loss is named, and what can be made anew is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from speedlimits import RunConfig, load_run, train_run
from speedlimits.errors import RunFolderError
from speedlimits.runs import KernelRecord, NoisyConfig, Run, RunFolder, load_study, verify
from speedlimits.training.kernel import analyse_kernel
from speedlimits.training.noisy import train_noisy

TINY = RunConfig(samples=8, width=3, seeds=(0, 1), time=0.02, records=10, snapshots=4, triples=1)
STUDIES = Path(__file__).parent / "written_by_0.1" / "study"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("verification") / "run"
    train_run(TINY, folder, engine="inline")
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def swap(one: Path, other: Path) -> None:
    """Two files, or folders, in each other's place."""
    one.rename(one.with_name("swapped"))
    other.rename(one)
    one.with_name("swapped").rename(other)


def test_manifest_lists_every_file_that_the_run_wrote(run):
    """Locks and logs aside, nothing lies in the folder that the manifest has no digest of."""
    listed = json.loads((run / "manifest.json").read_text())["files"]
    there = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert set(listed) == there - {"manifest.json"}
    assert verify(run).files == len(listed)
    assert not verify(run).problems


@pytest.mark.parametrize("name", ["", "series", "distances.safetensors", "member.json", "snapshots"])
def test_swapped_members_are_refused(run, name):
    """Two members, or one kind of their files, in each other's place: one line that says what to delete."""
    zero, one = (run / "members" / f"seed-{seed:05d}" for seed in (0, 1))
    swap(zero / name, one / name)
    with pytest.raises(RunFolderError, match=r"members/seed-0000[01]"):
        load_run(run)
    assert any("--resume trains it anew" in line for line in verify(run).problems)


@pytest.mark.parametrize("name", ["summary.json", "provenance.json"])
def test_edited_files_are_refused(run, name):
    """One digit more is one too many."""
    path = run / name
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 11'))
    with pytest.raises(RunFolderError, match=rf"{name} is not what the run wrote, by its SHA-256 in manifest\.json: "):
        load_run(run)
    assert len(verify(run).problems) == 1


@pytest.mark.parametrize("name", ["summary.json", "plan.json", "manifest.json", "members/seed-00001"])
def test_what_is_missing_is_made_anew(run, name):
    """--resume writes what was deleted, with the same numbers, and only then has the run ended again."""
    before = load_run(run)
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert verify(run).problems or verify(run).remarks
    after = train_run(TINY, run, engine="inline", resume=True)
    assert after.summary == before.summary
    assert not verify(run).problems


def test_resuming_a_finished_run_writes_nothing(run):
    """Every byte of it stays, and damage is refused before anything is written."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    train_run(TINY, run, engine="inline", resume=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (run / "summary.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"summary\.json is not what the run wrote.*: delete it, and --resume"):
        train_run(TINY, run, engine="inline", resume=True)


def test_kernel_of_another_run_is_refused(run, tmp_path):
    """By its id; without one, as version 0.1 wrote it, by the loss that its residuals make."""
    train_run(RunConfig(**{**TINY.to_dict(), "samples": 7}), tmp_path / "other", engine="inline")
    record = analyse_kernel(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "kernel.npz", run / "kernel.npz")
    found = load_run(run)
    assert isinstance(found, Run)
    with pytest.raises(RunFolderError, match=r"kernel\.npz is damaged or another run's \(it is of run"):
        KernelRecord.of_run(found)
    KernelRecord(**{**vars(record), "run": ""}).save(run / "kernel.npz")
    with pytest.raises(RunFolderError, match=r"another run's \((½\|Δ\|² must be the loss|no weights were kept)"):
        KernelRecord.of_run(found)
    analyse_kernel(run)
    assert not verify(run).problems


def test_noisy_run_is_held_to_its_manifest(tmp_path):
    """Summary and ensemble: a foreign ensemble is found, a lost one is drawn again to the same summary."""
    config = NoisyConfig(samples=6, width=2, members=400, time=0.1, records=3, strengths=3, anneal_steps=2, step=0.01)
    before = train_noisy(config, tmp_path / "run")
    assert verify(tmp_path / "run").files == 4
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.unlink()
    assert "checkpoint.safetensors cannot be read (it is missing)" in verify(tmp_path / "run").problems[0]
    assert train_noisy(config, tmp_path / "run", resume=True).summary == before.summary
    arrays = load_file(path)
    arrays["thetas"][0] += 1
    save_file(arrays, path)
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors is not what the run wrote"):
        train_noisy(config, tmp_path / "run", resume=True)


def test_runs_without_digests_are_compared_with_themselves(tmp_path):
    """A study of version 0.1 is read, and verify says by what it was checked."""
    found = verify(STUDIES)
    assert not found.problems
    assert len(found.remarks) == 2
    assert all("version 0.1, without digests" in line for line in found.remarks)
    shutil.copytree(STUDIES, tmp_path / "study")
    run = tmp_path / "study" / "myrtle-n00125"
    zero, one = (run / "members" / f"seed-{seed:05d}" for seed in (0, 1))
    for name, wrong in (
        ("distances.safetensors", r"distances are not those of the series"),
        ("member.json", r"its seed is 1"),
        ("series", r"seed-00000"),
        ("", r"its seed is 1"),
    ):
        swap(zero / name, one / name)
        with pytest.raises(RunFolderError, match=wrong):
            load_study(tmp_path / "study")
        swap(zero / name, one / name)
    summary = json.loads((run / "summary.json").read_text())
    summary["members"][0]["loss_final"] *= 1.01
    (run / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(RunFolderError, match=r"`loss_final` of seed 0 is .*, by the series"):
        load_run(run)


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_distances_that_cannot_be_are_refused(tmp_path, value):
    """Where no digest tells: NaN and negative distances."""
    shutil.copytree(STUDIES / "myrtle-n00125", tmp_path / "run")
    path = tmp_path / "run" / "members" / "seed-00001" / "distances.safetensors"
    arrays = load_file(path)
    arrays["snapshot_distances_squared"][1, 2] = value
    save_file(arrays, path)
    with pytest.raises(RunFolderError, match=r"seed-00001 is damaged \(.*snapshot_distances_squared.* non-negative"):
        load_run(tmp_path / "run")


def test_run_of_another_study_is_refused(tmp_path):
    """A run folder must have the configuration that the study lists."""
    shutil.copytree(STUDIES, tmp_path / "study")
    swap(tmp_path / "study" / "myrtle-n00125", tmp_path / "study" / "myrtle-n00250")
    with pytest.raises(RunFolderError, match=r"myrtle-n00125 is of another study: its `samples`"):
        load_study(tmp_path / "study")
    assert len(verify(tmp_path / "study").problems) == 2


def test_study_is_no_run():
    """Whoever names a study where a run is wanted is told what it is."""
    with pytest.raises(RunFolderError, match=r"study is a study: name one of its runs, or draw all with"):
        load_run(STUDIES)


def test_weights_may_be_left_out(run):
    """A copy without a member's weights is whole; one of them missing is a loss."""
    weights = sorted((run / "members" / "seed-00000" / "snapshots").glob("*.safetensors"))
    files = verify(run).files
    weights[0].unlink()
    assert [line.partition(" cannot")[0] for line in verify(run).problems] == [str(weights[0])]
    for path in weights[1:]:
        path.unlink()
    found = verify(run)
    assert (found.files, found.problems) == (files - len(weights), ())
    assert found.remarks == (f"{run} is without the weights of a member; only `kernel` needs them.",)
    with pytest.raises(RunFolderError, match=r"without its weights: delete .*seed-00000, and --resume trains it"):
        analyse_kernel(run, seed=0)
    assert analyse_kernel(run).seed == 1
    (run / "kernel.npz").unlink()
    (run / "manifest.json").unlink()
    (run / "summary.json").unlink()
    found = verify(run)
    assert not found.problems
    assert found.remarks[1] == f"{run} is without the weights of a member; only `kernel` needs them."


def test_unfinished_run_is_no_problem(run):
    """Of an unfinished run verify says so, and checks what has ended."""
    (run / "manifest.json").unlink()
    (run / "summary.json").unlink()
    shutil.rmtree(run / "members" / "seed-00001")
    found = verify(run)
    assert not found.problems
    assert "is unfinished, 1 of 2 members have ended (speedlimits run --out" in found.remarks[0]
    (RunFolder.open(run).member_folder(0) / "distances.safetensors").unlink()
    assert "distances.safetensors" in verify(run).problems[0]
