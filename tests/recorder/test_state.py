"""A recording that was put away and taken up again, bit for bit."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder
from tests.recorder.loops import batches, mlp

FIELDS = ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation", "step_gradients_squared")
FIELDS += ("weight_traces", "snapshot_records", "snapshot_distances_squared", "tolerances", "snapshot_tolerances")


class Training:
    """A loop that can stop anywhere."""

    def __init__(self, *, hidden: int = 32, late: bool = False, **options) -> None:
        torch.manual_seed(0)
        self.model = mlp() if hidden == 32 else nn.Sequential(nn.Linear(10, hidden), nn.Tanh(), nn.Linear(hidden, 3))
        weights = list(self.model.parameters())
        self.optimizer = optim.Adam(weights[: -2 if late else None], lr=1e-2)
        self.recorder = Recorder(**options).attach(self.optimizer)

    def steps(self, first: int, last: int) -> None:
        for number, (inputs, labels) in enumerate(batches(last)):
            if number < first:
                continue
            loss = cross_entropy(self.model(inputs), labels)
            self.recorder.record(loss=loss)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def join(self) -> None:
        self.optimizer.add_param_group({"params": list(self.model.parameters())[-2:]})

    def state(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "recorder": self.recorder.state_dict(),
        }

    def load(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recorder.load_state_dict(state["recorder"])


def same(one: Recorder, other: Recorder) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one.trajectory(), name), getattr(other.trajectory(), name), err_msg=name)
    mine, theirs = one.noise().curve, other.noise().curve
    for name in ("dissipation", "noise", "noise_moved", "w2_squared"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
    assert one.verdict() == other.verdict()


@pytest.mark.parametrize(
    "options",
    [{}, {"every": 4}, {"hidden": 700, "sketch": 500}, {"hidden": 700, "sketch": 500, "memory": "sketch"}],
    ids=["exact", "every fourth", "sketch", "sketch alone"],
)
def test_resumed_recording_is_the_uninterrupted_one(options):
    """Stopped in the middle, written, read and gone on with: every number has the same bits."""
    whole = Training(**options)
    whole.steps(0, 40)
    before = Training(**options)
    before.steps(0, 22)
    file = io.BytesIO()
    torch.save(before.state(), file)
    file.seek(0)
    after = Training(**options)
    after.load(torch.load(file, weights_only=True))
    after.steps(22, 40)
    same(whole.recorder.finish(0.5), after.recorder.finish(0.5))
    assert "moved outside" not in after.recorder.verdict()


@pytest.mark.parametrize("memory", ["copy", "sketch"])
def test_parameters_that_joined_are_resumed_too(memory):
    """A group that joined before or after the stop makes no difference."""
    options = {"late": True, "memory": memory, "sketch": 100}
    runs = []
    for stop in (None, 10, 30):
        run = Training(**options)
        run.steps(0, 10 if stop == 10 else 20)
        if stop == 10:
            again = Training(**options)
            again.load(copy.deepcopy(run.state()))
            run = again
            run.steps(10, 20)
        run.join()
        run.steps(20, 30)
        if stop == 30:
            again = Training(**options)
            again.join()
            again.load(copy.deepcopy(run.state()))
            run = again
        run.steps(30, 40)
        runs.append(run.recorder.finish(0.5))
    same(runs[0], runs[1])
    same(runs[0], runs[2])


@pytest.mark.parametrize("way", [lambda r: pickle.loads(pickle.dumps(r)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_can_be_read_and_attached(way):
    """What comes back is no longer attached; it is read as before, and goes on where it is attached."""
    whole, run = Training(), Training()
    whole.steps(0, 40)
    run.steps(0, 20)
    twin = way(run.recorder)
    same(run.recorder, twin)
    run.recorder.detach()
    run.recorder = twin.attach(run.optimizer)
    run.steps(20, 40)
    same(whole.recorder.finish(0.5), twin.finish(0.5))


def test_an_attached_optimizer_can_be_copied():
    """Hooks do not stand in the way of pickling the optimizer itself."""
    run = Training()
    run.steps(0, 3)
    for twin in (pickle.loads(pickle.dumps(run.optimizer)), copy.deepcopy(run.optimizer)):
        assert twin.param_groups[0]["lr"] == 1e-2


def test_state_of_other_weights_is_refused():
    """The first tensor that differs is named; nothing is left half read."""
    small, wide = Training(), Training(hidden=64)
    small.steps(0, 4)
    with pytest.raises(
        ValueError, match=r"`state` must be of the weights attached; tensor 0 is \[\[32, 10\], 'float32'\]"
    ):
        wide.recorder.load_state_dict(small.recorder.state_dict())
    with pytest.raises(ValueError, match="`state` must be of schema 1; it is of None"):
        wide.recorder.load_state_dict({})
    wide.steps(0, 3)
    assert len(wide.recorder.trajectory()) == 3


def test_state_before_anything_was_recorded():
    """A recorder that has seen nothing can be put away as well."""
    run = Training()
    again = Training()
    again.recorder.load_state_dict(run.recorder.state_dict())
    again.steps(0, 3)
    assert len(again.recorder.finish().trajectory()) == 4
