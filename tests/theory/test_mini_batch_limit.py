"""Mini-batch descent with many weights and samples: the Volterra equation by quadrature, and drawn data."""

import re

import numpy as np
import pytest
from scipy.integrate import quad

from speedlimits.theory.mini_batch_limit import MiniBatchLimit
from speedlimits.theory.mini_batches import MiniBatches


def system(aspect_ratio: float = 0.5, **changed) -> MiniBatchLimit:
    given = {"batch_share": 0.2, "learning_rate": 0.3, "teacher_variance": 2.0, "label_variance": 0.5}
    return MiniBatchLimit(aspect_ratio=aspect_ratio, **given | changed)


def integral(function, aspect_ratio: float) -> float:
    """Over the density of Marchenko and Pastur in s itself, by adaptive quadrature; the atom at 0 is left out."""
    low, high = (1 - np.sqrt(aspect_ratio)) ** 2, (1 + np.sqrt(aspect_ratio)) ** 2

    def integrand(angle: float) -> float:
        s = low + (high - low) * np.sin(angle) ** 2
        density = np.sqrt((high - s) * (s - low)) / (2 * np.pi * aspect_ratio * s)
        return function(s) * density * (high - low) * np.sin(2 * angle)

    return quad(integrand, 0, np.pi / 2, epsabs=1e-13, epsrel=1e-12)[0]


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("aspect_ratio", [0.5, 2.0])
def test_losses_obey_the_volterra_equation(aspect_ratio, replacement):
    """2L_k = F_k + Σ K_{k−j−1} 2L_j, and all else that follows from the losses, Eqs. (102), (103), (105)."""
    limit = system(aspect_ratio, replacement=replacement, start_variance=0.25)
    rate, steps = limit.learning_rate, 6
    factor = (1.0 if replacement else 0.8) * aspect_ratio / 0.2

    def start(s: float) -> float:
        return 2.25 + aspect_ratio * 0.5 / s

    floor = 0.5 * 0.5 * max(1 - aspect_ratio, 0)
    free = [integral(lambda s, k=k: s * (1 - rate * s) ** (2 * k) * start(s), aspect_ratio) for k in range(steps + 1)]
    kernel = [
        rate**2 * factor * integral(lambda s, k=k: s**2 * (1 - rate * s) ** (2 * k), aspect_ratio) for k in range(steps)
    ]
    doubled: list[float] = []
    for k in range(steps + 1):
        doubled.append(free[k] + 2 * floor + sum(kernel[k - j - 1] * doubled[j] for j in range(k)))
    path = limit.path(steps)
    np.testing.assert_allclose(2 * path.losses, doubled, rtol=1e-9)
    assert path.losses[0] == pytest.approx(0.5 * (2.25 + 0.5), rel=1e-11)
    noise = factor * np.array(doubled[:-1])
    np.testing.assert_allclose(path.noise[1:], rate * np.cumsum(noise), rtol=1e-9)
    np.testing.assert_allclose(path.inverse_temperature, 2 * min(aspect_ratio, 1) / (rate * noise), rtol=1e-9)
    scatter = [
        integral(
            lambda s, k=k: sum(rate**2 * s * noise[j] * (1 - rate * s) ** (2 * (k - 1 - j)) for j in range(k)),
            aspect_ratio,
        )
        for k in range(steps + 1)
    ]
    np.testing.assert_allclose(path.moved_by_noise, scatter, rtol=1e-9)
    moved = integral(lambda s: start(s) * (1 - (1 - rate * s) ** steps) ** 2, aspect_ratio)
    assert path.drift.w2_squared[-1] == pytest.approx(moved, rel=1e-9)
    assert path.raw.w2_squared[-1] == pytest.approx(moved + scatter[-1], rel=1e-9)
    first = integral(lambda s: s**2 * start(s), aspect_ratio)
    assert path.raw.dissipation[1] == pytest.approx(rate * (noise[0] + first), rel=1e-9)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("aspect_ratio", [0.5, 2.0])
