"""Runs with noise on disk: read back with their configuration, those of earlier versions too, and damage is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from speedlimits import load_run, report
from speedlimits.errors import RunFolderError
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder, NoisyRun
from speedlimits.runs.run import RunFolder

EARLIER = Path(__file__).parent / "written_by_0.1" / "noisy"


def test_configuration_is_read_back():
    """TOML and back is exact, and what differs is named."""
    config = NoisyConfig(members=200, inverse_temperature=0.1, step=1e-3)
    assert NoisyConfig.from_toml(config.to_toml()) == config
    assert config.difference(NoisyConfig(members=200, inverse_temperature=0.1)) == {"step": (1e-3, "auto")}


def test_run_of_an_earlier_version_is_read_and_drawn(tmp_path):
    """A folder from before problems had names: its configuration, its numbers and its page."""
    shutil.copytree(EARLIER, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert isinstance(run, NoisyRun)
    assert (run.config.samples, run.config.members, run.config.inverse_temperature) == (6, 160, 5.0)
    assert run.summary["certified"]
    assert "fcn on digits" in report.write(run).read_text()
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors cannot be read"):
        run.ensemble()


def test_kind_of_run_is_told_apart(tmp_path):
    """What needs trajectories refuses a run with noise in one line."""
    shutil.copytree(EARLIER, tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"must be a run without noise; .*run is one of speedlimits langevin"):
        RunFolder.open(tmp_path / "run")


def test_checkpoint_is_whole_or_named(tmp_path):
    """State and time courses come back exactly; a truncated file is one line."""
    folder = NoisyFolder(tmp_path, NoisyConfig())
    assert folder.read_checkpoint() is None
    folder.write_checkpoint({"thetas": np.arange(6.0).reshape(2, 3)}, [{"time": 0.1}])
    state, rows = folder.read_checkpoint() or ({}, [])
    np.testing.assert_array_equal(state["thetas"], np.arange(6.0).reshape(2, 3))
    assert rows == [{"time": 0.1}]
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors cannot be read"):
        folder.read_checkpoint()


def kept(path: Path, config: NoisyConfig) -> NoisyFolder:
    """A run that was stopped at its first checkpoint."""
    with NoisyFolder.writing(path, config, resume=False, force=False) as folder:
        state = {"thetas": np.arange(60.0).reshape(20, 3), "steps": np.array(7)}
        folder.write_checkpoint(state, [{"time": 0.1, "loss": 2.0}])
    return folder


def test_any_flipped_bit_is_found(tmp_path):
    """Weights, random state, time courses, names, shapes and types: 200 bits anywhere, and each is told of."""
    folder = kept(tmp_path / "run", NoisyConfig())
    path = folder.path / "checkpoint.safetensors"
    content = path.read_bytes()
    chance = np.random.default_rng(0)
    for _ in range(200):
        where = int(chance.integers(8 * len(content)))
        broken = bytearray(content)
        broken[where // 8] ^= 1 << where % 8
        path.write_bytes(broken)
        with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors .*: delete it, and --resume begins the run"):
            folder.read_checkpoint()


@pytest.mark.parametrize("changes", [{}, {"seed": 1}, {"inverse_temperature": 5.0}])
def test_checkpoint_of_another_run_is_refused(tmp_path, changes):
    """Even one of the same configuration: one line that says what to delete."""
    folder, other = kept(tmp_path / "a", NoisyConfig()), kept(tmp_path / "b", NoisyConfig(**changes))
    shutil.copy(other.path / "checkpoint.safetensors", folder.path)
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors must be of run \w+; it is of \w+: delete it"):
        folder.read_checkpoint()


def test_checkpoint_without_a_seal_is_refused(tmp_path):
    """As version 0.1 wrote it: whose it is and whether it is whole cannot be told."""
    folder = kept(tmp_path / "a", NoisyConfig())
    save_file({"thetas": np.zeros((2, 3))}, folder.path / "checkpoint.safetensors", {"rows": "[]"})
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors is damaged .*: delete it"):
        folder.read_checkpoint()
