"""What counts as a step, where a record stands, and what happens between the steps."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder
from tests.recorder.loops import Reference, batches, mlp


def train(recorder: Recorder, steps: int = 20, *, after=None, before=None, late: bool = False, model=None):
    """Plain descent with something done before or after each step."""
    model = mlp() if model is None else model
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder.attach(optimizer)
    reference = Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches(steps)):
        loss = cross_entropy(model(inputs), labels)
        if not late:
            recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        if before is not None:
            before(number, model)
        optimizer.step()
        reference.step(0.1)
        if late:
            recorder.record(loss=loss)
        if after is not None:
            after(number, model)
    return recorder, reference, model


def broken(recorder: Recorder) -> None:
    """A loop that fails after three steps."""
    with recorder:
        train(recorder, 3)
        raise RuntimeError("broken loop")


def clamp(_, model: nn.Module) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.clamp_(-0.2, 0.2)


def clamp_data(_, model: nn.Module) -> None:
    for weight in model.parameters():
        weight.data.clamp_(-0.2, 0.2)


@pytest.mark.parametrize("move", [clamp, clamp_data], ids=["in place", "through .data"])
def test_moves_outside_steps_are_told(move):
    """Clipping after each step: found at the next one, counted with it, and told with its length."""
    recorder, _, _ = train(Recorder(), after=move)
    recorder.finish()
    said = recorder.verdict()
    assert "The weights were moved outside the optimizer 19 times" in said
    assert "last after step 19" in said
    # The path through what the steps left, move and step as one.
    again, lengths, last = mlp(), 0.0, None
    optimizer = optim.SGD(again.parameters(), lr=0.1)
    for number, (inputs, labels) in enumerate(batches(20)):
        flat = torch.cat([weight.detach().double().flatten() for weight in again.parameters()])
        last = flat if last is None else last
        loss = cross_entropy(again(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        here = torch.cat([weight.detach().double().flatten() for weight in again.parameters()])
        lengths += float((here - last).norm())
        last = here
        move(number, again)
    assert recorder.trajectory().arc_lengths[-1] == pytest.approx(lengths, rel=1e-9)
    assert recorder.speed_limit().certified


def test_a_checkpoint_that_is_read_is_one_move():
    """Other weights after step 5: one move, of the distance between them."""
    other = mlp(seed=7).state_dict()
    seen = {}

    def read(number: int, model: nn.Module) -> None:
        if number == 4:
            before = Reference(model.parameters())
            model.load_state_dict(other)
            before.step(1.0)
            seen["length"] = math.sqrt(before.w2_squared)

    recorder, _, _ = train(Recorder(), after=read)
    said = recorder.finish().verdict()
    assert f"outside the optimizer once, by {seen['length']:.3g} in all, last after step 5" in said


def test_weights_put_back_are_no_move():
    """Averages that are swapped in for a test and out again leave no trace."""

    def swap(_, model: nn.Module) -> None:
        kept = copy.deepcopy(model.state_dict())
        model.load_state_dict(mlp(seed=3).state_dict())
        model.load_state_dict(kept)

    recorder, reference, _ = train(Recorder(jumps="raise"), after=swap)
    assert reference.error(recorder.finish()) < 1e-9
    assert "moved outside" not in recorder.verdict()


def test_moves_can_be_forbidden():
    """With jumps="raise" the next step says what happened, and what was before can be read."""
    recorder = Recorder(jumps="raise")
    with pytest.raises(ValueError, match=r"`jumps` must not occur; after step 1 the weights were moved by 0\.\d+"):
        train(recorder, after=clamp)
    assert len(recorder.trajectory()) == 2


def test_the_last_step_counts():
    """`finish` and `with` write the record behind the last step; without them the verdict says what is missing."""
    recorder, reference, _ = train(Recorder(), 5)
    assert recorder.trajectory().time == pytest.approx(0.4)
    assert "Steps after the last record are not in these numbers" in recorder.verdict()
    recorder.finish(loss=0.25)
    assert recorder.trajectory().time == pytest.approx(0.5)
    assert recorder.trajectory().losses[-1] == 0.25
    assert reference.error(recorder) < 1e-9
    assert "Steps after" not in recorder.verdict()
    with Recorder() as second:
        train(second, 5)
    assert reference.error(second) < 1e-9
    assert math.isnan(second.trajectory().losses[-1])
    assert "not a number" not in second.verdict()
    third = Recorder()
    with pytest.raises(RuntimeError, match="broken loop"):
        broken(third)
    assert third.trajectory().time == pytest.approx(0.3)


def test_a_record_behind_the_step_is_recognised():
    """The path then starts after the first step, and the verdict says so."""
    recorder, _, _ = train(Recorder(), late=True)
    assert len(recorder.trajectory()) == 20
    assert "The first record came after 1 steps, which do not count." in recorder.verdict()
    assert "behind optimizer.step()" in recorder.verdict()


def test_gradients_are_there_at_every_record():
    """|g|² of each step, across batches of records, and where the numbers are read on the way."""
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-4)
    recorder = Recorder(triples=0, snapshot_growth=None, sketch=None).attach(optimizer)
    inputs, targets = torch.randn(8, 2), torch.randn(8, 1)
    squares = []
    for number in range(2_100):
        loss = (model(inputs) - targets).square().mean()
        recorder.record(loss=loss)
        if number % 500 == 7:
            recorder.speed_limit()
        optimizer.zero_grad()
        loss.backward()
        squares.append(sum(float(weight.grad.double().square().sum()) for weight in model.parameters()))
        optimizer.step()
    found = recorder.trajectory().step_gradients_squared
    np.testing.assert_allclose(found, squares, rtol=1e-6)
    assert np.isnan(recorder.trajectory().gradient_norms_squared).all()


def test_gradients_are_those_that_the_optimizer_used():
    """Clipped ones are named as such by the series' name; scaled ones are unscaled."""
    recorder, _, _ = train(Recorder(), 4, before=lambda _, model: nn.utils.clip_grad_norm_(model.parameters(), 0.05))
    np.testing.assert_allclose(recorder.trajectory().step_gradients_squared[:3], 0.05**2, rtol=1e-4)
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    recorder = Recorder().attach(optimizer)
    inputs, labels = next(batches(1))
    loss = cross_entropy(model(inputs), labels)
    recorder.record(loss=loss)
    scaler.scale(loss).backward()
    expected = sum(float((weight.grad.double() / 1024).square().sum()) for weight in model.parameters())
    scaler.step(optimizer)
    recorder.finish()
    assert recorder.trajectory().step_gradients_squared[0] == pytest.approx(expected, rel=1e-5)


