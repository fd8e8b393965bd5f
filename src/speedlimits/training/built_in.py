"""The built-in problems: two kinds of network, in NTK parametrisation, on two data sets."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from speedlimits._checks import check_one_of
from speedlimits.data.cifar10 import cifar10
from speedlimits.data.dataset import Dataset
from speedlimits.data.digits import digits
from speedlimits.models.fcn import ACTIVATIONS, FCN
from speedlimits.models.myrtle import Myrtle5
from speedlimits.runs.noisy import AnyConfig
from speedlimits.training.problem import Problem

# Each kind of network has an activation of its own unless one is named.
AUTO = "auto"
# Images whose gradient a convolutional network takes at once: on a CPU so few that what they need stays in its caches
# (`benchmarks/study.py`), elsewhere so many that the device is busy and its memory enough.
CHUNKS = {"cpu": 64}
CHUNK_ELSEWHERE = 1024

Network = Callable[[AnyConfig, Dataset, torch.Generator], nn.Module]

DATASETS: dict[str, Callable[[int], Dataset]] = {"cifar10": cifar10, "digits": digits}


def fcn(config: AnyConfig, dataset: Dataset, generator: torch.Generator) -> nn.Module:
    """The network that configurations call ``fcn``."""
    return FCN(
        int(np.prod(dataset.inputs.shape[1:])),
        dataset.targets.shape[1],
        width=config.width,
        depth=config.depth,
        activation="tanh" if config.activation == AUTO else config.activation,
        generator=generator,
        dtype=_dtype(config),
    )


def myrtle(config: AnyConfig, dataset: Dataset, generator: torch.Generator) -> nn.Module:
    """The network that configurations call ``myrtle``."""
    return Myrtle5(
        dataset.inputs.shape[1],
        dataset.targets.shape[1],
        width=config.width,
        activation="relu" if config.activation == AUTO else config.activation,
        generator=generator,
        dtype=_dtype(config),
    )


MODELS: dict[str, Network] = {"fcn": fcn, "myrtle": myrtle}


class BuiltIn:
    """The function seed → problem that a configuration's data set and model stand for.

    Args:
        config: of a run.
    """

    def __init__(self, config: AnyConfig) -> None:
        self._config = config

    def __call__(self, seed: int) -> Problem:
        """The problem of one member.

        Args:
            seed: of its initial weights.

        Returns:
            The problem.

        Raises:
            ValueError: as `check`.
        """
        config, dataset = self._config, self.check()
        generator = torch.Generator().manual_seed(seed)
        device = torch.device(getattr(config, "device", "cpu"))
        return Problem(
            model=MODELS[config.model](config, dataset, generator),
            inputs=torch.as_tensor(dataset.inputs),
            targets=torch.as_tensor(dataset.targets),
            test_inputs=torch.as_tensor(dataset.test_inputs),
            test_labels=torch.as_tensor(dataset.test_labels),
            name=f"{config.model} on {config.dataset}",
            held_out=dataset.held_out,
            chunk=None if config.model == "fcn" else CHUNKS.get(device.type, CHUNK_ELSEWHERE),
        )

    def check(self) -> Dataset:
        """Refuse what does not exist, before anything is written.

        Returns:
            The data set.

        Raises:
            ValueError: if the data set, model or activation is unknown, a key is for another model, or there are too
                few samples.
        """
        config = self._config
        check_one_of("dataset", config.dataset, DATASETS)
        check_one_of("model", config.model, MODELS)
        check_one_of("activation", config.activation, [*ACTIVATIONS, AUTO])
        if config.model != "fcn" and config.depth != (default := type(config).depth):
            raise ValueError(
                f"`depth` must be {default} unless `model` is 'fcn'; depth = {config.depth}, model = {config.model!r}."
            )
        samples = config.samples if config.samples != "auto" else config.built_in_samples
        return DATASETS[config.dataset](samples)


def _dtype(config: AnyConfig) -> torch.dtype:
    return getattr(torch, getattr(config, "dtype", "float64"))
