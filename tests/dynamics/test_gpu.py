"""On a CUDA device: the same numbers as on the CPU. Skips itself without one."""

import numpy as np
import pytest
import torch

from speedlimits.dynamics.descent import gradient_descent
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.models.fcn import FCN
from speedlimits.recorder import Recorder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
FIELDS = ("losses", "w2_squared", "arc_lengths", "path_dissipation")


def network(device: str, dtype: torch.dtype = torch.float64) -> FlatLoss:
    rng = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(64, 8, generator=rng), torch.randn(64, 3, generator=rng)
    model = FCN(8, 3, width=32, depth=2, activation="tanh", generator=rng, dtype=dtype).to(device)
    return FlatLoss(model, inputs.to(device, dtype), targets.to(device, dtype))


@pytest.mark.parametrize("integrate", [gradient_flow, gradient_descent])
def test_integrators_give_the_numbers_of_the_cpu(integrate):
    """float64 on both devices: every series to 1e-9, steps and all."""
    here, there = (integrate(loss, loss.initial, [0.0, 0.05, 0.2]) for loss in (network("cpu"), network("cuda")))
    for field in FIELDS:
        np.testing.assert_allclose(getattr(there, field), getattr(here, field), rtol=1e-9)


def test_single_precision_reaches_its_floor():
    """float32 on the device against float64 on the CPU: |Δθ|² to 1e-4 at rtol 1e-3."""
    single, double = network("cuda", torch.float32), network("cpu")
    found = gradient_flow(single, single.initial, [0.0, 0.2], rtol=1e-3).w2_squared[-1]
    expected = gradient_flow(double, double.initial, [0.0, 0.2], rtol=1e-3).w2_squared[-1]
    assert found == pytest.approx(expected, rel=1e-4)


def test_state_survives_the_host():
    """A checkpoint goes through the host's arrays and back to the device."""
    from speedlimits.dynamics.flow import gradient_flow as flow

    loss = network("cuda")
    start = flow.init(loss, loss.initial, rtol=1e-3)
    state, _ = flow.step(loss, loss.initial, start, end=1.0, rtol=1e-3)
    again = from_arrays(start, to_arrays(state))
    assert again.displacement.device.type == "cuda"
    assert torch.equal(again.displacement, state.displacement)


def test_recorder_measures_on_the_device():
    """A loop on the device is measured without leaving it, and as on the CPU."""
    limits = []
    for device in ("cpu", "cuda"):
        loss = network(device)
        model, criterion = loss.model, loss.criterion
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        recorder = Recorder().attach(optimizer)
        for _ in range(20):
            value = criterion(model(loss.inputs), loss.targets)
            recorder.record(loss=value)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        limits.append(recorder.speed_limit().final)
    assert limits[1].speed_limit == pytest.approx(limits[0].speed_limit, rel=1e-9)
