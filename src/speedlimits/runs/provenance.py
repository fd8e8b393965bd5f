"""Where a run came from: versions, source commit, command, machine."""

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import speedlimits

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pyarrow", "safetensors")


def provenance(*, device: str, workers: int | None) -> dict[str, Any]:
    """What someone needs to run this again.

    Args:
        device: where the networks are computed.
        workers: members side by side, of one thread each; None for as many as find room.

    Returns:
        A JSON object: versions, git commit (None outside a checkout), argv, machine, start in UTC.
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
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device,
        "workers": workers,
        "threads_per_worker": 1,
        "started": now(),
    }


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
