"""Weights whose size changes nothing: found by a check, and measured by how far they turn."""

import math

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder, Spheres, scale_invariant
from tests.recorder.loops import batches

pytestmark = pytest.mark.usefixtures("as_user")


def network() -> nn.Sequential:
    """Batch normalisation behind the first layer, layer normalisation behind the second, nothing behind the last."""
    torch.manual_seed(0)
    layers = [nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 12), nn.LayerNorm(12), nn.Linear(12, 3)]
    return nn.Sequential(*layers).double()


def train(model: nn.Module, optimizer: optim.Optimizer, steps: int, *watchers) -> None:
    """Steps with batches of 32; who watches records before each."""
    for inputs, labels in batches(steps, torch.float64):
        loss = cross_entropy(model(inputs), labels)
        for watcher in watchers:
            watcher.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_groups_are_found_by_doubling_them():
    """Before batch normalisation a weight alone, before layer normalisation with its bias; then all is as before."""
    model = network()
    (inputs, _), *_ = batches(1, torch.float64)
    kept = [weight.detach().clone() for weight in model.parameters()]
    random = torch.get_rng_state()
    groups = scale_invariant(model, lambda: model(inputs))
    assert {name: len(each) for name, each in groups.items()} == {"0.weight": 1, "3": 2}
    assert all(torch.equal(one, other) for one, other in zip(kept, model.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
    direction = nn.utils.parametrizations.weight_norm(nn.Linear(10, 2).double())
    assert [*scale_invariant(direction, lambda: direction(inputs))] == ["parametrizations.weight.original1"]
    plain = nn.Linear(10, 2).double()
    assert scale_invariant(plain, lambda: plain(inputs)) == {}


def test_the_limit_is_the_same_for_rescaled_weights():
    """Weights three times as large, with rates nine times as large, turn alike; the raw number changes."""
    found = []
    for factor in (1.0, 3.0):
        torch.manual_seed(0)
        # Next to nothing is added to variances, so that the size changes nothing at all.
        model = nn.Sequential(nn.Linear(10, 16, bias=False), nn.BatchNorm1d(16, affine=False, eps=1e-30), nn.ReLU())
        model = nn.Sequential(model, nn.Linear(16, 3)).double()
        first, last = list(model.parameters())[:1], list(model.parameters())[1:]
        with torch.no_grad():
            first[0].mul_(factor)
        optimizer = optim.SGD([{"params": first, "lr": 0.05 * factor**2}, {"params": last}], lr=0.05)
        spheres, recorder = Spheres(optimizer, {"first": first}), Recorder().attach(optimizer)
        train(model, optimizer, 30, recorder)
        found.append((spheres.speed_limit(), spheres.radial_share["first"], recorder.finish().speed_limit().final))
    (one, share, raw), (other, same_share, other_raw) = found
    assert other.inefficiency == pytest.approx(one.inefficiency, rel=1e-9)
    assert other.w2_squared == pytest.approx(one.w2_squared, rel=1e-9)
    assert other.geometric == pytest.approx(one.geometric, rel=1e-9)
    assert same_share == pytest.approx(share, rel=1e-6)
    assert one.certified
    assert abs(other_raw.inefficiency / raw.inefficiency - 1) > 0.05


def test_an_even_turn_meets_the_limit():
    """Equal angles on a great circle, whatever the size: T = T_SL, and half of a move outwards is radial."""
    weight = nn.Parameter(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    optimizer = optim.SGD([weight], lr=0.5)
    spheres = Spheres(optimizer, {"all": [weight]})
    for step in range(1, 11):
        size, angle = 1.0 + 0.3 * step, 0.2 * step
        wanted = size * torch.tensor([math.cos(angle), math.sin(angle), 0.0], dtype=torch.float64)
        weight.grad = (weight.detach() - wanted) / 0.5
        optimizer.step()
    limit = spheres.speed_limit()
    assert limit.w2_squared == pytest.approx(2.0**2, rel=1e-12)
    assert limit.inefficiency == pytest.approx(1.0, rel=1e-12)
    weight = nn.Parameter(torch.tensor([2.0, 0.0], dtype=torch.float64))
    optimizer = optim.SGD([weight], lr=1.0)
    spheres = Spheres(optimizer, {"all": [weight]})
    weight.grad = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    optimizer.step()
    assert spheres.radial_share["all"] == pytest.approx(0.5, rel=1e-12)


def test_paths_of_several_groups_add_up():
    """Two groups and random moves: dissipation, length and distance by angles from NumPy."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((9, 2, 4)) + 2.0
    weights = [nn.Parameter(torch.from_numpy(each.copy())) for each in places[0]]
    optimizer = optim.SGD(weights, lr=0.1)
    spheres = Spheres(optimizer, {"one": weights[:1], "two": weights[1:]})
    for place in places[1:]:
        for weight, wanted in zip(weights, place, strict=True):
            weight.grad = (weight.detach() - torch.from_numpy(wanted)) / 0.1
        optimizer.step()
    units = places / np.linalg.norm(places, axis=2, keepdims=True)
    turned = np.arccos(np.sum(units[1:] * units[:-1], axis=2))
    limit = spheres.speed_limit()
    assert limit.dissipation == pytest.approx(np.sum(turned**2) / 0.1, rel=1e-9)
    assert limit.arc_length == pytest.approx(np.sqrt(np.sum(turned**2, 1)).sum(), rel=1e-9)
    assert limit.w2_squared == pytest.approx(np.sum(np.arccos(np.sum(units[-1] * units[0], axis=1)) ** 2), rel=1e-9)
    assert limit.certified


def test_turning_on_the_spot_is_refused():
    """With weight decay the ratio grows with the steps once sizes are in balance: there is no limit to speak of."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    spheres = Spheres(optimizer, {"0.weight": [model[0].weight]})
    train(model, optimizer, 40)
    assert spheres.speed_limit().inefficiency > 1
    train(model, optimizer, 20)
    with pytest.raises(ValueError, match=r"needs training that is on its way: after Ση × weight decay = 0\.6 sizes"):
        spheres.speed_limit()
    spheres.detach()
    assert not optimizer._optimizer_step_post_hooks


def test_no_groups():
    """Without a group there is nothing to measure."""
    with pytest.raises(ValueError, match="`groups` must be one or several; no weights are known whose size changes"):
        Spheres(optim.SGD(network().parameters(), lr=0.1), {})
    with pytest.raises(ValueError, match="`tolerance` must be positive"):
        scale_invariant(network(), lambda: torch.ones(1), tolerance=0.0)


def test_the_path_of_a_product_knows_no_scale_of_its_factors():
    """LoRA: A four times as large and B a quarter move the product alike, while the path of A and B changes."""
    found = []
    for factor in (1.0, 4.0):
        torch.manual_seed(0)
        down = nn.Parameter(factor * torch.randn(2, 6, dtype=torch.float64))
        up = nn.Parameter(torch.randn(5, 2, dtype=torch.float64) / factor)
        target = torch.randn(5, 6, dtype=torch.float64)
        # The rates that move both the same way.
        optimizer = optim.SGD([{"params": [down], "lr": 0.01 * factor**2}, {"params": [up], "lr": 0.01 / factor**2}])
        product, factors = Recorder(), Recorder()
        for step in range(30):
            loss = 0.5 * (up @ down - target).square().sum()
            product.record(time=0.01 * step, loss=loss, model=(up @ down).detach())
            factors.record(time=0.01 * step, loss=loss, model=[up, down])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append([each.speed_limit().final.inefficiency for each in (product, factors)])
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-9)
    assert abs(found[1][1] / found[0][1] - 1) > 0.01
