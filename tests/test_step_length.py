"""Steps of a prescribed length, in any optimizer's direction."""

import io

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder
from speedlimits.step_length import StepLength
from tests.recorder.loops import batches

pytestmark = pytest.mark.usefixtures("as_user")

OPTIMIZERS = {
    "SGD": lambda weights: optim.SGD(weights, lr=0.3),
    "momentum": lambda weights: optim.SGD(weights, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda weights: optim.Adam(weights, lr=1e-2),
    "AdamW": lambda weights: optim.AdamW(weights, lr=1e-2, weight_decay=0.1),
    "Adafactor": lambda weights: optim.Adafactor(weights, lr=1e-2),
    "RMSprop": lambda weights: optim.RMSprop(weights, lr=1e-3),
}


def model_of(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """A small network of seed 0."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def go(model: nn.Module, optimizer: optim.Optimizer, first: int, last: int) -> list[np.ndarray]:
    """Steps from one to the other; the weights after each."""
    kind = next(model.parameters()).dtype
    places = []
    for number, (inputs, labels) in enumerate(batches(last, kind)):
        if number >= first:
            optimizer.zero_grad()
            cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            places.append(np.concatenate([weight.detach().double().numpy().ravel() for weight in model.parameters()]))
    return places


def flat(model: nn.Module) -> np.ndarray:
    return np.concatenate([weight.detach().double().numpy().ravel() for weight in model.parameters()])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lengths_are_those_prescribed(name):
    """|δ_k| = v(1 − k/N) to rounding, in the direction of the optimizer's own first step."""
    model, plain = model_of(), model_of()
    start = flat(model)
    optimizer = OPTIMIZERS[name](model.parameters())
    StepLength(optimizer, length=0.3, steps=20)
    moves = np.diff([start, *go(model, optimizer, 0, 20)], axis=0)
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), 0.3 * (1 - np.arange(20) / 20), rtol=1e-12)
    own = go(plain, OPTIMIZERS[name](plain.parameters()), 0, 1)[0] - start
    assert moves[0] @ own == pytest.approx(0.3 * np.linalg.norm(own), rel=1e-10)


def test_the_pace_is_known_beforehand():
    """By the clock of steps it is NΣs²/(Σs)² = (2/3)(2N + 1)/(N + 1), whatever the gradients; near 4/3."""
    model = model_of()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    StepLength(optimizer, length=0.1, steps=40)
    recorder = Recorder().attach(optimizer)
    recorder.record(loss=0.0)
    go(model, optimizer, 0, 40)
    assert recorder.finish().speed_limit(clock="step").final.pace == pytest.approx(2 / 3 * 81 / 41, rel=1e-12)


def test_each_group_has_its_own():
    """Two lengths for two groups, by a schedule of one's own; steps in float32 are as long to its rounding."""
    model = model_of(torch.float32)
    first, last = list(model.parameters())[:2], list(model.parameters())[2:]
    optimizer = optim.SGD([{"params": first}, {"params": last}], lr=0.1)
    StepLength(optimizer, length=[0.5, 0.2], steps=8, schedule=lambda gone: 1.0 - gone**2)
    size = sum(weight.numel() for weight in first)
    moves = np.diff([flat(model), *go(model, optimizer, 0, 8)], axis=0)
    expected = 1 - (np.arange(8) / 8) ** 2
    np.testing.assert_allclose(np.linalg.norm(moves[:, :size], axis=1), 0.5 * expected, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(moves[:, size:], axis=1), 0.2 * expected, rtol=1e-5)


def test_resumed_steps_are_the_uninterrupted_ones():
    """Stopped after 13 of 30, written and read: the weights have the same bits."""
    whole = model_of()
    optimizer = OPTIMIZERS["AdamW"](whole.parameters())
    lengths = StepLength(optimizer, length=0.1, steps=30, growth=1.05)
    go(whole, optimizer, 0, 30)
    part = model_of()
    optimizer = OPTIMIZERS["AdamW"](part.parameters())
    stopped = StepLength(optimizer, length=0.1, steps=30, growth=1.05)
    go(part, optimizer, 0, 13)
    file = io.BytesIO()
    torch.save([part.state_dict(), optimizer.state_dict(), stopped.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    again = model_of()
    optimizer = OPTIMIZERS["AdamW"](again.parameters())
    resumed = StepLength(optimizer, length=0.1, steps=30, growth=1.05)
    for each, state in zip((again, optimizer, resumed), states, strict=True):
        each.load_state_dict(state)
    go(again, optimizer, 13, 30)
    np.testing.assert_array_equal(flat(again), flat(whole))
    assert resumed.made == 30
    assert resumed.capped == lengths.capped > 0


def test_vanishing_gradients_are_not_blown_up():
    """Where a gradient falls a thousandfold, the factor grows tenfold a step, and such steps are counted."""
    weight = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = optim.SGD([weight], lr=1.0)
    lengths = StepLength(optimizer, length=1.0, steps=4, schedule="constant")
    sizes, last = [], weight.detach().clone()
    for size in (1.0, 1e-3, 1e-3, 0.0):
        weight.grad = torch.tensor([size, 0.0, 0.0, 0.0], dtype=torch.float64)
        optimizer.step()
        sizes.append(float((weight.detach() - last).norm()))
        last = weight.detach().clone()
    np.testing.assert_allclose(sizes, [1.0, 1e-2, 1e-1, 0.0], rtol=1e-12)
    assert lengths.capped == 2


def test_detached_steps_are_the_optimizers_own():
    """After `detach` there is no hook left."""
    model, plain = model_of(), model_of()
    optimizer = OPTIMIZERS["SGD"](model.parameters())
    StepLength(optimizer, length=1.0, steps=1).detach()
    go(model, optimizer, 0, 5)
    go(plain, OPTIMIZERS["SGD"](plain.parameters()), 0, 5)
    np.testing.assert_array_equal(flat(model), flat(plain))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0.0}, "`length` must be positive"),
        ({"length": [0.1, 0.2]}, "`length` must be one number, or one for each of 1 groups; there are 2"),
        ({"steps": 0}, "`steps` must be an integer of at least 1"),
        ({"schedule": "cosine"}, "`schedule` must be one of 'linear', 'constant'; schedule = 'cosine'"),
        ({"growth": -1.0}, "`growth` must be positive"),
    ],
)
def test_what_cannot_be_prescribed(options, message):
    """Each is refused in one line, before a hook is set."""
    optimizer = OPTIMIZERS["SGD"](model_of().parameters())
    with pytest.raises(ValueError, match=message):
        StepLength(optimizer, **{"length": 0.1, "steps": 5} | options)
    assert not optimizer._optimizer_step_pre_hooks


def test_more_steps_than_were_said():
    """The sixth of five is an error, and a state of other lengths, too."""
    model = model_of()
    optimizer = OPTIMIZERS["SGD"](model.parameters())
    lengths = StepLength(optimizer, length=0.1, steps=5)
    with pytest.raises(ValueError, match="`steps` must be as many as are made; this is step 6 of 5"):
        go(model, optimizer, 0, 6)
    with pytest.raises(ValueError, match="`state` must be of 1 lengths, as these are; it is of 2"):
        lengths.load_state_dict({"made": 0, "factors": [None, None], "capped": 0})
