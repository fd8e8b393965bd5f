"""
Your own training loop
======================

A loop as people write it, with mini-batches and Adam, and two lines that measure its speed limit.

Run: ``python examples/training_loop.py``
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from speedlimits import Recorder, plot, speed_limit

torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
inputs = torch.tensor(images / 16.0, dtype=torch.float32)
targets = torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

recorder = Recorder().attach(optimizer)  # 1: counts every step from here on
for _ in range(20):
    for batch in torch.randperm(len(inputs)).split(128):
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        recorder.record(loss=loss)  # 2: before optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
recorder.finish()  # the last step counts, too

# %%
# The verdict says first what the drift did, then what the noise of the mini-batches adds.

print(recorder.verdict())

# %%
# Any kept snapshot can be the start instead, here the one nearest to a quarter of the time.

trajectory = recorder.trajectory()
print("From a quarter:", speed_limit(trajectory.from_start(0.25 * trajectory.time)))

# %%
# On the left, how far the run was from its limit at each time. On the right, the same path seen every m steps: noise
# looks slow at stride 1, and averages out.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
plot.inefficiency(trajectory, left)
plot.strides(recorder.noise(), right)
plt.show()
