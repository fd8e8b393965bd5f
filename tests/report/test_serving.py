"""A folder over HTTP while it trains: it shows what is on disk, nothing else, to nobody else, and writes nothing."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from speedlimits import speed_limit, train_run
from speedlimits.cli.main import main
from speedlimits.report.serving import page, respond
from speedlimits.runs import RunFolder
from speedlimits.runs.so_far import run_so_far
from speedlimits.runs.study import writing
from speedlimits.training.noisy import train_noisy
from tests.browser import browser, opened
from tests.torture._folders import CONFIG, NOISY, OTHER, Cut, every_step


def cut(folder: Path) -> None:
    """A run whose second member was stopped on its way."""

    def stop(event) -> None:
        if event.seed == 1 and event.share > 0.7:
            raise Cut

    with every_step(), contextlib.suppress(Cut):
        train_run(CONFIG, folder, engine="inline", progress=stop)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "run"
    cut(folder)
    return folder


def ask(folder: Path, path: str, *, method: str = "GET", host: str = "127.0.0.1:8765") -> tuple[int, str]:
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [(b"host", host.encode())]}
    status, body = respond(folder, scope)
    return status, body.decode()


def test_a_run_is_read_while_it_trains(unfinished):
    """One member has ended, the other is on its way: its numbers are those of the records on disk."""
    seen = run_so_far(unfinished, unfinished)
    first, second = seen.members
    assert (first.ended, second.ended, seen.ended) == (True, False, False)
    assert 0.5 < second.share < 1
    assert seen.share == pytest.approx((1 + second.share) / 2)
    stored = RunFolder.open(unfinished).member(1).so_far()
    assert second.trajectory.time == stored.time == pytest.approx(second.share * CONFIG.time)
    status, text = ask(unfinished, "/")
    assert status == 200
    assert "1 of 2 networks have ended" in text
    assert f"<td>{speed_limit(stored).final.inefficiency:.3g}</td>" in text
    assert "data-ended" not in text.split("<main>")[1].split("<script>")[0]


def test_nothing_is_written(unfinished):
    """Serving changes no file and makes none."""

    def listed() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in unfinished.rglob("*")}

    before = listed()
    for path in ("/", "/report", "/run/0/"):
        ask(unfinished, path)
    assert listed() == before


@pytest.mark.parametrize(
    "path",
    [
        *("/config.toml", "/../run/config.toml", "/run/0/", "/run/-1/", "/run/0/../config.toml", "/%2e%2e/x"),
        *("//etc/passwd", "/report.html", "/report/", "/members", "/run/9999999/", "/\0", "/report\n"),
    ],
)
def test_addresses_are_no_paths(unfinished, path):
    """Whatever is asked for beside the page and its report does not exist."""
    assert ask(unfinished, path) == (404, "There is no such page.")


def test_only_this_machine_and_only_reading(unfinished):
    """A foreign name that points here is refused, and so is whatever is no reading."""
    for host in ("evil.example:8765", "127.0.0.1.evil.example:8765", "", "[::1]:8765", "evil.example"):
        assert ask(unfinished, "/", host=host)[0] == 403
    assert ask(unfinished, "/", host="localhost:1")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(unfinished, "/", method=method)[0] == 405


@pytest.mark.parametrize("what", ["config.toml", "members", "members/seed-00001", "members/seed-00000/series"])
def test_links_that_lead_out_are_refused(unfinished, tmp_path, what):
    """What lies elsewhere is not shown, though a link in the folder leads there."""
    inside, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(unfinished, inside)
    shutil.move(inside / what, outside)
    (inside / what).symlink_to(outside)
    status, text = ask(inside, "/")
    assert status == 503
    assert "leads out of" in text
    assert text.count("\n") == 0


def test_report_that_leads_out_is_refused(tmp_path):
    """The finished report is served from the folder, not from where a link leads."""
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "run" / "report.html").symlink_to(tmp_path / "secret.html")
    status, text = ask(tmp_path / "run", "/report")
    assert status == 503
    assert "secret</" not in text


def test_damage_and_what_has_not_begun(unfinished, tmp_path):
    """An empty folder has not begun; a damaged part is one line, and the page asks again."""
    status, text = ask(tmp_path, "/")
    assert status == 200
    assert "not begun" in text
    shutil.copytree(unfinished, tmp_path / "run")
    part = next((tmp_path / "run" / "members" / "seed-00001" / "series").iterdir())
    part.write_bytes(part.read_bytes()[:50])
    assert ask(tmp_path / "run", "/")[0] == 503


def test_a_run_with_noise_is_read_while_it_trains(tmp_path):
    """Its loss and brackets so far are those of its last checkpoint."""

    def stop(share: float, *_) -> None:
        if share > 0.1:
            raise Cut

    with every_step(), contextlib.suppress(Cut):
        train_noisy(NOISY, tmp_path, progress=stop)
    seen = run_so_far(tmp_path, tmp_path)
    assert 0 < seen.share < 1
    assert not seen.ended
    assert len(seen.rows) > 1
    status, text = ask(tmp_path, "/")
    assert status == 200
    assert f"T = {seen.rows[-1]['time']:.3g}</h1>" in text
    assert text.count('class="plot"') == 5


def test_a_study_lists_its_runs(unfinished, tmp_path):
    """Each run has its share and its own page, under its number; the report of one that has it is there."""
    with writing(tmp_path, {"small": CONFIG, "large": OTHER}, resume=False, force=False):
        shutil.copytree(unfinished, tmp_path / "small")
    (tmp_path / "small" / "report.html").write_text("the report")
    text = page(tmp_path, "/").decode()
    assert "0 of 2 runs have ended" in text
    for k, (name, words) in enumerate((("small", "1 of 2 networks have ended"), ("large", "not begun"))):
        assert f'<a href="/run/{k}/">{name}</a>' in text
        assert words in text
        alone = page(tmp_path, f"/run/{k}/").decode()
        assert f">{name}: " in alone
        assert words in alone
    assert page(tmp_path, "/run/0/report") == b"the report"
    assert page(tmp_path, "/run/1/report") is None
    assert page(tmp_path, "/run/2/") is None


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "`directory` must be a folder; nowhere is none."),
        (["taken"], "`directory` must be a run or a study; taken holds a recording."),
        (["taken", "--port", "65536"], "`port` must be from 0 to 65535; port = 65536."),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    """What cannot be served is refused before a port is opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "recording.toml").touch()
    assert main(["serve", *arguments]) == 2
    assert capsys.readouterr().err == f"speedlimits: {message}\n"


