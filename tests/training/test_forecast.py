"""The forecast before a study starts: of the right size, and scaled by the laws it states."""

import time

import pytest

from speedlimits import RunConfig, train_run
from speedlimits.training.forecast import forecast_member


def test_estimate_has_the_right_size(tmp_path):
    """Gradients within a factor of 3 of those a Myrtle-5 takes; seconds measured, so positive and short."""
    config = RunConfig(
        model="myrtle", samples=50, width=4, seeds=(0,), time=1.0, rtol=1e-2, dtype="float32", records=20, snapshots=4
    )
    expected = forecast_member(config)
    taken = train_run(config, tmp_path / "run").trajectories[0].gradient_evaluations[-1]
    assert taken / 3 < expected.gradients < 3 * taken
    assert 0 < expected.gradient_seconds < 5
    assert expected.seconds == pytest.approx(
        expected.gradients * expected.gradient_seconds + 20 * expected.accuracy_seconds, rel=1e-12
    )


def test_four_times_the_images():
    """Each gradient costs four times as much, twice as many are needed, the accuracy costs the same."""
    one = forecast_member(RunConfig(samples=20, width=4, seeds=(0,)))
    four = one.scaled(4.0)
    assert four.gradient_seconds == 4 * one.gradient_seconds
    assert four.gradients == 2 * one.gradients
    assert four.accuracy_seconds == one.accuracy_seconds


def test_threads_are_given_back():
    """The caller's number of threads is as before."""
    import torch

    before = torch.get_num_threads()
    start = time.monotonic()
    forecast_member(RunConfig(samples=10, width=2))
    assert torch.get_num_threads() == before
    assert time.monotonic() - start < 10
