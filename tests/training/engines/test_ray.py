"""The Ray engine: the numbers of the local one, also when workers, nodes or the driver are killed."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

import speedlimits
from speedlimits import RunConfig, train_run
from speedlimits.errors import RunFolderError, SpeedLimitsError
from speedlimits.runs.member import MemberStore
from speedlimits.training.methods import choose_plan
from speedlimits.training.sources import Source
from speedlimits.training.train import train_study
from tests.training.engines.faults import STUDIES, alive, descendants, kill_all, same, start, wait_for
from tests.training.studies import series

# Before Ray is imported, which then looks at them once: otherwise it keeps a token in the home folder.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'speedlimits[ray]'")

from speedlimits.runs.identity import Owner  # noqa: E402
from speedlimits.training.engines import ray_cluster  # noqa: E402
from speedlimits.training.engines.ray import RayEngine  # noqa: E402
from speedlimits.training.engines.ray_cluster import connect  # noqa: E402
from speedlimits.training.engines.ray_worker import Task, serve  # noqa: E402
from speedlimits.training.member import measure_sharpness  # noqa: E402

TINY = RunConfig(samples=20, width=4, seeds=(0, 3), time=0.01, records=10, snapshots=4)


@pytest.fixture
def short(monkeypatch):
    """Ray's own files under a short path, since those of its sockets may have 107 bytes; nothing is reported to anyone.

    Yields:
        The path.
    """
    folder = tempfile.mkdtemp(prefix="sl", dir="/tmp")
    for key, value in {
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": "",
        "SPEEDLIMITS_CHECKPOINT_SECONDS": "0",
    }.items():
        monkeypatch.setenv(key, value)
    yield folder
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def test_numbers_are_those_of_the_local_engine(short, tmp_path):
    """On a cluster that the caller has joined, which stays as it was: the same bits, and no file left over."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    events = []
    engine = RayEngine(storage=str(tmp_path / "storage"))
    run = train_run(TINY, tmp_path / "ray", engine=engine, progress=events.append)
    assert ray.is_initialized()
    train_run(TINY, tmp_path / "local", workers=1)
    assert series(tmp_path / "ray") == series(tmp_path / "local")
    assert run.provenance["engine"] == "ray"
    assert {event.seed for event in events if event.share == 1.0} == {0, 3}
    members = {path.name for path in (tmp_path / "ray" / "members").iterdir()}
    assert members == {path.name for path in (tmp_path / "storage" / "ray" / "members").iterdir()}
    assert members == {"seed-00000", "seed-00003"}


# An inbox whose words go nowhere.
NOBODY = SimpleNamespace(put=SimpleNamespace(remote=lambda *_: None))


def task(url: str, **changes) -> Task:
    """Training of one member of the tiny study."""
    plan = choose_plan(TINY, {seed: measure_sharpness(TINY, seed, Source.of(TINY)) for seed in TINY.seeds})
    whole = {"key": ("n", 3), "kind": "train", "config": TINY, "source": None, "plan": plan, "url": url, "data": None}
    whole["owner"] = Owner("0" * 32, 3, "0" * 64)
    return Task(**whole | {"version": speedlimits.__version__} | changes)


@pytest.mark.parametrize("victim", ["checkpoint.safetensors", "series/part-*", "snapshots/0*", "member.json"])
def test_damage_in_the_storage_costs_only_time(tmp_path, victim):
    """A file cut short where the mirrors lie, of a member under way or ended: trained again, to the same numbers."""
    url = str(tmp_path / "storage")
    assert "failure" not in serve(task(str(tmp_path / "whole")), NOBODY)
    shutil.copytree(tmp_path / "whole", url)
    if victim == "checkpoint.safetensors":
        (tmp_path / "storage" / "member.json").unlink()
        (tmp_path / "storage" / victim).write_bytes(b"cposix\nsystem\n")
    else:
        path = sorted((tmp_path / "storage").glob(victim))[0]
        path.write_bytes(path.read_bytes()[:-9])
    assert "failure" not in serve(task(url), NOBODY)
    MemberStore(tmp_path / "storage").verify()
    for field in ("losses", "weight_traces", "snapshot_distances_squared"):
        found, whole = (getattr(MemberStore(tmp_path / at).trajectory(), field) for at in ("storage", "whole"))
        assert found.tobytes() == whole.tobytes()