@contextlib.contextmanager
def served(folder: Path):
    """The command as a process of its own, on a free port.

    Yields:
        The process, and its address.
    """
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    command = [sys.executable, "-m", "speedlimits", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its commands ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process, process.stdout.readline().split(" at ")[1].split()[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_command_serves_until_interrupted(unfinished):
    """It says where, answers there, gives the port to nobody else, and ends quietly with 130."""
    with served(unfinished) as (process, address):
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"1 of 2 networks have ended" in answer.read()
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        port = address.rstrip("/").rpartition(":")[2]
        second = [sys.executable, "-m", "speedlimits", "serve", str(unfinished), "--port", port]
        refused = subprocess.run(second, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        line = f"speedlimits: port {port} cannot be listened at: {os.strerror(98)}; --port takes another\n"
        assert refused.stderr == line
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == "speedlimits: interrupted\n"
        assert process.returncode == 130


@pytest.mark.slow
def test_the_page_is_renewed_in_a_browser(tmp_path):
    """A browser that watches sees the training go on to its end, by itself, without an error or a foreign request."""
    cut(tmp_path / "run")
    with (
        browser() as chromium,
        served(tmp_path / "run") as (_, address),
        opened(chromium, address, own=address) as watching,
    ):
        assert "1 of 2 networks have ended" in watching.inner_text("h1")
        points = watching.evaluate("document.querySelector('#loss').data.length")
        train_run(CONFIG, tmp_path / "run", engine="inline", resume=True)
        # By selectors: the page lets nobody evaluate a string.
        watching.wait_for_selector("#state:has-text('It has ended')", timeout=60_000)
        watching.wait_for_selector("h1:has-text('2 of 2 networks')")
        watching.wait_for_selector("#loss .main-svg")
        assert watching.evaluate("document.querySelector('#loss').data.length") != points
        assert watching.evaluate("document.querySelector('#lost').hidden")
