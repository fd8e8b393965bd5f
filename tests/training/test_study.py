"""A study of several runs: each member once, killed and resumed to the same bits, refused for a reason."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from speedlimits.errors import RunFolderError
from speedlimits.runs.study import load_study, read_study
from speedlimits.runs.verification import verify
from speedlimits.training.presets import PRESETS, preset
from speedlimits.training.train import train_study
from tests.training.studies import STUDIES, series


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished study of two runs."""
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    train_study(STUDIES, folder)
    return folder


def rows(folder: Path) -> list[tuple[int, int]]:
    """The (samples, seed) of every finished member."""
    runs = load_study(folder).values()
    return [(run.summary["samples"], member["seed"]) for run in runs for member in run.summary["members"]]


def test_every_row_is_there_once(finished):
    """Two sizes and two seeds: four members, each in one place, in the order given."""
    assert rows(finished) == [(20, 0), (20, 3), (40, 0), (40, 3)]
    assert read_study(finished) == STUDIES


@pytest.mark.slow
def test_killed_sweep_resumes_to_the_same_bits(finished, tmp_path):
    """`kill -9` while the smaller run trains: resumed, every member is there once and equal bit for bit."""
    code = (
        "from tests.training.studies import STUDIES\n"
        "from speedlimits.training.train import train_study\n"
        f"train_study(STUDIES, {str(tmp_path / 'cut')!r}, workers=1)\n"
    )
    environment = os.environ | {"SPEEDLIMITS_CHECKPOINT_SECONDS": "0"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cut").glob("n20/members/*/checkpoint.safetensors")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    events = []
    train_study(STUDIES, tmp_path / "cut", resume=True, progress=lambda name, event: events.append((name, event.share)))
    assert rows(tmp_path / "cut") == rows(finished)
    for name in STUDIES:
        assert series(tmp_path / "cut" / name) == series(finished / name)
    # The run that had ended was not trained again.
    assert {share for name, share in events if name == "n40"} == {1.0}


def test_members_and_runs_are_added(finished, tmp_path):
    """One member of one run, then all of both: the same bits as at once; what is there is not trained again."""
    first = replace(STUDIES["n20"], seeds=(3,))
    train_study({"n20": first}, tmp_path / "grown", engine="inline")
    member = tmp_path / "grown" / "n20" / "members" / "seed-00003" / "member.json"
    before = member.stat().st_mtime_ns
    with pytest.raises(RunFolderError, match="to go on with it; it is another"):
        train_study({"n20": replace(STUDIES["n20"], records=21)}, tmp_path / "grown", engine="inline", resume=True)
    assert read_study(tmp_path / "grown") == {"n20": first}
    train_study(STUDIES, tmp_path / "grown", engine="inline", resume=True)
    assert rows(tmp_path / "grown") == rows(finished)
    for name in STUDIES:
        assert series(tmp_path / "grown" / name) == series(finished / name)
        assert not verify(tmp_path / "grown" / name).problems
    assert member.stat().st_mtime_ns == before
    with pytest.raises(RunFolderError, match="to go on with it; it is another"):
        train_study({**STUDIES, "n20": first}, tmp_path / "grown", engine="inline", resume=True)


def test_members_are_added_to_a_study_kept_without_its_weights(finished, tmp_path):
    """A study as the repository keeps one takes a further member, to the same bits, and trains no other again."""
    first = replace(STUDIES["n20"], seeds=(3,))
    train_study({"n20": first}, tmp_path / "kept", engine="inline")
    member = tmp_path / "kept" / "n20" / "members" / "seed-00003"
    for weights in (member / "snapshots").glob("*.safetensors"):
        weights.unlink()
    before = (member / "member.json").stat().st_mtime_ns
    train_study({"n20": STUDIES["n20"]}, tmp_path / "kept", engine="inline", resume=True)
    kept, whole = (load_study(folder)["n20"].trajectories for folder in (tmp_path / "kept", finished))
    assert {seed: run.w2_squared.tobytes() for seed, run in kept.items()} == {
        seed: run.w2_squared.tobytes() for seed, run in whole.items()
    }
    assert not verify(tmp_path / "kept" / "n20").problems
    assert (member / "member.json").stat().st_mtime_ns == before


def test_truncated_checkpoint_costs_only_time(finished, tmp_path):
    """A member whose checkpoint is cut short starts anew and ends with the same numbers."""
    train_study({"n20": STUDIES["n20"]}, tmp_path / "cut")
    member = tmp_path / "cut" / "n20" / "members" / "seed-00003"
    (tmp_path / "cut" / "n20" / "summary.json").unlink()
    (member / "member.json").unlink()
    (member / "checkpoint.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    train_study({"n20": STUDIES["n20"]}, tmp_path / "cut", resume=True)
    assert series(tmp_path / "cut" / "n20") == series(finished / "n20")


def test_folders_are_refused_for_a_reason(finished, tmp_path):
    """Not overwritten without force, nor where another study or something else lies there; one process at a time."""
    with pytest.raises(RunFolderError, match=r"holds a study \(--resume goes on with it, --force replaces it\)"):
        train_study(STUDIES, finished)
    with pytest.raises(RunFolderError, match=r"the study must be the one in .*study\.toml"):
        train_study({"n20": STUDIES["n20"]}, finished, resume=True)
    with pytest.raises(ValueError, match="`resume` must not be given with `force`"):
        train_study(STUDIES, finished, resume=True, force=True)
    with pytest.raises(RunFolderError, match=r"holds no study\.toml"):
        train_study(STUDIES, tmp_path, resume=True)
    (tmp_path / "chapter1.tex").write_text("precious")
    with pytest.raises(RunFolderError, match="holds something else"):
        train_study(STUDIES, tmp_path, force=True)
    with FileLock(finished / ".lock"), pytest.raises(RunFolderError, match="another process is writing"):
        train_study(STUDIES, finished, resume=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n20 = 3\n", "is of no study of speedlimits"),
        ("[n20]\nsmaples = 3\n", "is of no study of speedlimits"),
        ("[n20\n", "is damaged"),
    ],
)
def test_damaged_list_is_named(tmp_path, content, words):
    """A `study.toml` that is no list of runs is named with its path."""
    (tmp_path / "study.toml").write_text(content)
    with pytest.raises(RunFolderError, match=rf"study\.toml {words}"):
        read_study(tmp_path)


def test_paper_preset_is_the_papers():
    """Myrtle-5 with 128 channels, ReLU, six seeds, n = 500, 1250, 2500, 5000, T = 20."""
    studies = preset("paper")
    assert [config.samples for config in studies.values()] == [500, 1250, 2500, 5000]
    for config in studies.values():
        assert (config.model, config.width, len(config.seeds), config.time) == ("myrtle", 128, 6, 20.0)
        assert config.dataset == "cifar10"


def test_presets_can_be_run_in_part():
    """Fewer sizes, seeds and another device: the rest stays as the preset says."""
    (name, config), *rest = preset("paper", samples=[500], seeds=[1], device="cuda").items()
    assert (name, rest) == ("myrtle-n00500", [])
    assert (config.seeds, config.device, config.width) == ((1,), "cuda", PRESETS["paper"][0].width)
    studies = preset("small", models=["myrtle", "fcn"], samples=[20])
    assert {name: config.model for name, config in studies.items()} == {"myrtle-n00020": "myrtle", "fcn-n00020": "fcn"}
    assert studies["fcn-n00020"].width == 4 * studies["myrtle-n00020"].width
    with pytest.raises(ValueError, match="`model` must be one of 'myrtle', 'fcn'; model = 'cnn'"):
        preset("small", models=["cnn"])
    with pytest.raises(ValueError, match="`name` must be one of 'smoke', 'small', 'paper'; name = 'large'"):
        preset("large")
