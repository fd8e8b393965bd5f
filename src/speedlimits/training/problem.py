"""From a configuration to what is trained: the data, the network, its loss and its accuracy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from speedlimits._checks import check_one_of
from speedlimits.data.cifar10 import cifar10
from speedlimits.data.dataset import Dataset
from speedlimits.data.digits import digits
from speedlimits.dynamics.loss import Flat, FlatLoss
from speedlimits.models.fcn import ACTIVATIONS, FCN
from speedlimits.models.myrtle import Myrtle5
from speedlimits.runs.config import RunConfig

# Each kind of network has an activation of its own unless one is named.
AUTO = "auto"
# Held-out images classified at once.
PIECE = 1000
# Images whose gradient a convolutional network takes at once: on a CPU so few that what they need stays in its caches
# (`benchmarks/study.py`), elsewhere so many that the device is busy and its memory enough.
CHUNKS = {"cpu": 64}
CHUNK_ELSEWHERE = 1024

DATASETS: dict[str, Callable[[int], Dataset]] = {"cifar10": cifar10, "digits": digits}


@dataclass(frozen=True)
class Problem:
    """One member's training problem.

    Args:
        loss: L(θ) on the training images.
        theta0: the initial weights, drawn from the member's seed.
        accuracy: share of held-out images classified correctly at θ.
        held_out: what those images are, in words.
    """

    loss: FlatLoss
    theta0: Flat
    accuracy: Callable[[Flat], float]
    held_out: str


def fcn(config: RunConfig, dataset: Dataset, generator: torch.Generator) -> nn.Module:
    """The network that `RunConfig` calls ``fcn``."""
    return FCN(
        int(np.prod(dataset.inputs.shape[1:])),
        dataset.targets.shape[1],
        width=config.width,
        depth=config.depth,
        activation="tanh" if config.activation == AUTO else config.activation,
        generator=generator,
        dtype=getattr(torch, config.dtype),
    )


def myrtle(config: RunConfig, dataset: Dataset, generator: torch.Generator) -> nn.Module:
    """The network that `RunConfig` calls ``myrtle``."""
    return Myrtle5(
        dataset.inputs.shape[1],
        dataset.targets.shape[1],
        width=config.width,
        activation="relu" if config.activation == AUTO else config.activation,
        generator=generator,
        dtype=getattr(torch, config.dtype),
    )


MODELS: dict[str, Callable[[RunConfig, Dataset, torch.Generator], nn.Module]] = {"fcn": fcn, "myrtle": myrtle}


def check(config: RunConfig) -> Dataset:
    """The study's data, once every name in its configuration is known to stand for something.

    Args:
        config: the study.

    Returns:
        The data set.

    Raises:
        ValueError: if the data set, model or activation is unknown, or there are too few samples.
    """
    check_one_of("dataset", config.dataset, DATASETS)
    check_one_of("model", config.model, MODELS)
    check_one_of("activation", config.activation, [*ACTIVATIONS, AUTO])
    return DATASETS[config.dataset](config.samples)


def check_device(device: str) -> None:
    """Refuse a device that this process cannot compute on.

    Args:
        device: in torch's words.

    Raises:
        ValueError: if torch cannot use it.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"`device` must be usable by torch; device = {device!r} ({reason})") from None


def build(config: RunConfig, seed: int) -> Problem:
    """The training problem of one member.

    Args:
        config: the study.
        seed: of the member's initial weights.

    Returns:
        The problem, on the configuration's device and in its dtype.

    Raises:
        ValueError: if a name is unknown or the data set has fewer samples than asked for.
    """
    dataset = check(config)
    check_device(config.device)
    kind = {"dtype": getattr(torch, config.dtype), "device": config.device}
    model = MODELS[config.model](config, dataset, torch.Generator().manual_seed(seed)).to(config.device)
    inputs, targets = (torch.as_tensor(array, **kind) for array in (dataset.inputs, dataset.targets))
    chunk = None if config.model == "fcn" else CHUNKS.get(inputs.device.type, CHUNK_ELSEWHERE)
    loss = FlatLoss(model, inputs, targets, chunk=chunk)
    test_inputs = torch.as_tensor(dataset.test_inputs, **kind)
    test_labels = torch.as_tensor(dataset.test_labels, device=config.device)

    def accuracy(theta: Flat) -> float:
        with torch.no_grad():
            # In pieces: without gradients to keep, memory is the only reason to.
            guesses = [loss.outputs(theta, piece).argmax(1) for piece in test_inputs.split(PIECE)]
            return float((torch.cat(guesses) == test_labels).double().mean())

    return Problem(loss, loss.initial, accuracy, dataset.held_out)
