"""What a recorder must find, the plain way: every weight as float64, every step subtracted and squared."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from speedlimits import Recorder


class Reference:
    """Time, |θ − θ_0|², Σ|δ| and Σ|δ|²/Δt of the steps that were told."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = list(weights)
        self._first = self._last = self._now()
        self.rows = [(0.0, 0.0, 0.0, 0.0)]

    def step(self, step_size: float) -> None:
        """The weights have moved."""
        now = self._now()
        squared = float((now - self._last).square().sum())
        time, _, arc_length, dissipation = self.rows[-1]
        far = float((now - self._first).square().sum())
        cost = squared / step_size if squared > 0 else 0.0
        self.rows.append((time + step_size, far, arc_length + squared**0.5, dissipation + cost))
        self._last = now

    def _now(self) -> Tensor:
        return torch.cat([weight.detach().double().flatten() for weight in self._weights])


def check(recorder: Recorder, reference: Reference, losses: list[float] | None = None, every: int = 1) -> None:
    """The recorder found what the reference found, at each record; of records at one time the first stays."""
    found, rows = recorder.trajectory(), np.array(reference.rows)
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    kept = [*range(0, len(rows) - 1, every), len(rows) - 1]
    measured = (found.times, found.w2_squared, found.arc_lengths, found.path_dissipation)
    for values, expected in zip(measured, rows[kept].T, strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=0)
    if losses is not None:
        assert list(found.losses[: len(losses)]) == pytest.approx(losses, rel=1e-6)


def same(recorder: Recorder, other: Recorder) -> None:
    """Two recorders have the same numbers, bit for bit."""
    one, two = recorder.trajectory(), other.trajectory()
    for name in ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert recorder.verdict() == other.verdict()


def network(seed: int = 0) -> nn.Module:
    """A small network; the seed fixes its weights."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))


def task(examples: int = 96) -> tuple[Tensor, Tensor]:
    """Inputs and classes that a linear map separates."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(examples, 10, generator=generator)
    return inputs, (inputs @ torch.randn(10, 3, generator=generator)).argmax(1)
