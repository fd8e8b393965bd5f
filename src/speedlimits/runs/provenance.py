"""Where a run came from: versions, source commit, command, machine."""

import datetime
import platform
import subprocess
import sys
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import speedlimits
from speedlimits._machine import cores
from speedlimits.errors import RunFolderError
from speedlimits.runs.folder import Folder

# What lies in the folder of a run that has begun to train.
BEGUN = ("members", "checkpoint.safetensors")
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pyarrow", "safetensors")


def provenance(*, device: str, workers: int | None) -> dict[str, Any]:
    """What someone needs to run this again.

    Args:
        device: where the networks are computed.
        workers: members side by side, of one thread each; None for as many as find room.

    Returns:
        A JSON object: that of `machine`, the workers, and the start in UTC.
    """
    return {**machine(device), "workers": workers, "threads_per_worker": 1, "started": now()}


def machine(device: str) -> dict[str, Any]:
    """What computes.

    Args:
        device: where the networks are computed.

    Returns:
        A JSON object: versions, git commit (None outside a checkout), argv, machine.
    """
    return {
        "schema": 1,
        "speedlimits": speedlimits.__version__,
        "git": git_commit(),
        # Where the program lies is nobody's affair.
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "device": device,
    }


def begin(
    folder: Folder, engine: Mapping[str, Any], problem: Mapping[str, Any] | None, *, device: str, changed: bool
) -> dict[str, Any]:
    """Write where a run comes from or, when it goes on, that it did.

    Args:
        folder: of the run.
        engine: what trains it; at least ``workers``.
        problem: its name and hashes, where it is a user's own.
        device: where the networks are computed.
        changed: go on although the problem is another.

    Returns:
        The contents of ``provenance.json``.

    Raises:
        RunFolderError: if the problem is not the one it was.
    """
    here = {
        "id": folder.identity.id or uuid.uuid4().hex,
        **provenance(device=device, workers=engine["workers"]),
        **engine,
    }
    here |= {"problem": problem} if problem else {}
    if (folder.path / "provenance.json").exists():
        origin = _origin(folder)
        earlier = origin.get("resumed", [])
        if problem and not changed:
            check_unchanged(problem, [origin, *earlier][-1].get("problem"))
        here = {"id": here["id"], **origin, "resumed": [*earlier, here]}
    elif problem and not changed and any((folder.path / name).exists() for name in BEGUN):
        raise RunFolderError(
            f"{folder.path / 'provenance.json'}, which tells of the problem that the run began with, is missing "
            "(--changed goes on)."
        )
    folder.write_json("provenance.json", here)
    return here


def _origin(folder: Folder) -> dict[str, Any]:
    path = folder.path / "provenance.json"
    advice = "delete it, and --resume writes it anew"
    try:
        origin = folder.read_json(path.name)
    except RunFolderError as error:
        raise RunFolderError(f"{str(error).rstrip('.')}: {advice}.") from None
    if folder.identity.id and origin.get("id") != folder.identity.id:
        raise RunFolderError(f"{path} is of another run: {advice}.")
    return origin


def check_unchanged(problem: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> None:
    """Refuse to go on with a run whose problem is not the one it was.

    Args:
        problem: its name and hashes now.
        recorded: what they were.

    Raises:
        RunFolderError: naming what has changed.
    """
    for key, what in (("sha256", "its source has changed"), ("digest", "it builds other weights or data than before")):
        if recorded is None or problem[key] != recorded.get(key):
            raise RunFolderError(
                f"`problem` must be the one the run began with; of {problem['name']}, {what} (--changed goes on)."
            )


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """The commit this package's source is checked out at, marked ``+`` if files were changed since; None elsewhere."""
    here = Path(speedlimits.__file__)

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(
                ["git", "-C", str(here.parent), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return result.stdout.strip()

    # Installed inside somebody else's checkout, that commit would say nothing about this code.
    if git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changes else commit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
