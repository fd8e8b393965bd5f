"""Whether the files of a run agree with each other: all there is to go by where version 0.1 wrote no digests."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits.errors import RunFolderError
from speedlimits.runs.manifest import remedy
from speedlimits.trajectory import Trajectory

# Between distances of kept weights and those recorded with all digits: in float32 they differ by about 1e-7.
DISTANCES = 1e-2
# Between numbers that are the same but for their last digits.
NUMBERS = 1e-9


def check_member(folder: Path, seed: int, facts: Mapping[str, Any], run: Trajectory) -> None:
    """Kept weights lie where the series says, and the facts are those of this member.

    Args:
        folder: of the member.
        seed: it must have.
        facts: in its ``member.json``.
        run: its series and distances.

    Raises:
        RunFolderError: naming the file that disagrees.
    """
    if facts.get("seed") != seed:
        raise _disagree(folder / "member.json", f"its seed is {facts.get('seed')!r}")
    if run.snapshot_records.size and run.snapshot_records[0] == 0:
        recorded = run.w2_squared[run.snapshot_records]
        if np.abs(run.snapshot_distances_squared[0] - recorded).max() > DISTANCES * recorded.max():
            raise _disagree(folder / "distances.safetensors", "its distances are not those of the series")


def check_summary(path: Path, summary: Mapping[str, Any], runs: Mapping[int, Trajectory]) -> None:
    """The summary has the last numbers of the series.

    Args:
        path: of ``summary.json``.
        summary: its contents.
        runs: the members by seed.

    Raises:
        RunFolderError: if it has others.
    """
    try:
        rows = {row["seed"]: row for row in summary["members"]}
        told = {seed: {key: float(rows[seed][key]) for key in _ends(run)} for seed, run in runs.items()}
    except (KeyError, TypeError, ValueError):
        raise _disagree(path, "it lacks numbers of a member") from None
    for seed, run in runs.items():
        for key, value in _ends(run).items():
            if not np.isclose(told[seed][key], value, rtol=NUMBERS, atol=0):
                raise _disagree(path, f"`{key}` of seed {seed} is {told[seed][key]:.17g}, by the series {value:.17g}")


def check_noisy_summary(path: Path, summary: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """The summary of a run with noise is of this configuration, and its limit is the ratio that it is said to be.

    Args:
        path: of ``summary.json``.
        summary: its contents.
        config: of the run.

    Raises:
        RunFolderError: if it is not.
    """
    for key in ("inverse_temperature", "members", "time", "seed", "scheme"):
        if summary.get(key) != config[key]:
            raise _disagree(path, f"`{key}` is {summary.get(key)!r}, in config.toml {config[key]!r}")
    try:
        above, below = summary["w2_squared_limit"], summary["dissipation_limit"]
        wrong = above is not None and below and not np.isclose(summary["speed_limit"], above / below, rtol=NUMBERS)
        times = [row["time"] for row in summary["series"]]
    except (KeyError, TypeError):
        raise _disagree(path, "it lacks numbers") from None
    if wrong:
        raise _disagree(path, "`speed_limit` is not the ratio of its two limits")
    if any(not one < other for one, other in itertools.pairwise(times)):
        raise _disagree(path, "the times of its series do not grow")


def _ends(run: Trajectory) -> dict[str, float]:
    return {
        "loss_initial": float(run.losses[0]),
        "loss_final": float(run.losses[-1]),
        "w2_squared": float(run.w2_squared[-1]),
        "arc_length": float(run.arc_lengths[-1]),
        "path_dissipation": float(run.path_dissipation[-1]),
    }


def _disagree(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path} is damaged or another run's ({why}): {remedy(path)}.")