def test_gradients_of_a_closure_are_found_during_the_step():
    """As in Lightning, where no gradient is at hand before the step and that of the step before still is."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder().attach(optimizer)
    expected = []
    for inputs, labels in batches(5):

        def closure(inputs=inputs, labels=labels):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            expected.append(sum(float(weight.grad.double().square().sum()) for weight in model.parameters()))
            return loss

        recorder.record(loss=math.nan)
        optimizer.step(closure)
    np.testing.assert_allclose(recorder.trajectory().step_gradients_squared, expected, rtol=1e-6)


def test_every_tenth_step_is_one_chord():
    """Between measured steps the path is taken as straight: a lower bound, named so."""
    dense, reference, _ = train(Recorder(), 45)
    sparse, _, _ = train(Recorder(every=10), 45)
    dense.finish()
    sparse.finish()
    run = sparse.trajectory()
    np.testing.assert_allclose(run.times, [0.0, 1.0, 2.0, 3.0, 4.0, 4.5])
    assert run.w2_squared[-1] == pytest.approx(reference.w2_squared, rel=1e-9)
    assert run.path_dissipation[-1] < dense.trajectory().path_dissipation[-1]
    said = sparse.verdict()
    assert "at least" in said
    assert "seen at 6 points" in said


def test_records_under_inference_mode():
    """As validation loops make them: the first record and later ones, and the steps go on after."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder().attach(optimizer)
    reference = Reference(model.parameters())
    for inputs, labels in batches(6):
        with torch.inference_mode():
            recorder.record(loss=cross_entropy(model(inputs), labels))
        loss = cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reference.step(0.1)
    with torch.inference_mode():
        recorder.finish(loss=cross_entropy(model(inputs), labels))
    assert reference.error(recorder) < 1e-9


def test_a_rate_from_an_iterator_loses_no_value():
    """`attach` does not ask for the first step's time before the first step."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder().attach(optimizer, time_step=iter([0.1, 0.2, 0.3]).__next__)
    for inputs, labels in batches(3):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert recorder.finish().trajectory().time == pytest.approx(0.6)
    assert not optimizer._optimizer_step_post_hooks


def test_layers_add_up_to_the_whole():
    """Each tensor has a limit of its own; distances squared and dissipations are those of all weights together."""
    recorder, _, model = train(Recorder())
    recorder.finish()
    layers, whole = recorder.layers(model), recorder.speed_limit().final
    assert list(layers) == [name for name, _ in model.named_parameters()]
    assert sum(float(layer.w2_squared) for layer in layers.values()) == pytest.approx(float(whole.w2_squared))
    assert sum(float(layer.dissipation) for layer in layers.values()) == pytest.approx(float(whole.dissipation))
    assert all(layer.certified for layer in layers.values())
    modules = recorder.layers(model, depth=1)
    assert list(modules) == list(dict.fromkeys(name.split(".")[0] for name in layers))
    for name, module in modules.items():
        inside = [layer for each, layer in layers.items() if each.startswith(f"{name}.")]
        assert module.w2_squared == pytest.approx(sum(float(layer.w2_squared) for layer in inside), rel=1e-14)
        assert module.dissipation == pytest.approx(sum(float(layer.dissipation) for layer in inside), rel=1e-14)
        assert np.isnan(module.geometric)
    with pytest.raises(ValueError, match="`model` must be given with `depth`: its names tell the modules"):
        recorder.layers(depth=1)
    alone, _, other = train(Recorder(), model=nn.Sequential(nn.Linear(10, 3, bias=False)))
    alone.finish()
    assert str(alone.layers(other)["0.weight"]) == str(alone.speed_limit().final)
    assert list(alone.layers()) == ["tensor 0"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_a_compiled_step_stays_one_graph():
    """The compiler looks into no hook: one graph for the step, as without a recorder, and nothing compiled again."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    model = mlp()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    recorder = Recorder().attach(optimizer)
    step = torch.compile(optimizer.step, backend="eager")
    for inputs, labels in batches(12):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        step()
    assert counters["stats"]["unique_graphs"] == 1
    assert not any("recompile" in reason for reason in counters["graph_break"])