def test_failures_travel_as_words(tmp_path):
    """Another version on a node, or a data set it does not have: the reason comes back, no exception."""
    found = serve(task(str(tmp_path), version="0.0.1"), NOBODY)["failure"]
    assert found["message"].startswith("every node must have version 0.0.1 of speedlimits; one has ")
    config = RunConfig(samples=2000)
    assert serve(task(str(tmp_path), config=config), NOBODY)["failure"]["kind"] == "ValueError"


def test_storage_of_another_run_is_refused(tmp_path):
    """A storage is new or this run's own; only a run there is ever replaced, and only when asked to."""
    engine = RayEngine(storage=str(tmp_path))
    engine.prepare("n", "one", replace=False)
    engine.prepare("n", "one", replace=False)
    (tmp_path / "n" / "members").mkdir()
    (tmp_path / "n" / "members" / "x").write_text("old")
    with pytest.raises(
        RunFolderError, match=r"`storage` must be new, or that of this very run; .*/n holds another run"
    ):
        engine.prepare("n", "two", replace=False)
    engine.prepare("n", "two", replace=True)
    assert [path.name for path in (tmp_path / "n").iterdir()] == ["run-id"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    for replace in (False, True):
        with pytest.raises(RunFolderError, match="holds something else"):
            engine.prepare("thesis", "one", replace=replace)
    assert fsspec.filesystem("file").cat_file(str(tmp_path / "thesis" / "chapter1.tex")) == b"precious"


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({"gpus": 0.0}, "cuda", "`gpus` must be positive and finite; gpus = 0"),
        ({"gpus": 0.5}, "cpu", "`gpus` must be left out unless `device` is cuda; gpus = 0.5."),
        ({}, "cuda:1", "`device` must be cpu or cuda with engine ray; device = 'cuda:1'."),
        ({"workers": 0}, "cpu", "`workers` must be an integer of at least 1; workers = 0."),
    ],
)
def test_options_are_checked(options, device, message):
    """Argument, rule and value."""
    config = RunConfig(device=device)
    source = Source.of(config)
    with pytest.raises(ValueError, match=message):
        RayEngine(**options).check(config, source)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "ray://127.0.0.1:1"])
def test_address_without_a_cluster_is_named(tmp_path, address):
    """A wrong address is an error at once, in one line."""
    with pytest.raises(SpeedLimitsError, match=f"`address` must be HOST:PORT of a running Ray cluster; .*'{address}'"):
        train_run(TINY, tmp_path / "run", engine=RayEngine(address=address))


def test_cluster_that_refuses_is_named(tmp_path, monkeypatch):
    """Where something else listens at the address, one line says where to look."""

    def refuse(**_):
        raise ConnectionError("Failed to connect")

    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            SpeedLimitsError, match=rf"'{address}' \(Failed to connect; .* RAY_AUTH_TOKEN must be those"
        ):
            train_run(TINY, tmp_path / "run", engine=RayEngine(address=address))


def listening(pids: list[int]) -> list[str]:
    """The addresses at which processes take connections, as the kernel writes them."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        found += [row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    return found


def test_started_cluster_is_for_this_machine_alone(short, tmp_path, monkeypatch):
    """It listens on 127.0.0.1 only, and its tasks look for no modules in the current folder."""
    monkeypatch.chdir(tmp_path)
    connect("local", 1)
    path = ray.get(ray.remote(lambda: [*sys.path, str(Path.cwd())]).remote())
    assert str(tmp_path) not in path
    addresses = listening([os.getpid(), *descendants(os.getpid())])
    assert addresses
    assert {address[-8:] for address in addresses} == {"0100007F"}
    assert ray_cluster.ray_constants.ENABLE_RAY_CLUSTER


@pytest.mark.parametrize("mode", ["", "token", "disabled"])
def test_cluster_without_a_token_is_refused(monkeypatch, mode):
    """Where neither Ray nor the user speaks of tokens, the cluster is left at once; disabled is the user's word."""
    calls = []
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setattr(ray, "init", lambda **options: calls.append(options))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("left"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if mode:
            connect(address, 1)
        else:
            with pytest.raises(
                SpeedLimitsError, match=f"`address` must be a cluster that asks for a token .*'{address}'"
            ):
                connect(address, 1)
    assert (calls[-1] == "left") == (not mode)


def test_missing_ray_is_named(tmp_path):
    """Where Ray is not installed: exit code 1, and what to install."""
    code = "import sys\nsys.modules['ray'] = None\nfrom speedlimits.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    arguments = ["study", "--preset", "smoke", "--out", str(tmp_path / "x"), "--engine", "ray"]
    process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "speedlimits: engine ray needs ray: pip install 'speedlimits[ray]'.\n"
    assert not (tmp_path / "x").exists()


def workers(pids: list[int]) -> list[int]:
    """Those of the processes that run a task now."""
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0] for pid in alive(pids)}
    return [pid for pid, name in names.items() if name == b"ray::serve"]


