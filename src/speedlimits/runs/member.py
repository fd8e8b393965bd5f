"""One member on disk: its series as Parquet parts, its weights as safetensors, a checkpoint to go on from.

Every file is written whole under a temporary name, synced and renamed; a part, once the checkpoint counts its rows,
never changes until all of them are merged at the member's end. Reading needs no torch and executes nothing.
"""

import hashlib
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from speedlimits._files import write_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.formats import (
    digest,
    first_row,
    read_bytes,
    read_json,
    read_safetensors,
    to_table,
    write_json,
    write_safetensors,
)
from speedlimits.trajectory import COLUMNS, Trajectory, distances_squared

# A part holds about this many rows; together with the checkpoint it bounds what a killed process loses.
ROWS_PER_PART = 1000
SCHEMA = 1


class MemberStore:
    """The folder of one member of a run.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: list[dict[str, Any]] = []
        self._written = 0

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
            self._write_part(to_table(self._rows, self._written), self._written)
            self._written += len(self._rows)
            self._rows = []
        counted = {"records": str(self._written), "snapshots": str(len(self._manifest())), "sha256": digest(state)}
        write_safetensors(self.folder / "checkpoint.safetensors", state, counted)

    def finish(self, member: Mapping[str, Any]) -> None:
        """Merge the parts, write the distances between snapshots and, last, the member's own facts: it is finished."""
        first, *others = self._parts()
        if others:
            self._write_part(self._read_series(), first_row(first))
        for part in others:
            part.unlink()
        entries = self._manifest()
        distances = distances_squared(_LazyWeights([self.folder / "snapshots" / entry["file"] for entry in entries]))
        write_safetensors(self.folder / "distances.safetensors", {"snapshot_distances_squared": distances})
        write_json(self.folder / "member.json", {"schema": SCHEMA, **member})
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)

    def _write_part(self, table: pa.Table, first: int) -> None:
        _make(self.folder / "series")
        write_atomically(
            self.folder / "series" / f"part-{first:08d}.parquet",
            lambda out: pq.write_table(table, out, compression="zstd", write_page_checksum=True),
        )

    # --- going on ---------------------------------------------------------------------------------------------------

    def resume(self) -> dict[str, np.ndarray] | None:
        """The state to go on from; rows behind it are dropped, they will be written again bit for bit.

        Returns:
            What `checkpoint` was given, or None where there is nothing whole to go on from: then the member starts
            anew, which gives the same numbers.
        """
        try:
            state, metadata = read_safetensors(self.folder / "checkpoint.safetensors")
            records = int(metadata["records"])
            for part in self._parts():
                if first_row(part) >= records:
                    part.unlink()
            kept = [entry["record"] for entry in self._manifest() if entry["record"] < records]
            found = self._read_series().num_rows, len(kept), digest(state)
            if found != (records, int(metadata["snapshots"]), metadata["sha256"]):
                raise RunFolderError(f"{self.folder} does not hold what its checkpoint counts.")
            for record in kept:
                self.weights(record)
        # Whatever damage leads to: missing keys, wrong types, Arrow's own errors, which are ValueErrors.
        except (RunFolderError, KeyError, TypeError, ValueError):
            self.clear()
            return None
        # What a killed process had begun to write.
        for path in self.folder.rglob(".*.tmp"):
            path.unlink()
        self._written = records
        return state

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
            RunFolderError: if the member has not run to its end, or the file is damaged.
        """
        return read_json(self.folder / "member.json")

    def trajectory(self) -> Trajectory:
        """The member's whole run.

        Returns:
            The trajectory, with every snapshot as a possible start.

        Raises:
            RunFolderError: if the member has not run to its end, or a file is missing or damaged.
        """
        records = self.member()["records"]
        table = self._read_series()
        if table.num_rows != records:
            raise RunFolderError(f"{self.folder / 'series'} must hold {records} rows; it holds {table.num_rows}.")
        arrays, _ = read_safetensors(self.folder / "distances.safetensors")
        columns: dict[str, Any] = {
            field: table.column(key).combine_chunks().to_numpy(zero_copy_only=False)
            for key, field in COLUMNS.items()
            if key in table.column_names and key != "weight_trace"
        }
        traces = table.column("weight_trace").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return Trajectory(
            **columns,
            weight_traces=traces.reshape(records, -1, 3),
            snapshot_records=np.array([entry["record"] for entry in self._manifest()], dtype=np.int64),
            snapshot_distances_squared=arrays["snapshot_distances_squared"],
        )

    def verify(self) -> None:
        """Read every file of a finished member once.

        Raises:
            RunFolderError: if the member has not run to its end, or a file is missing or damaged.
        """
        self.trajectory()
        for entry in self._manifest():
            self.weights(entry["record"])

    def weights(self, record: int) -> dict[str, np.ndarray]:
        """The weights kept at one record, by their names in the model.

        Args:
            record: one of the snapshots' records.

        Returns:
            The arrays.

        Raises:
            RunFolderError: if no weights were kept there, or the file's hash is not the manifest's.
        """
        entries = {entry["record"]: entry for entry in self._manifest()}
        if record not in entries:
            raise RunFolderError(f"`record` must be one of {sorted(entries)} in {self.folder}; record = {record}.")
        path = self.folder / "snapshots" / entries[record]["file"]
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != entries[record]["sha256"]:
            raise RunFolderError(f"{path} is damaged: its SHA-256 is not the one in manifest.json.")
        return read_safetensors(path)[0]

    def _parts(self) -> list[Path]:
        return sorted((self.folder / "series").glob("part-*.parquet"))

    def _read_series(self) -> pa.Table:
        tables, rows = [], 0
        for part in self._parts():
            if first_row(part) < rows:
                # Merged into an earlier one, by a process that was killed before it could remove this one.
                continue
            if first_row(part) > rows:
                raise RunFolderError(f"{part} must begin at row {rows}: a part before it is missing.")
            try:
                file = pq.ParquetFile(io.BytesIO(read_bytes(part)), page_checksum_verification=True)
                # Small tables need no threads.
                tables.append(file.read(use_threads=False))
            except (pa.ArrowException, OSError) as error:
                raise RunFolderError(f"{part} is damaged ({str(error).splitlines()[0]}).") from None
            rows += tables[-1].num_rows
        if not tables:
            raise RunFolderError(f"{self.folder / 'series'} must hold at least one part; it holds none.")
        return pa.concat_tables(tables)

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


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
