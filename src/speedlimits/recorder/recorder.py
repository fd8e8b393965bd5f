"""Any torch training loop becomes a trajectory: two lines in the loop, with any optimizer."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speedlimits._checks import check_finite, check_integer, check_non_negative
from speedlimits.bound import SpeedLimit, speed_limit
from speedlimits.errors import DivergenceError
from speedlimits.recorder.meter import PathMeter
from speedlimits.recorder.noise import Noise, drift
from speedlimits.recorder.optimizers import gradient_norm_squared as gradients_of
from speedlimits.recorder.optimizers import learning_rate, momentum
from speedlimits.recorder.sketch import Sketch
from speedlimits.recorder.snapshots import Snapshots
from speedlimits.recorder.stretches import flat
from speedlimits.recorder.strides import StrideMeter
from speedlimits.recorder.words import verdict
from speedlimits.trajectory import Trajectory

Weights = nn.Module | Tensor | Iterable[Tensor]

# Records wait on the device in batches of this size before they are read to the host.
BATCH = 1000
MEASURED = ("loss", "w2_squared", "arc_length", "path_dissipation", "gradient_norm_squared")


class Recorder:
    r"""Measures the path of the weights in any training loop, with any optimizer.

    Attached to an optimizer, it adds up every single step; `record` may then be called as rarely as you like::

        recorder = Recorder().attach(optimizer)
        for x, y in batches:
            loss = criterion(model(x), y)
            recorder.record(loss=loss)          # the loss of the current weights: before optimizer.step()
            ...
        print(recorder.speed_limit())

    By hand, for loops without a torch optimizer, it measures from record to record::

        recorder = Recorder()
        recorder.record(time=step * learning_rate, loss=loss, model=model)

    What lies between two records is then unseen: length and dissipation are those of the polygon through the records,
    at most those of the path, and the verdict says "at least 4.2 times slower than the limit, seen at 20 points".

    The first record is the start. Arc length Σ|δ| and path dissipation Σ|δ|²/Δt are summed in float64 on the
    weights' own device. Records are read to the host a thousand at a time, kept weights at once. By
    Cauchy–Schwarz T ≥ |Δθ|²/(Σ|δ|²/Δt) for any optimizer and any steps.

    Differences are taken in float64 whatever the precision of the weights, block by block. Memory: three copies of the
    weights, and one more on the host for each kept snapshot.

    Args:
        snapshot_growth: weights are kept at the first and last record, and whenever time has grown by this factor
            since they were last kept: each can be a later start. None keeps only first and last.
        triples: number of fixed random weight triples to trace, Fig. 1(c).
        sketch: how many numbers stand for the weights where the path is seen at strides, for `noise`; None switches
            that off, and saves a look at the weights in each step.
        generator: draws those triples; by default one of seed 0.

    Raises:
        ValueError: if ``snapshot_growth`` is not above 1 or ``triples`` is negative.
    """

    def __init__(
        self,
        *,
        snapshot_growth: float | None = 2.0,
        triples: int = 6,
        sketch: int | None = 4096,
        generator: np.random.Generator | None = None,
    ) -> None:
        if snapshot_growth is not None and not snapshot_growth > 1:
            raise ValueError(f"`snapshot_growth` must be above 1, or None; snapshot_growth = {snapshot_growth}.")
        check_integer("triples", triples, minimum=0)
        if sketch is not None:
            check_integer("sketch", sketch, minimum=2)
        self._triples = triples
        self._generator = np.random.default_rng(0) if generator is None else generator
        self._sketch_size = sketch
        self._strides: StrideMeter | None = None
        self._momentum: Callable[[], tuple[float, bool]] = lambda: (0.0, False)
        self._attached = False
        self._handles: list[Any] = []
        self._weights: list[Tensor] = []
        self._origin = self._time = self._step_size = 0.0
        self._steps = 0
        self._host: list[dict[str, Any]] = []
        self._waiting: list[tuple[dict[str, Any], Tensor]] = []
        self._snapshots = Snapshots(snapshot_growth)

    def attach(
        self, optimizer: torch.optim.Optimizer, *, time_step: Callable[[], float] | float | None = None
    ) -> "Recorder":
        """Measure every step this optimizer takes, through its step hooks.

        Args:
            optimizer: any; all weights it holds are measured.
            time_step: Δt of the coming step [time], a number or a function without arguments. By default the learning
                rate; where parameter groups differ, the largest: the limit holds by any clock that all share.

        Returns:
            This recorder.

        Raises:
            ValueError: if this recorder is in use already, or no ``time_step`` is given and a group has no rate.
        """
        if self._weights:
            raise ValueError("`attach` must come first and once; this recorder is in use already.")
        if time_step is None:
            time_step = functools.partial(learning_rate, optimizer)
        read = time_step if callable(time_step) else lambda fixed=time_step: fixed
        read()
        self._momentum = lambda: momentum(optimizer)
        self._attached = True
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._handles = [
            optimizer.register_step_pre_hook(lambda *_: self._before_step(read())),
            optimizer.register_step_post_hook(lambda *_: self._after_step()),
        ]
        return self

    def detach(self) -> None:
        """Take the hooks off the optimizer; what was measured stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @torch.no_grad()
    def record(
        self,
        *,
        loss: float | Tensor,
        time: float | None = None,
        model: Weights | None = None,
        test_accuracy: float = math.nan,
        gradient_norm_squared: float | Tensor = math.nan,
        gradient_evaluations: int | None = None,
    ) -> None:
        """Write one record of the current weights; the first is the start.

        Args:
            loss: L at the current weights [loss]; on the full training set, if the loss-drop limit is wanted. A
                tensor is not read to the host here.
            time: flow time, the sum of the learning rates so far [time]. Leave it out when attached; a record is
                then dropped if no time has passed since the one before.
            model: the weights: a module (those that require gradients), a tensor, or several. Leave it out when
                attached.
            test_accuracy: if it was measured here.
            gradient_norm_squared: |∇L|² here, if it was measured; when attached, by default from the gradients of the
                optimizer's next step.
            gradient_evaluations: gradients spent so far; by default the number of steps measured.

        Raises:
            ValueError: if time does not grow, the weights changed their shapes, the loss is a number that is not
                finite, or an argument is missing or superfluous.
        """
        if not isinstance(loss, Tensor):
            check_finite("loss", loss)
        if self._attached:
            if time is not None or model is not None:
                raise ValueError("`time` and `model` must be left out of `record` when attached: they are known.")
            if self._rows and self._time == self._last_time:
                return
        else:
            self._walk_to(time, model)
        if not self._rows:
            self._start()
        meter = self._meter
        distance = meter.w2_squared(self._weights)
        measured = (loss, distance, meter.arc_length, meter.path_dissipation, gradient_norm_squared)
        values = [torch.as_tensor(value, dtype=torch.float64).to(meter.device).reshape(1) for value in measured]
        row = {
            "time": self._time,
            "gradient_evaluations": self._steps if gradient_evaluations is None else gradient_evaluations,
            "test_accuracy": test_accuracy,
        }
        self._waiting.append((row, torch.cat([*values, meter.trace(self._weights)])))
        self._keep(self._rows - 1)
        if len(self._waiting) >= BATCH:
            self._read()

    def trajectory(self) -> Trajectory:
        """What was recorded so far.

        Returns:
            The trajectory, seen from the first record.

        Raises:
            ValueError: if nothing was recorded.
            DivergenceError: if a recorded loss, or the weights at a record, were not finite.
        """
        return self._made(with_snapshots=True)

    def speed_limit(self) -> SpeedLimit:
        """The limit by path dissipation, valid for any optimizer, at each record: see `speedlimits.speed_limit`."""
        return speed_limit(self._made(with_snapshots=False))

    def verdict(self) -> str:
        """What a reader should take home: the drift's number where noise hides it, and how far the loss fell."""
        limit, noise = self.speed_limit(), self.noise() if self._strides is not None else None
        return verdict(limit, noise, self._host[0]["loss"], self._host[-1]["loss"])

    def noise(self, momentum: float | None = None) -> Noise:
        """What mini-batch noise did to the number, and T/T_SL of the drift behind it.

        Args:
            momentum: β with which steps carry noise on; by default the optimizer's, and zero by hand.

        Returns:
            The estimate with the curve over all strides; see `speedlimits.recorder.noise.drift`.

        Raises:
            ValueError: if no step was measured, or strides are switched off.
        """
        if self._strides is None:
            why = "`sketch` is None" if self._sketch_size is None else "nothing was recorded"
            raise ValueError(f"`noise` needs steps that were measured at strides; {why}.")
        own, nesterov = self._momentum()
        return drift(self._strides.curve(), own if momentum is None else momentum, nesterov=nesterov)

    @property
    def _rows(self) -> int:
        return len(self._host) + len(self._waiting)

    def _made(self, *, with_snapshots: bool) -> Trajectory:
        if not self._rows:
            raise ValueError("`trajectory` needs at least one record; `record` was not called.")
        self._read()
        for row in self._host:
            for name in ("loss", "w2_squared", "path_dissipation"):
                if not math.isfinite(row[name]):
                    raise DivergenceError(f"training diverged: `{name}` is {row[name]} at time {row['time']:.6g}.")
        seen = None if self._attached else np.arange(1.0, self._rows + 1)
        if not with_snapshots:
            return Trajectory.from_records(self._host, points=seen, start_time=self._origin)
        kept, distances = self._snapshots.distances(self._rows - 1, self._recorded)
        return Trajectory.from_records(self._host, kept, distances, points=seen, start_time=self._origin)

    def _start(self) -> None:
        size = sum(flat(weight).numel() for weight in self._weights)
        self._meter = PathMeter(self._weights, self._generator.integers(size, size=3 * self._triples))
        self._recorded = self._meter.copy(self._weights)
        if self._sketch_size is not None:
            self._sketch = Sketch(self._meter.here, self._sketch_size)
            self._strides = StrideMeter(self._sketch(self._meter.here), exact=self._sketch.exact)

    def _walk_to(self, time: float | None, model: Weights | None) -> None:
        if time is None or model is None:
            raise ValueError("`time` and `model` must be given to `record` unless the recorder is attached.")
        check_finite("time", time)
        weights = _weights_of(model)
        if not self._weights:
            check_non_negative("time", time)
            self._weights, self._origin = weights, time
            return
        if [weight.shape for weight in weights] != [weight.shape for weight in self._weights]:
            raise ValueError("`model` must have the same weights at every record; their shapes changed.")
        since = time - self._origin
        if since <= self._time:
            raise ValueError(
                f"`time` must grow from record to record; time = {time:.17g} after {self._origin + self._time:.17g}."
            )
        self._weights = weights
        self._add(since - self._time)
        # Not a sum of differences, whose rounding would add up.
        self._time = since

    def _before_step(self, step_size: float) -> None:
        check_non_negative("time_step", step_size)
        self._step_size = step_size
        if not self._waiting or self._last_time != self._time:
            return
        # The gradients at hand are those of the record just made.
        _, values = self._waiting[-1]
        found, place = gradients_of(self._weights), MEASURED.index("gradient_norm_squared")
        if found is not None:
            values[place] = torch.where(values[place].isnan(), found.to(values), values[place])

    @torch.no_grad()
    def _after_step(self) -> None:
        # The path starts at the first record; steps before it do not count.
        if self._rows:
            self._add(self._step_size)

    def _add(self, step_size: float) -> None:
        self._meter.add(self._weights, step_size)
        if self._strides is not None:
            self._strides.add(self._sketch(self._meter.here), step_size)
        self._time += step_size
        self._steps += 1

    def _keep(self, row: int) -> None:
        self._meter.overwrite(self._recorded, self._weights)
        self._last_time = self._time
        self._snapshots.offer(row, self._time, self._recorded)

    def _read(self) -> None:
        if not self._waiting:
            return
        table = torch.stack([values for _, values in self._waiting]).cpu().numpy()
        for (row, _), values in zip(self._waiting, table, strict=True):
            trace = values[len(MEASURED) :].reshape(self._triples, 3)
            self._host.append(row | dict(zip(MEASURED, values, strict=False)) | {"weight_trace": trace})
        self._waiting = []


def _weights_of(model: Weights) -> list[Tensor]:
    weights: list[Tensor]
    if isinstance(model, nn.Module):
        weights = [weight for weight in model.parameters() if weight.requires_grad]
    else:
        weights = [model] if isinstance(model, Tensor) else list(model)
    if not weights:
        raise ValueError("`model` must have weights that require gradients; it has none.")
    return weights
