"""Whose a folder is: edited, empty and foreign configurations are refused, those of version 0.1 are read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from speedlimits import RunConfig, load_run
from speedlimits._files import digest
from speedlimits.errors import RunFolderError
from speedlimits.runs.identity import Identity, Owner, claimed, extended, read_identity, sealed
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder
from speedlimits.runs.run import Plan, RunFolder
from speedlimits.runs.study import read_study

EARLIER = Path(__file__).parent / "written_by_0.1"
WEBSITE = 'baseURL = "https://example.org"\ntitle = "My thesis"\n'
CONFIGS = {"run": RunConfig(samples=9, rtol=1e-3), "noisy": NoisyConfig(samples=9)}


def write(folder: Path, text: str, file: str = "config.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    return folder


@pytest.mark.parametrize("kind", CONFIGS)
def test_configuration_comes_back_with_its_identity(tmp_path, kind):
    """The first line is a comment: the text below is the configuration as before; each folder has an id of its own."""
    config = CONFIGS[kind]
    (text, identity), (_, other) = sealed("run", config.to_toml()), sealed("run", config.to_toml())
    found, table = read_identity("run", write(tmp_path / "a", text))
    assert found == identity
    assert type(config).from_dict(table) == type(config).from_toml(text) == config
    assert identity.id != other.id
    assert identity.numbers == other.numbers


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("run", "rtol = 0.001", "rtol = 0.01"),
        ("run", 'method = "rkc2"', 'method = "rock4"'),
        ("run", "warm_start = 0.01", "warm_start = 0.02"),
        ("noisy", 'scheme = "euler-maruyama"', 'scheme = "metropolis"'),
        ("noisy", "seed = 0", "seed = 1"),
    ],
)
def test_edited_configuration_is_refused(tmp_path, kind, old, new):
    """Whatever value was changed after the run began: no reading and no going on; comments and spaces are free."""
    text, _ = sealed("run", CONFIGS[kind].to_toml())
    assert old in text
    read_identity("run", write(tmp_path / "a", f"{text}\n# a note\n"))
    folder = write(tmp_path / "a", text.replace(old, new))
    with pytest.raises(RunFolderError, match=r"config\.toml has been edited since the run began"):
        load_run(folder)
    writing = RunFolder.writing if kind == "run" else NoisyFolder.writing
    edited = type(CONFIGS[kind]).from_toml(text.replace(old, new))
    with (
        pytest.raises(RunFolderError, match=r"config\.toml has been edited since the run began"),
        writing(folder, edited, resume=True, force=False),  # type: ignore[arg-type]
    ):
        pass
    # It is still ours, and may be replaced.
    assert claimed("run", folder) is not None


@pytest.mark.parametrize("text", ["", WEBSITE, "samples = 3\n", "width = [" * 3000])
@pytest.mark.parametrize(("kind", "file"), [("run", "config.toml"), ("study", "study.toml")])
def test_empty_or_foreign_file_is_none_of_ours(tmp_path, kind, file, text):
    """An empty file is not a run with all defaults, nor is a website's a study."""
    write(tmp_path, text, file)
    assert claimed(kind, tmp_path) is None
    read = load_run if kind == "run" else read_study
    with pytest.raises(RunFolderError, match=rf"must be a {kind} folder; .*{file}"):
        read(tmp_path)


def test_other_kinds_and_later_versions_are_refused(tmp_path):
    """A study's list is no run, and a schema that is not known yet is not guessed at."""
    text, _ = sealed("study", CONFIGS["run"].to_toml())
    with pytest.raises(RunFolderError, match=r"must be of a run, schema 2 or below; it says study, schema 2"):
        read_identity("run", write(tmp_path, text))
    text, _ = sealed("run", CONFIGS["run"].to_toml())
    with pytest.raises(RunFolderError, match=r"it says run, schema 3"):
        read_identity("run", write(tmp_path, text.replace("schema 2", "schema 3")))
    assert claimed("run", tmp_path) is None


