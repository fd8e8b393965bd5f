"""
Your own network and data
=========================

One function in one file gives the network and its data; every command and ``train_run`` work on it.

Run: ``speedlimits run --problem examples/own_network.py:build --seeds 0 1 --time 0.05 --out runs/wine``
or ``python examples/own_network.py``
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_wine
from torch import nn

from speedlimits import Problem, RunConfig, plot, train_run


def build(seed: int, samples: int = 100) -> Problem:
    """The problem of one member: 13 measurements of a wine in, one of three growers out."""
    generator = torch.Generator().manual_seed(0)
    values, growers = load_wine(return_X_y=True)
    order = torch.randperm(len(values), generator=generator)
    inputs, labels = torch.as_tensor(values)[order], torch.as_tensor(growers)[order]
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    # The seed must decide on the start: the same seed, the same weights.
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(13, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 3)).double()
    return Problem(
        model=model,
        inputs=inputs[:samples],
        targets=labels[:samples],
        loss="cross_entropy",
        test_inputs=inputs[samples:],
        test_labels=labels[samples:],
        name="wine, MLP with LayerNorm",
    )


# %%
# Two members follow the gradient flow. Their processes import this file: what trains stands below the usual line.

if __name__ == "__main__":
    run = train_run(RunConfig(problem=build, seeds=(0, 1), time=0.05, records=60), "runs/wine", force=True)
    print(f"{run.summary['name']}: {run.summary['mean']['inefficiency']:.3g} times slower than the limit")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    plot.loss(run, left, label="cross entropy")
    plot.factors(run, right)
    plt.show()