@pytest.mark.slow
def test_killed_worker_goes_on(short, undisturbed, tmp_path):
    """`kill -9` of the worker that trains: its member goes on from the checkpoint, and nothing else is touched."""
    killed, shares = [], []

    def watch(name, event):
        shares.append((name, event.seed, event.share))
        if event.share > 0.2 and not killed:
            killed.extend(workers(descendants(os.getpid())))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            shares.clear()

    train_study(STUDIES, tmp_path / "run", engine=RayEngine(address="local", workers=2), progress=watch)
    assert len(killed) == 2
    # What was under way was at a fifth, or behind it by what a second brings; nothing began at its beginning.
    assert min(share for name, _, share in shares if name == "n120") > 0.02
    same(tmp_path / "run", undisturbed)
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("storage", [False, True])
def test_killed_node_goes_on(short, undisturbed, tmp_path, storage):
    """One of two nodes is lost while both train: the other one ends the studies, to the same numbers."""
    from ray.cluster_utils import Cluster

    health = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    common = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=common | {"_system_config": health})
    try:
        node = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        shares = {}
        lost = []

        def watch(name, event):
            shares[name, event.seed] = event.share
            if sum(0.1 < share < 1 for share in shares.values()) == 2 and not lost:
                lost.append(node)
                cluster.remove_node(node, allow_graceful=False)

        engine = RayEngine(storage=str(tmp_path / "storage") if storage else None)
        train_study(STUDIES, tmp_path / "run", engine=engine, progress=watch)
        assert lost
        assert len([found for found in ray.nodes() if found["Alive"]]) == 1
        same(tmp_path / "run", undisturbed)
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
def test_killed_driver_goes_on(short, undisturbed, tmp_path):
    """`kill -9` of the command: nothing computes on, and --resume goes on from the storage."""
    process = start(tmp_path / "run", engine="ray", storage=str(tmp_path / "storage"))
    wait_for(lambda: len(list((tmp_path / "storage").rglob("part-*"))) > 10, 90)
    family = descendants(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not workers(family), 10)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "storage").rglob("part-*")}
    process = start(tmp_path / "run", engine="ray", resume=True, storage=str(tmp_path / "storage"))
    try:
        assert process.communicate(timeout=120) == ("", "")
    finally:
        if process.poll() is None:
            kill_all(process)
    same(tmp_path / "run", undisturbed)
    # What had been counted by a checkpoint was not written again.
    untouched = [path for path, written in before.items() if path.exists() and path.stat().st_mtime_ns == written]
    assert len(untouched) >= len(before) - 2
    # Two agents of Ray's that compute nothing need a minute to notice.
    wait_for(lambda: not alive(family), 90)


@pytest.mark.slow
def test_interrupted_study_leaves_no_process(short, tmp_path):
    """Ctrl-C: one line, exit code 130, and the cluster that was started for it is gone."""
    process = start(tmp_path / "run", engine="ray")
    wait_for(lambda: len(list((tmp_path / "run").rglob("part-*"))) > 4, 90)
    family = descendants(process.pid)
    assert len(workers(family)) == 2
    os.killpg(process.pid, signal.SIGINT)
    printed, error = process.communicate(timeout=60)
    assert printed == ""
    assert error == "speedlimits: interrupted; the same command with --resume goes on where it stood\n"
    assert process.returncode == 130
    assert not alive(family)


@pytest.mark.slow
def test_own_problem_travels_with_its_code(short, tmp_path):
    """A function of a file that no node has: its code goes along, and the numbers are those of the local engine."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom speedlimits import Problem\n\ndef inputs():\n    return torch.eye(3)\n\n"
        "def build(seed):\n    torch.manual_seed(seed)\n"
        "    x, y = inputs(), torch.zeros(3).long()\n"
        "    return Problem(torch.nn.Linear(3, 1), x, x[:, :1], test_inputs=x, test_labels=y)\n"
    )
    config = RunConfig(problem=f"{file}:build", seeds=(0, 3), time=0.01, records=10, snapshots=4)
    train_run(config, tmp_path / "local", workers=1)
    function = Source.of(config).function
    file.unlink()
    engine = RayEngine(address="local", storage=str(tmp_path / "storage"), workers=2)
    train_run(dataclasses.replace(config, problem=function), tmp_path / "ray", engine=engine)
    assert series(tmp_path / "ray") == series(tmp_path / "local")
