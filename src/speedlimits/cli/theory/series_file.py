"""Numbers from a file the user names: text, CSV or NumPy's own format, never executed."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite, check_shape
from speedlimits._files import LONGEST_TEXT, open_regular, read_file


def read_numbers(name: str, path: Path) -> Float[np.ndarray, " numbers"]:
    """Numbers in the order of the file.

    Args:
        name: of the option, for errors.
        path: ``.npy`` for an array of one axis; any other file is text with one number per line, or several
            with commas between them; blank lines and lines that begin with # are skipped.

    Returns:
        The numbers.

    Raises:
        ValueError: naming the file, and the line where there is one, if it is not readable as finite numbers.
    """
    try:
        numbers = _array(name, path) if path.suffix == ".npy" else _lines(name, path)
    except OSError as error:
        raise ValueError(f"`{name}` must be a readable file; {path}: {error.strerror or error}.") from None
    if not numbers.size:
        raise ValueError(f"`{name}` must hold at least one number; {path} holds none.")
    return numbers


def _array(name: str, path: Path) -> np.ndarray:
    with open_regular(path) as file:
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"`{name}` must be a .npy file of numbers; {path}: {error}.") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"`{name}` must hold real numbers; {path} holds {array.dtype}.")
    numbers = array.astype(float)
    try:
        check_shape(name, numbers, (None,))
        check_finite(name, numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return numbers


def _lines(name: str, path: Path) -> np.ndarray:
    numbers: list[float] = []
    try:
        lines = read_file(path, LONGEST_TEXT).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"`{name}` must be text with one number per line; {path} is not text.") from None
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            numbers += [_number(name, cell, f"{path}, line {number}") for cell in line.split(",")]
    return np.array(numbers)


def _number(name: str, text: str, where: str) -> float:
    try:
        value = float(text)
        check_finite(name, value)
    except ValueError:
        shown = repr(text.strip()[:40])
        raise ValueError(f"`{name}` must hold finite numbers, one per line; {where}: {shown}.") from None
    return value
