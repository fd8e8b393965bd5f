"""What a recorder gives back: numbers, words, files and pictures of the path so far."""

from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from speedlimits._arguments import named
from speedlimits._display import card
from speedlimits.advice import advise
from speedlimits.bound import SpeedLimit
from speedlimits.errors import SpeedLimitsError
from speedlimits.measured import speed_limit
from speedlimits.noise import Noise, drift, drift_by_halves
from speedlimits.recorder import findings
from speedlimits.recorder.edge import EdgeMeter, EdgeReading
from speedlimits.recorder.halves import Halves
from speedlimits.recorder.metric import Metric, MetricLimit
from speedlimits.recorder.mirrors import first_rank
from speedlimits.recorder.path import Path
from speedlimits.recorder.stretches import flat
from speedlimits.recorder.words import verdict
from speedlimits.runs.recording import Recording, RecordingConfig
from speedlimits.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.report.figures.live import LiveFigure


@named
class Readings:
    """What can be read of a recorder at any time; see `speedlimits.Recorder`, which measures."""

    _path: Path
    _metric: Metric | None
    _edge: EdgeMeter
    _halves: Halves
    _by_hand: bool
    _optimizers: Sequence[str]
    _live: "LiveFigure | None"

    @property
    def _memory(self) -> tuple[float, bool]:
        raise NotImplementedError

    def trajectory(self) -> Trajectory:
        """What was recorded so far.

        Returns:
            The trajectory, seen from the first record, up to where the weights were last finite.

        Raises:
            ValueError: if nothing was recorded.
            DivergenceError: if the weights were never finite, or moved in no time.
        """
        return self._seen(with_snapshots=True)

    def speed_limit(self, *, clock: Literal["flow", "step", "seconds", "edge"] = "flow") -> SpeedLimit:
        """The limit by path dissipation, valid for any optimizer, at each record.

        Args:
            clock: what time is, see `speedlimits.speed_limit`.
        """
        return speed_limit(self._seen(with_snapshots=False), clock=clock)

    def verdict(self) -> str:
        """What a reader should take home: the drift's number where noise hides it, and how far the loss fell."""
        limit = self.speed_limit()
        notes = findings.notes(self._path)
        if self._metric is not None and any(self._metric.rulers):
            notes.insert(0, str(self.own_metric()))
        return verdict(limit, self._noise_after(limit.time[-1]), findings.losses(self._path), notes)

    def advice(self) -> tuple[str, ...]:
        """What to do: at most three sentences, each by a rule of `speedlimits.advice`, noise counted; often none."""
        run = self._seen(with_snapshots=False)
        return advise(run, noise=self._noise_after(run.time), optimizers=self._optimizers)

    def noise(self, momentum: float | None = None, *, by: Literal["strides", "halves"] = "strides") -> Noise:
        """What mini-batch noise did to the number, and T/T_SL of the drift behind it.

        Args:
            by: what noise is known from: the path at strides, or the gradients of half batches, if every step was given
                them by `half_gradients`.
            momentum: β with which steps carry noise on; by default the optimizer's, and zero by hand.

        Returns:
            The estimate with the curve over all strides; see `speedlimits.noise.drift` and `drift_by_halves`.

        Raises:
            ValueError: if no step was measured, strides are switched off, or half batches are asked for where not every
                step had them.
        """
        curve = findings.curve(self._path)
        own, nesterov = self._memory
        beta = own if momentum is None else momentum
        if by == "strides":
            return drift(curve, beta, nesterov=nesterov)
        if by != "halves":
            raise ValueError(f"`by` must be 'strides' or 'halves'; by = {by!r}.")
        halves, end = self._halves.read(), self.speed_limit().final
        if len(halves) != curve.steps:
            raise ValueError(
                f"`half_gradients` must be given before every step; {len(halves)} of {curve.steps} had them."
            )
        return drift_by_halves(curve, halves, float(end.dissipation), float(end.w2_squared), beta, nesterov=nesterov)

    def own_metric(self) -> MetricLimit:
        """The speed limit by the optimizer's own ruler, up to the last step; its ``ruler`` says which that is.

        Raises:
            ValueError: if the recorder was made without ``own_metric``, or no step was measured.
        """
        if self._metric is None:
            raise ValueError("`own_metric` must be True when the recorder is made; own_metric = False.")
        if not any(self._metric.rulers):
            raise ValueError("`own_metric` needs steps that were measured; there are none.")
        return self._metric.limit(self._path.weights, self._path.meter.shards, self._path.time)

    def edge(self) -> EdgeReading:
        """What was seen of the curvature, if the recorder was made with ``edge``, and what that took."""
        return self._edge.read()

    def layers(self, model: nn.Module | None = None, *, depth: int | None = None) -> Mapping[str, SpeedLimit]:
        """The speed limit of each tensor or module by itself, up to the last step: which move, how far, how straight.

        Args:
            model: that knows the tensors' names; without it they are numbered.
            depth: puts together the tensors whose names share so many parts, as ``encoder.0`` with 2; by default none.
                The length of several tensors together is not known, so that geometric and pace are NaN.

        Returns:
            The limits by name; their 𝒲₂ and their dissipations add up to those of all weights.

        Raises:
            ValueError: if nothing was recorded.
        """
        return findings.layers(self._path, model, depth)

    def recording(self, *, name: str = "", loss_name: str = "") -> Recording:
        """All of it, free of torch: what `save` writes and `report` draws.

        Args:
            name: of the training, for headings; empty takes the names of the optimizers.
            loss_name: what the axis of the loss says beside "loss".

        Returns:
            The recording, in memory.

        Raises:
            ValueError: if nothing was recorded.
            DivergenceError: if the weights were never finite, or moved in no time.
        """
        run = self.trajectory()
        path, weights, places = self._path, self._path.weights, self._path.meter.places
        sizes = torch.tensor([flat(weight).numel() for weight in weights], dtype=torch.float64)
        shards = path.meter.shards
        config = RecordingConfig(
            name=name,
            optimizers=tuple(self._optimizers),
            weights=int(shards.total(shards.own(sizes).sum().to(path.meter.device))),
            precision=tuple(sorted({str(weight.dtype).removeprefix("torch.") for weight in weights})),
            device=str(path.meter.device),
            sketch=0 if places is None else sum(places.sizes),
            exact=places is not None and places.exact,
            copied=not path.meter.sketched,
            loss_name=loss_name,
        )
        return Recording.of(config, run, self._noise_after(run.time), self.verdict().splitlines())

    def save(self, out: str | File, *, name: str = "", force: bool = False) -> File:
        """Write a recording folder, for ``speedlimits show``, ``report``, ``compare`` and `speedlimits.runs.load`.

        Of several processes all must call, and the first writes.

        Args:
            out: a new or empty folder.
            name: as for `recording`.
            force: replace the recording that is there, and nothing else.

        Returns:
            The folder.

        Raises:
            RunFolderError: if the folder holds something else, cannot be made, or is in use.
            ValueError: if nothing was recorded.
            OSError: what the disk reports.
        """
        recording = self.recording(name=name)
        return recording.save(out, force=force) if first_rank() else File(out)

    def report(self, path: str | File, *, name: str = "") -> File:
        """Write a page that opens in any browser without a network.

        Of several processes all must call, and the first writes.

        Args:
            path: the file, as ``report.html``; its folder is made if it is missing.
            name: as for `recording`.

        Returns:
            The file.

        Raises:
            ValueError: if fewer than two records were written.
            OSError: what the disk reports.
        """
        # Late: jinja takes a moment to import.
        from speedlimits.report.pages.recording import write_recording_page

        recording, path = self.recording(name=name), File(path)
        if first_rank():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_recording_page(path, recording)
        return path

    def live(self) -> "Figure":
        """A figure of loss and speed limit that `record` draws again while training runs.

        In a notebook it appears below the cell and changes there. Elsewhere, save or show the figure when you like.
        Each drawing waits for the device and takes about 0.2 s; there is at most one in a second, and they take at most
        a twentieth of the time.

        Returns:
            The figure, one for each recorder.

        Raises:
            ValueError: if several processes train together: each would draw at its own time, and wait for the others.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise ValueError("`live` needs a training in one process; mirrors show that of several.")
        # Late: matplotlib takes a second to import.
        from speedlimits.report.figures.live import LiveFigure

        if self._live is None:
            self._live = LiveFigure()
            self._redraw()
        return self._live.figure

    def _redraw(self, *, at_once: bool = False) -> None:
        if self._live is None or not len(self._path) or not (at_once or self._live.due):
            return
        try:
            run = self._seen(with_snapshots=False)
        except SpeedLimitsError:
            # What stops a reading must not stop the training.
            return
        self._live.draw(run)

    def _seen(self, *, with_snapshots: bool) -> Trajectory:
        return findings.trajectory(self._path, self._edge.read(), by_hand=self._by_hand, with_snapshots=with_snapshots)

    def _noise_after(self, time: float) -> Noise | None:
        return self.noise() if self._path.strides is not None and time > 0 else None

    def __repr__(self) -> str:
        count = len(self._path)
        by = "" if not self._optimizers else f"{' + '.join(self._optimizers)}, "
        return f"Recorder({by}{count} record{'s' * (count != 1)})"

    def _repr_html_(self) -> str:
        """A card for notebooks; what cannot be read is said, and raises nothing."""
        try:
            return self.recording()._repr_html_()
        except (ValueError, SpeedLimitsError) as error:
            return card([repr(self), str(error)])


def names(optimizers: Sequence[Any], known: Sequence[str]) -> list[str]:
    """The classes of the optimizers by name, each once.

    Args:
        optimizers: without wrappers.
        known: names that are known already.

    Returns:
        Those and the new ones.
    """
    return list(dict.fromkeys([*known, *(type(optimizer).__name__ for optimizer in optimizers)]))
