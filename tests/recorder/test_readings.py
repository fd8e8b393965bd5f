"""What a recorder gives back: a folder, a page, a card, a figure that is drawn again; each of a real short training."""

import pickle
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speedlimits import Recorder
from speedlimits.report.figures.live import SHARE, LiveFigure
from speedlimits.runs import load_recording, verify


def train(recorder: Recorder, steps: int = 60, *, every: int = 5, optimizer=torch.optim.SGD) -> Recorder:
    """A small regression by mini-batches."""
    torch.manual_seed(0)
    inputs = torch.randn(64, 5)
    targets = inputs.sum(1, keepdim=True)
    model = torch.nn.Linear(5, 1)
    steps_by = optimizer(model.parameters(), lr=0.05)
    recorder.attach(steps_by)
    for step in range(steps):
        batch = torch.randint(64, (16,))
        loss = (model(inputs[batch]) - targets[batch]).square().mean()
        if step % every == 0:
            recorder.record(loss=loss)
        steps_by.zero_grad()
        loss.backward()
        steps_by.step()
    return recorder.finish()


def test_saved_recording_is_what_was_seen(tmp_path):
    """The folder has the recorder's own path, estimate and words, and what it was attached to."""
    recorder = train(Recorder())
    read = load_recording(recorder.save(tmp_path / "loop", name="sums"))
    run = recorder.trajectory()
    for name in ("times", "losses", "w2_squared", "path_dissipation", "snapshot_distances_squared"):
        np.testing.assert_array_equal(getattr(read.trajectory, name), getattr(run, name))
    assert read.noise.inefficiency == recorder.noise().inefficiency
    assert read.summary["verdict"] == recorder.verdict().splitlines()
    config = read.config
    assert (config.name, config.optimizers, config.weights) == ("sums", ("SGD",), 6)
    assert (config.precision, config.device, config.sketch, config.exact) == (("float32",), "cpu", 6, True)
    assert not verify(tmp_path / "loop").problems
    with pytest.raises(Exception, match="force=True replaces it"):
        recorder.save(tmp_path / "loop")
    recorder.save(tmp_path / "loop", force=True)


def test_page_of_a_recorder(tmp_path):
    """One file under any name, in a folder that is made for it."""
    page = train(Recorder()).report(tmp_path / "new" / "loop.html", name="sums")
    assert page == tmp_path / "new" / "loop.html"
    assert "<title>Speed limit of sums</title>" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["loop.html"]


def test_optimizers_are_remembered():
    """By name, after the hooks are off, through pickling and a second phase; by hand there is none."""
    recorder = train(Recorder())
    again = pickle.loads(pickle.dumps(recorder))
    assert again.recording().config == recorder.recording().config
    assert repr(again) == "Recorder(SGD, 13 records)"
    by_hand = Recorder(sketch=None)
    for k in range(3):
        by_hand.record(time=float(k), loss=1.0, model=torch.full((2,), float(k)))
    assert by_hand.recording().config.method == "by hand"
    assert by_hand.recording().config.sketch == 0
    assert repr(by_hand) == "Recorder(3 records)"


def test_sketch_is_told_from_the_weights():
    """More weights than numbers for them: a sketch of the largest prime."""
    recorder = Recorder(sketch=10).attach(torch.optim.SGD([torch.zeros(100, requires_grad=True)], lr=0.1))
    recorder.record(loss=1.0)
    config = recorder.recording().config
    assert (config.weights, config.sketch, config.exact) == (100, 7, False)


def test_card_has_verdict_and_pictures_and_no_arrays():
    """Every sentence, three pictures of finite numbers, a few kilobytes."""
    recorder = train(Recorder(), steps=400)
    found = recorder._repr_html_()
    for line in recorder.verdict().splitlines():
        assert line in found
    assert found.count("<svg") == 3
    assert len(found) < 12_000
    assert "array(" not in found
    assert not re.search(r"\b(nan|inf)\b", "".join(re.findall(r'points="([^"]*)"', found)))


def test_card_of_nothing_raises_nothing():
    """Before the first record the card says so; where weights moved in no time it has words and no picture."""
    assert "`record` was not called" in Recorder()._repr_html_()
    assert repr(Recorder()) == "Recorder(0 records)"
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    jumped = Recorder().attach(optimizer, time_step=0.0)
    jumped.record(loss=1.0)
    weight.square().sum().backward()
    optimizer.step()
    jumped.finish()
    shown = jumped._repr_html_()
    assert "<svg" not in shown
    assert len(shown) < 1000


def test_live_figure_is_drawn_again(monkeypatch):
    """`record` draws when it is due, `finish` at once; the curve has all records, and drawing takes 5 % at most."""
    recorder = Recorder()
    figure = recorder.live()
    assert recorder.live() is figure
    drawn = []
    draw = LiveFigure.draw
    monkeypatch.setattr(LiveFigure, "draw", lambda self, run: (drawn.append(len(run)), draw(self, run)))
    train(recorder, steps=40, every=1)
    assert drawn[0] == 1
    assert drawn[-1] == 41
    assert len(drawn) < 10
    limits = figure.axes[1].lines[1]
    np.testing.assert_allclose(limits.get_ydata(), recorder.speed_limit().speed_limit[1:])
    assert str(recorder.speed_limit()) == figure.get_suptitle()


def test_drawing_takes_its_share_at_most():
    """A drawing that takes long is followed by a longer time without."""
    run, live = train(Recorder()).trajectory(), LiveFigure()
    assert live.due
    began = time.monotonic()
    live.draw(run)
    took = time.monotonic() - began
    assert not live.due
    assert live._next - began >= max(1.0, 0.5 * took / SHARE)


def test_live_figure_in_a_notebook(monkeypatch):
    """The kernel's display is asked once, and what it gives back is updated from then on."""
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(picture.data[:4])

    def begin(picture, *, display_id):
        assert display_id
        shown.append(picture.data[:4])
        return Handle()

    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace(kernel=1))
    monkeypatch.setattr(display, "display", begin)
    recorder, live = train(Recorder()), LiveFigure()
    live.draw(recorder.trajectory())
    live.draw(recorder.trajectory())
    assert shown == [b"\x89PNG"] * 2
