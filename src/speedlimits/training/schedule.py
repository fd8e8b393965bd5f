"""When to write a record and when to keep the weights: the same times for every member of a study."""

import numpy as np

from speedlimits.study.config import StudyConfig

# Four decades before T show the initial loss drop, whose time scale is 1/λ_max.
DECADES = 4


def record_times(config: StudyConfig) -> np.ndarray:
    """Wanted record times from 0 to T: two thirds log-spaced for the start, one third even for the rest.

    Args:
        config: gives T and the number of records.

    Returns:
        About that many increasing times [time], first 0 and last T exactly.
    """
    logarithmic = max(1, 2 * config.records // 3)
    even = np.linspace(0.0, config.time, max(2, config.records - logarithmic))
    spaced = config.time * np.logspace(-DECADES, 0, logarithmic + 1)[:-1]
    return np.unique(np.concatenate([even, spaced]))


def snapshot_records(times: np.ndarray, wanted: int) -> set[int]:
    """Which records keep their weights: the first, the last, and log-spaced ones between.

    Args:
        times: the record times, the first 0.
        wanted: about how many.

    Returns:
        Indices into ``times``.
    """
    last = times.size - 1
    targets = times[-1] * np.logspace(-DECADES, 0, max(wanted - 1, 1))
    nearest = np.abs(times[:, None] - targets[None, :]).argmin(axis=0)
    return {0, last, *nearest.tolist()}
