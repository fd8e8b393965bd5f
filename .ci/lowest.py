"""Print the lowest version of every dependency that pyproject.toml allows, as constraints for pip (`make test-lowest`).

Run: python .ci/lowest.py
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Old versions of torch come with gigabytes of CUDA packages from PyPI; constraints.txt pins one that need not.
PINNED = "torch"


def constraints() -> list[str]:
    """The lower bounds of the package and its extra `ray`; for everything else the versions of constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = dict(asked.split(">=") for asked in project["dependencies"] + project["optional-dependencies"]["ray"])
    tested = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    versions = {**tested, **bounds, PINNED: tested[PINNED]}
    return [f"{name}=={version}" for name, version in versions.items()]


if __name__ == "__main__":
    print("\n".join(constraints()))
