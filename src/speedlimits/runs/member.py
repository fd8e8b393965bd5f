"""One member on disk: its series as Parquet parts, its weights as safetensors, a checkpoint to go on from.

Every file is written whole under a temporary name, synced and renamed; a part, once the checkpoint counts its rows,
never changes until all of them are merged at the member's end. Reading needs no torch and executes nothing.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits._distances import distances_squared
from speedlimits._files import digest as file_digest
from speedlimits._files import text_digest
from speedlimits.errors import RunFolderError, last_line
from speedlimits.runs import parts
from speedlimits.runs.formats import digest, read_bytes, read_json, read_safetensors, write_json, write_safetensors
from speedlimits.runs.identity import Owner
from speedlimits.runs.manifest import remedy
from speedlimits.trajectory import Trajectory

# A part holds about this many rows; together with the checkpoint it bounds what a killed process loses.
ROWS_PER_PART = 1000
SCHEMA = 1
CHECKPOINT, SERIES = "checkpoint.safetensors", "series"
# Names the attempt that may write to a member, where several can reach it.
OWNER = ".owner"

_LOG = logging.getLogger(__name__)


class MemberStore:
    """The folder of one member of a run.

    Args:
        folder: made when first written to.
        owner: whose it is; what turns out to be another's is refused. Without one, whoever's it is.
    """

    def __init__(self, folder: Path, owner: Owner | None = None) -> None:
        self.folder = folder
        self._owner = owner
        self._rows: list[dict[str, Any]] = []
        self._written = 0
        # Of all rows written, one after the other.
        self._series = hashlib.sha256()

    @property
    def finished(self) -> bool:
        """Whether the member ran to its end."""
        return (self.folder / "member.json").exists()

    # --- writing: rows and snapshots, then the checkpoint that counts them ------------------------------------------

    def add(self, row: dict[str, Any]) -> None:
        """Append one record; it is on disk after the next `checkpoint`."""
        self._rows.append(row)

    @property
    def records(self) -> int:
        """Rows so far, on disk or not."""
        return self._written + len(self._rows)

    @property
    def full(self) -> bool:
        """Whether enough rows wait for a part of their own."""
        return len(self._rows) >= ROWS_PER_PART

    def keep_weights(self, weights: Mapping[str, np.ndarray], time: float) -> None:
        """Keep the weights of the latest record under their names in the model."""
        record = self.records - 1
        file = f"{record:08d}.safetensors"
        _make(self.folder / "snapshots")
        metadata = {"record": str(record), "time": time.hex()}
        content = write_safetensors(self.folder / "snapshots" / file, weights, metadata)
        entry = {"file": file, "record": record, "time": time, "sha256": hashlib.sha256(content).hexdigest()}
        manifest = [old for old in self._manifest() if old["record"] < record]
        write_json(self.folder / "snapshots" / "manifest.json", {"schema": SCHEMA, "snapshots": [*manifest, entry]})

    def checkpoint(self, state: Mapping[str, np.ndarray]) -> None:
        """Write the waiting rows as a part, and then the integrator's state that stands at the last of them."""
        if self._rows:
            table = parts.to_table(self._rows, self._written)
            parts.write(self.folder / SERIES, table, self._written)
            self._series.update(parts.row_bytes(table))
            self._written += len(self._rows)
            self._rows = []
        kept = self._manifest()
        counted = {"records": str(self._written), "series": self._series.hexdigest(), "kept": _digest_of(kept)}
        write_safetensors(self.folder / CHECKPOINT, state, {**counted, **self._facts()}, sealed=True)

    def finish(self, member: Mapping[str, Any]) -> None:
        """Merge the parts, write the distances between snapshots and, last, the member's own facts: it is finished."""
        first, *others = parts.listed(self.folder / SERIES)
        if others:
            parts.write(self.folder / SERIES, parts.read(self.folder / SERIES), parts.first_row(first))
        for part in others:
            part.unlink()
        entries = self._manifest()
        distances = distances_squared(_LazyWeights([self.folder / "snapshots" / entry["file"] for entry in entries]))
        distances = {"snapshot_distances_squared": distances}
        write_safetensors(self.folder / "distances.safetensors", distances, self._facts(), sealed=True)
        held = _held(self._series, entries, distances)
        write_json(
            self.folder / "member.json", {"schema": SCHEMA, **self._facts(), **member, "held": held}, sealed=True
        )
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _facts(self) -> dict[str, str]:
        return {} if self._owner is None else self._owner.facts()

    @property
    def _sealed(self) -> bool:
        """Whether every file must have its seal: of runs that have an id, the writer put it there."""
        return self._owner is not None and bool(self._owner.run)

    def _check_owner(self, path: Path, facts: Mapping[str, Any]) -> None:
        if self._owner is not None:
            self._owner.check(path, facts, f"delete {self.folder}, and --resume trains it anew")

    # --- going on ---------------------------------------------------------------------------------------------------

    def resume(self) -> dict[str, np.ndarray] | None:
        """The state to go on from; rows behind it are dropped, they will be written again bit for bit.

        Returns:
            What `checkpoint` was given, or None where there is nothing whole to go on from: then the member starts
            anew, which gives the same numbers.

        Raises:
            RunFolderError: if the checkpoint is whole, and of another run, seed or configuration.
        """
        path = self.folder / CHECKPOINT
        try:
            state, facts = read_safetensors(path, sealed=self._sealed)
            records = int(facts["records"])
        except (RunFolderError, KeyError, ValueError):
            return self._anew()
        self._check_owner(path, facts)
        try:
            for part in parts.listed(self.folder / SERIES):
                if parts.first_row(part) >= records:
                    part.unlink()
            kept = [entry for entry in self._manifest() if entry["record"] < records]
            table = parts.read(self.folder / SERIES)
            series = hashlib.sha256(parts.row_bytes(table))
            found = {"series": series.hexdigest(), "kept": _digest_of(kept)}
            if "series" not in facts:  # As version 0.1 wrote it.
                found = {"snapshots": str(len(kept)), "sha256": digest(state)}
            if table.num_rows != records or found.items() - facts.items():
                raise RunFolderError(f"{self.folder} does not hold what its checkpoint counts.")
            for entry in kept:
                self.weights(entry["record"])
        # Whatever damage leads to: missing keys, wrong types, Arrow's own errors, which are ValueErrors.
        except (RunFolderError, KeyError, TypeError, ValueError):
            return self._anew()
        # What a killed process had begun to write.
        for left in self.folder.rglob(".*.tmp"):
            left.unlink()
        self._written, self._series = records, series
        return state

    def _anew(self) -> None:
        """Nothing whole is there; a word where something was."""
        if (self.folder / CHECKPOINT).exists():
            _LOG.warning("%s: what is there is damaged; the member is trained anew, to the same numbers.", self.folder)
        self.clear()

    def clear(self) -> None:
        """Remove what there is of the member, but for the files that say who works on it."""
        for name in ("series", "snapshots"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in [*self.folder.glob("*.safetensors"), *self.folder.glob("*.json"), *self.folder.glob(".*.tmp")]:
            path.unlink()

    # --- reading ----------------------------------------------------------------------------------------------------

    def member(self) -> dict[str, Any]:
        """The facts `finish` was given.

        Returns:
            The mapping.

        Raises:
            RunFolderError: if the member has not run to its end, or the file is damaged or another's.
        """
        facts = read_json(self.folder / "member.json", sealed=self._sealed)
        self._check_owner(self.folder / "member.json", facts)
        return facts

    def files(self) -> dict[str, str]:
        """SHA-256 of each file of the finished member, by its name in the folder; of weights as their list has it."""
        names = [
            "member.json",
            "distances.safetensors",
            *(f"series/{part.name}" for part in parts.listed(self.folder / SERIES)),
        ]
        listed = {name: file_digest(self.folder / name) for name in [*names, "snapshots/manifest.json"]}
        return listed | {f"snapshots/{entry['file']}": entry["sha256"] for entry in self._manifest()}

    def trajectory(self) -> Trajectory:
        """The member's whole run.

        Returns:
            The trajectory, with every snapshot as a possible start.

        Raises:
            RunFolderError: if the member has not run to its end, or a file is missing or damaged.
        """
        try:
            return self._trajectory()
        # Whatever damage leads to where there are no digests: names that are missing, values against the rules.
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{self.folder} is damaged ({last_line(error)}): {remedy(self.folder)}.") from None

    def so_far(self) -> Trajectory | None:
        """What of an unfinished member is on disk, without kept weights.

        Returns:
            The trajectory; None before the first part.

        Raises:
            RunFolderError: if a part is damaged, or has gone while it was read.
        """
        if not parts.listed(self.folder / SERIES):
            return None
        return Trajectory(**parts.series(parts.read(self.folder / SERIES)))

    def _trajectory(self) -> Trajectory:
        facts = self.member()
        records, table, entries = facts["records"], parts.read(self.folder / SERIES), self._manifest()
        if table.num_rows != records:
            raise RunFolderError(f"{self.folder / 'series'} must hold {records} rows; it holds {table.num_rows}.")
        arrays, _ = read_safetensors(self.folder / "distances.safetensors")
        # Version 0.1 wrote no digests.
        found = _held(hashlib.sha256(parts.row_bytes(table)), entries, arrays) if "held" in facts else {}
        for name, total in found.items():
            if facts["held"][name] != total:
                raise RunFolderError(f"{self.folder / name} is damaged: its SHA-256 is not the one in member.json.")
        return Trajectory(
            **parts.series(table),
            snapshot_records=np.array([entry["record"] for entry in entries], dtype=np.int64),
            snapshot_distances_squared=arrays["snapshot_distances_squared"],
        )

    def verify(self) -> None:
        """Read every file of a finished member once.

        Raises:
            RunFolderError: if the member has not run to its end, or a file is missing or damaged.
        """
        self.trajectory()
        for entry in () if self.bare else self._manifest():
            self.weights(entry["record"])

    @property
    def bare(self) -> bool:
        """Whether none of its weights is there: a copy may be made without them, for the numbers need none."""
        return not any((self.folder / "snapshots" / entry["file"]).exists() for entry in self._manifest())

    def check_kept(self) -> None:
        """Raise a RunFolderError where its weights were left out."""
        if self.bare:
            raise RunFolderError(f"{self.folder} is without its weights: {remedy(self.folder)}.")

    def weights(self, record: int) -> dict[str, np.ndarray]:
        """The weights kept at one record, by their names in the model.

        Args:
            record: one of the snapshots' records.

        Returns:
            The arrays.

        Raises:
            RunFolderError: if no weights were kept there, or they were left out or are not what the manifest says.
        """
        entries = {entry["record"]: entry for entry in self._manifest()}
        if record not in entries:
            raise RunFolderError(f"`record` must be one of {sorted(entries)} in {self.folder}; record = {record}.")
        path = self.folder / "snapshots" / entries[record]["file"]
        if not path.exists():
            self.check_kept()
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != entries[record]["sha256"]:
            raise RunFolderError(f"{path} is damaged: its SHA-256 is not the one in manifest.json.")
        return read_safetensors(path)[0]

    def _manifest(self) -> list[dict[str, Any]]:
        path = self.folder / "snapshots" / "manifest.json"
        return read_json(path)["snapshots"] if path.exists() else []


class _LazyWeights(Sequence[np.ndarray]):
    """Flat weight vectors read from their files when asked for: `distances_squared` holds two at a time."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        arrays, _ = read_safetensors(self._paths[index])
        return np.concatenate([arrays[name].ravel() for name in sorted(arrays)])


def _held(series: Any, entries: list[dict[str, Any]], distances: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The digests of a finished member's files; of the weights, that of the list that has theirs."""
    return {
        "series": series.hexdigest(),
        "snapshots/manifest.json": _digest_of(entries),
        "distances.safetensors": digest(distances),
    }


def _digest_of(entries: list[dict[str, Any]]) -> str:
    return text_digest(json.dumps(entries, sort_keys=True))


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
