"""Any torch training loop becomes a trajectory: two lines in the loop, with any optimizer."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from speedlimits.recorder.batches import Batches
from speedlimits.recorder.edge import Edge, EdgeMeter
from speedlimits.recorder.halves import Halves
from speedlimits.recorder.hooks import Attachment, Steps, TimeStep, measuring
from speedlimits.recorder.metric import Metric
from speedlimits.recorder.mirrors import Mirror, Mirrors
from speedlimits.recorder.optimizers import momentum
from speedlimits.recorder.path import Path
from speedlimits.recorder.readings import Readings, names
from speedlimits.recorder.weights import Model

SCHEMA = 1


class Recorder(Batches, Readings):
    r"""Measures the path of the weights in any training loop, with any optimizer.

    Attached to an optimizer, it adds up every step; `record` may be called as rarely as you like::

        recorder = Recorder().attach(optimizer)
        for x, y in batches:
            loss = criterion(model(x), y)
            recorder.record(loss=loss)          # the loss of the current weights: before optimizer.step()
            ...
        recorder.finish()                       # the last step counts, too
        print(recorder.verdict())

    By hand, without a torch optimizer, it measures from record to record::

        recorder = Recorder()
        recorder.record(time=step * learning_rate, loss=loss, model=model)

    What lies between two records is then unseen, and the verdict says "at least 4.2 times slower than the limit, seen
    at 20 points": length and dissipation are those of the polygon.

    The first record is the start. Arc length Σ|δ| and path dissipation Σ|δ|²/Δt are summed in float64, from
    differences on the weights' own device, and read to the host a thousand at a time. By Cauchy–Schwarz
    T ≥ |Δθ|²/(Σ|δ|²/Δt) for any optimizer and any steps.

    A loss that is not finite is kept as NaN. Where the weights stop being finite, the path ends. Parameters that join
    later, in a new group or with the optimizer of a second phase, count from there.

    Weights that lie on several ranks (FSDP) are measured where they lie. `record` needs no other rank, but every rank
    must call what reads (`trajectory`, `speed_limit`, `noise`, `verdict`, `state_dict`, `finish`).

    Memory: the start, one copy of the weights, a few thousand numbers for each stride, and one copy on the host for
    each kept snapshot. Of large models a sketch takes the place of all copies.

    Args:
        every: measure each so many steps. What lies between is then seen as one straight chord, as between two records
            by hand, and the verdict says "at least". Records fall on measured steps, the others are left out.
        snapshot_growth: weights are kept at the first and last record, and whenever time has grown by this factor
            since they were last kept: each can be a later start. None keeps only first and last.
        triples: number of fixed random weight triples to trace, Fig. 1(c).
        sketch: how many numbers stand for the weights where the path is seen at strides, for `noise`; None switches
            that off, and saves a look at the weights in each step.
        jumps: what to do where weights were moved between two steps, by clipping, a projection or an old checkpoint:
            ``"count"`` adds the move to the step that follows and says so in the verdict, ``"raise"`` stops.
        memory: ``"copy"`` keeps weights, and numbers are exact. ``"sketch"`` keeps ``sketch`` numbers of any model: the
            limit's tolerance is then their error, and every record can be a later start. ``"auto"`` takes the sketch
            above 4 million weights, and the verdict says so.
        own_metric: measure the path by the optimizer's own ruler, too, for the reading of that name: groups by their
            rates, Adam and its kin by a clock for each weight, Muon and sign steps by a norm. It takes three copies of
            the weights in float64, and in each step the singular values of each matrix that Muon moves.
        edge: a function without arguments that gives the loss of one fixed batch, or an `Edge` with what it may cost:
            the curvature that the optimizer feels is looked at now and then, for ``clock="edge"``. For SGD, Adam,
            AdamW, RMSprop and Adagrad. What a forward pass changes, as batch normalisation's averages, changes here.
        mirrors: trackers that are shown each record at once, see `speedlimits.integrations`; `record` then waits for
            the device.
        layers: the model, of whose tensors the mirrors are shown T/T_SL and its factors, too; it takes copies.
        generator: draws those triples; by default one of seed 0.

    Raises:
        ValueError: if ``every`` is below 1, or not 1 with ``own_metric``, ``snapshot_growth`` not above 1, ``triples``
            negative, ``jumps`` or ``memory`` unknown, or the sketch without a size or with ``layers``.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        snapshot_growth: float | None = 2.0,
        triples: int = 6,
        sketch: int | None = 4096,
        jumps: Literal["count", "raise"] = "count",
        memory: Literal["auto", "copy", "sketch"] = "auto",
        own_metric: bool = False,
        edge: Callable[[], Tensor] | Edge | None = None,
        mirrors: Iterable[Mirror] = (),
        layers: nn.Module | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        if layers is not None:
            if memory == "sketch":
                raise ValueError(
                    "`memory` must be 'copy' or 'auto' with `layers`: a sketch does not tell tensors apart."
                )
            memory = "copy"
        self._shown_layers = layers
        self._options: dict[str, Any] = dict(
            every=every, snapshot_growth=snapshot_growth, triples=triples, sketch=sketch, jumps=jumps, memory=memory
        )
        if own_metric and every != 1:
            raise ValueError(f"`every` must be 1 with `own_metric`, whose clocks change in each step; every = {every}.")
        self._metric = Metric() if own_metric else None
        self._edge = EdgeMeter(edge if edge is None or isinstance(edge, Edge) else Edge(edge))
        self._halves = Halves()
        self._path = Path(**self._options, generator=np.random.default_rng(0) if generator is None else generator)
        self._steps: Steps | None = None
        self._momentum = (0.0, False)
        self._by_hand = False
        self._mirrors = Mirrors(mirrors)
        self._optimizers, self._live = [], None

    def attach(self, *optimizers: Any, time_step: TimeStep = None) -> "Recorder":
        """Measure every step these optimizers take; a later call goes on with others, as in a second phase.

        Args:
            optimizers: any, also in wrappers; all weights they hold are measured. Several make one step together.
            time_step: Δt of the coming step [time], a number or a function without arguments. By default the learning
                rate; where parameter groups differ, the largest: the limit holds by any clock that all share.

        Returns:
            This recorder.

        Raises:
            ValueError: if there is no optimizer, no ``time_step`` is given and a group has no rate, records were
                written by hand, or the weights are not those of the path so far.
        """
        if self._by_hand:
            raise ValueError("`attach` must come before the first record; records were written by hand already.")
        if not optimizers:
            raise ValueError("`optimizers` must be one or several; none is given.")
        self.detach()
        hooks = {"begin": self._begin, "wanted": self._wanted, "gradient": self._gradient, "end": self._end}
        steps = Steps(optimizers, time_step, **hooks)
        try:
            self._edge.check(steps.optimizers)
            self._path.join(steps.weights)
        except ValueError:
            steps.detach()
            raise
        self._steps = steps
        self._optimizers = names(steps.optimizers, self._optimizers)
        return self

    def detach(self) -> None:
        """Take the hooks off the optimizers; what was measured stays."""
        if self._steps is not None:
            self._momentum = momentum(self._steps.attachments[0].optimizer)
            self._steps.detach()
            self._steps = None

    def record(
        self,
        *,
        loss: float | Tensor,
        time: float | None = None,
        model: Model | None = None,
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
            gradient_norm_squared: |∇L|² here, if it was measured.
            gradient_evaluations: gradients spent so far; by default the number of steps measured.

        Raises:
            ValueError: if time does not grow, the weights changed their shapes, or an argument is missing or
                superfluous.
        """
        with measuring():
            if self._attached:
                if time is not None or model is not None:
                    raise ValueError("`time` and `model` must be left out of `record` when attached: they are known.")
                if self._steps is not None:
                    self._steps.close()
                if not self._path.at_new_point:
                    return
            else:
                self._path.walk_to(time, model)
                self._by_hand = True
            self._path.record(
                loss=loss,
                test_accuracy=test_accuracy,
                gradient_norm_squared=gradient_norm_squared,
                gradient_evaluations=gradient_evaluations,
            )
            self._show()

    def finish(self, loss: float | Tensor = math.nan) -> "Recorder":
        """Write the last record, take the hooks off, and close the mirrors.

        Args:
            loss: of the last weights, if it is known [loss].

        Returns:
            This recorder.
        """
        steps = self._steps
        self.detach()
        with measuring():
            if steps is not None and len(self._path):
                self._edge.finish(steps.attachments)
                self._path.measure()
                if self._path.at_new_point:
                    self._path.record(loss=loss)
                    self._show()
            self._redraw(at_once=True)
        self._mirrors.close()
        return self

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last record is written, also where training failed."""
        self.finish()

    def state_dict(self) -> dict[str, Any]:
        """Everything measured so far, as numbers, texts, lists and tensors; the tensors are not copies.

        Returns:
            What `load_state_dict` takes, and `torch.save` writes.
        """
        with measuring():
            if self._steps is not None:
                self._steps.close()
            own, nesterov = self._memory
            return {
                "schema": SCHEMA,
                "options": dict(self._options),
                "path": self._path.state(),
                "momentum": own,
                "nesterov": nesterov,
                "by_hand": self._by_hand,
                "optimizers": list(self._optimizers),
                "halves": self._halves.state(),
                "metric": None if self._metric is None else self._metric.state(),
                "edge": self._edge.state(),
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another recorder stopped, with the same numbers as if it had gone on.

        Attach first, to optimizers that hold the weights as they were then; without that it can only be read.

        Args:
            state: from `state_dict`.

        Raises:
            ValueError: if the state is of another version, or of other weights than those attached.
        """
        if state.get("schema") != SCHEMA:
            raise ValueError(f"`state` must be of schema {SCHEMA}; it is of {state.get('schema')!r}.")
        with measuring():
            self._options = dict(state["options"])
            if self._steps is not None:
                self._path.join(self._steps.weights)
            self._path.restore(state["path"], self._options)
            self._halves = Halves.restore(state["halves"]) if "halves" in state else Halves()
            if "edge" in state:
                self._edge.restore(state["edge"])
            kept = state.get("metric")
            self._metric = None if kept is None else Metric.restore(kept, self._path.weights)
        self._momentum = (state["momentum"], state["nesterov"])
        self._by_hand = state["by_hand"]
        self._optimizers = list(dict.fromkeys([*state.get("optimizers", ()), *self._optimizers]))

    def __getstate__(self) -> dict[str, Any]:
        """Pickled without its hooks: what comes back can be read, and attached again."""
        return self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["options"], own_metric=state.get("metric") is not None)
        self.load_state_dict(state)

    @property
    def _attached(self) -> bool:
        return self._steps is not None or (bool(len(self._path)) and not self._by_hand)

    @property
    def _memory(self) -> tuple[float, bool]:
        return self._momentum if self._steps is None else momentum(self._steps.attachments[0].optimizer)

    def _begin(self) -> None:
        if self._steps is not None and len(self._path):
            self._path.join(self._steps.weights)
            self._path.begin()
            if self._metric is not None:
                self._metric.join(self._path.weights)

    def _end(self, duration: float, stepped: Sequence[Attachment]) -> None:
        self._path.end(duration)
        if not len(self._path):
            self._halves.forget()
            return
        self._halves.step(duration)
        self._edge.step(duration, stepped)
        if self._metric is not None:
            self._metric.add(self._path.weights, stepped)

    def _show(self) -> None:
        if self._mirrors:
            model = self._shown_layers
            self._mirrors.show(self._path.read()[-1], self.noise, lambda: {} if model is None else self.layers(model))
        self._redraw()
