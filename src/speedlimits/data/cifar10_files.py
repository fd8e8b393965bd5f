"""The two layouts CIFAR-10 is distributed in: binary records, and Python 2 pickles read without executing anything."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from speedlimits.data import python2_pickle
from speedlimits.errors import DataError

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
CLASSES = 10
# A label byte, then the red, the green and the blue plane, each row by row.
RECORD = 1 + PIXELS
# The folders that the archives unpack to.
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py")

Images = UInt8[np.ndarray, "samples 3 32 32"]
Labels = Int64[np.ndarray, " samples"]


def find(folder: Path, name: str) -> Path:
    """Where a batch lies.

    Args:
        folder: to look in.
        name: of the batch, as ``"test_batch"``.

    Returns:
        The binary file, or the python one, or else a part of the binary one, ``<name>_first<count>.bin``.

    Raises:
        DataError: if there is none.
    """
    places = [folder / inner for inner in FOLDERS]
    for whole in (f"{name}.bin", name):
        for place in places:
            if (place / whole).is_file():
                return place / whole
    parts = [part for place in places for part in sorted(place.glob(f"{name}_first*.bin"))]
    if not parts:
        raise DataError(f"CIFAR-10 must lie in {folder}; {name}.bin and {name} are missing there.")
    return parts[0]


def read(path: Path) -> tuple[Images, Labels]:
    """The images and labels of one batch, in either layout.

    Args:
        path: of the file; ``.bin`` marks the binary layout.

    Returns:
        Images of shape (samples, 3, 32, 32), channels red, green, blue, and their labels.

    Raises:
        DataError: if the file cannot be read, is truncated, or is not what its name says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    pixels, labels = _from_binary(path, content) if path.suffix == ".bin" else _from_pickle(path, content)
    if labels.size == 0 or labels.min() < 0 or labels.max() >= CLASSES:
        raise DataError(f"{path} is damaged (labels must lie in 0…{CLASSES - 1}).")
    return pixels.reshape(-1, *SHAPE), labels.astype(np.int64)


def _from_binary(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(content) % RECORD:
        raise DataError(f"{path} is damaged ({len(content)} bytes are no whole number of {RECORD}-byte records).")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return records[:, 1:], records[:, 0]


def _from_pickle(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = python2_pickle.load(content)
    except ValueError as error:
        raise DataError(f"{path} is damaged or no batch of CIFAR-10 ({error}).") from None
    pixels, labels = (batch.get(key) for key in (b"data", b"labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list) or not all(type(n) is int for n in labels):
        raise DataError(f"{path} is damaged or no batch of CIFAR-10 (it has no images, or no list of labels).")
    if pixels.shape != (len(labels), PIXELS):
        raise DataError(f"{path} is no batch of CIFAR-10 (data: {pixels.shape}, labels: {len(labels)}).")
    return pixels, np.array(labels, dtype=np.int64)
