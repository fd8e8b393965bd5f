"""Real handwritten digits, 8×8 pixels, from inside scikit-learn: no download, and small enough for seconds."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from speedlimits.data.dataset import Dataset, classification

# The same images are held out whatever the training size, so that accuracies can be compared.
HELD_OUT = 500
TRAINING = 1797 - HELD_OUT


def digits(samples: int) -> Dataset:
    """The first images of the UCI handwritten digits, and the last 500 as held-out ones.

    Args:
        samples: n, number of training images, 1 to 1,297.

    Returns:
        Images of shape (1, 8, 8) in ten classes.

    Raises:
        ValueError: if ``samples`` is out of range.
    """
    if not 1 <= samples <= TRAINING:
        raise ValueError(f"`samples` must lie in 1…{TRAINING} for digits; samples = {samples}.")
    images, labels = _all_digits()
    return classification(
        "digits",
        images[:samples],
        labels[:samples],
        images[-HELD_OUT:],
        labels[-HELD_OUT:],
        held_out=f"the last {HELD_OUT} images",
    )


def _all_digits() -> tuple[Float64[np.ndarray, "images 1 8 8"], Int64[np.ndarray, " images"]]:
    """All images and labels, as `sklearn.datasets.load_digits` has them.

    Its file is read directly: importing scikit-learn would be a third of the time that each process takes to start.
    """
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            with gzip.open(file, "rt") as lines:
                table = np.loadtxt(lines, delimiter=",")
            return table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images).reshape(-1, 1, 8, 8), np.asarray(labels)
