"""Build the sdist and from it the wheel, and use that from an empty environment on each Python (`make test-wheel`).

Run: python .ci/smoke.py [--train] [PYTHON …]
Each PYTHON is an interpreter; the default is the one that runs this. With --train the extra `train` is installed as
well, and a network is trained: torch then comes as constraints.txt has it. The sizes of the environments are printed.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A sample of what somebody with the sdist alone needs to install, test, draw and measure.
IN_SDIST = ("Makefile", "constraints.txt", "examples/training_loop.py", "benchmarks/recorder.py", "tests/conftest.py")
POWER_LAW = shlex.split("theory power-law --spectrum-exponent 1 --residual-exponent 0.5 --modes 2000 --time 2 20")
# A straight path of constant speed: as fast as thermodynamics allows.
STRAIGHT = """
import numpy as np
from speedlimits import Trajectory, report, speed_limit
t = np.linspace(0.0, 1.0, 5)
path = Trajectory(times=t, losses=1 - t, w2_squared=t**2, arc_lengths=t, path_dissipation=t)
assert abs(speed_limit(path)[-1].inefficiency - 1) < 1e-12
print(report.write_trajectories([path], "page", title="Straight"))
"""
TRAIN = shlex.split("run --out trained --width 8 --samples 40 --seeds 0 --time 1 --workers 1")


def main() -> None:
    """Build and try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for k, python in enumerate(options.pythons):
            smoke(Path(folder) / f"venv{k}", python, wheel, train=options.train)


def build(folder: Path) -> Path:
    """Make the sdist, see what it holds, and make the wheel out of it as pip would."""
    python = environment(folder / "builder", sys.executable)
    call(python, "-m", "pip", "install", "--quiet", "build")
    call(python, "-m", "build", "--outdir", folder, ROOT)
    sdist, wheel = next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    if lost := [name for name in IN_SDIST if name not in held]:
        raise SystemExit(f"{sdist.name} lacks {', '.join(lost)}")
    print(f"{sdist.name} {sdist.stat().st_size / 1e6:.1f} MB, {wheel.name} {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def smoke(folder: Path, python: str, wheel: Path, *, train: bool) -> None:
    """Install the wheel alone, use what needs no torch, see what the rest says, and with `train` use that, too."""
    own = environment(folder, python)
    constrained = ("-m", "pip", "install", "--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt")
    call(own, *constrained, wheel)
    sizes = f"{megabytes(folder):.0f} MB"
    program = own.with_name("speedlimits")
    version = call(program, "--version", cwd=folder)
    call(program, *POWER_LAW, "--json", cwd=folder)
    call(program, *POWER_LAW, "--plot", "curve.png", cwd=folder)
    call(own, "-c", STRAIGHT, cwd=folder)
    needs = call(program, *TRAIN, cwd=folder, code=1)
    if needs != "speedlimits: `run` needs torch: pip install 'speedlimits[train]'\n":
        raise SystemExit(f"without torch `speedlimits run` said: {needs}")
    if train:
        call(own, *constrained, f"{wheel}[train]")
        sizes += f", with the extra `train` {megabytes(folder):.0f} MB"
        call(program, *TRAIN, cwd=folder)
        call(program, "verify", "trained", cwd=folder)
    running = call(own, "-c", "import platform; print(platform.python_version())").strip()
    print(f"{version.strip()} on Python {running}: {sizes}")


def environment(folder: Path, python: str) -> Path:
    """An empty virtual environment; its interpreter."""
    call(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def call(*command: object, code: int = 0, cwd: Path | None = None) -> str:
    """Run a command and return what it printed; any other exit code ends this script."""
    # Not the sources beside this script: what was installed.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=own, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode != code:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def megabytes(folder: Path) -> float:
    """What an environment takes on disk [MB], without pip."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if "pip" not in path.relative_to(folder).parts) / 1e6


if __name__ == "__main__":
    main()
