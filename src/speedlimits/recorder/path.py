"""One path through weight space while it is measured: its points and its records."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_one_of
from speedlimits.recorder.jumps import Jumps
from speedlimits.recorder.meter import PathMeter
from speedlimits.recorder.rows import Row, Rows
from speedlimits.recorder.shards import Shards, numbers
from speedlimits.recorder.sketched import SketchMeter
from speedlimits.recorder.snapshots import Snapshots
from speedlimits.recorder.starts import Starts
from speedlimits.recorder.strides import StrideMeter
from speedlimits.recorder.weights import Model, check_alike, check_shapes, placeholder, shapes, weights_of

# Above so many weights, a sketch of them is kept instead of copies.
LARGE = 4_000_000
MEMORIES = ("auto", "copy", "sketch")


class Path:
    """See `Recorder` for the arguments.

    Raises:
        ValueError: if one is not what `Recorder` asks for.
    """

    def __init__(
        self,
        every: int,
        snapshot_growth: float | None,
        triples: int,
        sketch: int | None,
        jumps: str,
        memory: str,
        generator: np.random.Generator,
    ) -> None:
        check_integer("every", every, minimum=1)
        if snapshot_growth is not None and not snapshot_growth > 1:
            raise ValueError(f"`snapshot_growth` must be above 1, or None; snapshot_growth = {snapshot_growth}.")
        check_integer("triples", triples, minimum=0)
        if sketch is not None:
            check_integer("sketch", sketch, minimum=2)
        if jumps not in {"count", "raise"}:
            raise ValueError(f"`jumps` must be 'count' or 'raise'; jumps = {jumps!r}.")
        check_one_of("memory", memory, MEMORIES)
        if memory == "sketch" and sketch is None:
            raise ValueError("`sketch` must be a number where `memory` is 'sketch'; sketch = None.")
        self.every, self._triples, self.sketch, self._memory = every, triples, sketch, memory
        self._growth = snapshot_growth
        self._generator = generator
        self.weights: list[Tensor] = []
        self._lots: list[int] = []
        self._placeholders = False
        self.rows = Rows()
        self.snapshots: Snapshots | Starts = Snapshots(snapshot_growth)
        self._meter: PathMeter | None = None
        self.strides: StrideMeter | None = None
        self.origin = self.time = self.pending = self.last_time = 0.0
        self._steps = self._measured = self.early = 0
        self.jumps = Jumps(forbidden=jumps == "raise")

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.rows)

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
            check_alike(weights, self.weights)
            self.weights, self._placeholders = list(weights), False
            return
        known = {id(weight) for weight in self.weights}
        new = [weight for weight in weights if id(weight) not in known]
        if not new:
            return
        self.weights = [*self.weights, *new]
        if self._meter is None:
            return
        self.read()
        kept, more = self._meter.join(self.weights)
        self._lots.append(len(self.weights))
        self.snapshots.join(kept)
        if self.strides is not None:
            self.strides.grow(more)

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
        elif self.every == 1 and not meter.untouched(self.weights):
            self.jumps.add(float(meter.moved(self.weights)), self._steps)

    def gradient(self, norms: list[Tensor], scale: Any) -> None:
        """The gradients of the step from here, see `Rows.gradient`."""
        self.rows.gradient(norms, scale)

    def end(self, duration: float) -> None:
        """A step ends.

        Args:
            duration: Δt [time].
        """
        # The path starts at the first record; steps before it do not count.
        if not len(self.rows):
            self.early += 1
            return
        self.rows.close()
        self.pending += duration
        self._steps += 1
        if self._steps % self.every == 0:
            self.measure()

    def measure(self) -> None:
        """Add the chord from the last point that was measured."""
        if self._steps == self._measured:
            return
        meter = self.meter
        meter.add(self.weights, self.pending, self._steps - self._measured)
        if self.strides is not None:
            self.strides.add(meter.place(), self.pending)
        self.time += self.pending
        self._measured, self.pending = self._steps, 0.0
        if meter.waits:
            self.read()

    @property
    def at_new_point(self) -> bool:
        """Whether the last step was measured, and took the path on from the last record."""
        return not len(self.rows) or (self._measured == self._steps and self.time != self.last_time)

    def walk_to(self, time: float | None, model: Model | None) -> None:
        """By hand: the next point.

        Args:
            time: at which the weights are here [time].
            model: as for `Recorder.record`.

        Raises:
            ValueError: if one is missing, time does not grow, or the weights changed their shapes.
        """
        if time is None or model is None:
            raise ValueError("`time` and `model` must be given to `record` unless the recorder is attached.")
        check_finite("time", time)
        if not len(self.rows):
            check_non_negative("time", time)
        named = isinstance(model, nn.Module)
        weights = weights_of(model, self.weights)
        if not len(self.rows):
            self.weights, self.origin = weights, time
            return
        since = time - self.origin
        if since <= self.time:
            raise ValueError(
                f"`time` must grow from record to record; time = {time:.17g} after {self.origin + self.time:.17g}."
            )
        if named and not self._placeholders:
            self.join(weights)
        else:
            check_alike(weights, self.weights)
            self.weights, self._placeholders = weights, False
        self.pending = since - self.time
        self._steps += 1
        self.measure()
        # Not a sum of differences, whose rounding would add up.
        self.time = since

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
            "time": self.time,
            "gradient_evaluations": self._steps if gradient_evaluations is None else gradient_evaluations,
            "test_accuracy": test_accuracy,
            "points": meter.steps + 1,
        }
        # The loss is copied: what becomes of it in the loop is not known.
        loss = loss.clone() if isinstance(loss, Tensor) else loss
        measured = [loss, meter.w2_squared(), gradient_norm_squared]
        self.rows.write(Row(known, meter.steps, measured, meter.trace(), meter.moments()))
        self.last_time = self.time
        self.snapshots.offer(len(self.rows) - 1, self.time, meter.kept())
        if self.rows.waits:
            self.read()

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and sketches of the weights that were kept, in their order.

        Raises:
            ValueError: if there is no sketch, or the weights are sharded.
        """
        meter, rows = self.meter, self.read()
        if self.sketch is None:
            raise ValueError("`sketch` must be a number to compare weights of several recorders; sketch = None.")
        if meter.shards.sharded:
            raise ValueError("`recorders` need weights that lie whole on this rank; some are sharded.")
        here = meter.kept() if self.time == self.last_time else None
        kept, table = self.snapshots.places(len(rows) - 1, here, self.sketch)
        return np.array([rows[record]["time"] for record in kept]), table

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        if self._meter is None:
            return {"weights": None}
        self.read()
        return {
            "weights": shapes(self.weights),
            "lots": self._lots,
            "meter": self._meter.state(),
            "rows": self.rows.state(),
            "snapshots": self.snapshots.state(),
            "sketched": self._meter.sketched,
            "strides": None if self.strides is None else self.strides.state(),
            "clock": [self.origin, self.time, self.pending, self.last_time],
            "steps": [self._steps, self._measured, self.early],
            "jumps": self.jumps.state(),
        }

    def restore(self, state: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
            options: of the recorder that it was.

        Raises:
            ValueError: if it was the path of other weights.
        """
        weights = self.weights
        self.__init__(**options, generator=self._generator)
        self.weights = weights
        if state["weights"] is None:
            return
        if weights:
            check_shapes(shapes(weights), state["weights"])
        else:
            self.weights = [placeholder(*each) for each in state["weights"]]
            self._placeholders = True
        self._lots = list(state["lots"])
        kind = SketchMeter if state["sketched"] else PathMeter
        self._meter = kind.restore(state["meter"], [self.weights[:count] for count in self._lots], self.sketch)
        self.rows.restore(state["rows"])
        self.snapshots = self._snapshots()
        self.snapshots.restore(state["snapshots"], self._meter.first)
        if state["strides"] is not None:
            self.strides = StrideMeter.restore(state["strides"], self._meter.device)
        self.origin, self.time, self.pending, self.last_time = state["clock"]
        self._steps, self._measured, self.early = state["steps"]
        self.jumps.restore(state["jumps"])

    def _start(self) -> None:
        shards, size = Shards(self.weights), numbers(self.weights)
        traced = self._generator.integers(size, size=0 if shards.sharded else 3 * self._triples)
        # Whole sizes, which all ranks know alike.
        large = self.sketch is not None and not shards.mixed and sum(map(torch.numel, self.weights)) > LARGE
        kind = SketchMeter if self._memory == "sketch" or (large and self._memory == "auto") else PathMeter
        meter = self._meter = kind(self.weights, traced, self.sketch)
        self._lots = [len(self.weights)]
        self.snapshots = self._snapshots()
        self.snapshots.start(meter.first if kind is PathMeter else meter.kept())
        if meter.places is not None:
            self.strides = StrideMeter(meter.place(), exact=meter.places.exact)

    def _snapshots(self) -> Snapshots | Starts:
        meter = self.meter
        if meter.sketched and meter.places is not None:
            return Starts(self._growth, meter.places)
        return Snapshots(self._growth)

    def read(self) -> list[dict[str, Any]]:
        """All records, read to the host."""
        self.rows.read(self.meter)
        return self.rows.host
