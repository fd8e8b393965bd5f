"""One queue for several runs: the order of the jobs, and each run summarised as soon as it has ended."""

import pytest

from speedlimits import RunConfig, load_run, speed_limit, train_run
from speedlimits.errors import RunFolderError
from speedlimits.runs.member import MemberStore
from speedlimits.training import member
from speedlimits.training.engines.choose import choose
from speedlimits.training.engines.inline import InlineEngine, InlineSession
from speedlimits.training.engines.local import LocalEngine
from speedlimits.training.member import measure_sharpness, train_member
from speedlimits.training.methods import choose_plan
from speedlimits.training.sources import Source
from speedlimits.training.train import train_study

STUDIES = {f"n{n}": RunConfig(samples=n, width=4, seeds=(0, 3), time=0.01, records=10, snapshots=4) for n in (9, 30)}


class Noting(InlineEngine):
    """An engine in this process that notes the order of its jobs."""

    def __init__(self):
        self.order = []

    def session(self, log, jobs):
        return NotingSession(self.order)


class NotingSession(InlineSession):
    """Its jobs under way."""

    def __init__(self, order):
        self.order = order

    def run(self, jobs):
        for job in jobs:
            self.order.append((job.kind, job.run_name, job.seed))
            yield from super().run([job])


def test_the_longest_members_are_begun_first(tmp_path):
    """All sharpness, then all training; in each, every member on more images before any on fewer."""
    engine = Noting()
    runs = train_study(STUDIES, tmp_path / "sweep", engine=engine)
    members = [("n30", 0), ("n30", 3), ("n9", 0), ("n9", 3)]
    assert engine.order == [(kind, *member) for kind in ("sharpness", "train") for member in members]
    assert list(runs) == ["n9", "n30"]
    assert runs["n9"].provenance["engine"] == "inline"


def test_each_study_is_summarised_when_its_last_member_ends(tmp_path):
    """While the second run trains, the first can already be read."""
    seen = []

    def look(name, event):
        if name == "n9" and not seen:
            seen.append(load_run(tmp_path / "sweep" / "n30").summary["samples"])
            with pytest.raises(RunFolderError, match=r"summary\.json is missing"):
                load_run(tmp_path / "sweep" / "n9")

    train_study(STUDIES, tmp_path / "sweep", engine="inline", progress=look)
    assert seen == [30]


def test_engines_are_chosen_by_name_or_as_they_are(tmp_path):
    """Unknown names are listed; an engine knows its own number of workers."""
    engine = LocalEngine(workers=1)
    assert choose(engine, None) is engine
    assert choose("local", 3).facts() == {"engine": "local", "workers": 3}
    with pytest.raises(ValueError, match="`engine` must be one of 'local', 'inline', 'ray'; engine = 'slurm'"):
        train_run(STUDIES["n9"], tmp_path / "run", engine="slurm")
    with pytest.raises(ValueError, match="`workers` must be given to the engine itself"):
        train_run(STUDIES["n9"], tmp_path / "run", engine=engine, workers=1)
    assert not (tmp_path / "run").exists()


def test_progress_comes_whatever_is_written(tmp_path, monkeypatch):
    """With a checkpoint after every step progress is still reported: t/T, loss and T/T_SL, the last at t = T."""
    monkeypatch.setattr(member, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(member, "REPORT_SECONDS", 1e-4)
    config = STUDIES["n9"]
    source = Source.of(config)
    plan = choose_plan(config, {0: measure_sharpness(config, 0, source)})
    words = list(train_member(config, 0, plan, tmp_path / "seed", source))
    run = MemberStore(tmp_path / "seed").trajectory()
    assert len(words) > 3
    assert (words[-1].share, words[-1].loss) == (1.0, run.losses[-1])
    assert words[-1].inefficiency == pytest.approx(float(speed_limit(run).final.inefficiency), rel=1e-12)
