"""
A diffusion model's sampler
===========================

A small diffusion model of eight Gaussians: the speed limit of its sampler, and five steps spent in three ways.

Run: ``python examples/sampler.py``
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from speedlimits import SpeedLimit
from speedlimits.theory.samplers import END, coefficients, shared_equally
from speedlimits.transport import w2_squared

torch.manual_seed(0)
angles = torch.arange(8) * (2 * torch.pi / 8)
ring = 2 * torch.stack((angles.cos(), angles.sin()), 1)
times = np.linspace(1, END, 401)
schedule = torch.tensor([coefficients("vp-linear", time) for time in times.tolist()], dtype=torch.float32)

# The model guesses the data that are hidden in noise.
model = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(600):
    data = ring[torch.randint(8, (256,))] + 0.1 * torch.randn(256, 2)
    signal, _, noise, _ = schedule[torch.randint(401, (256,))][:, :, None].unbind(1)
    guess = model(torch.cat((signal * data + noise * torch.randn(256, 2), noise), 1))
    optimizer.zero_grad()
    (guess - data).square().mean().backward()
    optimizer.step()


@torch.no_grad()
def sample(grid: np.ndarray) -> torch.Tensor:
    """Where Euler's method is at each time of a grid, always from the same noise."""
    points = [torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))]
    for now, after in itertools.pairwise(grid.tolist()):
        signal, signal_rate, noise, noise_rate = coefficients("vp-linear", now)
        data = model(torch.cat((points[-1], torch.full((1000, 1), noise)), 1))
        velocity = signal_rate * data + noise_rate * (points[-1] - signal * data) / noise
        points.append(points[-1] + (after - now) * velocity)
    return torch.stack(points).double()


# %%
# What 400 small steps do is taken for the sampler's true path. It has a speed limit like any motion of a distribution.

path = sample(times)
velocities = path.diff(dim=0) / (times[1] - times[0])
speeds = velocities.square().sum(2).mean(1).numpy()
moments = [(points.mean(0).numpy(), points.T.cov().numpy()) for points in (path[0], path[-1])]
# The distance is that of means and covariances, from below: the limit holds, and the sampler is at most so slow.
limit = SpeedLimit(
    time=1 - END,
    w2_squared=w2_squared(*moments[0], *moments[1]),
    dissipation=(1 - END) * speeds.mean(),
    arc_length=(1 - END) * np.sqrt(speeds).mean(),
)
print(limit)

# %%
# Five steps go further where they are spent well: at equal speed, or, better, where the path bends.

bends = velocities.diff(dim=0).square().sum(2).mean(1).numpy()
shares = np.linspace(0, 1, 6)
grids = {
    "equal steps": np.linspace(1, END, 6),
    "steps of equal length": shared_equally(0.5 * (times[1:] + times[:-1]), np.sqrt(speeds), shares),
    "steps shared out by acceleration": shared_equally(times[1:-1], bends**0.25, shares),
}
figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, (name, grid) in zip(panels, grids.items(), strict=True):
    end = sample(grid)[-1]
    error = ((end - path[-1]).square().mean() / path[-1].square().mean()).sqrt()
    print(f"Five {name}: {error:.1%} off.")
    ax.plot(*end.T, ".", markersize=2, color="#0072b2")
    ax.plot(*ring.T, "x", color="#d55e00")
    ax.set(title=name, aspect="equal")
plt.show()
