"""Arrays in one NumPy file, of which nothing is executed."""

import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits._files import read_file, write_atomically
from speedlimits.errors import RunFolderError


def write_arrays(path: Path, schema: int, arrays: Mapping[str, Any]) -> None:
    """Write a ``.npz`` file, whole or not at all.

    Args:
        path: the file; replaced if it exists.
        schema: of it.
        arrays: by name.

    Raises:
        OSError: what the disk reports.
    """
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, schema=schema, **arrays))


def read_arrays(path: Path, schema: int, names: Collection[str], late: Collection[str]) -> dict[str, Any]:
    """Read what `write_arrays` wrote.

    Args:
        path: the file.
        schema: that it must have.
        names: of the arrays.
        late: of those that older files lack; None where they do.

    Returns:
        The arrays by name.

    Raises:
        RunFolderError: if the file is missing, truncated or not a trajectory.
    """
    try:
        with np.load(io.BytesIO(read_file(path)), allow_pickle=False) as archive:
            contents = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RunFolderError(f"`path` must be a saved trajectory; {path} does not exist.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise RunFolderError(f"`path` must be a saved trajectory; {path} is damaged ({error}).") from None
    contents: dict[str, Any] = {**dict.fromkeys(late), **contents}
    missing = {"schema", *names} - contents.keys()
    if missing:
        raise RunFolderError(f"`path` must be a saved trajectory; {path} lacks {sorted(missing)[0]!r}.")
    if (found := int(contents["schema"])) != schema:
        raise RunFolderError(f"`path` must be a trajectory of schema {schema}; {path} has schema {found}.")
    return {name: contents[name] for name in names}
