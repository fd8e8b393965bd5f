"""`--force` and `--resume`: what is foreign stays, and the old run lies whole until the new one has ended."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from speedlimits import RunConfig, load_run, report, train_run
from speedlimits.cli.main import main
from speedlimits.errors import DivergenceError, RunFolderError
from speedlimits.runs import folder as holding
from speedlimits.runs import parts as stored
from speedlimits.runs import replaced
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder
from speedlimits.runs.run import RunFolder
from speedlimits.runs.study import load_study
from speedlimits.training import member
from speedlimits.training.train import train_study
from tests.cli.options import NOISY
from tests.training.studies import series

TINY = RunConfig(samples=9, width=4, seeds=(0, 3), time=0.01, records=6, snapshots=3)
OTHER = dataclasses.replace(TINY, samples=10, seeds=(1,))
DIVERGING = dataclasses.replace(TINY, method="gd", time=1e6, learning_rate=10.0)
EARLIER = Path(__file__).parents[1] / "runs" / "written_by_0.1" / "noisy"


def train(config: RunConfig, out: Path, **options: bool) -> None:
    train_run(config, out, engine="inline", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("force") / "run"
    train(TINY, folder)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it, with a user's own files in it."""
    shutil.copytree(finished, tmp_path / "run")
    for name in ("notes.txt", "members/seed-00000/weights.csv", "members/old/member.json"):
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("mine")
    (tmp_path / "run" / "empty").mkdir()
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asides(folder: Path) -> list[Path]:
    return sorted(folder.glob(".repl*"))


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("config.toml", ["run", "--samples", "9", "--time", "0.01"]),
        ("config.toml", ["langevin", *NOISY]),
        ("study.toml", ["study", "--preset", "smoke", "--samples", "10", "--seeds", "0", "--workers", "1"]),
    ],
)
@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("text", ['baseURL = "https://example.org"\n', ""])
def test_foreign_folder_is_left_alone(tmp_path, capfd, mark, command, text):
    """A website's `config.toml`, or an empty one, makes no run: one line, and every byte stays, no lock beside it."""
    site = tmp_path / "site"
    (site / "content").mkdir(parents=True)
    (site / mark).write_text(text)
    (site / "content" / "thesis.md").write_text("years of work")
    before = contents(site)
    assert main([*command, "--out", str(site), "--force"]) == 1
    assert f"`out` must be a new or empty folder; {site} holds something else." in capfd.readouterr().err
    assert contents(site) == before


def test_lock_of_another_program_is_left_alone(tmp_path):
    """A `.lock` with content is not ours to empty."""
    (tmp_path / ".lock").write_text("pid 1")
    with pytest.raises(RunFolderError, match="holds something else"):
        train(TINY, tmp_path, force=True)
    assert (tmp_path / ".lock").read_text() == "pid 1"


def test_copied_configuration_makes_no_run(finished, tmp_path):
    """Among foreign files a configuration alone proves nothing: it may have been copied there for --config."""
    shutil.copy(finished / "config.toml", tmp_path)
    (tmp_path / "thesis.md").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"that .* holds one is not certain"):
        train(TINY, tmp_path, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "config.toml", "thesis.md"}


def test_only_our_files_are_replaced(run, caplog):
    """The new run stands; of the old one nothing is left; the user's own files are there, and named in one line."""
    old = load_run(run).provenance["id"]
    train(OTHER, run, force=True)
    found = load_run(run)
    assert (found.config, found.provenance["id"] == old) == (OTHER, False)
    assert RunFolder.open(run).identity.id == found.provenance["id"]
    assert not asides(run)
    left = [name for name, content in contents(run).items() if content == b"mine"]
    assert sorted(left) == ["members/old/member.json", "members/seed-00000/weights.csv", "notes.txt"]
    assert (run / "empty").is_dir()
    assert not (run / "members" / "seed-00003").exists()
    (line,) = caplog.messages
    assert line.startswith(f"{run}: kept what speedlimits did not write: 'members/old/member.json', 'members/")


def test_old_run_lies_whole_until_the_new_one_has_ended(run, finished, caplog):
    """The new one diverges: the line says where the old one lies; --resume says so again; a later --force ends it."""
    with pytest.raises(DivergenceError):
        train(DIVERGING, run, force=True)
    (aside,) = asides(run)
    said = f"what --force replaced lies whole in {aside}, until a new one has ended here (mv it elsewhere to keep it)."
    assert caplog.messages[-1] == said
    assert series(aside) == series(finished)
    assert load_run(aside).summary == load_run(finished).summary
    caplog.clear()
    with pytest.raises(DivergenceError):
        train(DIVERGING, run, resume=True)
    assert caplog.messages[-1] == said
    with pytest.raises(DivergenceError):
        train(DIVERGING, run, force=True)
    assert len(asides(run)) == 2
    # As the line says: moved elsewhere, it is a run.
    shutil.move(aside, run.parent / "kept")
    train(OTHER, run, force=True)
    assert not asides(run)
    assert series(run.parent / "kept") == series(finished)


