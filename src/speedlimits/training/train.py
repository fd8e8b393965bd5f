"""Train the members of several run folders in one schedule, and summarise each run as soon as its last member ends."""

import dataclasses
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speedlimits._checks import check_one_of
from speedlimits.dynamics.sharpness import Sharpness
from speedlimits.runs.config import RunConfig
from speedlimits.runs.provenance import now, provenance
from speedlimits.runs.run import RunFolder
from speedlimits.runs.summary import summarise
from speedlimits.training.engines.engine import Done, Engine, Job, Session
from speedlimits.training.methods import METHODS, choose_plan
from speedlimits.training.problem import check


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


def check_all(studies: Mapping[str, RunConfig], engine: Engine) -> None:
    """Refuse what cannot be run, before anything is written.

    Args:
        studies: by name.
        engine: what is to run them.

    Raises:
        ValueError: if a configuration names something unknown or asks for too much.
    """
    for config in studies.values():
        check(config)
        engine.check(config)
        check_one_of("method", config.method, METHODS)


def execute(
    runs: Mapping[str, RunFolder],
    engine: Engine,
    *,
    log: Path,
    replace: bool,
    progress: Callable[[str, Progress], None],
) -> None:
    """Bring every run to its end.

    All members wait in one queue, those with more images before those with fewer: they take longest, and what is
    begun last should be short, so that no core idles long before the end.

    Args:
        runs: locked run folders by the names of their studies.
        engine: what does the work.
        log: file for what its processes have to say.
        replace: as of `Engine.prepare`.
        progress: called with a study's name when one of its members has moved on.

    Raises:
        SpeedLimitsError: see `Session.run`.
        ValueError: see `Session.run`.
        OSError: what the disk reports.
    """
    began = time.monotonic()
    origins = {name: _begin(run, engine) for name, run in runs.items()}
    left: dict[str, set[int]] = {}
    for name, run in runs.items():
        engine.prepare(name, origins[name]["id"], replace=replace)
        left[name] = {seed for seed in run.config.seeds if not run.member(seed).finished}
        for seed in run.config.seeds:
            if seed not in left[name]:
                progress(name, Progress(seed, 1.0))
        if not left[name]:
            _finish(run, origins[name], 0.0)
    jobs = [Job("train", name, run, seed) for name, run in runs.items() for seed in run.config.seeds]
    jobs = sorted((job for job in jobs if job.seed in left[job.study]), key=_size, reverse=True)
    if not jobs:
        return
    with engine.session(log, len(jobs)) as session:
        _plan({job.study: job.run for job in jobs}, session)
        for event in session.run(jobs):
            job = event.job
            if not isinstance(event, Done):
                progress(job.study, Progress(job.seed, event.share, event.loss, event.inefficiency))
                continue
            left[job.study].remove(job.seed)
            if not left[job.study]:
                _finish(job.run, origins[job.study], time.monotonic() - began)


def _plan(runs: Mapping[str, RunFolder], session: Session) -> None:
    # The plan of an interrupted run stands: its members share one learning rate.
    runs = {name: run for name, run in runs.items() if not (run.path / "plan.json").exists()}
    jobs = [Job("sharpness", name, run, seed) for name, run in runs.items() for seed in run.config.seeds]
    found: dict[str, dict[int, Sharpness]] = {name: {} for name in runs}
    for event in session.run(sorted(jobs, key=_size, reverse=True)):
        if isinstance(event, Done) and event.result is not None:
            found[event.job.study][event.job.seed] = Sharpness(**event.result)
    for name, run in runs.items():
        in_order = {seed: found[name][seed] for seed in run.config.seeds}
        run.write_json("plan.json", dataclasses.asdict(choose_plan(run.config, in_order)))


def _size(job: Job) -> int:
    return job.run.config.samples


def _begin(run: RunFolder, engine: Engine) -> dict[str, Any]:
    facts = engine.facts()
    here = {"id": uuid.uuid4().hex, **provenance(device=run.config.device, workers=facts["workers"]), **facts}
    if (run.path / "provenance.json").exists():
        origin = run.read_json("provenance.json")
        here = {"id": here["id"], **origin, "resumed": [*origin.get("resumed", []), here]}
    run.write_json("provenance.json", here)
    return here


def _finish(run: RunFolder, origin: Mapping[str, Any], seconds: float) -> None:
    members = [run.member(seed) for seed in run.config.seeds]
    summary = summarise(run.config, [m.member() for m in members], [m.trajectory() for m in members])
    ended = {"finished": now(), "seconds": origin.get("seconds", 0.0) + seconds}
    run.write_json("provenance.json", {**origin, **ended})
    # Last: a folder with a summary is a finished run.
    run.write_json("summary.json", summary)
