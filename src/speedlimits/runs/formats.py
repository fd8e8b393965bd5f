"""The formats of a member's files, Parquet, safetensors and JSON: written and read, with every damage named."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from speedlimits._files import write_atomically, write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.trajectory import COLUMNS


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run folder.

    Args:
        path: the file.

    Returns:
        The object.

    Raises:
        RunFolderError: if it is missing or no JSON object.
    """
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged ({error}).") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged (no JSON object).")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_text_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def to_table(rows: list[dict[str, Any]], first: int) -> pa.Table:
    """Records as the columns of a part.

    Args:
        rows: the records, each with every column.
        first: number of the first.

    Returns:
        The table, with the records' numbers in its first column.
    """
    columns: dict[str, Any] = {"record": pa.array(range(first, first + len(rows)), pa.int64())}
    # Of points a run that we train ourselves has no need: every step is summed.
    for key in [key for key in COLUMNS if key in rows[0]]:
        values = [row[key] for row in rows]
        if key == "weight_trace":
            columns[key] = pa.array(values, pa.list_(pa.float64(), len(values[0])))
        else:
            columns[key] = pa.array(values, pa.int64() if key == "gradient_evaluations" else pa.float64())
    return pa.table(columns)


def first_row(part: Path) -> int:
    """The number of a part's first record, from its name.

    Args:
        part: the file.

    Returns:
        The number.

    Raises:
        RunFolderError: if it has another name.
    """
    try:
        return int(part.stem.removeprefix("part-"))
    except ValueError:
        raise RunFolderError(f"{part} must be named part-<first row>.parquet.") from None


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Args:
        path: the file.

    Returns:
        All of it.

    Raises:
        RunFolderError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read ({error.strerror}).") from None


def digest(state: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of arrays under their names."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(np.ascontiguousarray(state[name]).tobytes())
    return total.hexdigest()


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays from a file.

    Args:
        path: the file.

    Returns:
        The arrays by name, and the file's metadata.

    Raises:
        RunFolderError: if it is missing, or truncated, or another kind of file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"{path} cannot be read ({str(error).splitlines()[0]}).") from None


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    """Write arrays, whole or not at all.

    Args:
        path: the file.
        arrays: by name.
        metadata: of the file.

    Returns:
        What was written.
    """
    content = _in_order(save(dict(arrays), metadata=metadata))
    write_atomically(path, lambda out: out.write(content))
    return content


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in a random order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    # The numbers begin at a multiple of eight bytes.
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]
