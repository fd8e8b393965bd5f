"""Trackers: what is written can be read again with the tracker's own reader."""

import logging
import math
import re

import pytest
import torch

from speedlimits import Recorder
from speedlimits.integrations import MLflow, TensorBoard, WandB
from speedlimits.recorder.mirrors import Mirrors, numbers_of
from tests.integrations.reference import network, task


def straight_line() -> dict[str, float]:
    """A line of length 3 walked in a time of 2 at the even speed that costs 4.5."""
    return numbers(2.0, 0.5, 9.0, 3.0, 4.5, 0.25)


def numbers(*values):
    *measured, noise_share = values
    names = ("time", "loss", "w2_squared", "arc_length", "path_dissipation")
    return numbers_of(dict(zip(names, measured, strict=True)), noise_share)


def test_numbers_are_those_of_the_limit():
    """T_SL = |Δθ|²/D, and T/T_SL = l²/|Δθ|² × TD/l²."""
    assert straight_line() == {
        "time": 2.0,
        "loss": 0.5,
        "speed_limit": 2.0,
        "inefficiency": 1.0,
        "geometric": 1.0,
        "pace": 1.0,
        "noise_share": 0.25,
    }
    bent = numbers(6.0, 0.1, 4.0, 4.0, 8.0, 0.0)
    assert (bent["speed_limit"], bent["inefficiency"]) == (0.5, 12.0)
    assert (bent["geometric"], bent["pace"]) == (4.0, 3.0)
    still = numbers(1.0, 1.0, 0.0, 0.0, 0.0, math.nan)
    assert [name for name, number in still.items() if math.isfinite(number)] == ["time", "loss"]


def test_layers_are_shown_one_by_one():
    """Each tensor's numbers by its name, the same as `Recorder.layers` gives, from the first step on."""

    class Seen(list):
        def write(self, step, numbers):
            self.append(numbers)

        def close(self):
            pass

    seen, model = Seen(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder(mirrors=[seen], layers=model).attach(optimizer)
    for _ in range(3):
        loss = sum(weight.square().sum() for weight in model.parameters())
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    recorder.finish()
    assert not [name for name in seen[0] if "/" in name]
    limits = recorder.layers(model)
    assert [name for name in seen[-1] if name.startswith("pace/")] == [f"pace/{name}" for name in limits]
    for name, limit in limits.items():
        assert seen[-1][f"inefficiency/{name}"] == limit.inefficiency
    with pytest.raises(ValueError, match=r"`memory` must be 'copy' or 'auto' with `layers`"):
        Recorder(memory="sketch", layers=model)


class Broken:
    """A tracker whose server is gone after one record."""

    def __init__(self) -> None:
        self.calls = 0

    def write(self, step, numbers):
        self.calls += 1
        if step > 0:
            raise ConnectionError("the server is gone")

    def close(self):
        self.calls += 1


class Kept(dict):
    """A tracker in memory."""

    def write(self, step, numbers):
        self[step] = numbers

    def close(self):
        self["closed"] = True


def test_a_mirror_that_fails_is_named_once_and_left_out(caplog):
    """The others go on, and nothing is raised; numbers that are not finite are not written."""
    broken, kept = Broken(), Kept()
    mirrors = Mirrors([broken, kept])
    with caplog.at_level(logging.WARNING):
        for step in range(4):
            mirrors.write(step, {"pace": 1.0, "inefficiency": math.nan})
        mirrors.close()
    assert broken.calls == 2
    assert [record.message for record in caplog.records] == [
        "Broken is written to no more: ConnectionError: the server is gone"
    ]
    assert kept == {0: {"pace": 1.0}, 1: {"pace": 1.0}, 2: {"pace": 1.0}, 3: {"pace": 1.0}, "closed": True}


@pytest.mark.parametrize("wrong", [TensorBoard, 3])
def test_what_is_no_mirror_is_refused(wrong, as_user):
    """A class in place of its object, or anything else, is named."""
    with pytest.raises(ValueError, match=r"`mirrors` must have `write` and `close`, see `Mirror`; got "):
        Mirrors([wrong])


def test_tensorboard_has_the_numbers(tmp_path):
    """Its own reader finds them, from a folder and from a writer in use, which stays open."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "used")) as used:
        for mirror, folder in ((TensorBoard(tmp_path / "own"), "own"), (TensorBoard(used), "used")):
            for step in (0, 10):
                mirror.write(step, straight_line())
            mirror.close()
            events = EventAccumulator(str(tmp_path / folder)).Reload()
            assert events.Tags()["scalars"] == [f"speedlimits/{name}" for name in straight_line()]
            found = events.Scalars("speedlimits/speed_limit")
            assert [(event.step, event.value) for event in found] == [(0, 2.0), (10, 2.0)]
        used.add_scalar("mine", 1.0, 0)


def test_mlflow_has_the_numbers(tmp_path, monkeypatch):
    """A run of its own is ended, an active one is used and stays active."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(tmp_path / "runs")
    client = mlflow.MlflowClient()

    def written(run_id):
        return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, "speedlimits/speed_limit")]

    mirror = MLflow()
    mirror.write(0, straight_line())
    own = mlflow.active_run().info.run_id
    mirror.write(10, straight_line())
    mirror.close()
    assert mlflow.active_run() is None
    assert client.get_run(own).info.status == "FINISHED"
    assert written(own) == [(0, 2.0), (10, 2.0)]
    with mlflow.start_run() as run:
        mirror = MLflow()
        mirror.write(5, straight_line())
        mirror.close()
        assert mlflow.active_run() is not None
    assert written(run.info.run_id) == [(5, 2.0)]


