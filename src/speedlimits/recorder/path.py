"""One path through weight space: its points, its records, and what is read from them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from speedlimits.errors import DivergenceError
from speedlimits.noise import StrideCurve
from speedlimits.recorder.jumps import Jumps
from speedlimits.recorder.meter import PathMeter
from speedlimits.recorder.rows import Row, Rows
from speedlimits.recorder.shards import Shards, numbers
from speedlimits.recorder.sketch import Places
from speedlimits.recorder.snapshots import Snapshots
from speedlimits.recorder.strides import StrideMeter
from speedlimits.recorder.weights import Model, check_alike, check_shapes, placeholder, shapes, weights_of
from speedlimits.trajectory import Trajectory

# What a trajectory can be made of.
PATH = ("w2_squared", "arc_length", "path_dissipation")


class Path:
    """See `Recorder` for the arguments."""

    def __init__(
        self,
        every: int,
        snapshot_growth: float | None,
        triples: int,
        sketch: int | None,
        jumps: str,
        generator: np.random.Generator,
    ) -> None:
        self._every, self._triples, self._sketch = every, triples, sketch
        self._generator = generator
        self._weights: list[Tensor] = []
        self._lots: list[int] = []
        self._placeholders = False
        self._rows, self._snapshots = Rows(), Snapshots(snapshot_growth)
        self._meter: PathMeter | None = None
        self._places: Places | None = None
        self.strides: StrideMeter | None = None
        self._origin = self._time = self._pending = self._last_time = 0.0
        self._steps = self._measured = self._early = 0
        self._jumps = Jumps(forbidden=jumps == "raise")

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._rows)

    @property
    def meter(self) -> PathMeter:
        """Of the points so far.

        Raises:
            ValueError: if there is none.
        """
        if self._meter is None:
            raise ValueError("`trajectory` needs at least one record; `record` was not called.")
        return self._meter

    def join(self, weights: Sequence[Tensor]) -> None:
        """These weights are measured from now on, beside those that are known.

        Args:
            weights: of the optimizers, each once.

        Raises:
            ValueError: if the path was read from a state, and these are other weights.
        """
        if self._placeholders:
            check_alike(weights, self._weights)
            self._weights, self._placeholders = list(weights), False
            return
        known = {id(weight) for weight in self._weights}
        new = [weight for weight in weights if id(weight) not in known]
        if not new:
            return
        self._weights = [*self._weights, *new]
        if self._meter is None:
            return
        self.read()
        stretches = self._meter.join(self._weights)
        self._lots.append(len(self._weights))
        self._snapshots.join(stretches)
        if self._places is not None and self.strides is not None:
            self.strides.grow(self._places.join(stretches))

    def begin(self) -> None:
        """A step begins: are the weights where the last one left them?

        Raises:
            ValueError: if they are not, and jumps are forbidden.
        """
        meter = self.meter
        if not self._steps:
            # Before the first step, shards may lie about as whole tensors.
            if meter.shards.sharded:
                self._start()
        elif self._every == 1 and not meter.untouched(self._weights):
            self._jumps.add(float(meter.moved(self._weights)), self._steps)

    def gradient(self, norms: list[Tensor], scale: Any) -> None:
        """The gradients of the step from here, see `Rows.gradient`."""
        self._rows.gradient(norms, scale)

    def end(self, duration: float) -> None:
        """A step ends.

        Args:
            duration: Δt [time].
        """
        # The path starts at the first record; steps before it do not count.
        if not len(self._rows):
            self._early += 1
            return
        self._rows.close()
        self._pending += duration
        self._steps += 1
        if self._steps % self._every == 0:
            self.measure()

    def measure(self) -> None:
        """Add the chord from the last point that was measured."""
        if self._steps == self._measured:
            return
        meter = self.meter
        meter.add(self._weights, self._pending)
        if self._places is not None and self.strides is not None:
            self.strides.add(self._places(meter.here), self._pending)
        self._time += self._pending
        self._measured, self._pending = self._steps, 0.0
        if meter.waits:
            self.read()

    @property
    def at_new_point(self) -> bool:
        """Whether the last step was measured, and took the path on from the last record."""
        return not len(self._rows) or (self._measured == self._steps and self._time != self._last_time)

    def walk_to(self, time: float, model: Model) -> None:
        """By hand: the next point.

        Args:
            time: at which the weights are here [time].
            model: as for `Recorder.record`.

        Raises:
            ValueError: if time does not grow, or the weights changed their shapes.
        """
        named = isinstance(model, nn.Module)
        weights = weights_of(model, self._weights)
        if not len(self._rows):
            self._weights, self._origin = weights, time
            return
        since = time - self._origin
        if since <= self._time:
            raise ValueError(
                f"`time` must grow from record to record; time = {time:.17g} after {self._origin + self._time:.17g}."
            )
        if named and not self._placeholders:
            self.join(weights)
        else:
            check_alike(weights, self._weights)
            self._weights, self._placeholders = weights, False
        self._pending = since - self._time
        self._steps += 1
        self.measure()
        # Not a sum of differences, whose rounding would add up.
        self._time = since

    def record(
        self,
        *,
        loss: float | Tensor,
        test_accuracy: float = math.nan,
        gradient_norm_squared: float | Tensor = math.nan,
        gradient_evaluations: int | None = None,
    ) -> None:
        """Write a record of the last point; see `Recorder.record`."""
        if self._meter is None:
            self._start()
        meter = self.meter
        known = {
            "time": self._time,
            "gradient_evaluations": self._steps if gradient_evaluations is None else gradient_evaluations,
            "test_accuracy": test_accuracy,
            "points": meter.steps + 1,
        }
        # The loss is copied: what becomes of it in the loop is not known.
        loss = loss.clone() if isinstance(loss, Tensor) else loss
        measured = [loss, meter.w2_squared(), gradient_norm_squared]
        self._rows.write(Row(known, meter.steps, measured, meter.trace()))
        self._last_time = self._time
        self._snapshots.offer(len(self._rows) - 1, self._time, meter.here)
        if self._rows.waits:
            self.read()

    def trajectory(self, *, by_hand: bool, with_snapshots: bool) -> Trajectory:
        """See `Recorder.trajectory`."""
        rows = self._finite()
        whole = len(rows) == len(self._rows)
        seen = np.array([row["points"] for row in rows], float) if by_hand or self._every > 1 else None
        if not with_snapshots:
            return Trajectory.from_records(rows, points=seen, start_time=self._origin)
        here = self.meter.here if self._time == self._last_time and whole else None
        kept, distances = self._snapshots.distances(len(rows) - 1, here, self.meter.shards)
        inside = [place for place, record in enumerate(kept) if record < len(rows)]
        return Trajectory.from_records(
            rows,
            [kept[place] for place in inside],
            distances[np.ix_(inside, inside)],
            points=seen,
            start_time=self._origin,
        )

    def curve(self) -> StrideCurve:
        """See `Recorder.noise`."""
        if self.strides is None:
            why = "`sketch` is None" if self._sketch is None else "nothing was recorded"
            raise ValueError(f"`noise` needs steps that were measured at strides; {why}.")
        return self.strides.curve(self.meter.shards.total_of_alike)

    @property
    def losses(self) -> tuple[float, float]:
        """The first and the last loss that are numbers; NaN if there is none."""
        found = [row["loss"] for row in self._finite() if math.isfinite(row["loss"])]
        return (found[0], found[-1]) if found else (math.nan, math.nan)

    def notes(self) -> list[str]:
        """What a reader of the numbers should know, a sentence each."""
        rows, found = self._finite(), []
        lost = [row["time"] for row in rows if math.isnan(row["loss"])]
        # The last record may be written without a loss.
        if lost and (len(lost) > 1 or lost[0] < rows[-1]["time"]):
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            found.append(f"The loss was not a number at time {lost[0]:.4g}{more}.")
        if len(rows) < len(self._rows):
            found.append(
                f"The weights stopped being finite between time {rows[-1]['time']:.4g} and "
                f"{self._rows.host[len(rows)]['time']:.4g}: the path ends before."
            )
        elif self._time != self._last_time or self._pending:
            found.append("Steps after the last record are not in these numbers: call `finish()` first.")
        if self._early:
            found.append(
                f"The first record came after {self._early} steps, which do not count. Where `record` stands behind "
                "optimizer.step(), each loss is that of one step before: put it before the step."
            )
        return [*found, *self._jumps.notes(float(rows[-1]["arc_length"]))]

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        if self._meter is None:
            return {"weights": None}
        self.read()
        return {
            "weights": shapes(self._weights),
            "lots": self._lots,
            "meter": self._meter.state(),
            "rows": self._rows.state(),
            "snapshots": self._snapshots.state(),
            "places": None if self._places is None else self._places.state(),
            "strides": None if self.strides is None else self.strides.state(),
            "clock": [self._origin, self._time, self._pending, self._last_time],
            "steps": [self._steps, self._measured, self._early],
            "jumps": self._jumps.state(),
        }

    def restore(self, state: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
            options: of the recorder that it was.

        Raises:
            ValueError: if it was the path of other weights.
        """
        weights = self._weights
        self.__init__(**options, generator=self._generator)
        self._weights = weights
        if state["weights"] is None:
            return
        if weights:
            check_shapes(shapes(weights), state["weights"])
        else:
            self._weights = [placeholder(*each) for each in state["weights"]]
            self._placeholders = True
        self._lots = list(state["lots"])
        self._meter = PathMeter.restore(state["meter"], [self._weights[:count] for count in self._lots])
        self._rows.restore(state["rows"])
        self._snapshots.restore(state["snapshots"], self._meter.first)
        if state["strides"] is not None:
            self._places = Places.restore(state["places"], self._meter.here, options["sketch"])
            self.strides = StrideMeter.restore(state["strides"], self._meter.device)
        self._origin, self._time, self._pending, self._last_time = state["clock"]
        self._steps, self._measured, self._early = state["steps"]
        self._jumps.restore(state["jumps"])

    def _start(self) -> None:
        sharded = Shards(self._weights).sharded
        size = numbers(self._weights)
        traced = self._generator.integers(size, size=0 if sharded else 3 * self._triples)
        self._meter = PathMeter(self._weights, traced)
        self._lots = [len(self._weights)]
        self._snapshots.start(self._meter.first)
        if self._sketch is not None:
            self._places = Places(self._meter.here, self._sketch)
            self.strides = StrideMeter(self._places(self._meter.here), exact=self._places.exact)

    def read(self) -> list[dict[str, Any]]:
        """All records, read to the host."""
        self._rows.read(self.meter)
        return self._rows.host

    def _finite(self) -> list[dict[str, Any]]:
        """The records up to where the weights were last finite."""
        rows = self.read()
        for count, row in enumerate(rows):
            if math.isfinite(row["w2_squared"]) and math.isfinite(row["path_dissipation"]):
                continue
            name = next(name for name in PATH if not math.isfinite(row[name]))
            if not count or math.isfinite(row["arc_length"]):
                raise DivergenceError(f"training diverged: `{name}` is {row[name]} at time {row['time']:.6g}.")
            return rows[:count]
        return rows
