r"""Adds up a path of which only a sketch is kept, so that memory does not grow with the number of weights.

The path of the sketch is a path in itself: T ≥ T_SL and l² ≥ 𝒲₂ hold for it without a doubt. How near its numbers are
to those of all weights is estimated. Each is a sum over buckets, x = Σ_b x_b, whose signs ε are independent, and
x_b = εᵀAε has a variance of at most twice its squared mean. So

.. math:: \tfrac23\Big\langle\sum_b x_b^2\Big\rangle \ge \operatorname{Var} x, \qquad
   \Big\langle\sum_b\Big(\frac{x_b}{x}-\frac{y_b}{y}\Big)^2\Big\rangle \gtrsim \operatorname{Var}\ln\frac xy

whatever the weights do: the spread over the buckets that were seen gives an error that is not too small, as long as no
few weights make up most of the path.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from speedlimits.recorder.meter import PathMeter, Weights, offsets_of
from speedlimits.recorder.shards import Shards
from speedlimits.recorder.sketch import Places
from speedlimits.recorder.stretches import HEAD, Stretches, local

# The error is given as that of 95 % of all choices of signs.
CONFIDENCE, DEVIATIONS = 0.95, 1.96


class SketchMeter(PathMeter):
    r"""See `PathMeter`, whose place is taken by a sketch where models are too large to copy.

    Memory: a few thousand numbers for each lot of tensors, and as many of each large tensor. The distances of single
    tensors are not known.

    Args:
        start: θ_0, as the list of tensors a model holds.
        traced: indices into the concatenation of those tensors, whose values `trace` gives.
        sketch: how many numbers stand for each lot of tensors.

    Raises:
        ValueError: if some weights are sharded, and others whole on every rank.
    """

    sketched = True

    def __init__(self, start: Weights, traced: np.ndarray, sketch: int | None = None) -> None:
        assert sketch is not None
        places = Places(start, sketch)
        self._whole = Stretches(start)
        super().__init__(places.of_lots(start), np.empty(0, dtype=np.int64))
        self.places = places
        self._last = torch.cat(self.here)
        self._spent, self._walked = torch.zeros_like(self._last), torch.zeros_like(self._last)
        self._indices = traced
        self._traced, self.traced = offsets_of(traced, start, self._whole)
        self._lots, self._sketched = [len(start)], places.sketched
        self.shards = Shards(start).of_lots(1)
        self._look(start)

    def join(self, weights: Weights) -> tuple[list[Tensor], int]:
        """See `PathMeter.join`; the new ones are a lot of their own."""
        assert self.places is not None
        more = self.places.join(weights[sum(self._lots) :])
        self._lots.append(len(weights) - sum(self._lots))
        self._whole.join(weights)
        kept = self._join(self.places.of_lots(weights))
        self._last = torch.cat(self.here)
        self._spent, self._walked = (torch.nn.functional.pad(sums, (0, more)) for sums in (self._spent, self._walked))
        self._sketched = self.places.sketched
        self.shards = Shards(weights).of_lots(len(self._lots))
        self._look(weights)
        return kept, more

    def add(self, weights: Weights, step_size: float, steps: int = 1) -> None:
        """See `PathMeter.add`."""
        assert self.places is not None
        lots = self.places.of_lots(weights)
        place = torch.cat(lots)
        squares = (place - self._last).square_()
        if step_size > 0:
            self._spent.add_(squares, alpha=1.0 / step_size)
        self._walked += squares / squares.sum().sqrt_().clamp_min_(torch.finfo(torch.float64).tiny)
        self._last = place
        super().add(lots, step_size, steps)
        self._look(weights)

    def place(self) -> Float64[Tensor, " numbers"]:
        """See `PathMeter.place`."""
        return self._last

    def kept(self) -> list[Tensor]:
        """The place, and the sums of |δ|²/Δt and |δ| in each of its numbers."""
        return [torch.stack([self._last, self._spent, self._walked])]

    def moments(self) -> Float64[Tensor, " moments"]:
        """See `moments_of`; of the path so far, on this rank."""
        moved = (self._last - torch.cat(self.first)).square_()
        return moments_of(torch.stack([moved, self._spent, self._walked]), self._sketched, self.shards)

    def moved(self, weights: Weights) -> Float64[Tensor, ""]:
        """See `PathMeter.moved`."""
        assert self.places is not None
        return (self.places(weights) - self._last).square_().sum().sqrt_()

    def untouched(self, weights: Weights) -> bool:
        """See `PathMeter.untouched`; here the first numbers are fewer."""
        if self._versions != [local(weight)._version for weight in weights]:
            return False
        if self.device.type != "cpu":
            return True
        return all(
            torch.equal(stretch[:HEAD], head)
            for stretch, head in zip(self._whole.of(weights), self._heads, strict=True)
        )

    def trace(self) -> Float[Tensor, " traced"]:
        """See `PathMeter.trace`."""
        return self._values

    def state(self) -> dict[str, Any]:
        """See `PathMeter.state`."""
        return super().state() | {"spent": self._spent, "walked": self._walked}

    @classmethod
    def restore(cls, state: Mapping[str, Any], lots: Sequence[Weights], sketch: int | None) -> "SketchMeter":
        """See `PathMeter.restore`."""
        meter = super().restore(state, lots, sketch)
        assert isinstance(meter, cls)
        for name in ("spent", "walked"):
            setattr(meter, f"_{name}", state[name].to(meter.device, copy=True))
        meter._last = torch.cat(meter.here)
        return meter

    def _look(self, weights: Weights) -> None:
        """What is kept of the weights themselves."""
        stretches = self._whole.of(weights)
        self._versions = [local(weight)._version for weight in weights]
        self._heads = [stretch[:HEAD].clone() for stretch in stretches] if self.device.type == "cpu" else []
        values = [stretches[which][offsets].to(self.device, torch.float64) for which, offsets in self._traced]
        self._values = torch.cat(values) if values else self._numbers[:0]


def moments_of(
    series: Float64[Tensor, "*times 3 numbers"], sketched: Float64[Tensor, " numbers"], shards: Shards
) -> Float64[Tensor, "*times moments"]:
    """What adds up over ranks, and tells the error of a sum over buckets: the sums, and those of their products.

    Args:
        series: |Δ|², |δ|²/Δt and |δ| in each bucket.
        sketched: zero for a number that is a weight itself, and has no error.
        shards: which ranks count.
    """
    moved, spent, walked = (series * sketched).unbind(-2)
    products = [a * b for a, b in ((moved, moved), (spent, spent), (walked, walked))]
    products += [a * b for a, b in ((moved, spent), (moved, walked), (spent, walked))]
    sums = torch.stack([*series.unbind(-2), *products], -2).sum(-1)
    return shards.own_place(sums)


def tolerances(moments: Float64[np.ndarray, "*times moments"]) -> Float64[np.ndarray, "*times"]:
    """Relative error of 𝒲₂, T_SL, T/T_SL and its two factors, whichever is largest, that 95 % of sketches stay below.

    Args:
        moments: from `moments_of`, added up over all ranks.

    Returns:
        The errors; zero where nothing moved.
    """
    w, d, a, ww, dd, aa, wd, wa, da = np.moveaxis(moments, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = [
            2.0 / 3.0 * ww / w**2,
            ww / w**2 + dd / d**2 - 2 * wd / (w * d),
            ww / w**2 + aa / a**2 - 2 * wa / (w * a),
            dd / d**2 + aa / a**2 - 2 * da / (d * a),
        ]
    # Nothing divided by nothing has no error; rounding may leave a square below zero.
    return DEVIATIONS * np.sqrt(np.maximum(np.nan_to_num(np.array(squares), nan=0.0, posinf=0.0), 0.0).max(0))
