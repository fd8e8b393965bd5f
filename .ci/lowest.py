"""Print the lowest version of every dependency that pyproject.toml allows, as constraints for pip (`make test-lowest`).

Run: python .ci/lowest.py
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Old versions of torch come with gigabytes of CUDA packages from PyPI; constraints.txt pins one that need not.
PINNED = "torch"
EXTRAS = ("train", "ray")


def constraints() -> list[str]:
    """The lower bounds of the package and its extras `train` and `ray`; for everything else constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    bounds = dict(each.split(">=") for each in asked if ">=" in each)
    tested = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    versions = {**tested, **bounds, PINNED: tested[PINNED]}
    return [f"{name}=={version}" for name, version in versions.items()]


if __name__ == "__main__":
    print("\n".join(constraints()))
