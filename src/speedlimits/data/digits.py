"""Real handwritten digits, 8×8 pixels, from inside scikit-learn: no download, and small enough for seconds."""

import numpy as np
from sklearn.datasets import load_digits

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
    # Where pandas is installed, a type checker sees tables here; arrays are what comes.
    images, labels = (np.asarray(each) for each in load_digits(return_X_y=True))
    images = images.reshape(-1, 1, 8, 8)
    return classification(
        "digits",
        images[:samples],
        labels[:samples],
        images[-HELD_OUT:],
        labels[-HELD_OUT:],
        held_out=f"the last {HELD_OUT} images",
    )
