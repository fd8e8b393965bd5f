"""The same bits from the same configuration: whatever the number of threads, and in every file that holds weights."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speedlimits.dynamics.threads import one_thread
from speedlimits.runs import NoisyConfig
from speedlimits.training.noisy import _stream

# A run, its kernel and a noisy run, large enough that torch and BLAS would share the work among threads.
SCRIPT = """
import itertools, sys, uuid
# The ids tell runs apart, and stand in what they wrote; here both must be the same run.
numbers = itertools.count(1)
uuid.uuid4 = lambda: uuid.UUID(int=next(numbers))
from speedlimits import RunConfig
from speedlimits.runs import NoisyConfig
from speedlimits.training import InlineEngine, analyse_kernel, train_noisy, train_run
out = sys.argv[1]
config = RunConfig(samples=40, width=48, seeds=(0,), time=0.005, records=4, snapshots=3)
train_run(config, out + "/run", engine=InlineEngine())
analyse_kernel(out + "/run")
train_noisy(NoisyConfig(samples=20, width=8, members=210, time=0.01, records=2, strengths=2), out + "/noisy")
"""


def digests(folder: Path, threads: int) -> dict[str, str]:
    """The SHA-256 of every file with numbers, by its path."""
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], check=True, env=os.environ | limits)
    kinds = {".safetensors", ".npz", ".parquet", ".toml"}
    found = [path for path in folder.rglob("*") if path.suffix in kinds or path.name == "summary.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(found)}


def test_bits_do_not_depend_on_the_threads(tmp_path):
    """Runs, noisy runs, kernels and their kept weights are the same files with one thread and with four."""
    one, four = digests(tmp_path / "one", 1), digests(tmp_path / "four", 4)
    assert sum(name.endswith(".safetensors") for name in one) >= 5
    assert {"run/kernel.npz", "run/summary.json", "noisy/summary.json", "noisy/checkpoint.safetensors"} <= one.keys()
    assert [name for name in one if one[name] != four[name]] == []


def test_no_two_streams_share_a_seed():
    """Start, noise, annealing and fresh draws of neighbouring noisy runs are independent of each other."""
    configs = [NoisyConfig(seed=seed) for seed in (0, 1, 2, 3, 4, 5, 2**32 - 1)]
    seeds = [stream for config in configs for stream in (config.seed, *(_stream(config, k) for k in range(1, 6)))]
    assert len(set(seeds)) == len(seeds) == 42


def test_threads_are_given_back_after_an_error():
    """One thread within, as many as before afterwards, even if the work fails."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    within = []

    @one_thread()
    def work() -> None:
        within.append(torch.get_num_threads())
        raise KeyError

    with pytest.raises(KeyError):
        work()
    assert within == [1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
