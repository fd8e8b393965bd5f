"""Train the members of one run or of several, in one queue, and summarise each run when its last member ends."""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from speedlimits._checks import check_one_of
from speedlimits._files import resolved
from speedlimits.dynamics.curvature import Sharpness
from speedlimits.runs import study
from speedlimits.runs.config import RunConfig
from speedlimits.runs.provenance import begin, now
from speedlimits.runs.run import Plan, Run, RunFolder
from speedlimits.runs.summary import summarise
from speedlimits.training.engines.choose import choose
from speedlimits.training.engines.engine import Done, Engine, Job, Session
from speedlimits.training.methods import METHODS, choose_plan
from speedlimits.training.sources import Source


@dataclass(frozen=True)
class Progress:
    """How far one member is.

    Args:
        seed: the member.
        share: t/T; 1 when it has ended.
        loss: L(θ_t), where known.
        inefficiency: T/T_SL so far, by the dissipation of the path, where known.
    """

    seed: int
    share: float
    loss: float | None = None
    inefficiency: float | None = None


def train_run(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    changed: bool = False,
    engine: str | Engine = "local",
    workers: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Train every member of a run and write its folder.

    The numbers do not depend on ``engine`` nor ``workers`` nor on whether the run was interrupted: on the CPU, bit for
    bit.

    Args:
        config: the run.
        out: the run folder: new, empty, or, with one of the flags, one that holds this run.
        resume: go on with the interrupted run that is there. Where the configuration has more seeds than it, their
            members are trained beside those that are there, at the same learning rate.
        force: replace the run that is there.
        changed: go on although the source of its problem, or what it builds, has changed; provenance tells of it.
        engine: what does the work: local, processes on this machine; inline, this process; ray, a Ray cluster; or an
            engine such as ``RayEngine(storage="s3://…")`` of `speedlimits.training.engines.ray`.
        workers: members side by side, one thread each; by default one for each core.
        progress: called when a member has moved on.

    Returns:
        The finished run.

    Raises:
        ValueError: if the configuration names something unknown or asks for too much, or the problem is not fit.
        RunFolderError: if the folder is not fit to write to, see `RunFolder.writing`, or its problem has changed.
        DivergenceError: if a member's loss stops being finite.
        SpeedLimitsError: if a worker process fails.
        OSError: what the disk reports.
    """
    chosen = choose(engine, workers)
    name = resolved(out).name
    sources = _sources({name: config}, chosen)
    with RunFolder.writing(out, config, resume=resume, force=force) as run:
        work = _Work({name: run}, sources, chosen, lambda _, event: progress(event))
        work.do(log=run.path / "workers.log", replace=force, changed=changed)
    return Run.of(run)


def train_study(
    runs: Mapping[str, RunConfig],
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    changed: bool = False,
    engine: str | Engine = "local",
    workers: int | None = None,
    progress: Callable[[str, Progress], None] = lambda _, __: None,
) -> dict[str, Run]:
    """Train several runs, the members of all of them in one queue, those with most samples first.

    Args:
        runs: by the names of their folders.
        out: the study folder: new, empty, or, with one of the flags, one that holds these very runs.
        resume: go on with what is there; finished members are only read. More seeds, or more runs, are added.
        force: replace what is there.
        changed: as of `train_run`.
        engine: as of `train_run`.
        workers: as of `train_run`.
        progress: called with a run's name when one of its members has moved on.

    Returns:
        The finished runs by name.

    Raises:
        ValueError: if a configuration names something unknown, or both flags are given.
        RunFolderError: if the folder is not fit to write to.
        SpeedLimitsError: if training fails, as `train_run`.
        OSError: what the disk reports.
    """
    chosen, folder = choose(engine, workers), Path(out)
    study.check_folder(folder, resume=resume)
    sources = _sources(runs, chosen)
    with study.writing(folder, runs, resume=resume, force=force), contextlib.ExitStack() as held:
        folders: dict[str, RunFolder] = {}
        for name, config in runs.items():
            begun = (folder / name / "config.toml").exists()
            folders[name] = held.enter_context(RunFolder.writing(folder / name, config, resume=begun, beside=True))
        work = _Work(folders, sources, chosen, progress)
        work.do(log=folder / "workers.log", replace=force, changed=changed)
    return study.load_study(folder)


def _sources(runs: Mapping[str, RunConfig], engine: Engine) -> dict[str, Source]:
    """Where each run's problem comes from, once it is known that all can be run; nothing is written before."""
    sources = {}
    for name, config in runs.items():
        check_one_of("method", config.method, METHODS)
        source = Source.of(config)
        engine.check(config, source)
        sources[name] = source.checked(config, config.seeds[0])
    return sources


class _Work:
    """Brings several runs to their end.

    All members wait in one queue, those with more samples before those with fewer: they take longest, and what is begun
    last should be short, so that no core idles long before the end.

    Args:
        runs: held run folders by name.
        sources: of their problems.
        engine: what does the work.
        progress: called with a run's name when one of its members has moved on.
    """

    def __init__(
        self,
        runs: Mapping[str, RunFolder],
        sources: Mapping[str, Source],
        engine: Engine,
        progress: Callable[[str, Progress], None],
    ) -> None:
        self._runs, self._sources, self._engine, self._progress = runs, sources, engine, progress
        self._began = time.monotonic()

    def do(self, *, log: Path, replace: bool, changed: bool) -> None:
        """Train what is not trained yet, and summarise.

        Args:
            log: file for what the engine's processes have to say.
            replace: as of `Engine.prepare`.
            changed: as of `train_run`.

        Raises:
            SpeedLimitsError: see `Session.run`.
            ValueError: see `Session.run`.
            OSError: what the disk reports.
        """
        done = [name for name, run in self._runs.items() if run.ended()]
        for name in done:
            for seed in self._runs[name].config.seeds:
                self._progress(name, Progress(seed, 1.0))
        self._runs = {name: run for name, run in self._runs.items() if name not in done}
        facts = self._engine.facts()
        origins = {
            name: begin(run, facts, self._sources[name].facts(), device=run.config.device, changed=changed)
            for name, run in self._runs.items()
        }
        left: dict[str, set[int]] = {}
        for name, run in self._runs.items():
            self._engine.prepare(name, origins[name]["id"], replace=replace)
            left[name] = {seed for seed in run.config.seeds if not run.member(seed).finished}
            for seed in run.config.seeds:
                if seed not in left[name]:
                    self._progress(name, Progress(seed, 1.0))
        jobs = self._jobs("train", left)
        plans = {name: run.plan() for name, run in self._runs.items() if (run.path / "plan.json").exists()}
        unplanned = {
            name: [seed for seed in run.config.seeds if name not in plans or seed not in plans[name].sharpness]
            for name, run in self._runs.items()
        }
        busy = jobs or any(unplanned.values())
        with self._engine.session(log, max(len(jobs), 1)) if busy else contextlib.nullcontext() as session:
            if session is not None:
                self._plan(unplanned, plans, session)
            for name, run in self._runs.items():
                if not left[name]:
                    _finish(run, origins[name], 0.0)
            if session is None:
                return
            for event in session.run(jobs):
                job = event.job
                if not isinstance(event, Done):
                    self._progress(job.run_name, Progress(job.seed, event.share, event.loss, event.inefficiency))
                    continue
                left[job.run_name].remove(job.seed)
                if not left[job.run_name]:
                    _finish(job.run, origins[job.run_name], time.monotonic() - self._began)

    def _plan(self, unplanned: Mapping[str, list[int]], plans: Mapping[str, Plan], session: Session) -> None:
        # The plan of an interrupted run stands: its members share one learning rate.
        found: dict[str, dict[int, Sharpness]] = {name: {} for name, seeds in unplanned.items() if seeds}
        jobs = self._jobs("sharpness", unplanned)
        for event in session.run(jobs):
            if isinstance(event, Done) and event.result is not None:
                found[event.job.run_name][event.job.seed] = Sharpness(**event.result)
        for name, measured in found.items():
            run = self._runs[name]
            in_order = {seed: measured[seed] for seed in unplanned[name]}
            run.write_plan(choose_plan(run.config, in_order, plans.get(name)))

    def _jobs(self, kind: Literal["sharpness", "train"], wanted: Mapping[str, Collection[int]]) -> list[Job]:
        jobs = [
            Job(kind, name, run, seed, self._sources[name])
            for name, run in self._runs.items()
            for seed in run.config.seeds
            if seed in wanted.get(name, ())
        ]
        return sorted(jobs, key=lambda job: job.run.config.size, reverse=True)


def _finish(run: RunFolder, origin: Mapping[str, Any], seconds: float) -> None:
    members = [run.member(seed) for seed in run.config.seeds]
    summary = summarise(run.config, [m.member() for m in members], [m.trajectory() for m in members])
    ended = {"finished": now(), "seconds": origin.get("seconds", 0.0) + seconds}
    run.write_json("provenance.json", {**origin, **ended})
    run.write_json("summary.json", summary)
    # Last: a folder with a manifest is a finished run.
    run.close()
