"""A recording folder: what was saved comes back bit for bit, or is refused in one line."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from speedlimits import load_run
from speedlimits.errors import RunFolderError
from speedlimits.noise import Noise, StrideCurve
from speedlimits.runs import Recording, RecordingConfig, load, load_recording, verify
from speedlimits.runs.recording import FILES, NOISE, TRAJECTORY
from tests.recordings import by_hand, noisy, steady


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return noisy().save(tmp_path_factory.mktemp("recording") / "sgd")


@pytest.fixture
def saved(made, tmp_path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "sgd"))


def bits(value: object) -> object:
    """Everything in it, to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return np.float64(value).tobytes()
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    if dataclasses.is_dataclass(value):
        return {field.name: bits(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


@pytest.mark.parametrize("recording", [noisy, by_hand])
def test_round_trip(tmp_path, recording):
    """Path, strides, estimate, numbers and words, all as they were; NaN as well."""
    before = recording()
    after = load_recording(before.save(tmp_path / "new" / "one"))
    for name in ("config", "trajectory", "noise", "summary"):
        assert bits(getattr(after, name)) == bits(getattr(before, name)), name
    assert after.path == tmp_path / "new" / "one"
    assert after.provenance["id"] == json.loads((after.path / "manifest.json").read_text())["run"]
    assert bits(load(after.path).summary) == bits(before.summary)
    assert not verify(after.path).problems


def test_estimate_without_number_comes_back(tmp_path):
    """What one run cannot tell is NaN, with its reason."""
    noise = dataclasses.replace(
        noisy().noise, inefficiency=np.nan, interval=(np.nan, np.inf), identifiable="no", reason="it is too short"
    )
    recording = dataclasses.replace(noisy(), noise=noise)
    assert bits(load_recording(recording.save(tmp_path / "x")).noise) == bits(noise)


def test_every_field_is_kept():
    """A field that is added to the estimate or the curve must be saved, too."""
    from speedlimits.runs.recording import CURVE, NUMBERS, WORDS

    assert {field.name for field in dataclasses.fields(StrideCurve)} == {*CURVE, "scatter"}
    assert {field.name for field in dataclasses.fields(Noise)} == {*NUMBERS, *WORDS, "curve"}


def test_manifest_lists_every_file(saved):
    there = {path.name for path in saved.iterdir()} - {".lock", "manifest.json"}
    assert there == set(FILES)
    assert verify(saved).files == len(FILES)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "foreign"])
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_damage_is_refused(saved, name, damage):
    """One line with the file, by reading and by `verify`, whatever has happened to it."""
    path = saved / name
    content = path.read_bytes()
    middle = len(content) // 2
    after = {
        "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "truncate": content[:middle],
        "foreign": b"{}",
    }
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(after[damage])
    with pytest.raises(RunFolderError, match=name) as caught:
        load_recording(saved)
    assert len(str(caught.value).splitlines()) == 1
    assert "--resume" not in str(caught.value)
    if name != "recording.toml" or damage != "delete":
        assert any(name in line for line in verify(saved).problems)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_files_of_another_recording_are_refused(saved, tmp_path, name):
    """Swapped with those of a loop with another seed, each whole and of the same kind."""
    other = noisy(seed=1, name="another").save(tmp_path / "other")
    shutil.copy(other / name, saved / name)
    with pytest.raises(RunFolderError, match=r"recording|of another run"):
        load_recording(saved)
    assert verify(saved).problems


def test_foreign_folders_are_left_alone(tmp_path):
    """A folder with other files, a run, and a file: refused with and without force, and nothing is touched."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("samples = 3\n")
    for folder in ("mine", "run"):
        for force in (False, True):
            with pytest.raises(RunFolderError, match=r"`out` must be a new or empty folder; .* holds something else"):
                noisy().save(tmp_path / folder, force=force)
        assert len(list((tmp_path / folder).iterdir())) == 1
    (tmp_path / "file").write_text("words")
    with pytest.raises(RunFolderError, match="`out` must be"):
        noisy().save(tmp_path / "file")


def test_a_recording_is_replaced_only_by_force(saved):
    """Without, it says how; with, the new one has an id of its own, and a foreign file stays."""
    before = load_recording(saved)
    with pytest.raises(RunFolderError, match=r"holds a recording \(force=True replaces it\)"):
        by_hand().save(saved)
    assert load_recording(saved).provenance == before.provenance
    (saved / "notes.txt").write_text("mine")
    by_hand().save(saved, force=True)
    assert load_recording(saved).provenance["id"] != before.provenance["id"]
    assert load_recording(saved).noise is None
    assert {path.name for path in saved.iterdir()} == {*FILES, "manifest.json", "notes.txt", ".lock"} - {NOISE}


def test_half_a_recording_is_named(saved):
    """Killed while it was saved: what to do is said, and done."""
    (saved / "manifest.json").unlink()
    (saved / TRAJECTORY).unlink()
    with pytest.raises(
        RunFolderError, match=r"holds an unfinished recording: manifest.json is missing \(save it again"
    ):
        load_recording(saved)
    noisy().save(saved, force=True)
    assert not verify(saved).problems


def test_runs_and_recordings_are_told_apart(saved, tmp_path):
    """Each reader refuses the other's folder, and says what is there."""
    with pytest.raises(RunFolderError, match=r"must be a run folder; .* holds a recording \(`speedlimits.runs.load`"):
        load_run(saved)
    with pytest.raises(RunFolderError, match=r"must be a recording folder; .* holds no recording.toml"):
        load_recording(tmp_path)
    with pytest.raises(RunFolderError, match=r"must be a recording folder; .* does not exist"):
        load_recording(tmp_path / "nothing")
    (tmp_path / "recording.toml").write_text("weights = 3\n")
    with pytest.raises(RunFolderError, match=r"is of no recording of speedlimits"):
        load_recording(tmp_path)


def test_numbers_of_the_summary():
    """They are those of the speed limit at the end; the losses are the first and last that are numbers."""
    recording = steady()
    path = recording.trajectory
    mean = recording.summary["mean"]
    assert mean["inefficiency"] == pytest.approx(path.time * path.path_dissipation[-1] / path.w2_squared[-1])
    assert recording.summary["noise"]["inefficiency"] == recording.noise.inefficiency
    assert recording.summary["method"] == "SGD"
    assert by_hand().summary["method"] == "by hand"
    # What is not known is no number.
    assert noisy().summary["noise"]["inefficiency"] is None
    assert by_hand().summary["noise"] is None
    assert mean["loss_final"] == path.losses[-1]


def test_what_was_recorded_is_checked():
    with pytest.raises(ValueError, match="`weights` must be an integer of at least 1"):
        RecordingConfig(weights=0)


def test_one_line_tells_what_it_is():
    """No arrays are dumped."""
    assert repr(noisy()) == "Recording(a regression, 61 records to T = 6)"
    assert isinstance(noisy(), Recording)
