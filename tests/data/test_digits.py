"""The digits: real, in original order, and never tested on what was trained on."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from speedlimits.data.digits import HELD_OUT, TRAINING, _all_digits, digits


def test_first_images_in_original_order():
    """The first n labels are those of the source; the held-out ones are its last 500, whatever n."""
    images, labels = load_digits(return_X_y=True)
    assert all(np.array_equal(*pair) for pair in zip(_all_digits(), (images.reshape(-1, 1, 8, 8), labels), strict=True))
    small, large = digits(100), digits(TRAINING)
    assert small.labels.tolist() == labels[:100].tolist()
    assert large.labels.tolist() == labels[:TRAINING].tolist()
    for data in (small, large):
        assert data.test_labels.tolist() == labels[-HELD_OUT:].tolist()
    assert len(labels) == TRAINING + HELD_OUT


def test_standardised_by_the_training_images():
    """Training pixels have mean 0 and deviation 1; held-out ones are on the same scale, not standardised themselves."""
    data = digits(200)
    assert data.inputs.mean() == pytest.approx(0, abs=1e-12)
    assert data.inputs.std() == pytest.approx(1, rel=1e-12)
    raw = load_digits().images[-1].ravel()
    scale = np.polyfit(raw, data.test_inputs[-1].ravel(), 1)
    np.testing.assert_allclose(np.polyval(scale, load_digits().images[0].ravel()), data.inputs[0].ravel(), atol=1e-9)


def test_targets_are_centred_one_hot():
    """Each target is 1 − 1/10 at its label and −1/10 elsewhere."""
    data = digits(50)
    assert (data.targets.argmax(axis=1) == data.labels).all()
    np.testing.assert_allclose(data.targets.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(np.unique(data.targets), [-0.1, 0.9])


@pytest.mark.parametrize("samples", [0, TRAINING + 1])
def test_sample_numbers_out_of_range_are_named(samples):
    """The rule gives the range."""
    with pytest.raises(ValueError, match=rf"`samples` must lie in 1…1297 for digits; samples = {samples}\."):
        digits(samples)