def test_wandb_has_the_numbers(tmp_path, monkeypatch):
    """Offline, a run of its own is finished, an active one with steps of its own is used and stays active."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    mirror = WandB(project="lines")
    mirror.write(0, straight_line())
    own = wandb.run
    mirror.write(10, straight_line())
    assert (own.summary["speedlimits/step"], own.summary["speedlimits/speed_limit"]) == (10, 2.0)
    mirror.close()
    assert wandb.run is None
    with wandb.init(project="lines") as run:
        run.log({"mine": 1.0}, step=100)
        mirror = WandB()
        mirror.write(5, straight_line())
        mirror.close()
        assert run.summary["speedlimits/step"] == 5
        run.log({"mine": 2.0}, step=200)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2


def test_only_the_first_process_writes(monkeypatch):
    """On another rank nothing is written or closed."""
    kept = Kept()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    for rank in (1, 0):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        assert kept == {}
        mirrors = Mirrors([kept])
        mirrors.write(0, {"pace": 1.0})
        mirrors.close()
    assert kept == {0: {"pace": 1.0}, "closed": True}


@pytest.mark.parametrize(
    ("tracker", "wrong", "message"),
    [
        (TensorBoard, 3, "`where` must be a folder or a SummaryWriter; where = 3."),
        (MLflow, 3, "`run_id` must be a text or None; run_id = 3."),
        (WandB, "my-project", "`run` must be a run of wandb or None; run = 'my-project'."),
    ],
)
def test_what_is_no_run_is_refused(tracker, wrong, message, as_user):
    """At once, and not at the first record of a training."""
    pytest.importorskip(tracker.__name__.lower())
    with pytest.raises(ValueError, match=re.escape(message)):
        tracker(wrong)


def test_a_missing_tracker_is_named(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ImportError, match=r"this tracker needs wandb: pip install 'speedlimits\[wandb\]'"):
        WandB()


def test_a_recorder_writes_what_it_finds():
    """At each record the mirror has the numbers of `speed_limit` and `noise`, and it is closed at the end."""
    kept, broken = Kept(), Broken()
    net, (inputs, labels) = network(), task()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(mirrors=[broken, kept]).attach(optimizer) as recorder:
        for step in range(40):
            loss = torch.nn.functional.cross_entropy(net(inputs[step::40]), labels[step::40])
            if step % 2 == 0:
                recorder.record(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    limit, noise = recorder.speed_limit(), recorder.noise()
    assert kept.pop("closed")
    assert list(kept) == list(range(0, 41, 2))
    for place, numbers in enumerate(list(kept.values())[1:], start=1):
        expected = {
            "time": limit.time[place],
            "speed_limit": limit.speed_limit[place],
            "inefficiency": limit.inefficiency[place],
            "geometric": limit.geometric[place],
            "pace": limit.pace[place],
        }
        assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert numbers["noise_share"] == noise.share
    assert broken.calls == 2
