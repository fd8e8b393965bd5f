"""The runs of a study: the paper's experiment (§4) in three sizes, or a problem of one's own by number of samples."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from speedlimits._checks import check_one_of
from speedlimits.runs.config import ProblemName, RunConfig

# Myrtle-5 on images meets hardly a kink of its ReLUs: a tolerance of 1e-3 is met (docs/gradient-flow.md). The loss is
# ½Σ(f−y)² over samples and outputs; the paper trained for 200,000 steps of 1e-4 to 1e-5, T = 2 to 20.
MYRTLE = RunConfig(dataset="cifar10", model="myrtle", rtol=1e-3, dtype="float32")

# What is meant where nothing is said.
PRESET, MODEL = "small", "myrtle"

PRESETS: dict[str, tuple[RunConfig, tuple[int, ...]]] = {
    # Four channels on digits meet kinks: 1e-3 would take 3 to 5 times the gradients, and T/T_SL would change by 1.5 %.
    "smoke": (
        dataclasses.replace(
            MYRTLE, dataset="digits", width=4, rtol=1e-2, seeds=(0, 1), time=2.0, records=60, snapshots=16, triples=6
        ),
        (50, 100, 200),
    ),
    "small": (
        dataclasses.replace(MYRTLE, width=16, time=6.0, records=60, snapshots=24),
        (125, 250, 500, 1000),
    ),
    "paper": (
        dataclasses.replace(MYRTLE, width=128, time=20.0, records=120, snapshots=30),
        (500, 1250, 2500, 5000),
    ),
}


# The kinds of network a study may be of, and what each needs beside the preset: layers without convolutions
# are wider, and tanh is smooth, so that a tolerance of 1e-3 is met in every preset.
MODELS: dict[str, Callable[[RunConfig], RunConfig]] = {
    "myrtle": lambda config: config,
    "fcn": lambda config: dataclasses.replace(config, model="fcn", width=4 * config.width, rtol=1e-3),
}


def preset(
    name: str, *, models: Sequence[str] = (), samples: Sequence[int] = (), seeds: Sequence[int] = (), **options: Any
) -> dict[str, RunConfig]:
    """The runs of one preset, by the names of their folders.

    Args:
        name: smoke, small or paper.
        models: kinds of network, each on every number of images; by default myrtle; fcn has four times its width.
        samples: numbers of training images instead of the preset's.
        seeds: members instead of the preset's.
        **options: other keys of `RunConfig` instead of the preset's, such as ``device``.

    Returns:
        A run for each kind and number of training images, the numbers in increasing order.

    Raises:
        ValueError: if a name is unknown, or a number is against the rules of `RunConfig`.
    """
    models = models or (MODEL,)
    check_one_of("name", name, PRESETS)
    for model in models:
        check_one_of("model", model, MODELS)
    base, sizes = PRESETS[name]
    base = dataclasses.replace(base, seeds=tuple(seeds) or base.seeds)
    return {
        f"{model}-n{n:05d}": dataclasses.replace(MODELS[model](base), samples=n, **options)
        for model in dict.fromkeys(models)
        for n in sorted(set(samples or sizes))
    }


def own_study(
    problem: ProblemName, *, samples: Sequence[int], seeds: Sequence[int] = (), **options: Any
) -> dict[str, RunConfig]:
    """The runs of a problem of one's own, by the names of their folders.

    Args:
        problem: a function (seed, samples) → `Problem`, or its name.
        samples: numbers of training samples.
        seeds: members; by default those of `RunConfig`.
        **options: other keys of `RunConfig`, such as ``time``.

    Returns:
        A run for each number of samples, in increasing order.

    Raises:
        ValueError: if there is no number of samples, or a key is against the rules of `RunConfig`.
    """
    if not samples:
        raise ValueError("`samples` must be one number or more for a problem of your own; there is none.")
    options |= {"seeds": tuple(seeds)} if seeds else {}
    return {f"n{n:05d}": RunConfig(problem=problem, samples=n, **options) for n in sorted(set(samples))}