def test_members_added_leave_the_identity(tmp_path):
    """Members carry the digest that the run began with; the configuration as it is now is sealed as well."""
    text, identity = sealed("run", CONFIGS["run"].to_toml())
    more = replace(CONFIGS["run"], seeds=(*CONFIGS["run"].seeds, 99))
    grown = extended("run", more.to_toml(), identity)
    found, table = read_identity("run", write(tmp_path, grown))
    assert (found, claimed("run", tmp_path)) == (identity, identity)
    assert RunConfig.from_dict(table) == more
    with pytest.raises(RunFolderError, match="has been edited"):
        read_identity("run", write(tmp_path, grown.replace("99", "98")))
    # Back to where it began: the same first line.
    assert extended("run", CONFIGS["run"].to_toml(), identity) == text


def test_folders_of_version_0_1_have_no_id(tmp_path):
    """They are read as they are: a run with noise, a run, a study."""
    assert claimed("run", EARLIER / "noisy") == Identity("", read_identity("run", EARLIER / "noisy")[0].numbers)
    study = EARLIER / "study"
    for name, config in read_study(study).items():
        folder = RunFolder.open(study / name)
        assert (folder.identity.id, folder.config) == ("", config)
        assert folder.plan().sharpness.keys() == set(config.seeds)


def test_owner_names_what_differs():
    """Run, seed or configuration; a file without any is accepted in folders of version 0.1 alone."""
    owner = Owner("a" * 32, 3, "b" * 64)
    owner.check(Path("x"), owner.facts(), "delete it")
    for changed, message in (
        ({"run": "c" * 32}, "x must be of run aaaaaaaa; it is of cccccccc: delete it"),
        ({"seed": "4"}, "x must be of seed 3; it is of 4: delete it"),
        ({"numbers": "d" * 64}, "x must be of configuration bbbbbbbb; it is of dddddddd: delete it"),
    ):
        with pytest.raises(RunFolderError, match=message):
            owner.check(Path("x"), owner.facts() | changed, "delete it")
    with pytest.raises(RunFolderError, match="must be of run aaaaaaaa; it is of none"):
        owner.check(Path("x"), {}, "delete it")
    Owner("", 3, "b" * 64).check(Path("x"), {}, "delete it")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"learning_rate": 0.1', '"learning_rate": 0.05', r"plan\.json is damaged \(its SHA-256"),
        ('"seal"', '"sael"', r"plan\.json is damaged \(its SHA-256"),
        ("{", "[", r"plan\.json is damaged"),
    ],
)
def test_edited_plan_is_refused(tmp_path, old, new, message):
    """Members trained before and after would have had two learning rates: one line, and what to delete."""
    plan = Plan(learning_rate=0.1, sharpness={0: 1.0}, sharpness_gradients={0: 7})
    with RunFolder.writing(tmp_path / "run", CONFIGS["run"]) as folder:
        folder.write_plan(plan)
        assert folder.plan() == plan
        path = tmp_path / "run" / "plan.json"
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(RunFolderError, match=message + r".*: delete it, and --resume makes it anew\."):
            folder.plan()


def test_plan_of_another_run_is_refused(tmp_path):
    """It is whole, and of a run with another id."""
    plan = Plan(learning_rate=0.1, sharpness={0: 1.0}, sharpness_gradients={0: 7})
    for name in ("a", "b"):
        with RunFolder.writing(tmp_path / name, CONFIGS["run"]) as folder:
            folder.write_plan(plan)
    (tmp_path / "b" / "plan.json").write_bytes((tmp_path / "a" / "plan.json").read_bytes())
    with pytest.raises(RunFolderError, match=r"plan\.json is of another run: delete it"):
        RunFolder.open(tmp_path / "b").plan()


def test_what_may_never_end_is_not_read(tmp_path):
    """A FIFO where a configuration or a file with a digest should be: nobody waits for it, and it is not ours."""
    os.mkfifo(tmp_path / "config.toml")
    assert claimed("run", tmp_path) is None
    with pytest.raises(OSError, match="regular"):
        digest(tmp_path / "config.toml")
