"""Run a study: plan, train every member, summarise."""

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speedlimits._checks import check_integer, check_one_of
from speedlimits.dynamics.sharpness import Sharpness
from speedlimits.study.config import StudyConfig
from speedlimits.study.folder import Run, RunFolder, load_run
from speedlimits.study.methods import METHODS, choose_plan
from speedlimits.study.pool import Event, Pool
from speedlimits.study.problem import check
from speedlimits.study.provenance import now, provenance
from speedlimits.study.summary import summarise


@dataclass(frozen=True)
class Progress:
    """How far one member is.

    Args:
        seed: the member.
        share: t/T; 1 when it has ended.
        loss: L(θ_t), where known.
    """

    seed: int
    share: float
    loss: float | None = None


def run_study(
    config: StudyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    workers: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Train every member of a study and write its run folder.

    The numbers do not depend on ``workers`` nor on whether the run was interrupted: on the CPU, bit for bit.

    Args:
        config: the study.
        out: the run folder: new, empty, or, with one of the flags, one that holds this study.
        resume: go on with the interrupted run that is there.
        force: replace the run that is there.
        workers: processes side by side, one thread each; by default one for each core, at most one a member.
        progress: called when a member has moved on.

    Returns:
        The finished run.

    Raises:
        ValueError: if the configuration names something unknown or asks for too much.
        RunFolderError: if the folder is not fit to write to, see `RunFolder.writing`.
        DivergenceError: if a member's loss stops being finite.
        SpeedLimitsError: if a worker process fails.
        OSError: what the disk reports.
    """
    check(config)
    check_one_of("method", config.method, METHODS)
    workers = cores() if workers is None else workers
    check_integer("workers", workers, minimum=1)
    workers = min(workers, len(config.seeds))
    with RunFolder.writing(out, config, resume=resume, force=force) as run:
        origin = _begin(run, workers)
        began = time.monotonic()
        todo = [seed for seed in config.seeds if not run.member(seed).finished]
        for seed in set(config.seeds) - set(todo):
            progress(Progress(seed, 1.0))
        if todo:
            _train(run, todo, min(workers, len(todo)), progress)
        members = [run.member(seed) for seed in config.seeds]
        summary = summarise(config, [m.member() for m in members], [m.trajectory() for m in members])
        seconds = origin.get("seconds", 0.0) + time.monotonic() - began
        run.write_json("provenance.json", origin | {"finished": now(), "seconds": seconds})
        # Last: a folder with a summary is a finished run.
        run.write_json("summary.json", summary)
    return load_run(out)


def _begin(run: RunFolder, workers: int) -> dict[str, Any]:
    here = provenance(device=run.config.device, workers=workers)
    if (run.path / "provenance.json").exists():
        origin = run.read_json("provenance.json")
        here = origin | {"resumed": [*origin.get("resumed", []), here]}
    run.write_json("provenance.json", here)
    return here


def _train(run: RunFolder, seeds: list[int], workers: int, progress: Callable[[Progress], None]) -> None:
    def tell(event: Event) -> None:
        progress(Progress(event["seed"], event["share"], event["loss"]))

    with Pool(run.path, workers) as pool:
        # The plan of an interrupted run stands: its members share one learning rate.
        if not (run.path / "plan.json").exists():
            measured = pool.map("sharpness", run.config.seeds, tell)
            plan = choose_plan(run.config, {seed: Sharpness(**found) for seed, found in measured.items()})
            run.write_json("plan.json", dataclasses.asdict(plan))
        pool.map("train", seeds, tell)


def cores() -> int:
    """How many this process may use."""
    # Inside a container the machine may have more cores than this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