def test_report_is_not_written_into_another_run(run):
    """A run that --force has replaced since it was read gets no page of the old one."""
    old = load_run(run)
    train(OTHER, run, force=True)
    with pytest.raises(RunFolderError, match=r"must hold run \w{8}, which was read; by now it holds run"):
        report.write(old)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("moves", [0, 1, 5, 12, 13])
def test_killed_while_moving(run, finished, monkeypatch, moves):
    """Killed after any number of files: the next command finds the old run whole again."""
    genuine, left = replaced._move, [moves]

    def move(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        genuine(source, target)

    before = contents(run)
    with monkeypatch.context() as patch:
        patch.setattr(replaced, "_move", move)
        # As a killed process: nothing is put right.
        patch.setattr(replaced, "bring_back", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            train(OTHER, run, force=True)
    with pytest.raises(RunFolderError, match="holds a run"):
        train(OTHER, run)
    assert {name: content for name, content in contents(run).items() if not name.endswith(".lock")} == {
        name: content for name, content in before.items() if not name.endswith(".lock")
    }
    assert not asides(run)
    assert series(run) == series(finished)


@pytest.mark.parametrize("written", [False, True])
def test_killed_between_old_and_new(run, finished, monkeypatch, written):
    """Killed before the new configuration lies there, the old run comes back; after that, the new one goes on."""
    genuine = holding.write_text_atomically

    def write(path: Path, text: str) -> None:
        if written:
            genuine(path, text)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(holding, "write_text_atomically", write)
        with pytest.raises(KeyboardInterrupt):
            train(OTHER, run, force=True)
    train(OTHER if written else TINY, run, resume=True)
    assert load_run(run).config == (OTHER if written else TINY)
    assert not asides(run)
    if not written:
        assert series(run) == series(finished)


@pytest.mark.parametrize("options", [{}, {"force": True}])
def test_run_that_ended_meanwhile_is_not_lost(finished, tmp_path, monkeypatch, options):
    """Between the first look and the lock another process trains a run to its end: it is refused, or moved aside."""
    out, genuine = tmp_path / "run", holding.FileLock

    class Late(genuine):
        def __enter__(self):
            monkeypatch.setattr(holding, "FileLock", genuine)
            train(TINY, out)
            return super().__enter__()

    monkeypatch.setattr(holding, "FileLock", Late)
    if not options:
        with pytest.raises(RunFolderError, match="holds a run"):
            train(OTHER, out)
        assert series(out) == series(finished)
        return
    with pytest.raises(DivergenceError):
        train(DIVERGING, out, **options)
    assert series(asides(out)[0]) == series(finished)


def test_study_is_replaced_with_its_runs(tmp_path, caplog):
    """What is foreign stays, in the runs' folders too; a failed study leaves the old one whole; another one ends."""
    out = tmp_path / "study"
    train_study({"a": TINY, "b": OTHER}, out, engine="inline")
    for name in ("notes.txt", "a/notes.txt"):
        (out / name).write_text("mine")
    (out / "mine").mkdir()
    shutil.copytree(out / "b", out / "mine" / "b")
    before = load_study(out)["b"].summary
    with pytest.raises(DivergenceError):
        train_study({"a": DIVERGING}, out, engine="inline", force=True)
    (aside,) = asides(out)
    assert str(aside) in caplog.text
    assert load_study(aside)["b"].summary == before
    train_study({"a": OTHER}, out, engine="inline", force=True)
    assert load_study(out).keys() == {"a"}
    assert load_run(out / "mine" / "b").summary == before
    assert (out / "notes.txt").read_text() == (out / "a" / "notes.txt").read_text() == "mine"
    assert not asides(out)
    assert not (out / "b" / "config.toml").exists()


def test_run_of_version_0_1_is_replaced(tmp_path):
    """It has no id; its configuration and provenance tell whose it is, beside foreign files too."""
    shutil.copytree(EARLIER, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    config = NoisyConfig(samples=6)

    def fail() -> None:
        with NoisyFolder.writing(tmp_path / "run", config, resume=False, force=True):
            assert load_run(asides(tmp_path / "run")[0]).summary["samples"] == 6
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sorted(contents(tmp_path / "run" / asides(tmp_path / "run")[0].name)) == sorted(contents(EARLIER))
    with NoisyFolder.writing(tmp_path / "run", config, resume=True, force=False):
        pass
    assert not asides(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock", "config.toml", "notes.txt"}


# --- what --resume refuses ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> Path:
    """Two runs that were stopped: seed 0 has a checkpoint, seed 3 has ended."""

    class Stopped(Exception):
        """Raised where a process would be killed."""

    base = tmp_path_factory.mktemp("unfinished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(member, "REPORT_SECONDS", -1.0)
        for name in ("run", "other"):

            def stop(event) -> None:
                if event.seed == 0 and event.share > 0.2:
                    raise Stopped

            config = dataclasses.replace(TINY, seeds=(3, 0), records=20)
            with pytest.raises(Stopped):
                train_run(config, base / name, engine="inline", progress=stop)
    assert (base / "run" / "members" / "seed-00000" / "checkpoint.safetensors").exists()
    assert (base / "run" / "members" / "seed-00003" / "member.json").exists()
    return base


def members(folder: Path) -> tuple[Path, Path]:
    return folder / "members" / "seed-00000", folder / "members" / "seed-00003"


def swap(folder: Path, _: Path) -> None:
    first, second = members(folder)
    first.rename(folder / "tmp")
    second.rename(first)
    (folder / "tmp").rename(second)


def put(name: str, of: int, to: int) -> Callable[[Path, Path], None]:
    def change(folder: Path, other: Path) -> None:
        shutil.copy(members(other)[of] / name, members(folder)[to] / name)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap, r"seed-00003/checkpoint\.safetensors must be of seed 3; it is of 0: delete .*seed-00003, and --"),
        (put("checkpoint.safetensors", 0, 0), r"seed-00000/checkpoint\.safetensors must be of run .*: delete .*seed-0"),
        (put("member.json", 1, 1), r"seed-00003/member\.json must be of run .*: delete .*seed-00003"),
        (put("member.json", 1, 0), r"seed-00000/member\.json must be of run .*: delete .*seed-00000"),
    ],
)
def test_files_of_another_run_or_seed_are_refused(unfinished, tmp_path, change, message):
    """Swapped between members, or from another run of the same configuration: one line that says what to delete."""
    shutil.copytree(unfinished / "run", tmp_path / "run")
    change(tmp_path / "run", unfinished / "other")
    with pytest.raises(RunFolderError, match=message):
        train(RunFolder.open(tmp_path / "run").config, tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / "summary.json").exists()


def test_series_of_another_member_are_found_out(unfinished, tmp_path):
    """Parts that are whole, as many rows as the checkpoint counts, and another member's: trained anew, same bits."""
    for name in ("run", "clean"):
        shutil.copytree(unfinished / "run", tmp_path / name)
    config = RunFolder.open(tmp_path / "run").config
    first, second = members(tmp_path / "run")
    train(config, tmp_path / "clean", resume=True)
    rows = stored.read(first / "series").num_rows
    shutil.rmtree(first / "series")
    stored.write(first / "series", stored.read(second / "series").slice(0, rows), 0)
    train(config, tmp_path / "run", resume=True)
    assert series(tmp_path / "run") == series(tmp_path / "clean")


def test_files_of_an_ended_member_are_held_to_its_facts(unfinished, tmp_path):
    """Distances or series of another member, or facts that were edited, end in no summary."""
    shutil.copytree(unfinished / "run", tmp_path / "run")
    config = RunFolder.open(tmp_path / "run").config
    train(config, tmp_path / "run", resume=True)
    first, second = members(tmp_path / "run")
    for name in ("distances.safetensors", "series"):
        shutil.copytree(tmp_path / "run", tmp_path / name)
        source, target = (tmp_path / name / each.relative_to(tmp_path / "run") / name for each in (second, first))
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        (tmp_path / name / "summary.json").unlink()
        with pytest.raises(RunFolderError, match=rf"{re.escape(name)}\S* is not what the run wrote, by its SHA-256"):
            train(config, tmp_path / name, resume=True)
    path = first / "member.json"
    path.write_text(path.read_text().replace('"parameters": ', '"parameters": 1'))
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(RunFolderError, match=r"member\.json is not what the run wrote, by its SHA-256"):
        train(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize("damage", ["{", '{"id": "another"}'])
def test_broken_provenance_says_what_to_delete(unfinished, tmp_path, damage):
    """One line; with the file deleted the run goes on."""
    shutil.copytree(unfinished / "run", tmp_path / "run")
    (tmp_path / "run" / "provenance.json").write_text(damage)
    config = RunFolder.open(tmp_path / "run").config
    with pytest.raises(RunFolderError, match=r"provenance\.json is .*: delete it, and --resume writes it anew\."):
        train(config, tmp_path / "run", resume=True)
    (tmp_path / "run" / "provenance.json").unlink()
    train(config, tmp_path / "run", resume=True)
    assert load_run(tmp_path / "run").provenance["id"] == RunFolder.open(tmp_path / "run").identity.id
