"""
A schedule from a recording
===========================

The largest curvature that a training met is made into a schedule of rates, and the training replayed in fewer steps.
This is only an example: one rate that covers the same flow time in as many steps does as well, so that the gain
is that of a higher rate, and no schedule is recommended.

Run: ``python examples/pace_replay.py``
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from speedlimits.recorder import Edge, Recorder

RATE, STEPS = 0.1, 400
images, labels = load_digits(return_X_y=True)
inputs, targets = torch.tensor(images[:200] / 16.0, dtype=torch.float32), torch.tensor(labels[:200])


def train(rates: Sequence[float], name: str, *, record: bool = False) -> tuple[float, Recorder]:
    """A training from one start with these rates; its last loss, and what was recorded."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rates[0])

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(inputs), targets)

    recorder = Recorder(edge=Edge(loss, share=0.2) if record else None).attach(optimizer)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        value = loss()
        recorder.record(loss=value)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    last = float(loss().detach())
    recorder.finish(last)
    print(f"{name}: {len(rates)} steps to a loss of {last:.3g}. {recorder.speed_limit(clock='step')}")
    return last, recorder


# %%
# A cautious training, and what it saw of the curvature.

_, recorder = train([RATE] * STEPS, "recorded", record=True)
reading = recorder.edge()
print(reading)

# %%
# Wherever the flow is, a step of 0.8 of the largest stable rate; and one rate for as many steps of the same flow time.

time, rates = RATE * STEPS, []
while sum(rates) < time:
    curvature = np.interp(sum(rates), reading.times, reading.curvatures)
    rates.append(float(min(0.8 * 2 / curvature, time - sum(rates))))
train(rates, "replayed")
train([time / len(rates)] * len(rates), "one rate")

# %%
# The curvature that was met, and the rates that were made of it.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(reading.times, reading.curvatures, "o-", color="#0072b2")
left.set(xlabel="flow time", ylabel="largest curvature")
right.step(np.cumsum(rates), rates, color="#0072b2", label="replayed")
right.axhline(time / len(rates), color="#d55e00", label="one rate")
right.set(xlabel="flow time", ylabel="learning rate")
right.legend()
plt.show()
