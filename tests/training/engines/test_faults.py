"""Faults on one machine: killed again and again, interrupted, a full disk, two at once: the numbers stay the same."""

import errno
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from speedlimits import RunConfig, _files, train_run
from speedlimits.errors import RunFolderError
from speedlimits.runs.member import MemberStore
from speedlimits.runs.study import load_study
from speedlimits.training import member
from speedlimits.training.methods import choose_plan
from speedlimits.training.sources import Source
from speedlimits.training.train import train_study
from tests.training.engines.faults import STUDIES, alive, descendants, kill_all, same, start, wait_for


@pytest.fixture
def launch():
    """`start`, whose processes are killed at the end of the test.

    Yields:
        The function.
    """
    started = []
    yield lambda *arguments, **options: started.append(start(*arguments, **options)) or started[-1]
    for process in started:
        if process.poll() is None:
            kill_all(process)


@pytest.mark.slow
def test_killed_ten_times_at_random(undisturbed, tmp_path, launch):
    """`kill -9` of the command alone or with its workers, after a random number of records, ten times over."""
    chance = random.Random(0)
    for attempt in range(10):
        process = launch(tmp_path / "cut", resume=attempt > 0)
        # Some eighty parts in all, and a few are written while a kill takes effect: ten kills must find work left.
        goal = len(list(tmp_path.rglob("part-*"))) + chance.randrange(1, 5)
        wait_for(lambda goal=goal: len(list(tmp_path.rglob("part-*"))) >= goal)
        family = descendants(process.pid)
        assert len(family) == 3
        if attempt % 2:
            kill_all(process)
        else:
            process.kill()
            process.communicate()
        # Workers whose parent was killed end by themselves.
        wait_for(lambda family=family: not alive(family), 10)
    assert not (tmp_path / "cut" / "n60" / "summary.json").exists()
    assert launch(tmp_path / "cut", resume=True).communicate(timeout=60) == ("", "")
    same(tmp_path / "cut", undisturbed)
    assert len(load_study(tmp_path / "cut")["n60"].provenance["resumed"]) == 10


def test_interrupted_study_goes_on(undisturbed, tmp_path, launch):
    """Ctrl-C: one line, exit code 130, no process left, and --resume ends with the same numbers."""
    process = launch(tmp_path / "cut")
    wait_for(lambda: len(list(tmp_path.rglob("part-*"))) > 4)
    family = descendants(process.pid)
    # As a terminal does it: to the whole foreground group.
    os.killpg(process.pid, signal.SIGINT)
    printed, error = process.communicate(timeout=20)
    assert (printed, error) == (
        "",
        "speedlimits: interrupted; the same command with --resume goes on where it stood\n",
    )
    assert process.returncode == 130
    assert not alive(family)
    train_study(STUDIES, tmp_path / "cut", resume=True)
    same(tmp_path / "cut", undisturbed)


def test_second_process_is_refused(undisturbed, tmp_path, launch):
    """While one process runs the studies, another is refused their folder and each run folder, and disturbs nothing."""
    first = launch(tmp_path / "run")
    wait_for(lambda: list(tmp_path.rglob("part-*")))
    for attempt, folder in (
        (lambda: train_study(STUDIES, tmp_path / "run", resume=True), tmp_path / "run"),
        (lambda: train_study(STUDIES, tmp_path / "run", force=True), tmp_path / "run"),
        (lambda: train_run(STUDIES["n60"], tmp_path / "run" / "n60", resume=True), tmp_path / "run" / "n60"),
    ):
        with pytest.raises(
            RunFolderError, match=f"`out` must not be in use; another process is writing to {folder}\\."
        ):
            attempt()
    assert first.poll() is None
    assert first.communicate(timeout=60) == ("", "")
    same(tmp_path / "run", undisturbed)


def train(plan, folder) -> list[float]:
    """Train the member to its end; the shares of T that it told of."""
    return [word.share for word in member.train_member(TINY, 0, plan, folder, SOURCE)]


TINY = RunConfig(samples=9, width=4, seeds=(0,), time=0.02, records=6, snapshots=3)
SOURCE = Source.of(TINY)


def test_disk_full_at_any_write(tmp_path, monkeypatch):
    """Whichever write finds no space, the error names its file, and what lies there goes on to the same numbers."""
    plan = choose_plan(TINY, {0: member.measure_sharpness(TINY, 0, SOURCE)})
    monkeypatch.setattr(member, "CHECKPOINT_SECONDS", 0.0)
    genuine = _files._write_and_rename
    left = [10**9]

    def write(path, fill):
        left[0] -= 1
        if left[0] == 0:
            # As a real disk does it: some of the file is there, under its temporary name.
            path.with_name(f".{path.name}.x.tmp").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        genuine(path, fill)

    monkeypatch.setattr(_files, "_write_and_rename", write)
    train(plan, tmp_path / "whole")
    writes = 10**9 - left[0]
    assert writes > 12
    expected = (tmp_path / "whole" / "distances.safetensors").read_bytes()
    for k in range(1, writes + 1):
        folder = tmp_path / "full"
        left[0] = k
        with pytest.raises(OSError, match="No space left on device") as found:
            train(plan, folder)
        assert Path(found.value.filename).is_relative_to(folder)
        left[0] = 10**9
        train(plan, folder)
        MemberStore(folder).verify()
        for field in ("times", "losses", "arc_lengths", "path_dissipation", "weight_traces", "snapshot_records"):
            again, whole = (getattr(MemberStore(at).trajectory(), field) for at in (folder, tmp_path / "whole"))
            assert again.tobytes() == whole.tobytes()
        assert (folder / "distances.safetensors").read_bytes() == expected
        shutil.rmtree(folder)


@pytest.mark.slow
def test_real_disk_full(undisturbed, tmp_path, launch):
    """A file system of 200 kB: exit code 1 and one line; with more room the same command goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        process = launch(disk / "run")
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        assert error.count("\n") == 1
        assert error.startswith("speedlimits: ")
        assert "No space left on device" in error
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        process = launch(disk / "run", resume=True)
        assert process.communicate(timeout=60) == ("", "")
        same(disk / "run", undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    "victim", ["checkpoint.safetensors", "series/part-*", "snapshots/0*", "snapshots/manifest.json"]
)
def test_truncated_file_costs_only_time(tmp_path, monkeypatch, victim):
    """A member stopped half way, one of its files cut short: it starts anew and ends with the same numbers."""
    plan = choose_plan(TINY, {0: member.measure_sharpness(TINY, 0, SOURCE)})
    monkeypatch.setattr(member, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(member, "REPORT_SECONDS", -1.0)
    whole_shares = train(plan, tmp_path / "whole")
    for word in member.train_member(TINY, 0, plan, tmp_path / "cut", SOURCE):
        if word.share > 0.3:
            break
    path = sorted((tmp_path / "cut").glob(victim))[0]
    path.write_bytes(path.read_bytes()[:-7])
    assert train(plan, tmp_path / "cut") == whole_shares
    MemberStore(tmp_path / "cut").verify()
    for field in ("times", "losses", "path_dissipation", "weight_traces", "snapshot_distances_squared"):
        again, whole = (getattr(MemberStore(tmp_path / at).trajectory(), field) for at in ("cut", "whole"))
        assert again.tobytes() == whole.tobytes()