def test_drawn_data_tend_to_the_limit(aspect_ratio, replacement):
    """Losses, noise and distances on 32 draws agree within 4 standard errors and 1/n."""
    samples = 60
    dims = round(aspect_ratio * samples)
    rng = np.random.default_rng(5)
    limit = system(
        aspect_ratio,
        replacement=replacement,
        teacher_variance=0.0,
        start_variance=2.0,
        learning_rate=0.2 / aspect_ratio / 2,
    )
    found = []
    for _ in range(32):
        inputs = rng.standard_normal((dims, samples))
        path = MiniBatches(
            inputs=inputs,
            targets=np.sqrt(0.5) * rng.standard_normal(samples),
            start=np.zeros(dims),
            batch=12,
            learning_rate=limit.learning_rate,
            replacement=replacement,
            start_variance=2.0 / dims,
        ).path(8)
        found.append([path.losses, path.noise, path.moved_by_noise, path.raw.w2_squared, path.raw.dissipation])
    path = limit.path(8)
    expected = np.array([path.losses, path.noise, path.moved_by_noise, path.raw.w2_squared, path.raw.dissipation])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(mean - expected) <= 4 * error + 2 * expected / samples)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("aspect_ratio", [0.5, 2.0])
def test_loss_at_rest(aspect_ratio, replacement):
    """The path tends to it, Eq. (107); with more weights than samples, to no loss at all."""
    rate = 0.15 / aspect_ratio
    limit = system(aspect_ratio, learning_rate=rate, replacement=replacement)
    factor = (1.0 if replacement else 0.8) * aspect_ratio / 0.2
    gain = rate * factor * integral(lambda s: s / (2 - rate * s), aspect_ratio)
    assert limit.noise_gain == pytest.approx(gain, rel=1e-11)
    assert limit.loss_at_rest == pytest.approx(0.5 * 0.5 * max(1 - aspect_ratio, 0) / (1 - gain), rel=1e-11)
    assert limit.path(1000).losses[-1] == pytest.approx(limit.loss_at_rest, rel=1e-9, abs=1e-4)


def test_gain_above_one_diverges():
    """Small batches at a large rate, or a rate beyond the edge of stability: the loss grows without end, Eq. (107)."""
    noisy = system(batch_share=0.02)
    assert noisy.noise_gain > 1
    assert noisy.loss_at_rest == np.inf
    assert noisy.path(200).losses[-1] > noisy.path(100).losses[-1] > noisy.path(50).losses[-1]
    edge = 2 / (1 + np.sqrt(0.5)) ** 2
    assert system(learning_rate=edge).noise_gain == np.inf
    assert system(learning_rate=0.999 * edge).noise_gain < np.inf


@pytest.mark.parametrize("batch_share", [0.01, 0.5])
def test_raw_ratio_at_strides_follows_its_law(batch_share):
    """Where the path is short, T·D/|Δθ|² at stride m is (1 + s/m)/(1 + s/N), the corollary of Eq. (106)."""
    steps = 64
    path = system(learning_rate=1e-7, batch_share=batch_share).path(steps)
    seen, end = path.strides(), path.raw.final
    share = path.noise[-1] / path.drift.dissipation[-1]
    law = (1 + share / seen.strides) / (1 + share / steps)
    np.testing.assert_allclose(end.time * seen.dissipation / end.w2_squared, law, rtol=1e-4)
    np.testing.assert_allclose(seen.noise[:-1] * seen.strides[:-1], path.noise[-1], rtol=1e-4)
    np.testing.assert_allclose(seen.noise_moved[:-1], path.noise_moved[-1], rtol=1e-4)
    assert path.estimate[-1] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_share": 1.5}, "`batch_share` must be a share from 0 to 1"),
        ({"batch_share": 0.0}, "`batch_share` must be positive"),
        ({"label_variance": -1.0}, "`label_variance` must be non-negative"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    """One line with the argument, its rule and its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        system(**changed)
