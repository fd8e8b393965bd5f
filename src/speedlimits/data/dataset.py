"""The form of every classification data set: what networks are trained on and what they are tested on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from speedlimits._checks import check_finite, check_shape


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and one-hot targets, in original order.

    Args:
        name: as in the configuration.
        inputs: training images, standardised with the training images' own mean and deviation.
        targets: one-hot labels less their mean 1/classes, so that they sum to zero over the classes.
        labels: training labels.
        test_inputs: held-out images, on the training images' scale.
        test_labels: their labels.
        held_out: what the held-out images are, in words; only a whole test set is called the test set.
    """

    name: str
    inputs: Float64[np.ndarray, "samples channels height width"]
    targets: Float64[np.ndarray, "samples classes"]
    labels: Int64[np.ndarray, " samples"]
    test_inputs: Float64[np.ndarray, "held_out channels height width"]
    test_labels: Int64[np.ndarray, " held_out"]
    held_out: str


def classification(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    held_out: str,
) -> Dataset:
    """A `Dataset` from raw images and integer labels 0…classes−1.

    Args:
        name: as in the configuration.
        images: training images, shape (samples, channels, height, width).
        labels: their labels.
        test_images: held-out images.
        test_labels: their labels.
        held_out: what those images are, in words.

    Returns:
        The data set, standardised by one mean and one deviation over all training pixels.

    Raises:
        ValueError: if the images have no values or all the same, or labels are no integers from 0, one an image.
    """
    for key, samples, classed in (("labels", images, labels), ("test_labels", test_images, test_labels)):
        check_shape(key, classed, (len(samples),))
        if classed.dtype.kind not in "iu" or classed.min(initial=0) < 0:
            raise ValueError(f"`{key}` must be integers from 0; {key}.dtype = {classed.dtype}.")
    check_finite("images", images)
    check_finite("test_images", test_images)
    if not np.ptp(images) > 0:
        raise ValueError("`images` must hold different values; all are the same.")
    mean, deviation = images.mean(), images.std()
    classes = int(max(labels.max(), test_labels.max())) + 1
    return Dataset(
        name=name,
        inputs=(images - mean) / deviation,
        targets=np.eye(classes)[labels] - 1 / classes,
        labels=labels.astype(np.int64),
        test_inputs=(test_images - mean) / deviation,
        test_labels=test_labels.astype(np.int64),
        held_out=held_out,
    )
