"""Advice: a sentence where a rule applies, with its numbers, and none where nothing is known."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn, optim

from speedlimits import Trajectory, speed_limit
from speedlimits.advice import advise
from speedlimits.noise import Noise, StrideCurve
from speedlimits.recorder import Edge, Recorder

pytestmark = pytest.mark.usefixtures("as_user")


def run(steps: int, edge_steps: np.ndarray | float = math.nan, losses: tuple[float, float] = (2.0, 1.0)) -> Trajectory:
    """Equal steps of length 1 on a straight line; the clock of the edge is given."""
    times = np.linspace(0.0, 1.0, 3)
    return Trajectory(
        times=times,
        losses=np.linspace(*losses, 3),
        w2_squared=times**2,
        arc_lengths=times,
        path_dissipation=times,
        steps=times * steps,
        step_dissipation=times / steps,
        edge_steps=times * edge_steps if np.ndim(edge_steps) == 0 else edge_steps,
        edge_dissipation=times,
    )


def noise(share: float) -> Noise:
    """Strides that tell this share."""
    nothing = np.zeros((1, 1))
    curve = StrideCurve(np.ones(1), np.ones(1), nothing, nothing, nothing, [], np.ones(1), 1.0, 1)
    return Noise(1.0, 0.1, (0.8, 1.2), share, 0.0, "number", "", curve)


def test_nothing_is_said_where_nothing_is_known():
    """Without the curvature, without noise, with half of the loss gone: no rule applies."""
    assert advise(run(100)) == ()
    assert speed_limit(run(100)).advice() == ()
    assert advise(run(100, losses=(math.nan, math.nan))) == ()


def test_headroom_is_the_least_on_the_way():
    """Twelve times too slow in the beginning and twice in the end: the rate could be doubled."""
    (said,) = advise(run(200, np.array([0.0, 100 / 12, 100 / 12 + 50])))
    assert said == (
        "The learning rate could be about 2 times higher: 200 steps went where 58.3 at the edge of stability would go."
    )
    assert "2 times higher, less where noise sets in: 200 steps" in advise(run(200, 100.0), noise=noise(0.3))[0]
    assert advise(run(200, np.array([0.0, 10.0, 110.0]))) == ()


def test_at_the_edge_curvature_is_what_is_left():
    """N within 1.5 N_edge or beyond it, and at least fifty steps."""
    for edge_steps in (80.0, 100.0, 300.0):
        (said,) = advise(run(100, edge_steps))
        assert said.startswith(f"The steps are at the edge of stability (N = 100, N_edge = {edge_steps:.3g}): a higher")
    assert advise(run(40, 40.0)) == ()


def test_uneven_steps_of_descent_can_be_prescribed():
    """A pace of 4 or more by steps, by SGD alone; of other optimizers, or unknown ones, nothing is known."""
    uneven = dataclasses.replace(run(100), step_dissipation=np.array([0.0, 0.02, 0.05]))
    (said,) = advise(uneven, optimizers=["SGD"])
    assert said.startswith("The steps were uneven (pace 5 by the clock of steps): steps of prescribed length, by")
    assert advise(uneven) == advise(uneven, optimizers=["SGD", "Adam"]) == ()
    assert advise(run(100), optimizers=["SGD"]) == ()


def test_noise_and_oscillations_say_what_the_number_means():
    """Above a tenth of the dissipation noise is named, above all of it steps turn back."""
    assert advise(run(100), noise=noise(0.05)) == ()
    assert advise(run(100), noise=noise(0.4))[0].startswith("40% of the dissipation is what neighbouring steps do not")
    assert advise(run(100), noise=noise(1.5))[0].startswith("Steps turn back, so that T/T_SL = 1 counts an oscillation")


def test_a_beginning_is_no_training():
    """Below a tenth of the loss the number is that of a beginning; a loss that rose is no progress."""
    assert advise(run(100, losses=(2.0, 1.9)))[0].startswith("Only 5.0% of the loss is gone: T/T_SL = 1 is that of a")
    assert advise(run(100, losses=(2.0, 3.0)))[0].startswith("Only 0.0% of the loss is gone")


def test_three_sentences_at_most_and_what_to_do_first():
    """All rules that can apply together do, in their order."""
    said = advise(run(100, 100.0, losses=(2.0, 2.0)), noise=noise(1.5))
    assert [sentence.split()[0] for sentence in said] == ["The", "Steps", "Only"]


def test_a_limit_advises_on_its_last_time():
    """The whole and its end carry the sentences, an earlier time does not."""
    limit = speed_limit(run(200, 20.0), clock="step")
    assert limit.advice() == limit.final.advice() == limit[1:].advice() == advise(run(200, 20.0))
    assert limit[1].advice() == ()


def test_a_recorder_advises_and_its_page_shows_it(tmp_path):
    """Descent at a fifth of the stable rate: about 5 times higher, and uneven; in the summary and on the page."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = optim.SGD([weight], lr=0.2)
    recorder = Recorder(edge=Edge(lambda: weight.square().sum(), share=1.0)).attach(optimizer)
    for _ in range(60):
        loss = weight.square().sum()
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said, lengths = recorder.finish().advice()
    assert lengths.startswith("The steps were uneven")
    assert said.startswith("The learning rate could be about 5 times higher: 60 steps went where 12 at the edge")
    assert recorder.recording().summary["advice"] == [said, lengths]
    page = recorder.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert said in page.partition("What to do")[2]
