"""The formats of a run's files, safetensors and JSON: sealed where damage must be found, every damage named."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from speedlimits._files import (
    LONGEST_TEXT,
    open_regular,
    read_file,
    text_digest,
    write_atomically,
    write_text_atomically,
)
from speedlimits.errors import RunFolderError

# The key under which a file has the SHA-256 of all the rest of it.
SEAL = "seal"


def read_json(path: Path, *, sealed: bool = False) -> dict[str, Any]:
    """A JSON object from a run folder.

    Args:
        path: the file.
        sealed: it must have been written with a seal; one that has a seal is held to it in any case.

    Returns:
        The object.

    Raises:
        RunFolderError: if it is missing, no JSON object, or its seal is broken.
    """
    try:
        content = json.loads(read_bytes(path, LONGEST_TEXT))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged ({error}).") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged (no JSON object).")
    seal = content.pop(SEAL, None)
    if (sealed or seal is not None) and seal != _seal(content):
        raise RunFolderError(f"{path} is damaged (its SHA-256 is not the one written in it).")
    return content


def write_json(path: Path, content: Mapping[str, Any], *, sealed: bool = False) -> None:
    """Write a JSON object, whole or not at all; a sealed one with the SHA-256 of all the rest."""
    if sealed:
        content = {**content, SEAL: _seal(content)}
    write_text_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _seal(content: Mapping[str, Any]) -> str:
    # As it will be read: JSON has neither tuples nor numbers as keys.
    return text_digest(json.dumps(json.loads(json.dumps(content)), sort_keys=True))


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """A file's content.

    Args:
        path: the file.
        limit: bytes that it may have; None for any number.

    Returns:
        All of it.

    Raises:
        RunFolderError: if it cannot be read, is no regular file, or is beyond the limit.
    """
    try:
        return read_file(path, limit)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read ({error.strerror}).") from None


def digest(state: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of arrays under their names."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(np.ascontiguousarray(state[name]).tobytes())
    return total.hexdigest()


def read_safetensors(path: Path, *, sealed: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays from a file.

    Args:
        path: the file.
        sealed: it must have been written with a seal; one that has a seal is held to it in any case.

    Returns:
        The arrays by name, and the file's metadata.

    Raises:
        RunFolderError: if it is missing, truncated, another kind of file, or its seal is broken.
    """
    try:
        # Checked by itself: the library opens files by name only.
        open_regular(path).close()
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    # A name or type that damage has made up leads to more than the format's own error.
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({(str(error) or type(error).__name__).splitlines()[0]})."
        ) from None
    seal = metadata.pop(SEAL, None)
    if (sealed or seal is not None) and seal != _seal_of_arrays(arrays, metadata):
        raise RunFolderError(f"{path} is damaged (its SHA-256 is not the one written in it).")
    return arrays, metadata


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None, *, sealed: bool = False
) -> bytes:
    """Write arrays, whole or not at all; a sealed file with the SHA-256 of all the rest.

    Args:
        path: the file.
        arrays: by name.
        metadata: of the file.
        sealed: write the seal.

    Returns:
        What was written.
    """
    facts = dict(metadata or {})
    if sealed:
        facts[SEAL] = _seal_of_arrays(arrays, facts)
    content = _in_order(save(dict(arrays), metadata=facts or None))
    write_atomically(path, lambda out: out.write(content))
    return content


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in a random order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    # The numbers begin at a multiple of eight bytes.
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def _seal_of_arrays(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    kinds = {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}
    return _seal({"arrays": digest(arrays), "kinds": kinds, "metadata": dict(metadata)})
