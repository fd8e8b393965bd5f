"""The tangent kernel of one member of a finished run, at its start and later, and how far it drifts."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from speedlimits._checks import check_integer, check_non_negative, check_one_of, check_positive
from speedlimits.dynamics.threads import one_thread
from speedlimits.kernel.adaptation import adapted_kernel
from speedlimits.kernel.empirical import eigenmodes, empirical_kernel, kernel_drift
from speedlimits.kernel.lanczos import residual_measure
from speedlimits.kernel.operator import KernelOperator
from speedlimits.kernel.spectrum import estimated_drift
from speedlimits.runs.config import ProblemName
from speedlimits.runs.identity import check_still
from speedlimits.runs.kernel import FILE, TOP, KernelRecord, KernelView
from speedlimits.runs.provenance import check_unchanged
from speedlimits.runs.run import Run, RunFolder
from speedlimits.theory.adapted_kernel import AdaptedKernel
from speedlimits.training.problem import Problem
from speedlimits.training.sources import Source

# Snapshots whose kernels are compared with the first.
DRIFTS = 6
# Float64 matrices of the kernel's size that its eigenvectors and a second kernel need at once.
MATRICES = 4
# And those that adaptation keeps besides: the first kernel, and the one at an interval's start.
KEPT = 2
TOLERANCE = 1e-8
MODES = 120


@one_thread()
def analyse_kernel(
    directory: str | Path,
    *,
    seed: int | None = None,
    at: float | None = None,
    matrix_free: bool = False,
    modes: int = MODES,
    adapt: int = 0,
    memory: float = 4e9,
    problem: ProblemName | None = None,
    changed: bool = False,
) -> KernelRecord:
    """Find out what the tangent kernel says of a run, and write ``kernel.npz`` into its folder.

    Args:
        directory: the run folder.
        seed: the member; by default the first whose weights are there.
        at: start of the prediction, to the nearest snapshot; by default initialisation, with the run's own warm
            start beside it [time].
        matrix_free: never form the kernel: for many samples.
        modes: largest eigenvalues to find in that case, for the exponents: about 1.7 products with the kernel each.
        adapt: intervals in each of which the kernel is measured again on the way, by `adapted_kernel`: an even number,
            0 for none.
        memory: bytes that may be used, about.
        problem: the run's own, where it has one: its code runs only if it is named here.
        changed: go on although its source has changed.

    Returns:
        The record.

    Raises:
        ValueError: if the seed or time is not one of the run's, the number of modes is negative, that of intervals
            odd or negative, the kernel does not fit into the memory, or the loss has no residual that a kernel moves.
        RunFolderError: if the folder is damaged or its run has not ended.
        OSError: what the disk reports.
    """
    directory = Path(directory)
    folder = RunFolder.open(directory)
    run = Run.of(folder)
    if seed is None:
        seed = next((each for each in run.config.seeds if not folder.member(each).bare), run.config.seeds[0])
    check_one_of("seed", seed, run.config.seeds)
    check_positive("memory", memory)
    check_integer("modes", modes, minimum=0)
    check_integer("adapt", adapt, minimum=0)
    if adapt % 2:
        raise ValueError(f"`adapt` must be even, because half as many intervals tell the error; adapt = {adapt}.")
    # Weights that were not kept are missed at once, not when the data have been downloaded.
    folder.member(seed).check_kept()
    member = _Member(folder, run, seed, memory, _problem(run, seed, problem, changed=changed))
    if not matrix_free:
        member.check_fits(MATRICES + KEPT * bool(adapt))
    warm = member.nearest("at", run.config.warm_start * member.end if at is None else at)
    times = sorted({0.0, warm})
    chosen = 0 if at is None else len(times) - 1
    views = tuple(member.measured(time, modes) if matrix_free else member.decomposed(time) for time in times)
    drift_times = member.spread(times[chosen])
    compare = member.estimated_drifts if matrix_free else member.drifts
    record = KernelRecord(
        seed=seed,
        pairs=member.pairs,
        matrix_free=matrix_free,
        chosen=chosen,
        views=views,
        drift_times=drift_times,
        drift=compare(times[chosen], drift_times),
        run=run.provenance.get("id", ""),
        adapted=tuple(member.adapted(times[chosen], k, matrix_free) for k in (adapt, adapt // 2) if k),
    )
    # It may have taken minutes.
    check_still(folder.path, folder.identity.id)
    record.save(directory / FILE)
    return record


def _problem(run: Run, seed: int, name: ProblemName | None, *, changed: bool) -> Problem:
    config = run.config if name is None else replace(run.config, problem=name)
    source = Source.of(config)
    if source.name is not None:
        found = source.checked(config, config.seeds[0])
        if not changed:
            check_unchanged(found.facts() or {}, run.provenance.get("problem"))
    problem = source.build(config, seed)
    if problem.loss != "squared":
        raise ValueError(
            f"`loss` must be 'squared' for a kernel's prediction: only there do the outputs' errors decay with the "
            f"kernel; loss = {problem.loss_name!r}."
        )
    return problem


class _Member:
    """One network of the run, its data, and its weights at the snapshots."""

    def __init__(self, folder: RunFolder, run: Run, seed: int, memory: float, problem: Problem) -> None:
        self._problem = problem
        self._store = folder.member(seed)
        self._run = run.trajectories[seed]
        self._memory = memory
        self.pairs = self._problem.flat_loss.targets.numel()
        self.end = self._run.time

    def check_fits(self, matrices: int) -> None:
        needed = matrices * 8 * self.pairs**2
        if needed > self._memory:
            raise ValueError(
                f"`memory` must be at least {needed / 1e9:.3g} GB for a kernel of {self.pairs} pairs, or the kernel "
                f"not formed (matrix_free); memory = {self._memory / 1e9:.3g} GB."
            )

    def nearest(self, name: str, time: float) -> float:
        check_non_negative(name, time)
        kept = self._run.snapshot_times
        if not time < kept[-1]:
            raise ValueError(f"`{name}` must lie in [0, {kept[-1]:g}), before the run's end; {name} = {time:g}.")
        return float(kept[min(int(np.abs(kept - time).argmin()), kept.size - 2)])

    def spread(self, start: float) -> np.ndarray:
        """Some snapshots after a start, log-spaced like all of them, the last included."""
        later = self._run.snapshot_times[self._run.snapshot_times > start]
        return later[np.unique(np.linspace(0, later.size - 1, DRIFTS).round().astype(int))]

    def kernel(self, time: float) -> np.ndarray:
        loss = self._problem.flat_loss
        return empirical_kernel(loss.model, loss.inputs, weights=self._weights(time), memory=self._memory / 4)

    def operator(self, time: float) -> KernelOperator:
        loss = self._problem.flat_loss
        return KernelOperator(loss.model, loss.inputs, weights=self._weights(time))

    def decomposed(self, time: float) -> KernelView:
        eigenvalues, vectors = eigenmodes(self.kernel(time))
        residual = vectors.T @ self._residual(self.operator(time))
        return KernelView(start_time=time, eigenvalues=eigenvalues, residual=residual, top=eigenvalues[:TOP].copy())

    def measured(self, time: float, modes: int) -> KernelView:
        operator = self.operator(time)
        times = self._run.times[1:]
        measure = residual_measure(
            operator,
            self._residual(operator),
            times[times <= self.end - time],
            tolerance=TOLERANCE,
            modes=min(modes, operator.size),
        )
        eigenvalues = measure.eigenvalues[::-1]
        return KernelView(
            start_time=time,
            eigenvalues=eigenvalues,
            residual=measure.residual[::-1],
            top=eigenvalues[: measure.converged],
            error=measure.error,
        )

    def adapted(self, time: float, intervals: int, matrix_free: bool) -> AdaptedKernel:
        loss = self._problem.flat_loss
        return adapted_kernel(
            loss.model,
            loss.inputs,
            loss.targets,
            self.end - time,
            intervals=intervals,
            weights=self._weights(time),
            matrix_free=matrix_free,
            memory=self._memory / 4,
        )

    def drifts(self, start: float, times: np.ndarray) -> np.ndarray:
        first = self.kernel(start)
        return np.array([kernel_drift(first, self.kernel(time)) for time in times])

    def estimated_drifts(self, start: float, times: np.ndarray) -> np.ndarray:
        first = self.operator(start)

        def estimate(time: float) -> float:
            return estimated_drift(first, self.operator(time), self.pairs, generator=np.random.default_rng(0))

        return np.array([estimate(time) for time in times])

    def _residual(self, operator: KernelOperator) -> np.ndarray:
        return operator.residual(self._problem.flat_loss.targets.cpu().numpy())

    def _weights(self, time: float) -> dict[str, np.ndarray]:
        record = self._run.snapshot_records[np.abs(self._run.snapshot_times - time).argmin()]
        return self._store.weights(int(record))
