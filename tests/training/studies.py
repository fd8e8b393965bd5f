"""A small study, and everything that a run of it measured."""

from pathlib import Path

from speedlimits import RunConfig
from speedlimits.runs.run import RunFolder

STUDIES = {f"n{n}": RunConfig(samples=n, width=6, seeds=(0, 3), time=0.02, records=20, snapshots=5) for n in (20, 40)}


def series(folder: Path) -> dict[str, bytes]:
    """Everything a run measured, exactly, and every weight it kept."""
    run = RunFolder.open(folder)
    found = {}
    for seed in run.config.seeds:
        member = run.member(seed)
        trajectory = member.trajectory()
        for field in ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation", "test_accuracy"):
            found[f"{seed} {field}"] = getattr(trajectory, field).tobytes()
        for record in trajectory.snapshot_records.tolist():
            for name, weight in member.weights(record).items():
                found[f"{seed} {record} {name}"] = weight.tobytes()
    return found
